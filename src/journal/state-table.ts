/**
 * How a snapshot lies on disk: a run's state without what its plan already says. The numbers are the field numbers of
 * proto/goclaw/journal/v1/journal.proto and are only ever added to. A field added to the state does not compile until
 * it is either written here or named as derived in {@link TaskRecord}.
 */
import type { RunRequest } from "../core/dag/definition.ts";
import type { Idempotency, Receipt } from "../core/run/message.ts";
import type {
  Agenda,
  EndedAttempt,
  MailboxEntry,
  RunEnding,
  RunState,
  TaskGroup,
  TaskState,
} from "../core/run/state.ts";
import type { Reason, RunStatus, TaskStatus } from "../core/run/status.ts";
import {
  DEED,
  IDEMPOTENCY,
  REASON_NUMBERS,
  RECALL,
  RECEIPT_NUMBERS,
  RUN_REQUEST,
  RUN_STATUS_NUMBERS,
  SIGNAL_CONTENT,
  TASK_STATUS_NUMBERS,
} from "./event-table.ts";
import type { OpenRecord } from "./index-table.ts";
import {
  bool,
  bytes,
  choice,
  double,
  fixed32,
  message,
  nested,
  nestedList,
  optional,
  payload,
  sint,
  text,
  texts,
  uint,
  uints,
  word,
} from "./schema.ts";

/** A list that may be absent; protobuf cannot tell an absent list from an empty one. */
interface Mailbox {
  readonly entries: readonly MailboxEntry[];
}

/** A task without its place in plan, run and lane. */
export type TaskRecord = Omit<TaskState, "index" | "node" | "run" | "place" | "mailbox"> & {
  /** Index of its node; differs from its own index for instances of a `for_each`. */
  readonly nodeIndex: number;
  readonly mailbox: Mailbox | undefined;
};

/** What is left to do; the fatal task by index. */
type AgendaRecord = { readonly [K in Exclude<keyof Agenda, "fatal">]: Readonly<Agenda[K]> } & {
  readonly fatal: number | undefined;
};

/** A run without its plan. */
export type StateRecord = Omit<RunState, "id" | "plan" | "tasks" | "agenda"> & {
  readonly tasks: readonly TaskRecord[];
  readonly agenda: AgendaRecord;
};

/** What stands before the state in a snapshot: where the history stood, and the latest commit then. */
export interface SnapshotHeader extends OpenRecord {
  /** Hash of the definition whose plan the state belongs to. */
  readonly definition: string;
  readonly commit: number;
}

const GROUP = message<TaskGroup>({ first: uint(1), count: uint(2), open: uint(3) });

const COLLECTED = message<NonNullable<MailboxEntry["collected"]>>({
  finished: texts(1),
  missing: texts(2),
});

const MAILBOX_ENTRY = message<MailboxEntry>({
  signal: text(1),
  content: choice(2, SIGNAL_CONTENT),
  acceptedAt: double(3),
  receipt: word<Receipt>(4, RECEIPT_NUMBERS),
  collected: optional(nested(5, COLLECTED)),
});

const ENDED_ATTEMPT = message<EndedAttempt>({
  attempt: uint(1),
  reason: word<Reason>(2, REASON_NUMBERS),
  message: text(3),
});

const TASK = message<TaskRecord>({
  id: text(1),
  nodeIndex: uint(2),
  status: word<TaskStatus>(3, TASK_STATUS_NUMBERS),
  since: double(4),
  waitingFor: sint(5),
  attempt: uint(6),
  failures: uint(7),
  readyAt: double(8),
  startedAt: double(9),
  lease: uint(10),
  dueAt: double(11),
  lane: text(12),
  output: optional(payload(13)),
  reason: optional(word<Reason>(14, REASON_NUMBERS)),
  message: text(15),
  percent: double(16),
  note: text(17),
  group: optional(nested(18, GROUP)),
  item: optional(payload(19)),
  checkpoint: optional(bytes(20)),
  replacedInput: optional(payload(21)),
  stopping: optional(text(22)),
  mailbox: optional(nested(23, message<Mailbox>({ entries: nestedList(1, MAILBOX_ENTRY) }))),
  fence: uint(24),
  worker: optional(text(25)),
  deeds: nestedList(26, DEED),
  ended: nestedList(27, ENDED_ATTEMPT),
  recalls: nestedList(28, RECALL),
});

const ENDING = message<RunEnding>({
  status: word<RunEnding["status"]>(1, RUN_STATUS_NUMBERS),
  reason: word<Reason>(2, REASON_NUMBERS),
  message: text(3),
  task: optional(text(4)),
  graceMs: double(5),
});

const AGENDA = message<AgendaRecord>({
  ready: uints(1),
  joinable: uints(2),
  expiring: uints(3),
  collecting: nestedList(
    4,
    message<Agenda["collecting"][number]>({ task: uint(1), signal: text(2) }),
  ),
  fatal: optional(uint(5)),
  closing: bool(6),
});

/** goclaw.journal.v1.RunState */
export const STATE = message<StateRecord>({
  request: nested<RunRequest>(1, RUN_REQUEST),
  idempotency: optional(nested<Idempotency>(2, IDEMPOTENCY)),
  acceptedAt: double(3),
  status: word<RunStatus>(4, RUN_STATUS_NUMBERS),
  sequence: uint(5),
  startedAt: double(6),
  endedAt: double(7),
  open: uint(8),
  leases: uint(9),
  ending: optional(nested(10, ENDING)),
  agenda: nested(11, AGENDA),
  tasks: nestedList(12, TASK),
  historyBytes: uint(13),
  latestAt: double(14),
});

const HEADER = {
  definition: text(1),
  sequence: uint(2),
  high: fixed32(3),
  low: fixed32(4),
  bytes: uint(5),
  commit: uint(6),
} as const;

/** goclaw.journal.v1.Snapshot, as it is written. */
export const SNAPSHOT = message<SnapshotHeader & { readonly state: StateRecord }>({
  ...HEADER,
  state: nested(7, STATE),
});

/** The same bytes with the state left as it is, to be decoded when there is a plan for it. */
export const SNAPSHOT_UNREAD = message<SnapshotHeader & { readonly state: Uint8Array }>({
  ...HEADER,
  state: bytes(7),
});
