/**
 * W1: independent tasks that do nothing, submitted over one `SubmitRuns` stream by another process, fsync on. Says how
 * many whole runs (accepted, scheduled, started, done, reported) pass per second. The floor is what the store alone
 * does with the same bytes: the commits of the run are read back and written again, raw and synced, by one writer.
 */
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { figureLine } from "./figure.ts";
import { rewriteSpeed } from "./store-floor.ts";
import { BATCH, IN_FLIGHT, register, submitAll } from "./submit.ts";

const REPS = 5;
const RUNS = 30_000;
const WARM_UP_RUNS = 5_000;

/** Ways to run agents, by the agent that does nothing there. */
export const WORKERS = { noop: "plugin threads", echo: "in-process" } as const;
export type IdleAgent = keyof typeof WORKERS;

/** Prints one line per way to run agents. */
export async function w1(): Promise<void> {
  for (const agent of ["noop", "echo"] as const) await measure(agent);
}

async function measure(agent: IdleAgent): Promise<void> {
  const daemon = await startDaemon();
  const definition = await registerIdle(daemon, agent);
  const samples: number[] = [];
  await submitAll(daemon, { definition, runs: WARM_UP_RUNS });
  for (let rep = 0; rep < REPS; rep++) samples.push(await idleSpeed(daemon, definition, RUNS));
  const commits = await daemon.metric("goclaw_journal_commit_seconds_count");
  await daemon.stop();
  const total = RUNS * REPS + WARM_UP_RUNS;
  const floor = await rewriteSpeed(daemon.directory, total);
  const runsPerCommit = Number((total / commits).toFixed(1));
  const settings = {
    workers: WORKERS[agent],
    batch: BATCH,
    inFlight: IN_FLIGHT,
    fsync: true,
    runsPerCommit,
  };
  console.log(
    figureLine({ bench: "w1", metric: "tasks_per_s", samples, n: RUNS, floor, settings }),
  );
}

/** Registers a workflow of one task that does nothing, and answers its name. */
export async function registerIdle(daemon: BenchDaemon, agent: IdleAgent): Promise<string> {
  const name = `one-${agent}`;
  await register(daemon, { name, tasks: [{ id: "t", agent }] });
  return name;
}

/** Whole runs per second. */
export async function idleSpeed(
  daemon: BenchDaemon,
  definition: string,
  runs: number,
): Promise<number> {
  const began = performance.now();
  await submitAll(daemon, { definition, runs });
  return (runs / (performance.now() - began)) * 1_000;
}
