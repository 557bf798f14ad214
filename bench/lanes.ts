/**
 * What a lane costs per task: verdict, enqueue, poll, start and release, behind 1,000, 100,000 and 1,000,000 queued
 * tasks, once as one flow and once spread over sessions. Prints JSON lines, one figure each; run it with
 * `node --expose-gc bench/lanes.ts`. Pure CPU and memory, so the floor is an empty queue (the first depth), not a disk.
 */
import type { TaskState } from "../src/core/run/state.ts";
import { LaneManager } from "../src/lanes/lane-manager.ts";
import { laneConfig, lanesConfig, startedRun } from "../test/support/lane-tasks.ts";

const DEPTHS = [1_000, 100_000, 1_000_000];
const CYCLES = 100_000;
const REPS = 5;
const BATCH = 64;
const TASKS_PER_RUN = 100;

const gc = (globalThis as { gc?: () => void }).gc;

function tasksOf(count: number, sessions: boolean): TaskState[] {
  const wishes = Array.from({ length: TASKS_PER_RUN }, (_, n) => ({
    lane: "cpu",
    remainingMs: n % 10,
  }));
  const tasks: TaskState[] = [];
  for (let run = 0; tasks.length < count; run++) {
    const session = sessions ? { session: `session-${run % 10_000}` } : {};
    tasks.push(...startedRun({ at: run, tasks: wishes, ...session }).tasks);
  }
  return tasks.slice(0, count);
}

function enter(lanes: LaneManager, task: TaskState): void {
  const verdict = lanes.verdict(task);
  if (verdict.kind !== "accepted") throw new Error(`unexpected verdict ${verdict.kind}`);
  task.lane = verdict.lane;
  lanes.enqueue(task);
}

/** Keeps `tasks.length - CYCLES` queued while CYCLES tasks start, end and are replaced; answers cycles per second. */
function cycle(lanes: LaneManager, fresh: readonly TaskState[]): number {
  const began = performance.now();
  for (let done = 0; done < fresh.length; ) {
    const { start } = lanes.poll(1_000_000, Math.min(BATCH, fresh.length - done));
    for (const task of start) lanes.started(task);
    for (const task of start) lanes.released(task);
    for (const _ of start) enter(lanes, fresh[done++] as TaskState);
  }
  return (fresh.length / (performance.now() - began)) * 1_000;
}

function print(metric: string, settings: object, samples: readonly number[]): void {
  const sorted = [...samples].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1] ?? Number.NaN;
  const [min, max] = [sorted[0], sorted.at(-1)];
  const figures = { median, min, max };
  for (const [name, value] of Object.entries(figures)) {
    figures[name as keyof typeof figures] = Math.round(value as number);
  }
  console.log(
    JSON.stringify({ bench: "lanes", metric, ...figures, reps: samples.length, ...settings }),
  );
}

function measure(depth: number, sessions: boolean, report = print): void {
  const settings = { depth, flows: sessions ? "10,000 sessions" : "one", cycles: CYCLES };
  const lanes = new LaneManager(
    lanesConfig([laneConfig("cpu", { capacity: 2_000_000, concurrency: BATCH })]),
  );
  const tasks = tasksOf(depth + CYCLES * (REPS + 1), sessions);
  gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const began = performance.now();
  for (const task of tasks.slice(0, depth)) enter(lanes, task);
  const fillMs = performance.now() - began;
  gc?.();
  const bytes = (process.memoryUsage().heapUsed - heapBefore) / depth;
  const rounds = Array.from({ length: REPS + 1 }, (_, rep) =>
    cycle(lanes, tasks.slice(depth + rep * CYCLES, depth + (rep + 1) * CYCLES)),
  );
  report("enqueues_per_s", settings, [(depth / fillMs) * 1_000]);
  report("cycles_per_s", settings, rounds.slice(1));
  // Behind few tasks the fixed parts of a lane would hide what a task takes.
  if (gc !== undefined && depth >= 100_000) report("bytes_per_queued_task", settings, [bytes]);
}

// One unreported round, so that the first figure is not that of a cold compiler.
measure(DEPTHS[0] as number, true, () => undefined);
for (const sessions of [false, true]) for (const depth of DEPTHS) measure(depth, sessions);
