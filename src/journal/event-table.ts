/**
 * How events lie on disk. The numbers here are the format: they are the field and enum numbers of
 * proto/goclaw/journal/v1/journal.proto, they are only ever added to, and a number is never used twice. The compiler
 * refuses an event, field, status or reason without a number; a property test reads the bytes with generated code.
 */

import type { RunRequest } from "../core/dag/definition.ts";
import type { Importance } from "../core/memory/review.ts";
import type {
  CollectMode,
  Deed,
  Event,
  Idempotency,
  Receipt,
  SignalContent,
} from "../core/run/message.ts";
import type { MemoryOutcome, MemoryWrite, Recall, ShownMemory } from "../core/run/recall.ts";
import type { Reason, RunStatus, TaskStatus } from "../core/run/status.ts";
import {
  bool,
  bytes,
  choice,
  double,
  map,
  message,
  nested,
  nestedList,
  optional,
  payload,
  payloads,
  sint,
  text,
  texts,
  uint,
  union,
  word,
} from "./schema.ts";

export const REASON_NUMBERS: Readonly<Record<Reason, number>> = {
  AGENT_ERROR: 1,
  AGENT_UNKNOWN: 2,
  CANCELLED_BY_USER: 3,
  CONDITION_FALSE: 4,
  DEADLINE: 5,
  DROPPED: 6,
  EXPRESSION_ERROR: 7,
  HEARTBEAT_LOST: 8,
  INTERRUPTED: 9,
  LIMIT_EXCEEDED: 10,
  NON_RETRYABLE: 11,
  RUN_FAILED: 12,
  TIMED_OUT: 13,
  UPSTREAM_FAILED: 14,
  WORKER_LOST: 15,
};

export const TASK_STATUS_NUMBERS: Readonly<Record<TaskStatus, number>> = {
  PENDING: 1,
  SCHEDULED: 2,
  RUNNING: 3,
  WAITING: 4,
  RETRYING: 5,
  COMPLETED: 6,
  FAILED: 7,
  CANCELLED: 8,
  SKIPPED: 9,
};

export const RUN_STATUS_NUMBERS: Readonly<Record<RunStatus, number>> = {
  PENDING: 1,
  RUNNING: 2,
  WAITING: 3,
  COMPLETED: 4,
  FAILED: 5,
  CANCELLED: 6,
  COMPENSATING: 7,
  COMPENSATED: 8,
  COMPENSATION_FAILED: 9,
};

export const RECEIPT_NUMBERS: Readonly<Record<Receipt, number>> = {
  accepted: 1,
  queued: 2,
  delivered: 3,
  admitted: 4,
  expired: 5,
  refused: 6,
};

export const IMPORTANCE_NUMBERS: Readonly<Record<Importance, number>> = {
  important: 1,
  normal: 2,
  captured: 3,
  noise: 4,
};

type Ending = Extract<Event, { type: "run_ending" }>["ending"];
type LaterReceipt = Extract<Event, { type: "signal_receipt" }>["receipt"];

const reason = (number: number) => word<Reason>(number, REASON_NUMBERS);

export const IDEMPOTENCY = message<Idempotency>({ key: text(1), fingerprint: text(2) });

export const RUN_REQUEST = message<RunRequest>({
  input: payload(1),
  namespace: text(2),
  sessionId: optional(text(3)),
  priority: sint(4),
  deadlineMs: optional(double(5)),
  labels: map(6),
  traceId: text(7),
});

const COLLECT_MODE = union<CollectMode, "kind">(
  "kind",
  {},
  { all: [1, {}], any: [2, {}], quorum: [3, { count: uint(1) }] },
);

export const SIGNAL_CONTENT = union<SignalContent, "kind">(
  "kind",
  {},
  {
    steer: [1, { payload: payload(1), text: text(2) }],
    interrupt: [2, { reason: text(1), graceMs: double(2), replaceWith: optional(payload(3)) }],
    collect: [
      3,
      { tasks: texts(1), mode: choice(2, COLLECT_MODE), deadlineMs: optional(double(3)) },
    ],
  },
);

