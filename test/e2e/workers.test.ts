/**
 * Workers against real daemons, through stubs alone: sessions and polls, kills of the daemon with leases out, a worker
 * that is fenced and comes late, and what clients see of all that.
 */
import { expect, test } from "vitest";
import { AdminService, WorkerState } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { RunState, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { VerdictOutcome, WorkerService } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { startDaemon, type TestDaemon } from "../support/daemon.ts";
import { hello, RawWorker } from "../support/raw-worker.ts";

const spec = (agent = "remote", labels: Record<string, string> = {}) => ({
  name: "one",
  tasks: [{ id: "a", agent, labels }],
});

async function startRun(daemon: TestDaemon, agent = "remote", labels = {}): Promise<string> {
  const { runId } = await daemon.client(RunService).startRun({
    run: {
      source: { case: "spec", value: spec(agent, labels) },
      inputData: { mediaType: "application/json", data: new TextEncoder().encode('{"n":1}') },
    },
  });
  return runId;
}

async function taskOf(daemon: TestDaemon, runId: string) {
  const { run } = await daemon.client(RunService).getRun({ runId });
  return { run, task: run?.tasks[0] };
}

async function untilEnded(daemon: TestDaemon, runId: string): Promise<void> {
  for await (const _ of daemon.client(RunService).watchRun({ runId })) {
    // The stream ends with the run.
  }
}

const output = { kind: { case: "stringValue", value: "done" } } as const;

test("a task waits for its worker and says so, starts as soon as one connects, and ends by it", async () => {
  const daemon = await startDaemon();
  const runId = await startRun(daemon);
  expect((await taskOf(daemon, runId)).task).toMatchObject({
    state: TaskState.SCHEDULED,
    waitingFor: 'no worker serves agent "remote"',
  });
  const worker = new RawWorker(daemon.client(WorkerService), hello("w-1"));
  expect(await worker.welcome()).toMatchObject({ epoch: 1n, ackLimitMs: 3_000 });
  const assign = await worker.assignment();
  expect(assign).toMatchObject({
    agent: "remote",
    version: "0.0.0",
    lease: { runId, attempt: 1, fence: 1n },
  });
  expect(assign.input?.kind.case).toBe("structValue");
  const leaseId = assign.lease?.leaseId ?? "";
  worker.say({
    acks: [leaseId],
    outputs: [{ leaseId, offset: 0n, data: new TextEncoder().encode("hi") }],
  });
  const { agents, workers } = await daemon.client(AdminService).listAgents({});
  expect(agents.find(({ name }) => name === "remote")).toMatchObject({ transport: "worker" });
  expect(workers).toMatchObject([{ instanceId: "w-1", state: WorkerState.READY, inFlight: 1 }]);
  const ask = daemon.client(WorkerService).recallMemory;
  const foreign = await ask({ instanceId: "w-2", leaseId, text: "tea" });
  expect(foreign.note).toBe("the worker does not hold this lease");
  expect(await ask({ instanceId: "w-1", leaseId, text: "tea" })).toMatchObject({ note: "" });
  worker.say({ completes: [{ leaseId, output }] });
  expect(await worker.verdict(leaseId)).toBe(VerdictOutcome.COMMITTED);
  await untilEnded(daemon, runId);
  const written: string[] = [];
  for await (const { data } of daemon.client(RunService).watchOutput({ runId, taskId: "a" })) {
    written.push(new TextDecoder().decode(data));
  }
  expect(written).toEqual(["hi"]);
  worker.say({ completes: [{ leaseId, output }] });
  await worker.until(({ verdicts }) =>
    verdicts.some((one) => one.outcome === VerdictOutcome.DUPLICATE),
  );
  expect((await taskOf(daemon, runId)).run?.state).toBe(RunState.COMPLETED);
  worker.close();
  await worker.ended;
});

test("a lease outlives the daemon: its worker comes back, names it, and ends the same attempt", async () => {
  const first = await startDaemon();
  const before = new RawWorker(first.client(WorkerService), hello("w-1"));
  await before.welcome();
  const [kept, lost] = [await startRun(first), await startRun(first)];
  const leases = new Map<string, string>();
  for (let n = 0; n < 2; n++) {
    const { lease } = await before.assignment();
    leases.set(lease?.runId ?? "", lease?.leaseId ?? "");
    before.say({ acks: [lease?.leaseId ?? ""] });
  }
  first.process.signal("SIGKILL");
  await before.ended;

  const second = await startDaemon({ directory: first.directory });
  const keptLease = leases.get(kept) ?? "";
  const resume = { token: "", leases: [keptLease, "01JD0000000000000000000000/a/1"] };
  const after = new RawWorker(second.client(WorkerService), hello("w-1", { resume }));
  expect(await after.welcome()).toMatchObject({ kept: [keptLease], dropped: [resume.leases[1]] });
  after.say({ completes: [{ leaseId: keptLease, output }] });
  expect(await after.verdict(keptLease)).toBe(VerdictOutcome.COMMITTED);
  await untilEnded(second, kept);
  expect((await taskOf(second, kept)).task).toMatchObject({ attempt: 1, worker: "w-1" });

  const again = await after.assignment();
  expect(again.lease).toMatchObject({ runId: lost, attempt: 2, fence: 2n });
  expect(again.history).toMatchObject([{ attempt: 1 }]);
  const staleId = leases.get(lost) ?? "";
  after.say({ completes: [{ leaseId: staleId, output }] });
  expect(await after.verdict(staleId)).toBe(VerdictOutcome.LATE_STORED);
  const leaseId = again.lease?.leaseId ?? "";
  after.say({ completes: [{ leaseId, output }] });
  expect(await after.verdict(leaseId)).toBe(VerdictOutcome.COMMITTED);
  await untilEnded(second, lost);
  expect((await taskOf(second, lost)).task).toMatchObject({
    attempt: 2,
    lateResults: [{ lease: 1n, worker: "w-1", output }],
  });
});

test("a worker that leaves gives its work to another at once; its result comes late, after the run", async () => {
  const daemon = await startDaemon();
  const first = new RawWorker(daemon.client(WorkerService), hello("w-1"));
  await first.welcome();
  const runId = await startRun(daemon);
  const leaseId = (await first.assignment()).lease?.leaseId ?? "";
  first.say({
    acks: [leaseId],
    progress: [{ leaseId, checkpoint: new Uint8Array([7]), receipts: [{ name: "mail" }] }],
  });
  first.say({ drain: { leaving: true } });
  await first.until(({ drops }) => drops.includes(leaseId));

  const second = new RawWorker(daemon.client(WorkerService), hello("w-2"));
  const assign = await second.assignment();
  expect(assign).toMatchObject({
    lease: { runId, attempt: 2 },
    checkpoint: new Uint8Array([7]),
    receipts: [{ name: "mail" }],
  });
  const newer = assign.lease?.leaseId ?? "";
  second.say({ completes: [{ leaseId: newer, output }] });
  expect(await second.verdict(newer)).toBe(VerdictOutcome.COMMITTED);
  await untilEnded(daemon, runId);

  second.say({ completes: [{ leaseId: `${runId}/a/9`, output }] });
  expect(await second.verdict(`${runId}/a/9`)).toBe(VerdictOutcome.REFUSED);
  first.say({ completes: [{ leaseId, output }] });
  expect(await first.verdict(leaseId)).toBe(VerdictOutcome.LATE_STORED);
  expect((await taskOf(daemon, runId)).task).toMatchObject({ lateResults: [{ worker: "w-1" }] });
});

test("a worker of two plain HTTP calls, as curl makes them", async () => {
  const daemon = await startDaemon();
  const call = async (method: string, body: object): Promise<Record<string, unknown[]>> => {
    const response = await fetch(`${daemon.address}/goclaw.v1.WorkerService/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    return (await response.json()) as Record<string, unknown[]>;
  };
  const worker = {
    protocolVersion: 1,
    instanceId: "curl-1",
    agents: [{ name: "remote" }],
    capacity: { slots: { default: 2 } },
  };
  expect(await call("PollTasks", { worker, waitMs: 1 })).toEqual({});
  const runId = await startRun(daemon);
  const { assigns } = await call("PollTasks", { worker });
  expect(assigns).toMatchObject([{ lease: { runId }, agent: "remote", input: { n: 1 } }]);
  const first = assigns?.[0] as { lease?: { leaseId: string } } | undefined;
  const leaseId = first?.lease?.leaseId ?? "";
  expect(
    await call("ReportTask", { instanceId: "curl-1", progress: [{ leaseId, percent: 50 }] }),
  ).toEqual({});
  expect((await taskOf(daemon, runId)).task).toMatchObject({
    state: TaskState.RUNNING,
    percent: 50,
  });
  const end = { instanceId: "curl-1", completes: [{ leaseId, output: { ok: true } }] };
  expect(await call("ReportTask", end)).toEqual({
    verdicts: [{ leaseId, outcome: "VERDICT_OUTCOME_COMMITTED" }],
  });
  expect(await call("ReportTask", end)).toMatchObject({
    verdicts: [{ outcome: "VERDICT_OUTCOME_DUPLICATE" }],
  });
  expect(await call("DrainWorker", { instanceId: "curl-1", leaving: true })).toEqual({});
});
