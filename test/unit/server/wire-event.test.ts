import { toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { TaskEventSchema } from "../../../gen/goclaw/v1/run_pb.ts";
import { jsonPayload } from "../../../src/base/payload.ts";
import type { Event } from "../../../src/core/run/message.ts";
import { eventJson, taskEvent } from "../../../src/server/wire-event.ts";
import { RUN_ID, RunHarness } from "../../support/run-harness.ts";

const at = 1_800_000_000_123.5;
const shown = (event: Event, runOutput?: { json: string }) =>
  toJson(
    TaskEventSchema,
    taskEvent({
      kind: "event",
      runId: RUN_ID,
      sequence: 7,
      event,
      ...(runOutput === undefined ? {} : { runOutput }),
    }),
  );

/** Every event, with what a client sees of it beside run, sequence and time. */
const CASES: readonly [Event, object][] = [
  [
    {
      type: "run_accepted",
      at,
      definition: "hash",
      name: "w",
      request: {
        input: jsonPayload(1),
        namespace: "n",
        priority: 0,
        labels: {},
        traceId: "f".repeat(32),
      },
    },
    {
      type: "TASK_EVENT_TYPE_RUN_ACCEPTED",
      runState: "RUN_STATE_PENDING",
      workflow: "w",
      definitionHash: "hash",
      traceId: "f".repeat(32),
    },
  ],
  [
    { type: "run_started", at },
    { type: "TASK_EVENT_TYPE_RUN_STARTED", runState: "RUN_STATE_RUNNING" },
  ],
  [
    {
      type: "run_ending",
      at,
      ending: "FAILED",
      reason: "AGENT_ERROR",
      message: "m",
      task: "a",
      graceMs: 5,
    },
    {
      type: "TASK_EVENT_TYPE_RUN_ENDING",
      taskId: "a",
      reason: "REASON_AGENT_ERROR",
      message: "m",
    },
  ],
  [
    { type: "run_completed", at },
    { type: "TASK_EVENT_TYPE_RUN_COMPLETED", runState: "RUN_STATE_COMPLETED" },
  ],
  [
    { type: "run_failed", at, reason: "DEADLINE", message: "late" },
    {
      type: "TASK_EVENT_TYPE_RUN_FAILED",
      runState: "RUN_STATE_FAILED",
      reason: "REASON_DEADLINE",
      message: "late",
    },
  ],
  [
    { type: "run_cancelled", at, message: "enough" },
    {
      type: "TASK_EVENT_TYPE_RUN_CANCELLED",
      runState: "RUN_STATE_CANCELLED",
      message: "enough",
    },
  ],
  [
    { type: "task_scheduled", at, task: "a", lane: "io", redirectedFrom: "gpu" },
    {
      type: "TASK_EVENT_TYPE_TASK_SCHEDULED",
      taskId: "a",
      taskState: "TASK_STATE_SCHEDULED",
      lane: "io",
      redirectedFrom: "gpu",
    },
  ],
  [
    { type: "task_started", at, task: "a", attempt: 2 },
    {
      type: "TASK_EVENT_TYPE_TASK_STARTED",
      taskId: "a",
      attempt: 2,
      taskState: "TASK_STATE_RUNNING",
    },
  ],
  [
    { type: "task_progress", at, task: "a", attempt: 1, percent: 12.5, note: "half" },
    {
      type: "TASK_EVENT_TYPE_TASK_PROGRESS",
      taskId: "a",
      attempt: 1,
      percent: 12.5,
      message: "half",
    },
  ],
  [
    { type: "task_checkpointed", at, task: "a", attempt: 1, data: Uint8Array.of(1) },
    { type: "TASK_EVENT_TYPE_TASK_CHECKPOINTED", taskId: "a", attempt: 1 },
  ],
  [
    { type: "task_completed", at, task: "a", attempt: 1, output: jsonPayload({ ok: true }) },
    {
      type: "TASK_EVENT_TYPE_TASK_COMPLETED",
      taskId: "a",
      attempt: 1,
      taskState: "TASK_STATE_COMPLETED",
      output: { ok: true },
    },
  ],
  [
    {
      type: "task_retrying",
      at,
      task: "a",
      attempt: 1,
      reason: "TIMED_OUT",
      message: "slow",
      dueAt: at + 1000,
      counted: true,
    },
    {
      type: "TASK_EVENT_TYPE_TASK_RETRYING",
      taskId: "a",
      attempt: 1,
      taskState: "TASK_STATE_RETRYING",
      reason: "REASON_TIMED_OUT",
      message: "slow",
      due: "2027-01-15T08:00:01.123500Z",
    },
  ],
  [
    { type: "task_failed", at, task: "a", attempt: 4, reason: "AGENT_ERROR", message: "no" },
    {
      type: "TASK_EVENT_TYPE_TASK_FAILED",
      taskId: "a",
      attempt: 4,
      taskState: "TASK_STATE_FAILED",
      reason: "REASON_AGENT_ERROR",
      message: "no",
    },
  ],
  [
    { type: "task_cancelled", at, task: "a", reason: "RUN_FAILED", message: "" },
    {
      type: "TASK_EVENT_TYPE_TASK_CANCELLED",
      taskId: "a",
      taskState: "TASK_STATE_CANCELLED",
      reason: "REASON_RUN_FAILED",
    },
  ],
  [
    { type: "task_skipped", at, task: "a", reason: "CONDITION_FALSE" },
    {
      type: "TASK_EVENT_TYPE_TASK_SKIPPED",
      taskId: "a",
      taskState: "TASK_STATE_SKIPPED",
      reason: "REASON_CONDITION_FALSE",
    },
  ],
  [
    { type: "task_expanded", at, task: "a", items: [jsonPayload(1), jsonPayload(2)] },
    {
      type: "TASK_EVENT_TYPE_TASK_EXPANDED",
      taskId: "a",
      taskState: "TASK_STATE_WAITING",
      instances: 2,
    },
  ],
  [
    { type: "task_waiting", at, task: "a", note: "for a person" },
    {
      type: "TASK_EVENT_TYPE_TASK_WAITING",
      taskId: "a",
      taskState: "TASK_STATE_WAITING",
      message: "for a person",
    },
  ],
  [
    { type: "task_resumed", at, task: "a" },
    { type: "TASK_EVENT_TYPE_TASK_RESUMED", taskId: "a", taskState: "TASK_STATE_RUNNING" },
  ],
  [
    { type: "task_stopping", at, task: "a", attempt: 1, signal: "s", graceMs: 10 },
    {
      type: "TASK_EVENT_TYPE_TASK_STOPPING",
      taskId: "a",
      attempt: 1,
      signal: { signalId: "s", kind: "SIGNAL_KIND_INTERRUPT" },
    },
  ],
  [
    { type: "lease_ended", at, task: "a", attempt: 3 },
    { type: "TASK_EVENT_TYPE_LEASE_ENDED", taskId: "a", attempt: 3 },
  ],
  [
    {
      type: "signal_accepted",
      at,
      task: "a",
      signal: "s",
      content: { kind: "collect", tasks: ["b"], mode: { kind: "all" } },
    },
    {
      type: "TASK_EVENT_TYPE_SIGNAL_ACCEPTED",
      taskId: "a",
      signal: {
        signalId: "s",
        kind: "SIGNAL_KIND_COLLECT",
        receipt: "SIGNAL_RECEIPT_ACCEPTED",
      },
    },
  ],
  [
    {
      type: "signal_receipt",
      at,
      task: "a",
      signal: "s",
      receipt: "refused",
      attempt: 0,
      reason: "full",
    },
    {
      type: "TASK_EVENT_TYPE_SIGNAL_RECEIPT",
      taskId: "a",
      message: "full",
      signal: { signalId: "s", receipt: "SIGNAL_RECEIPT_REFUSED" },
    },
  ],
  [
    { type: "signal_collected", at, task: "a", signal: "s", finished: ["b"], missing: ["c"] },
    {
      type: "TASK_EVENT_TYPE_SIGNAL_COLLECTED",
      taskId: "a",
      signal: {
        signalId: "s",
        kind: "SIGNAL_KIND_COLLECT",
        finished: ["b"],
        missing: ["c"],
      },
    },
  ],
];

describe("an event on the wire", () => {
  it.each(CASES.map(([event, expected]) => [event.type, event, expected] as const))(
    "%s",
    (_, event, expected) => {
      expect(shown(event)).toEqual({
        runId: RUN_ID,
        sequence: "7",
        time: "2027-01-15T08:00:00.123500Z",
        ...expected,
      });
    },
  );

  it("carries the run's output at the end of a completed run", () => {
    expect(shown({ type: "run_completed", at }, { json: '{"a":1}' })).toMatchObject({
      output: { a: 1 },
    });
  });

  it("carries no attempt where none is meant", () => {
    const joined: Event = { type: "task_completed", at, task: "each", attempt: 0 };
    expect(shown(joined)).not.toHaveProperty("attempt");
    expect(shown(joined)).not.toHaveProperty("output");
  });

  it("shows the run as it is where earlier events are gone", () => {
    const { run } = new RunHarness({ name: "w", tasks: [{ id: "a", agent: "a" }] });
    const gap = toJson(
      TaskEventSchema,
      taskEvent({ kind: "gap", runId: RUN_ID, sequence: run.sequence, run }),
    );
    expect(gap).toMatchObject({
      type: "TASK_EVENT_TYPE_GAP",
      sequence: String(run.sequence),
      runState: "RUN_STATE_RUNNING",
      snapshot: { runId: RUN_ID, tasks: [{ taskId: "a" }] },
    });
  });

  it("is the same JSON on the bus", () => {
    const event: Event = { type: "run_started", at };
    expect(JSON.parse(eventJson(RUN_ID, 7, event))).toEqual(shown(event));
  });
});
