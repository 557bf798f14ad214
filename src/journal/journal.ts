/**
 * The single-node journal: {@link Journal} on an {@link OrderedStore}. This file puts the parts together and owns what
 * they share: the order of writes, the first failure after which nothing is accepted, and how far commits are durable.
 * It owns the store and the mark it is given and closes both. Nothing here waits for time except the mark, which
 * follows the head at most {@link MARK_DELAY_MS} behind.
 */

import { assert } from "../base/assert.ts";
import { keyAfter } from "../base/bytes.ts";
import { FaultError, fault, refuse } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { Instant, Millis } from "../base/time.ts";
import type { WriteFrame } from "../base/write-frame.ts";
import type { RunEvents } from "../core/run/message.ts";
import type { RunState } from "../core/run/state.ts";
import type { Host, TimerHandle } from "../ports/host.ts";
import type {
  Commit,
  CommitPage,
  Journal,
  LateResult,
  RecoveredRun,
  RegisteredDefinition,
  RetentionRules,
  RunSummary,
} from "../ports/journal.ts";
import type { Mark, OrderedStore, Write } from "../ports/store.ts";
import { CommitLog } from "./commit-log.ts";
import { CommitReader } from "./commit-reader.ts";
import { decode } from "./decode.ts";
import {
  CURSOR,
  DEFINITION,
  ENDED,
  type EndedRecord,
  IDEMPOTENT,
  LATE,
  REGISTERED,
} from "./index-table.ts";
import {
  cursorKey,
  definitionKey,
  endedKey,
  idempotencyKeyOf,
  lateKey,
  lateRange,
  nameKey,
  rangeOf,
  snapshotKey,
} from "./keys.ts";
import { type ExpectedEnd, isDamage, type LoadedRun, RunReader } from "./reader.ts";
import { damaged, readRecord } from "./record.ts";
import { Recovery } from "./recovery.ts";
import { Retention } from "./retention.ts";
import type { Message } from "./schema.ts";
import { encodeSnapshot } from "./snapshot.ts";

/** The mark may be this far behind the head. */
export const MARK_DELAY_MS: Millis = 500;

/** Positions per write while they are noted. */
const NOTES_AT_ONCE = 2_000;

/** What the journal stands on. */
export interface JournalDeps {
  readonly store: OrderedStore;
  /** Without one a silently truncated tail goes unnoticed. */
  readonly mark?: Mark;
  readonly host: Pick<Host, "setTimer">;
  /** Called once, when the first write failed: whoever does not write at the moment should know as well. */
  readonly onFailure?: (failure: FaultError) => void;
}

/** A {@link Journal} on an ordered store. */
export class StoreJournal implements Journal {
  readonly #store: OrderedStore;
  readonly #mark: Mark | undefined;
  readonly #host: Pick<Host, "setTimer">;
  readonly #onFailure: (failure: FaultError) => void;
  readonly #log: CommitLog;
  readonly #reader: RunReader;
  readonly #commits: CommitReader;
  readonly #retention: Retention;
  #isRecovered = false;
  #failure: FaultError | undefined;
  #durable = 0;
  #last: Promise<void> = Promise.resolve();
  #noting: Promise<void> | undefined;
  #markTimer: TimerHandle | undefined;
  #closing: Promise<void> | undefined;

