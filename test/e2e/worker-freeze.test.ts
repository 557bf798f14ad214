/**
 * A worker that is frozen for longer than its lease: it is fenced, its task goes to another worker, and what it brings
 * when it thaws is kept beside the task, where `goclaw get` shows it. Times are short by configuration, the rules those of
 * every worker.
 */
import { join } from "node:path";
import { expect, test } from "vitest";
import { AdminService, WorkerState } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { startDaemon, type TestDaemon } from "../support/daemon.ts";
import { GoclawProcess, goclaw } from "../support/goclaw-process.ts";

const SHORT = {
  GOCLAW_LOG__LEVEL: "error",
  GOCLAW_WORKERS__PROBE: "200ms",
  GOCLAW_WORKERS__SILENCE: "1s",
  GOCLAW_WORKERS__LEASE: "1500ms",
};

const WORKER = join(import.meta.dirname, "../support/workers/freezable.ts");

function startWorker(daemon: TestDaemon, name: string): GoclawProcess {
  const words = ["--conditions=goclaw-source", WORKER, daemon.address, name];
  return new GoclawProcess(process.execPath, words, {});
}

async function stateOf(daemon: TestDaemon, name: string): Promise<WorkerState | undefined> {
  const { workers } = await daemon.client(AdminService).listAgents({});
  return workers.find((worker) => worker.name === name)?.state;
}

test("a frozen worker is fenced, its task runs elsewhere, its late result is kept and shown", async () => {
  const daemon = await startDaemon({ env: SHORT });
  const cold = startWorker(daemon, "cold");
  await cold.until(/connected/);
  const value = { name: "one", tasks: [{ id: "a", agent: "slow", retry: { backoff: "10ms" } }] };
  const runs = daemon.client(RunService);
  const { runId } = await runs.startRun({ run: { source: { case: "spec", value } } });
  await cold.until(/running attempt 1/);

  cold.signal("SIGSTOP");
  const warm = startWorker(daemon, "warm");
  await warm.until(/running attempt 2/);
  expect(await stateOf(daemon, "cold")).toBe(WorkerState.SILENT);
  warm.signal("SIGUSR2");
  for await (const _ of runs.watchRun({ runId })) {
    // The stream ends with the run.
  }

  cold.signal("SIGUSR2");
  cold.signal("SIGCONT");
  // Draining waits for the verdict on everything that was brought.
  cold.signal("SIGTERM");
  const { stdout } = await cold.ended;
  expect(stdout).toMatch(/\{"LATE_STORED":1\}\n$/);
  const shown = await goclaw(["get", runId, "a", "--server", daemon.address]);
  expect(shown.stdout).toMatch(/"warm"/);
  expect(shown.stdout).toMatch(/late output of lease 1, worker \S+/);
  expect(shown.stdout).toMatch(/"cold"/);
});
