/**
 * W7: how long it takes to validate and compile the largest definition allowed, 10,000 tasks with 100,000 dependencies,
 * without and with templates in every task. `total_ms` is validation and compilation; the canonical text, which the
 * first submission of a definition needs as well, stands beside it.
 */
import { performance } from "node:perf_hooks";
import type { Json } from "../src/base/payload.ts";
import { canonicalJson, compile } from "../src/core/dag/compile.ts";
import { DEFINITION_LIMITS } from "../src/core/dag/definition.ts";
import { readDefinition } from "../src/core/dag/validate.ts";
import { figureLine } from "./figure.ts";

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

/** Prints one line for each case. */
export async function w7(): Promise<void> {
  measure("plain", dense());
  measure("templates", dense({ text: "see {{ PREVIOUS.summary }}", run: "{{ run.id }}" }));
}

function measure(name: string, source: Json): void {
  const phases = {
    total_ms: [] as number[],
    validate_ms: [] as number[],
    compile_ms: [] as number[],
    canonical_ms: [] as number[],
  };
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
    phases.total_ms.push(compiled - start);
    phases.validate_ms.push(validated - start);
    phases.compile_ms.push(compiled - validated);
    phases.canonical_ms.push(end - compiled);
  }
  const settings = { case: name, tasks: TASKS, edges: EDGES };
  for (const [metric, samples] of Object.entries(phases))
    console.log(figureLine({ bench: "w7", metric, samples, n: 1, settings }));
}