export const DEED = message<Deed>({ name: text(1), value: payload(2) });

export const RECALL = message<Recall>({
  question: text(1),
  memories: nestedList(
    2,
    message<ShownMemory>({ id: text(1), kind: text(2), text: text(3), strength: double(4) }),
  ),
  note: text(3),
});

const MEMORY_WRITE = message<MemoryWrite>({
  content: text(1),
  kind: text(2),
  metadata: map(3),
  importance: word<Importance>(4, IMPORTANCE_NUMBERS),
});

const MEMORY_OUTCOME = message<MemoryOutcome>({
  session: text(1),
  agent: text(2),
  forgetThreshold: optional(double(3)),
  used: texts(4),
  writes: nestedList(5, MEMORY_WRITE),
  note: text(6),
});

/** goclaw.journal.v1.Event */
export const EVENT = union<Event, "type", "at">(
  "type",
  { at: double(1) },
  {
    run_accepted: [
      2,
      {
        definition: text(1),
        name: text(2),
        request: nested(3, RUN_REQUEST),
        idempotency: optional(nested(4, IDEMPOTENCY)),
      },
    ],
    run_started: [3, {}],
    run_completed: [4, {}],
    run_ending: [
      5,
      {
        ending: word<Ending>(1, RUN_STATUS_NUMBERS),
        reason: reason(2),
        message: text(3),
        task: optional(text(4)),
        graceMs: double(5),
      },
    ],
    run_failed: [6, { reason: reason(1), message: text(2), task: optional(text(3)) }],
    run_cancelled: [7, { message: text(1) }],
    task_scheduled: [8, { task: text(1), lane: text(2), redirectedFrom: optional(text(3)) }],
    task_started: [
      9,
      {
        task: text(1),
        attempt: uint(2),
        note: optional(text(3)),
        lease: optional(uint(4)),
        worker: optional(text(5)),
      },
    ],
    task_progress: [10, { task: text(1), attempt: uint(2), percent: double(3), note: text(4) }],
    task_checkpointed: [11, { task: text(1), attempt: uint(2), data: bytes(3) }],
    task_completed: [
      12,
      {
        task: text(1),
        attempt: uint(2),
        output: optional(payload(3)),
        memory: optional(nested(4, MEMORY_OUTCOME)),
      },
    ],
    task_retrying: [
      13,
      {
        task: text(1),
        attempt: uint(2),
        reason: reason(3),
        message: text(4),
        dueAt: double(5),
        input: optional(payload(6)),
        counted: bool(7),
        stopGraceMs: optional(double(8)),
      },
    ],
    task_failed: [
      14,
      {
        task: text(1),
        attempt: uint(2),
        reason: reason(3),
        message: text(4),
        stopGraceMs: optional(double(5)),
      },
    ],
    task_cancelled: [
      15,
      { task: text(1), reason: reason(2), message: text(3), stopGraceMs: optional(double(4)) },
    ],
    task_skipped: [16, { task: text(1), reason: reason(2) }],
    task_expanded: [17, { task: text(1), items: payloads(2) }],
    task_waiting: [18, { task: text(1), note: text(2) }],
    task_resumed: [19, { task: text(1) }],
    task_stopping: [20, { task: text(1), attempt: uint(2), signal: text(3), graceMs: double(4) }],
    lease_ended: [21, { task: text(1), attempt: uint(2) }],
    signal_accepted: [22, { task: text(1), signal: text(2), content: choice(3, SIGNAL_CONTENT) }],
    signal_receipt: [
      23,
      {
        task: text(1),
        signal: text(2),
        receipt: word<LaterReceipt>(3, RECEIPT_NUMBERS),
        attempt: uint(4),
        reason: text(5),
      },
    ],
    signal_collected: [
      24,
      { task: text(1), signal: text(2), finished: texts(3), missing: texts(4) },
    ],
    task_returned: [25, { task: text(1), attempt: uint(2) }],
    task_deeds: [26, { task: text(1), attempt: uint(2), deeds: nestedList(3, DEED) }],
    task_recalled: [27, { task: text(1), attempt: uint(2), recall: nested(3, RECALL) }],
  },
);
