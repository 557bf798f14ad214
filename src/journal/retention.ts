/**
 * Deleting what nobody needs any more: finished runs beyond the retention rules, events that a snapshot replaces, and
 * commits that recovery and consumers are past. Everything of a run goes in one batch, so a run is there or not. What a
 * consumer of all commits has not read yet is kept, whatever the rules say: the journal is that consumer's backlog.
 */
import { keyAfter } from "../base/bytes.ts";
import type { RunId } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import type { RetentionRules } from "../ports/journal.ts";
import type { Entry, KeyRange, OrderedStore, Write } from "../ports/store.ts";
import type { CommitLog } from "./commit-log.ts";
import { decode } from "./decode.ts";
import { CURSOR, ENDED, type EndedRecord, KEY_OF_RUN, TRIMMED } from "./index-table.ts";
import {
  blobKey,
  commitKey,
  endedKey,
  idempotencyKeyOf,
  keyOfRunKey,
  lateRange,
  rangeOf,
  runKey,
  snapshotKey,
  trimmedKey,
} from "./keys.ts";
import { openRecord, readRecord, readRunHeader } from "./record.ts";
import type { SnapshotHeader } from "./state-table.ts";

/** Entries per page; values of run records can be large, index entries are not. */
const PAGE_RUNS = 64;
const PAGE_RECORDS = 128;
/** A batch is written when it has this many keys. */
const BATCH_KEYS = 2_000;

interface Totals {
  count: number;
  bytes: number;
}

/** What retention needs of the journal. */
export interface RetentionDeps {
  readonly store: Pick<OrderedStore, "get" | "range">;
  readonly log: CommitLog;
  /** Writes durably, in call order. */
  readonly write: (batch: readonly Write[]) => Promise<void>;
  /** Deletes durably. */
  readonly deleteRange: (range: KeyRange) => Promise<void>;
  /** Resolves when everything appended so far is durable. */
  readonly settled: () => Promise<void>;
}

/** Deletes by the rules. */
export class Retention {
  readonly #deps: RetentionDeps;
  #totals: Totals | undefined;
  #countedUpTo: Totals = { count: 0, bytes: 0 };
  #commitsFrom = 1;

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
  }

  /** Deletes finished runs, oldest first, while any rule is broken; returns how many. */
  async retain(rules: RetentionRules, now: Instant): Promise<number> {
    const { maxAgeMs = Infinity, maxCount = Infinity, maxBytes = Infinity } = rules;
    const totals = await this.#count();
    const consumed = await this.#consumed();
    const isOld = (run: EndedRecord): boolean => now - run.endedAt > maxAgeMs;
    const isExcess = (): boolean => totals.count > maxCount || totals.bytes > maxBytes;
    let deleted = 0;
    let batch: Write[] = [];
    for await (const run of this.#ended()) {
      if (!isExcess() && now - run.acceptedAt <= maxAgeMs) break;
      if (run.commit > consumed || !(isExcess() || isOld(run))) continue;
      batch.push(...(await this.#deleteRun(run.runId)));
      totals.count--;
      totals.bytes -= run.bytes;
      deleted++;
      if (batch.length < BATCH_KEYS) continue;
      await this.#deps.write(batch);
      batch = [];
    }
    if (batch.length > 0) await this.#deps.write(batch);
    await this.#trimCommits(consumed);
    return deleted;
  }

  /** Deletes the events that a snapshot replaces; returns whether it did. Consumers keep what they have not read. */
  async trim(runId: RunId, snapshot: SnapshotHeader): Promise<boolean> {
    if (snapshot.commit > (await this.#consumed())) return false;
    const writes = await this.#deleteRecords(runId, snapshot.sequence);
    const { sequence, high, low } = snapshot;
    writes.push(this.#deps.log.encodeRecord(trimmedKey(runId), TRIMMED, { sequence, high, low }));
    await this.#deps.write(writes);
    return true;
  }

  /** Finished runs in all; counted once, then kept by what the log says has ended since. */
  async #count(): Promise<Totals> {
    const { log, settled } = this.#deps;
    if (this.#totals === undefined) {
      const from = { ...log.endedTotals };
      const head = log.head;
      await settled();
      const totals: Totals = { count: 0, bytes: 0 };
      for await (const run of this.#ended()) {
        if (run.commit > head) continue;
        totals.count++;
        totals.bytes += run.bytes;
      }
      this.#totals = totals;
      this.#countedUpTo = from;
    }
    this.#totals.count += log.endedTotals.count - this.#countedUpTo.count;
    this.#totals.bytes += log.endedTotals.bytes - this.#countedUpTo.bytes;
    this.#countedUpTo = { ...log.endedTotals };
    return this.#totals;
  }

  /** The commit that every consumer has read; all of them when there is no consumer. */
  async #consumed(): Promise<number> {
    let least = Number.POSITIVE_INFINITY;
    for (const { key, value } of await this.#deps.store.range(rangeOf("cursor"))) {
      least = Math.min(least, readRecord(key, value, (reader) => decode(reader, CURSOR)).commit);
    }
    return least;
  }

  async *#ended(): AsyncGenerator<EndedRecord> {
    for await (const { key, value } of this.#pages(rangeOf("ended"), PAGE_RUNS)) {
      yield readRecord(key, value, (reader) => decode(reader, ENDED));
    }
  }

  async *#pages(range: KeyRange, limit: number): AsyncGenerator<Entry> {
    for (let { from } = range; ; ) {
      const page = await this.#deps.store.range({ from, to: range.to }, { limit });
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < limit) return;
      from = keyAfter(last.key);
    }
  }

  async #deleteRun(runId: RunId): Promise<Write[]> {
    const writes = await this.#deleteRecords(runId, Number.MAX_SAFE_INTEGER - 1);
    for (const key of [endedKey(runId), snapshotKey(runId), trimmedKey(runId)]) {
      writes.push({ key, value: undefined });
    }
    for await (const { key } of this.#pages(lateRange(runId), PAGE_RECORDS)) {
      writes.push({ key, value: undefined });
    }
    const ofRun = keyOfRunKey(runId);
    const value = await this.#deps.store.get(ofRun);
    if (value !== undefined) {
      const { namespace, key } = readRecord(ofRun, value, (reader) => decode(reader, KEY_OF_RUN));
      writes.push({ key: ofRun, value: undefined });
      writes.push({ key: idempotencyKeyOf(namespace, key), value: undefined });
    }
    return writes;
  }

  /** Deletions of a run's records up to a sequence, with their large payloads. */
  async #deleteRecords(runId: RunId, lastSequence: number): Promise<Write[]> {
    const writes: Write[] = [];
    const range = { from: runKey(runId, 0), to: runKey(runId, lastSequence + 1) };
    for await (const { key, value } of this.#pages(range, PAGE_RECORDS)) {
      const { blobs, firstSequence } = readRunHeader(key, openRecord(key, value));
      writes.push({ key, value: undefined });
      for (let index = 0; index < blobs; index++) {
        writes.push({ key: blobKey(runId, firstSequence, index), value: undefined });
      }
    }
    return writes;
  }

  async #trimCommits(consumed: number): Promise<void> {
    const last = Math.min(consumed, this.#deps.log.verified.commit);
    if (last < this.#commitsFrom) return;
    await this.#deps.deleteRange({ from: commitKey(0), to: commitKey(last + 1) });
    this.#commitsFrom = last + 1;
  }
}
