/**
 * How everything but events and snapshots lies on disk: the commit log, the indexes, and facts about the journal. The
 * numbers are the field numbers of proto/goclaw/journal/v1/journal.proto and are only ever added to.
 */
import type { RunId } from "../base/ids.ts";
import type { RunStatus } from "../core/run/status.ts";
import type {
  LateResult,
  RegisteredDefinition,
  RunSummary,
  StoredDefinition,
} from "../ports/journal.ts";
import { RUN_STATUS_NUMBERS } from "./event-table.ts";
import {
  double,
  fixed32,
  fixed32s,
  map,
  message,
  optional,
  payload,
  text,
  uint,
  uints,
  word,
} from "./schema.ts";

/** One commit: what it holds, column by column, and where it stands in the chain of commits. */
export interface CommitRecord {
  readonly partition: number;
  readonly epoch: number;
  /** Link before this commit. */
  readonly high: number;
  readonly low: number;
  /** Runs without an end after this commit. */
  readonly openRuns: number;
  /** Run ids of 26 characters, one after the other. */
  readonly runIds: string;
  readonly firstSequences: readonly number[];
  readonly counts: readonly number[];
  /** Checksums of the run records. */
  readonly crcs: readonly number[];
  /** Positions, in the lists above, of runs that ended in this commit. */
  readonly ended: readonly number[];
}

/** Where a run's history stood at some commit. */
export interface OpenRecord {
  /** Of its latest event. */
  readonly sequence: number;
  /** Link after its latest record. */
  readonly high: number;
  readonly low: number;
  /** Bytes of its records so far, large payloads included. */
  readonly bytes: number;
}

/** A finished run: what lists show, and where its history stands for good. */
export interface EndedRecord extends RunSummary, OpenRecord {
  /** The commit that ended it. */
  readonly commit: number;
}

/** Up to where every open run's position was noted; commits before it need not be read at start. */
export interface VerifiedRecord {
  readonly commit: number;
  /** Link after that commit. */
  readonly high: number;
  readonly low: number;
}

/** Up to where a run's history was deleted. */
export interface TrimmedRecord {
  readonly sequence: number;
  readonly high: number;
  readonly low: number;
}

export const COMMIT = message<CommitRecord>({
  partition: uint(1),
  epoch: uint(2),
  high: fixed32(3),
  low: fixed32(4),
  openRuns: uint(5),
  runIds: text(6),
  firstSequences: uints(7),
  counts: uints(8),
  crcs: fixed32s(9),
  ended: uints(10),
});

export const OPEN = message<OpenRecord>({
  sequence: uint(1),
  high: fixed32(2),
  low: fixed32(3),
  bytes: uint(4),
});

export const ENDED = message<EndedRecord>({
  runId: text<RunId>(1),
  namespace: text(2),
  name: text(3),
  status: word<RunStatus>(4, RUN_STATUS_NUMBERS),
  sessionId: optional(text(5)),
  labels: map(6),
  acceptedAt: double(7),
  endedAt: double(8),
  sequence: uint(9),
  high: fixed32(10),
  low: fixed32(11),
  bytes: uint(12),
  commit: uint(13),
});

export const DEFINITION = message<Pick<StoredDefinition, "json">>({ json: text(1) });

export const REGISTERED = message<RegisteredDefinition>({
  namespace: text(1),
  name: text(2),
  version: text(3),
  hash: text(4),
  json: text(5),
  registeredAt: double(6),
});

export const IDEMPOTENT = message<{ readonly runId: RunId; readonly fingerprint: string }>({
  runId: text<RunId>(1),
  fingerprint: text(2),
});

export const KEY_OF_RUN = message<{ readonly namespace: string; readonly key: string }>({
  namespace: text(1),
  key: text(2),
});

export const LATE = message<LateResult>({
  runId: text<RunId>(1),
  taskId: text(2),
  taskIndex: uint(3),
  lease: uint(4),
  worker: text(5),
  at: double(6),
  output: payload(7),
});

export const TRIMMED = message<TrimmedRecord>({
  sequence: uint(1),
  high: fixed32(2),
  low: fixed32(3),
});

export const CURSOR = message<{ readonly commit: number }>({ commit: uint(1) });

export const VERIFIED = message<VerifiedRecord>({
  commit: uint(1),
  high: fixed32(2),
  low: fixed32(3),
});

export const FORMAT = message<{ readonly version: number }>({ version: uint(1) });

export const EPOCH = message<{ readonly epoch: number }>({ epoch: uint(1) });
