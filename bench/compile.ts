/**
 * How long it takes to validate and compile the largest definition allowed: 10,000 tasks with 100,000 dependencies. One
 * JSON line per case; `medianMs` is to be read against the goal of 100 ms.
 */
import { performance } from "node:perf_hooks";
import type { Json } from "../src/base/payload.ts";
import { canonicalJson, compile } from "../src/core/dag/compile.ts";
import { DEFINITION_LIMITS } from "../src/core/dag/definition.ts";
import { readDefinition } from "../src/core/dag/validate.ts";

const ROUNDS = 15;
const { tasks: TASKS, edges: EDGES } = DEFINITION_LIMITS;

/** Every task waits for the ten before it, spread over four lanes. */
function dense(input?: Json): Json {
  const perTask = EDGES / TASKS;
  const tasks = Array.from({ length: TASKS }, (_, at) => ({
    id: `task-${at}`,
    agent: `agent-${at % 20}`,
    lane: ["io", "cpu", "gpu", "net"][at % 4] as string,
    timeout: "30s",
    deps: Array.from({ length: Math.min(at, perTask) }, (_, back) => `task-${at - 1 - back}`),
    ...(input === undefined || at === 0
      ? {}
      : { input: JSON.parse(JSON.stringify(input).replaceAll("PREVIOUS", `task-${at - 1}`)) }),
  }));
  return { name: "dense", tasks };
}

function measure(name: string, source: Json): void {
  const times = {
    validateMs: [] as number[],
    compileMs: [] as number[],
    canonicalMs: [] as number[],
  };
  const total: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    const read = readDefinition(source);
    if ("violations" in read) throw new Error(JSON.stringify(read.violations.slice(0, 3)));
    const validated = performance.now();
    const plan = compile(read.definition, { hash: "0" });
    const compiled = performance.now();
    const text = canonicalJson(read.definition);
    const end = performance.now();
    if (plan.nodes.length !== TASKS || text.length === 0) throw new Error("nothing was compiled");
    times.validateMs.push(validated - start);
    times.compileMs.push(compiled - validated);
    times.canonicalMs.push(end - compiled);
    total.push(compiled - start);
  }
  const medians = Object.fromEntries(
    Object.entries(times).map(([key, list]) => [key, median(list)]),
  );
  const worst = Math.round(Math.max(...total) * 10) / 10;
  console.log(
    JSON.stringify({
      bench: "compile",
      case: name,
      tasks: TASKS,
      rounds: ROUNDS,
      medianMs: median(total),
      worstMs: worst,
      ...medians,
    }),
  );
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round((sorted[sorted.length >> 1] ?? 0) * 10) / 10;
}

measure("plain", dense());
measure("templates", dense({ text: "see {{ PREVIOUS.summary }}", run: "{{ run.id }}" }));
