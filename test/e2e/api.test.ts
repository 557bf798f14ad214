/**
 * What the API promises beyond single calls, shown on the real daemon: equal keys are one run, streams come and go
 * without harm, watches resume without a gap, hostile requests are refused, and leaving is orderly.
 */
import { create } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { GoClawEngine } from "../../gen/goclaw/v1/engine_pb.ts";
import { RunState, type TaskEvent, TaskEventType, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { startDaemon, type TestDaemon } from "../support/daemon.ts";

const ECHO = { name: "parrot", tasks: [{ id: "say", agent: "echo" }] };
const LISTEN = { name: "listening", tasks: [{ id: "ear", agent: "listener" }] };

const text = (value: string) => create(ValueSchema, { kind: { case: "stringValue", value } });

async function refusal(act: Promise<unknown>): Promise<ConnectError> {
  try {
    await act;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const infoOf = (error: ConnectError) => error.findDetails(ErrorInfoSchema)[0];

async function all(events: AsyncIterable<TaskEvent>): Promise<TaskEvent[]> {
  const seen: TaskEvent[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

/** Reads a stream until an event, then leaves it. */
async function leaveAt(
  daemon: TestDaemon,
  spec: object,
  isLast: (event: TaskEvent) => boolean,
): Promise<TaskEvent> {
  const leaving = new AbortController();
  const events = daemon.client(GoClawEngine).submitWorkflow(spec, { signal: leaving.signal });
  let last: TaskEvent | undefined;
  try {
    for await (const event of events) {
      if (!isLast(event)) continue;
      last = event;
      leaving.abort();
    }
  } catch (error) {
    if (ConnectError.from(error).code !== Code.Canceled) throw error;
  }
  if (last === undefined) throw new Error("the stream ended before");
  return last;
}

const isListening = (event: TaskEvent) => event.type === TaskEventType.TASK_PROGRESS;

/** Ends the agent that listens. */
const steer = (daemon: TestDaemon, runId: string, words: string) =>
  daemon.client(GoClawEngine).signalTask({
    runId,
    taskId: "ear",
    signal: { case: "steer", value: { text: words } },
  });

describe("equal idempotency keys", () => {
  it("are one run with equal requests, and a conflict with different ones", async () => {
    const daemon = await startDaemon();
    const runs = daemon.client(RunService);
    const start = (input: string) =>
      runs.startRun({
        run: { source: { case: "spec", value: ECHO }, input: text(input), idempotencyKey: "k" },
      });
    const first = await start("a");
    const again = await start("a");
    expect(again).toMatchObject({ runId: first.runId, existing: true });
    const error = await refusal(start("b"));
    expect(error.code).toBe(Code.AlreadyExists);
    expect(infoOf(error)).toMatchObject({
      reason: "IDEMPOTENCY_CONFLICT",
      domain: "goclaw",
      metadata: { key: "k", run_id: first.runId },
    });
    const joined = await all(
      daemon
        .client(GoClawEngine)
        .submitWorkflow({ ...ECHO, input: text("a"), idempotencyKey: "k" }),
    );
    expect(joined[0]).toMatchObject({ runId: first.runId, sequence: 1n });
    expect(joined.at(-1)?.type).toBe(TaskEventType.RUN_COMPLETED);
  });

  it("outlive a kill of the daemon", async () => {
    const daemon = await startDaemon();
    const request = {
      run: { source: { case: "spec" as const, value: ECHO }, idempotencyKey: "k" },
    };
    const { runId } = await daemon.client(RunService).startRun(request);
    daemon.process.signal("SIGKILL");
    await daemon.process.ended;
    const after = await startDaemon({ directory: daemon.directory });
    expect(await after.client(RunService).startRun(request)).toMatchObject({
      runId,
      existing: true,
    });
  });
});

describe("streams", () => {
  it("that are dropped leave the run alone; a watch resumes from any sequence without a gap", async () => {
    const daemon = await startDaemon();
    const { runId } = await leaveAt(daemon, LISTEN, isListening);
    const runs = daemon.client(RunService);
    expect((await runs.getRun({ runId })).run?.state).toBe(RunState.RUNNING);
    await steer(daemon, runId, "enough");
    const watch = async (afterSequence: bigint) => {
      const seen: bigint[] = [];
      for await (const { event } of runs.watchRun({ runId, afterSequence })) {
        seen.push(event?.sequence ?? -1n);
      }
      return seen;
    };
    const whole = await watch(0n);
    expect(whole).toEqual(whole.map((_, at) => BigInt(at + 1)));
    expect((await runs.getRun({ runId })).run).toMatchObject({
      state: RunState.COMPLETED,
      sequence: whole.at(-1),
    });
    for (const after of whole) {
      expect(await watch(after)).toEqual(whole.filter((sequence) => sequence > after));
    }
  });

  it("carry signals and their receipts to a running agent", async () => {
    const daemon = await startDaemon();
    const events: TaskEvent[] = [];
    for await (const event of daemon.client(GoClawEngine).submitWorkflow(LISTEN)) {
      events.push(event);
      if (isListening(event)) await steer(daemon, event.runId, "left");
    }
    expect(events.at(-1)?.output?.kind).toMatchObject({ case: "structValue" });
    const receipts = events.filter(({ signal }) => signal !== undefined);
    expect(receipts.map(({ type }) => type)).toEqual([
      TaskEventType.SIGNAL_ACCEPTED,
      ...receipts.slice(1).map(() => TaskEventType.SIGNAL_RECEIPT),
    ]);
    expect(receipts.length).toBeGreaterThan(1);
    const { runId } = events[0] as TaskEvent;
    const error = await refusal(steer(daemon, runId, "too late"));
    expect(error.code).toBe(Code.FailedPrecondition);
    expect(["RUN_TERMINAL", "TASK_TERMINAL"]).toContain(infoOf(error)?.reason);
    const unknown = await refusal(steer(daemon, "0".repeat(26), "nobody"));
    expect(unknown.code).toBe(Code.NotFound);
  });

  it("end with the run's cancellation", async () => {
    const daemon = await startDaemon();
    const events: TaskEvent[] = [];
    for await (const event of daemon.client(GoClawEngine).submitWorkflow(LISTEN)) {
      events.push(event);
      if (!isListening(event)) continue;
      await daemon.client(RunService).cancelRun({ runId: event.runId, reason: "enough" });
    }
    expect(events.at(-1)).toMatchObject({
      type: TaskEventType.RUN_CANCELLED,
      runState: RunState.CANCELLED,
    });
  });
});

describe("hostile requests", () => {
  it("are refused with typed errors, and the daemon goes on", async () => {
    const daemon = await startDaemon();
    const runs = daemon.client(RunService);
    const large = await refusal(
      runs.startRun({
        run: {
          source: { case: "spec", value: ECHO },
          inputData: { mediaType: "x/y", data: new Uint8Array(5 * 1024 * 1024) },
        },
      }),
    );
    expect(large.code).toBe(Code.ResourceExhausted);

    const long = await refusal(
      runs.startRun({
        run: { source: { case: "spec", value: { ...ECHO, name: "n".repeat(129) } } },
      }),
    );
    expect(long.code).toBe(Code.InvalidArgument);
    expect(infoOf(long)?.reason).toBe("DEFINITION_INVALID");
    expect(long.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe("name");

    const task = await refusal(
      daemon.client(GoClawEngine).getTaskStatus({ runId: "0".repeat(26), taskId: "t".repeat(161) }),
    );
    expect(infoOf(task)?.reason).toBe("REQUEST_INVALID");

    const deep = await fetch(`${daemon.address}/goclaw.v1.RunService/StartRun`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: `{"run":{"definition":"w","input":${"[".repeat(2_000_000)}`,
    });
    expect(deep.status).toBe(400);
    expect(await deep.text()).toContain("levels of JSON");

    const headers = await fetch(`${daemon.address}/healthz`, {
      headers: { filler: "x".repeat(20_000) },
    });
    expect(headers.status).toBe(431);

    const unknown = await refusal(
      runs.startRun({
        run: {
          source: {
            case: "spec",
            value: { name: "w", tasks: [{ id: "a", agent: "echo", lane: "defualt" }] },
          },
        },
      }),
    );
    const [violation] = unknown.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
    expect(violation?.field).toBe("tasks[0].lane");
    expect(violation?.description).toContain('"default"');

    // A worker may serve it later; until then its status guesses what was meant.
    const value = { name: "w", tasks: [{ id: "a", agent: "ecko" }] };
    const waiting = await runs.startRun({ run: { source: { case: "spec", value } } });
    const { run } = await runs.getRun({ runId: waiting.runId });
    expect(run?.tasks[0]?.waitingFor).toBe('no worker serves agent "ecko"; did you mean "echo"?');

    const { runId } = await runs.startRun({ run: { source: { case: "spec", value: ECHO } } });
    const { complete } = await runs.collectResults({ runId, taskIds: ["say"] });
    expect(complete).toBe(true);
  });
});

describe("SIGTERM", () => {
  it("refuses new work, lets running attempts finish, and leaves the rest to the next start", async () => {
    const daemon = await startDaemon();
    const two = {
      ...LISTEN,
      tasks: [...LISTEN.tasks, { id: "say", agent: "echo", deps: ["ear"] }],
    };
    const { runId } = await leaveAt(daemon, two, isListening);
    const runs = daemon.client(RunService);
    const watching = refusal(
      (async () => {
        for await (const _ of runs.watchRun({ runId }));
      })(),
    );
    daemon.process.signal("SIGTERM");
    await daemon.process.until(/draining/, "stderr");
    const refused = await refusal(
      runs.startRun({ run: { source: { case: "spec", value: ECHO } } }),
    );
    expect(refused.code).toBe(Code.Unavailable);
    expect(infoOf(refused)?.reason).toBe("ENGINE_DRAINING");
    expect(refused.findDetails(RetryInfoSchema)).toHaveLength(1);
    expect((await fetch(`${daemon.address}/readyz`)).status).toBe(503);
    expect((await runs.getRun({ runId })).run?.state).toBe(RunState.RUNNING);
    await steer(daemon, runId, "finish");
    expect((await daemon.process.ended).exit).toBe(0);
    // The run has not ended, so its watch must not end as if it had.
    expect((await watching).code).toBe(Code.Unavailable);

    const after = await startDaemon({ directory: daemon.directory });
    const { results, complete } = await after
      .client(RunService)
      .collectResults({ runId, taskIds: ["ear", "say"] });
    expect(complete).toBe(true);
    expect(results.map(({ state, attempt }) => [state, attempt])).toEqual([
      [TaskState.COMPLETED, 1],
      [TaskState.COMPLETED, 1],
    ]);
  });
});
