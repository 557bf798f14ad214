/**
 * W6: a hundred thousand attempts that run at the same time in plugin threads, each waiting for something outside as an
 * agent that talks to a model does. All of them hold a slot together before the first may end; then all end at once.
 * Says how fast they start and end, and how much memory the daemon holds while they run.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { figureLine } from "./figure.ts";
import { jsonBytes, register, submitAll } from "./submit.ts";

const TASKS = 100_000;
const REPS = 3;
const MIB = 1024 * 1024;
const POLL_MS = 100;
/** Until the last attempts, whose slots are taken, have come to their threads. */
const SETTLE_MS = 1_000;

interface Sample {
  readonly startedPerSecond: number;
  readonly endedPerSecond: number;
  readonly residentMib: number;
  readonly peakMib: number;
}

export async function w6(): Promise<void> {
  const samples: Sample[] = [];
  for (let rep = 0; rep < REPS; rep++) samples.push(await measure(TASKS));
  const report = (metric: string, of: (sample: Sample) => number): void =>
    console.log(
      figureLine({
        bench: "w6",
        metric,
        samples: samples.map(of),
        n: TASKS,
        settings: { runningAtOnce: TASKS, workers: "plugin threads", fsync: true },
      }),
    );
  report("resident_mib", (sample) => sample.residentMib);
  report("peak_resident_mib", (sample) => sample.peakMib);
  report("started_per_s", (sample) => sample.startedPerSecond);
  report("ended_per_s", (sample) => sample.endedPerSecond);
}

async function measure(tasks: number): Promise<Sample> {
  const daemon = await startDaemon({
    environment: {
      GOCLAW_LANES__GLOBAL__CONCURRENCY: String(tasks + 1),
      GOCLAW_LANES__NAMED__DEFAULT__CONCURRENCY: String(tasks + 1),
    },
  });
  await registerGate(daemon);
  const input = jsonBytes("all");
  const began = performance.now();
  const ended = submitAll(daemon, { definition: "gated", runs: tasks, inFlight: tasks, input });
  await reached(daemon, tasks);
  const startMs = performance.now() - began;
  await sleep(SETTLE_MS);
  const { residentBytes } = await daemon.memory();
  const opened = performance.now();
  await submitAll(daemon, { definition: "open", runs: 1, input });
  await ended;
  const endMs = performance.now() - opened;
  const { peakBytes } = await daemon.memory();
  await daemon.stop();
  return {
    startedPerSecond: (tasks / startMs) * 1_000,
    endedPerSecond: (tasks / endMs) * 1_000,
    residentMib: residentBytes / MIB,
    peakMib: peakBytes / MIB,
  };
}

async function registerGate(daemon: BenchDaemon): Promise<void> {
  await register(daemon, { name: "gated", tasks: [{ id: "t", agent: "gated" }] });
  await register(daemon, { name: "open", tasks: [{ id: "t", agent: "open_gate" }] });
}

/** Resolves when that many attempts hold a slot of the default lane. */
async function reached(daemon: BenchDaemon, tasks: number): Promise<void> {
  while ((await daemon.occupied("default")) < tasks) await sleep(POLL_MS);
}
