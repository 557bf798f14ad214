/**
 * W2: fan-out from one task to many and back to one, a no-op everywhere. The shape is a `for_each`, which one run may
 * have up to ten thousand tasks of; a thousand are also measured as declared tasks. The floor is what the store alone
 * does with the same commits.
 */
import type { JsonObject } from "@bufbuild/protobuf";
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { figureLine } from "./figure.ts";
import { rewriteSpeed } from "./store-floor.ts";
import { jsonBytes, register, submitAll } from "./submit.ts";
import { type IdleAgent, WORKERS } from "./w1.ts";

const REPS = 5;
const WARM_UP_TASKS = 10_000;
/** About as many tasks in each repetition, whatever the width. */
const TASKS_PER_REP = 30_000;

type Shape = "for_each" | "declared";

export interface FanOut {
  readonly agent: IdleAgent;
  readonly width: number;
  readonly shape: Shape;
  /** Runs at the same time. */
  readonly inFlight: number;
}

/** The widest that one run's limit of ten thousand tasks allows: a source, a group and a join go with it. */
const WIDEST = 9_997;

const CASES: readonly FanOut[] = [
  { agent: "noop", width: 1_000, shape: "for_each", inFlight: 1 },
  { agent: "echo", width: 1_000, shape: "for_each", inFlight: 1 },
  { agent: "noop", width: 1_000, shape: "declared", inFlight: 1 },
  { agent: "noop", width: 1_000, shape: "for_each", inFlight: 8 },
  { agent: "noop", width: 100, shape: "for_each", inFlight: 1 },
  { agent: "noop", width: WIDEST, shape: "for_each", inFlight: 1 },
];

export async function w2(): Promise<void> {
  for (const fanOut of CASES) await measure(fanOut);
}

/** Registers a fan-out by `for_each` over the run's input, and answers its name. */
export async function registerFanOut(
  daemon: BenchDaemon,
  agent: IdleAgent,
  width: number,
  shape: Shape = "for_each",
): Promise<string> {
  await register(daemon, SPECS[shape](agent, width));
  return "fan-out";
}

async function measure(fanOut: FanOut): Promise<void> {
  const { agent, width, shape, inFlight } = fanOut;
  const tasks = width + 2;
  const daemon = await startDaemon();
  const definition = await registerFanOut(daemon, agent, width, shape);
  const input = jsonBytes(Array.from({ length: width }, (_, n) => n));
  const submit = (runs: number): Promise<void> =>
    submitAll(daemon, { definition, runs, input, batch: 1, inFlight });
  const warmUp = Math.max(inFlight, Math.round(WARM_UP_TASKS / tasks));
  const runs = Math.max(inFlight, Math.round(TASKS_PER_REP / tasks));
  await submit(warmUp);
  const samples: number[] = [];
  for (let rep = 0; rep < REPS; rep++) {
    const began = performance.now();
    await submit(runs);
    samples.push(((runs * tasks) / (performance.now() - began)) * 1_000);
  }
  await daemon.stop();
  const floor = await rewriteSpeed(daemon.directory, (warmUp + runs * REPS) * tasks);
  const settings = { width, shape, runsAtOnce: inFlight, workers: WORKERS[agent], fsync: true };
  console.log(
    figureLine({ bench: "w2", metric: "tasks_per_s", samples, n: runs * tasks, floor, settings }),
  );
}

const SPECS: Record<Shape, (agent: IdleAgent, width: number) => JsonObject> = {
  for_each: (agent) => ({
    name: "fan-out",
    tasks: [
      { id: "source", agent, input: 0 },
      { id: "step", agent, deps: ["source"], forEach: "input" },
      { id: "join", agent, deps: ["step"], input: 0 },
    ],
  }),
  declared: (agent, width) => {
    const steps = Array.from({ length: width }, (_, n) => `step-${n}`);
    return {
      name: "fan-out",
      tasks: [
        { id: "source", agent, input: 0 },
        ...steps.map((id, n) => ({ id, agent, deps: ["source"], input: n })),
        { id: "join", agent, deps: steps, input: 0 },
      ],
    };
  },
};
