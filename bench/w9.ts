/**
 * W9: how long a daemon that was killed takes from its start until it listens, by how many runs were open, by how long
 * the histories of open runs were, and by how many finished runs lie beside them. Beside each figure stands the start
 * of a daemon on an empty directory, which is what any start costs.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { type Figure, figureLine } from "./figure.ts";
import { PARKED_LANE, park } from "./parked.ts";
import { jsonBytes, register, submitAll } from "./submit.ts";
import { registerIdle } from "./w1.ts";

const RESTARTS = 3;
const POLL_MS = 50;
const OPEN_RUNS = [1_000, 10_000, 100_000];
const FINISHED_RUNS = [10_000, 100_000];
/** Ended tasks of each open run with a history; a task is three events. */
const HISTORY_TASKS = [100, 1_000, 9_000];
const RUNS_WITH_HISTORY = 10;

export async function w9(): Promise<void> {
  const empty = await measure(async () => {});
  report("restart_ready_ms", 0, empty, { state: "empty directory" });
  for (const openRuns of OPEN_RUNS) {
    const samples = await measure(async (daemon) => {
      await park(daemon, openRuns);
    });
    report("restart_ready_ms", openRuns, samples, { state: "open runs of one task" }, empty);
  }
  for (const tasks of HISTORY_TASKS) {
    const samples = await measure((daemon) => leaveHistories(daemon, tasks));
    const settings = { state: "open runs with a history", tasks, events: 3 * tasks };
    report("restart_ready_ms", RUNS_WITH_HISTORY, samples, settings, empty);
  }
  for (const finished of FINISHED_RUNS) {
    const samples = await measure(async (daemon) => {
      const definition = await registerIdle(daemon, "noop");
      await submitAll(daemon, { definition, runs: finished });
    });
    report("restart_ready_ms", finished, samples, { state: "finished runs" }, empty);
  }
}

function report(
  metric: string,
  n: number,
  samples: readonly number[],
  settings: Figure["settings"],
  floor?: readonly number[],
): void {
  const base = floor === undefined ? {} : { floor };
  console.log(
    figureLine({
      bench: "w9",
      metric,
      samples,
      n,
      ...base,
      settings: { ...settings, fsync: true },
    }),
  );
}

/** Start times in milliseconds on what `prepare` left behind. */
async function measure(prepare: (daemon: BenchDaemon) => Promise<void>): Promise<number[]> {
  let daemon = await startDaemon({ environment: PARKED_LANE });
  await prepare(daemon);
  const samples: number[] = [];
  for (let rep = 0; rep < RESTARTS; rep++) {
    await daemon.stop("SIGKILL");
    daemon = await startDaemon({ environment: PARKED_LANE, directory: daemon.directory });
    samples.push(daemon.readyMs);
  }
  await daemon.stop("SIGKILL");
  return samples;
}

/** Runs that have done all their tasks but one, which does not end. */
async function leaveHistories(daemon: BenchDaemon, tasks: number): Promise<void> {
  await register(daemon, {
    name: "long",
    tasks: [
      { id: "fan", agent: "noop", forEach: "input" },
      { id: "hold", agent: "gated", deps: ["fan"], input: "never" },
    ],
  });
  const input = jsonBytes(Array.from({ length: tasks }, (_, n) => n));
  await submitAll(daemon, {
    definition: "long",
    runs: RUNS_WITH_HISTORY,
    batch: 1,
    detached: true,
    input,
  });
  while ((await daemon.metric("goclaw_tasks_pending")) > RUNS_WITH_HISTORY) await sleep(POLL_MS);
}
