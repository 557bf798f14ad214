/**
 * 10,000 tasks through a worker of the SDK while the daemon, the worker, and both are killed: every task has exactly one
 * committed result, no attempt ran twice, and only what the killed worker held was tried again.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { RunState, type TaskEvent, TaskEventType } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { startDaemon, type TestDaemon } from "../support/daemon.ts";
import { GoclawProcess } from "../support/goclaw-process.ts";
import { problemsOf } from "../support/ledger.ts";

const RUNS = 10;
const TASKS = 1_000;
const CAPACITY = 200;
const WORKER = join(import.meta.dirname, "../support/workers/ledger.ts");

const SPEC = {
  name: "ticks",
  tasks: [{ id: "tick", agent: "tick", forEach: "input.items", retry: { backoff: "10ms" } }],
};

const ROOMY = {
  GOCLAW_LOG__LEVEL: "error",
  GOCLAW_LANES__GLOBAL__CONCURRENCY: "1000",
  GOCLAW_LANES__NAMED__DEFAULT__CONCURRENCY: "1000",
  GOCLAW_LANES__NAMED__DEFAULT__CAPACITY: "20000",
};

/** A daemon and a worker that a test can kill and start again. */
class Pair {
  daemon: TestDaemon;
  worker: GoclawProcess;
  readonly ledger: string;

  private constructor(daemon: TestDaemon) {
    this.daemon = daemon;
    this.ledger = join(daemon.directory, "ledger");
    this.worker = this.#startWorker();
  }

  static async start(): Promise<Pair> {
    return new Pair(await startDaemon({ env: ROOMY }));
  }

  #startWorker(): GoclawProcess {
    const words = ["--conditions=goclaw-source", WORKER, this.daemon.address, this.ledger];
    return new GoclawProcess(process.execPath, [...words, String(CAPACITY)], {});
  }

  async killDaemon(): Promise<void> {
    this.daemon.process.signal("SIGKILL");
    await this.daemon.process.ended;
  }

  async startDaemon(): Promise<void> {
    const { directory, authority: listen } = this.daemon;
    this.daemon = await startDaemon({ directory, listen, env: ROOMY });
  }

  async killWorker(): Promise<void> {
    this.worker.signal("SIGKILL");
    await this.worker.ended;
  }

  async startWorker(): Promise<void> {
    this.worker = this.#startWorker();
    await this.worker.until(/connected/);
  }

  /** What attempts wrote. */
  get lines(): readonly string[] {
    return existsSync(this.ledger) ? readFileSync(this.ledger, "utf8").trim().split("\n") : [];
  }
}

async function submit(daemon: TestDaemon): Promise<readonly string[]> {
  const items = Array.from({ length: TASKS }, (_, n) => n);
  const data = new TextEncoder().encode(JSON.stringify({ items }));
  const starts = Array.from({ length: RUNS }, () =>
    daemon.client(RunService).startRun({
      run: {
        source: { case: "spec", value: SPEC },
        inputData: { mediaType: "application/json", data },
      },
    }),
  );
  return (await Promise.all(starts)).map(({ runId }) => runId);
}

/** All events of a run, once it has ended. */
async function history(daemon: TestDaemon, runId: string): Promise<readonly TaskEvent[]> {
  const events: TaskEvent[] = [];
  for await (const { event } of daemon.client(RunService).watchRun({ runId })) {
    if (event !== undefined) events.push(event);
  }
  return events;
}

const ofType = (events: readonly TaskEvent[], wanted: TaskEventType) =>
  events.filter(({ type }) => type === wanted);

test("kill -9 of daemon, worker and both: one committed result for each of 10,000 tasks", async () => {
  const pair = await Pair.start();
  const runIds = await submit(pair.daemon);
  await pair.worker.until(/ticks 2000\./);
  await pair.killDaemon();
  await pair.startDaemon();
  await pair.worker.until(/ticks 4000\./);
  // The worker has outlived a daemon without running anything twice.
  const tasks = pair.lines.map((line) => line.slice(0, line.lastIndexOf("/")));
  expect(new Set(tasks).size).toBe(tasks.length);
  await pair.killWorker();
  await pair.startWorker();
  await pair.worker.until(/ticks 2000\./);
  await Promise.all([pair.killDaemon(), pair.killWorker()]);
  await pair.startDaemon();
  await pair.startWorker();
  let retries = 0;
  for (const runId of runIds) {
    const events = await history(pair.daemon, runId);
    expect(problemsOf(events), `history of ${runId}`).toEqual([]);
    expect(events.at(-1)?.runState).toBe(RunState.COMPLETED);
    const done = ofType(events, TaskEventType.TASK_COMPLETED);
    const instances = done.filter(({ taskId }) => taskId.includes("["));
    expect(new Set(instances.map(({ taskId }) => taskId)).size).toBe(TASKS);
    expect(instances).toHaveLength(TASKS);
    retries += ofType(events, TaskEventType.TASK_RETRYING).length;
  }
  // Whatever was out when something was killed is no more than a worker could hold.
  expect(retries).toBeGreaterThan(0);
  expect(retries).toBeLessThanOrEqual(3 * CAPACITY);
  const { lines } = pair;
  expect(new Set(lines).size).toBe(lines.length);
  expect(lines.length).toBeGreaterThanOrEqual(RUNS * TASKS);
  expect(lines.length).toBeLessThanOrEqual(RUNS * TASKS + retries);
  pair.worker.signal("SIGTERM");
  const { exit, stdout } = await pair.worker.ended;
  expect(exit).toBe(0);
  // Whatever it reported was committed.
  const verdicts = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Record<string, number>;
  expect(Object.keys(verdicts)).toEqual(["COMMITTED"]);
});
