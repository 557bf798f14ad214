/**
 * Pending tasks to order: runs of one task each in a lane whose only slot is taken by an attempt that does not end, so
 * that they stay where they are while other workloads go on beside them.
 */
import type { BenchDaemon } from "./daemon.ts";
import { jsonBytes, register, submitAll } from "./submit.ts";

/** Environment of a daemon that can hold up to two million. */
export const PARKED_LANE = {
  GOCLAW_LANES__NAMED__PARKED__CONCURRENCY: "1",
  GOCLAW_LANES__NAMED__PARKED__CAPACITY: "2000000",
} as const;

const BLOCKER = { definition: "parked", runs: 1, detached: true, input: jsonBytes("never") };

/** Adds pending tasks and answers how many were accepted per second. The first call takes the slot. */
export async function park(daemon: BenchDaemon, tasks: number): Promise<number> {
  await register(daemon, { name: "parked", tasks: [{ id: "t", agent: "gated", lane: "parked" }] });
  if ((await daemon.occupied("parked")) === 0) {
    await submitAll(daemon, BLOCKER);
  }
  const began = performance.now();
  await submitAll(daemon, { definition: "parked", runs: tasks, detached: true });
  return (tasks / (performance.now() - began)) * 1_000;
}