  /** `partition` is written into every commit and must be the same at every start. */
  constructor(deps: JournalDeps, partition = 0) {
    this.#store = deps.store;
    this.#mark = deps.mark;
    this.#host = deps.host;
    this.#onFailure = deps.onFailure ?? (() => {});
    this.#log = new CommitLog(partition);
    this.#reader = new RunReader(deps.store);
    this.#commits = new CommitReader(deps.store, this.#reader, (runId) =>
      this.#log.open.has(runId),
    );
    this.#retention = new Retention({
      store: deps.store,
      log: this.#log,
      write: (batch) => this.#write(batch),
      deleteRange: (range) => this.#noted(this.#store.deleteRange(range)),
      settled: () => this.#last,
    });
  }

  async recover(onRun: (run: RecoveredRun) => void | Promise<void>): Promise<void> {
    assert(!this.#isRecovered, "the journal is recovered once");
    this.#isRecovered = true;
    const recovery = new Recovery(this.#store, this.#log);
    try {
      await recovery.run(await this.#mark?.load(), (runId, run) => onRun(recoveredRun(runId, run)));
    } catch (error) {
      this.#failure ??= error instanceof FaultError ? error : undefined;
      throw error;
    }
    this.#durable = this.#log.head;
  }

  append(commit: Commit): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return this.#append(this.#log.encodeCommit(commit));
  }

  #append(frame: WriteFrame): Promise<void> {
    const number = this.#log.head;
    const written = this.#write(frame).then(() => {
      this.#durable = number;
      this.#saveMarkSoon();
    });
    if (this.#log.wantsNotes) this.#notePositions();
    return written;
  }

  async *history(runId: RunId, afterSequence: number): AsyncGenerator<RunEvents> {
    const end = await this.#endOf(runId);
    if (end === undefined) return;
    const { sequence } = end;
    try {
      yield* this.#reader.history(runId, afterSequence, sequence);
    } catch (error) {
      if (!(await this.#isForgotten(runId, error))) throw error;
      refuse(fault("CURSOR_EXPIRED", { runId, sequence: afterSequence, oldest: sequence + 1 }));
    }
  }

  async load(runId: RunId): Promise<RecoveredRun | undefined> {
    const end = await this.#endOf(runId);
    if (end === undefined) return undefined;
    try {
      return recoveredRun(runId, await this.#reader.load(runId, end));
    } catch (error) {
      if (await this.#isForgotten(runId, error)) return undefined;
      throw error;
    }
  }

  async definition(hash: string): Promise<string | undefined> {
    return (await this.#get(definitionKey(hash), DEFINITION))?.json;
  }

  findIdempotent(
    namespace: string,
    key: string,
  ): Promise<{ runId: RunId; fingerprint: string } | undefined> {
    return this.#get(idempotencyKeyOf(namespace, key), IDEMPOTENT);
  }

  async listEnded(options: { before?: RunId; limit: number }): Promise<readonly RunSummary[]> {
    const { before, limit } = options;
    const { from, to } = rangeOf("ended");
    const range = { from, to: before === undefined ? to : endedKey(before) };
    const page = await this.#store.range(range, { limit, reverse: true });
    return page.map(({ key, value }) =>
      summaryOf(readRecord(key, value, (reader) => decode(reader, ENDED))),
    );
  }

  /** Written as part of a commit without runs, so that recovery would notice its loss. */
  registerDefinition(definition: RegisteredDefinition): Promise<void> {
    const { namespace, name, version, hash, json } = definition;
    const key = nameKey(namespace, name, version);
    const registered = this.#log.encodeRecord(key, REGISTERED, definition);
    const commit = { runs: [], definitions: [{ hash, json }], accepted: [], ended: [] };
    return this.#append(this.#log.encodeCommit(commit, [registered]));
  }

  /** As for a definition: recovery would notice its loss. */
  storeLate(result: LateResult): Promise<void> {
    const key = lateKey(result.runId, result.taskIndex, result.lease);
    const stored = this.#log.encodeRecord(key, LATE, result);
    const commit = { runs: [], definitions: [], accepted: [], ended: [] };
    return this.#append(this.#log.encodeCommit(commit, [stored]));
  }

  async lateResults(runId: RunId): Promise<readonly LateResult[]> {
    const found = await this.#store.range(lateRange(runId));
    return found.map(({ key, value }) => readRecord(key, value, (reader) => decode(reader, LATE)));
  }

  async registeredDefinitions(): Promise<readonly RegisteredDefinition[]> {
    const found: RegisteredDefinition[] = [];
    for (let { from, to } = rangeOf("name"); ; ) {
      const page = await this.#store.range({ from, to });
      for (const { key, value } of page) {
        found.push(readRecord(key, value, (reader) => decode(reader, REGISTERED)));
      }
      const last = page.at(-1);
      if (last === undefined) return found;
      from = keyAfter(last.key);
    }
  }

  /** Saves the state of an open run right after its latest events were appended; does nothing for an ended one. */
  async snapshot(run: RunState): Promise<void> {
    const position = this.#log.open.get(run.id);
    if (position === undefined) return;
    assert(position.sequence === run.sequence, `run ${run.id} has events that are not appended`);
    const key = snapshotKey(run.id);
    const value = encodeSnapshot(this.#log.borrowWriter(), key, run, position, this.#log.head);
    await this.#write([{ key, value }]);
  }

  /** Deletes the events a run's snapshot replaces; reading them then is `CURSOR_EXPIRED`. Returns whether it did. */
  async trim(runId: RunId): Promise<boolean> {
    await this.#last;
    const snapshot = await this.#reader.snapshot(runId);
    return snapshot !== undefined && this.#retention.trim(runId, snapshot.header);
  }

  /** `limit` bounds the run records of a page; a commit is never cut in two. */
  commitsAfter(cursor: bigint | undefined, limit: number): Promise<CommitPage | undefined> {
    return this.#commits.after(cursor, limit, this.#durable);
  }

  head(): bigint {
    return BigInt(this.#durable);
  }

  async loadCursor(consumer: string): Promise<bigint | undefined> {
    const found = await this.#get(cursorKey(consumer), CURSOR);
    return found && BigInt(found.commit);
  }

  saveCursor(consumer: string, cursor: bigint): Promise<void> {
    const commit = Number(cursor);
    return this.#write([this.#log.encodeRecord(cursorKey(consumer), CURSOR, { commit })]);
  }

  /** Forgets a consumer that is gone for good, so that it no longer holds back retention. */
  dropCursor(consumer: string): Promise<void> {
    return this.#write([{ key: cursorKey(consumer), value: undefined }]);
  }

  retain(rules: RetentionRules, now: Instant): Promise<number> {
    return this.#retention.retain(rules, now);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#markTimer?.cancel();
    await this.#noting;
    await this.#last.catch(() => {});
    const isSound = this.#failure === undefined && this.#isRecovered;
    this.#failure ??= new FaultError(
      fault("STORE_FAILED", { operation: "write", detail: "the journal is closed" }),
    );
    try {
      if (isSound) await this.#mark?.save(BigInt(this.#durable));
    } finally {
      await this.#mark?.close();
      await this.#store.close();
    }
  }

  /** Every write goes through here: after the first failure there is no other. */
  #write(batch: readonly Write[] | WriteFrame): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    assert(this.#isRecovered, "the journal is recovered before it is written");
    this.#last = this.#noted(this.#store.write(batch));
    // The caller gets the rejection too; this only keeps the shared promise from counting as unhandled.
    this.#last.catch(() => {});
    return this.#last;
  }

  /** Where a run's durable history ends; undefined for an unknown run. */
  async #endOf(runId: RunId): Promise<ExpectedEnd | undefined> {
    const position = this.#log.open.get(runId);
    const end = position && { sequence: position.sequence, link: { ...position } };
    await this.#last;
    if (end !== undefined) return end;
    const key = endedKey(runId);
    const ended = await this.#get<EndedRecord>(key, ENDED);
    if (ended !== undefined) return { sequence: ended.sequence, link: ended };
    if (await this.#reader.hasRecords(runId)) damaged(key, "the run has records, but no end");
    return undefined;
  }

  /** Whether what looked like damage was deleted by retention while it was read: such a run is gone as a whole. */
  async #isForgotten(runId: RunId, error: unknown): Promise<boolean> {
    return isDamage(error) && (await this.#endOf(runId)) === undefined;
  }

  async #get<T>(key: Uint8Array, table: Message<T>): Promise<T | undefined> {
    const value = await this.#store.get(key);
    return value && readRecord(key, value, (reader) => decode(reader, table));
  }

  #notePositions(): void {
    if (this.#noting !== undefined) return;
    // A failure is remembered where it happened, in #write; the next append reports it.
    this.#noting = this.#writeNotes()
      .catch(() => {})
      .finally(() => {
        this.#noting = undefined;
      });
  }

  async #writeNotes(): Promise<void> {
    const begun = this.#log.here();
    const runs = this.#log.beginNotes();
    for (let at = 0; at < runs.length; at += NOTES_AT_ONCE) {
      await this.#write(this.#log.encodeNotes(runs.slice(at, at + NOTES_AT_ONCE)));
    }
    await this.#write([this.#log.encodeVerified(begun)]);
  }

  #saveMarkSoon(): void {
    if (this.#mark === undefined || this.#markTimer !== undefined || this.#closing !== undefined)
      return;
    this.#markTimer = this.#host.setTimer(MARK_DELAY_MS, () => {
      this.#markTimer = undefined;
      this.#mark?.save(BigInt(this.#durable)).catch((error: unknown) => this.#fail(error));
    });
  }

  #noted(written: Promise<void>): Promise<void> {
    return written.catch((error: unknown) => {
      throw this.#fail(error);
    });
  }

  /** Remembers the first failure and tells of it; returns it. */
  #fail(error: unknown): FaultError {
    if (this.#failure === undefined) {
      this.#failure = asFailure(error);
      this.#onFailure(this.#failure);
    }
    return this.#failure;
  }
}

function recoveredRun(runId: RunId, run: LoadedRun): RecoveredRun {
  const snapshot = run.snapshot?.stored;
  const firstSequence = (snapshot?.sequence ?? 0) + 1;
  return { runId, snapshot, events: { runId, firstSequence, events: run.events } };
}

function summaryOf(record: EndedRecord): RunSummary {
  const { runId, namespace, name, status, sessionId, labels, acceptedAt, endedAt } = record;
  return { runId, namespace, name, status, sessionId, labels, acceptedAt, endedAt };
}

function asFailure(error: unknown): FaultError {
  if (error instanceof FaultError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new FaultError(fault("STORE_FAILED", { operation: "write", detail }), { cause: error });
}
