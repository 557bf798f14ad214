/**
 * The head of the journal: which commit comes next, where each open run's history stands, and the bytes of a commit.
 * Every commit is one record listing its run records with their checksums, chained to the commit before, so that
 * nothing can vanish unnoticed. Now and then the positions of the open runs touched since are noted in the open index;
 * recovery then reads only the commits after that, and a run that ends before costs the index nothing. It assumes that
 * what it encodes is written in the same order.
 */
import { assert, present } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import type { RunId } from "../base/ids.ts";
import { addWrite, beginPut, beginValue, endValue, WriteFrame } from "../base/write-frame.ts";
import type { RunEvents } from "../core/run/message.ts";
import type { Commit, RunSummary } from "../ports/journal.ts";
import type { Write } from "../ports/store.ts";
import { encode, encodeUnion } from "./encode.ts";
import { EVENT } from "./event-table.ts";
import {
  COMMIT,
  DEFINITION,
  ENDED,
  IDEMPOTENT,
  KEY_OF_RUN,
  OPEN,
  type OpenRecord,
  VERIFIED,
  type VerifiedRecord,
} from "./index-table.ts";
import {
  blobKey,
  commitKey,
  definitionKey,
  idempotencyKeyOf,
  keyOfRunKey,
  metaKey,
  openKey,
  putEndedKey,
  putRunKey,
} from "./keys.ts";
import { type Position, Positions } from "./positions.ts";
import {
  beginRecord,
  FIRST_LINK,
  type Link,
  linkAfter,
  linkOfRun,
  patchBlobs,
  putRunHeader,
  sealed,
  sealRecord,
} from "./record.ts";
import type { Message } from "./schema.ts";
import { ByteWriter } from "./wire.ts";

/** Positions are noted after this many commits, or after this many run records, whichever comes first. */
const NOTE_AFTER_COMMITS = 10_000;
const NOTE_AFTER_RECORDS = 500_000;

interface Columns {
  runIds: string;
  readonly firstSequences: number[];
  readonly counts: number[];
  readonly crcs: number[];
  readonly ended: number[];
}

const newColumns = (): Columns => ({
  runIds: "",
  firstSequences: [],
  counts: [],
  crcs: [],
  ended: [],
});

/** Turns commits into writes and keeps the head. */
export class CommitLog {
  readonly partition: number;
  epoch = 0;
  /** Number of the latest commit; the first is 1. */
  head = 0;
  link: Link = FIRST_LINK;
  /** Commits up to here need not be read at start. */
  verified: VerifiedRecord = { commit: 0, ...FIRST_LINK };
  /** Runs without an end. */
  readonly open = new Positions();
  /** Runs that ended since the start, and the bytes of their records. */
  readonly endedTotals = { count: 0, bytes: 0 };
  readonly #writer = new ByteWriter();
  #notedAt: VerifiedRecord = this.verified;
  #recordsSince = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  /** The writes of the next commit, and others that belong with it. */
  encodeCommit(commit: Commit, others: readonly Write[] = []): WriteFrame {
    const writer = this.#writer;
    const also = others.map(copyOf);
    writer.reset();
    const columns = newColumns();
    this.head++;
    for (const { key, value } of also) addWrite(writer, key, value);
    for (const { hash, json } of commit.definitions)
      this.#putUnder(definitionKey(hash), DEFINITION, { json });
    for (const run of commit.runs) this.#putRun(columns, run);
    for (const { runId, namespace, idempotency } of commit.accepted) {
      if (idempotency === undefined) continue;
      const { key, fingerprint } = idempotency;
      this.#putUnder(idempotencyKeyOf(namespace, key), IDEMPOTENT, { runId, fingerprint });
      this.#putUnder(keyOfRunKey(runId), KEY_OF_RUN, { namespace, key });
    }
    for (const summary of commit.ended) this.#putEnded(columns, summary);
    this.#putCommit(columns);
    this.#recordsSince += commit.runs.length;
    return new WriteFrame(writer.copy());
  }

  /** One record of a table under a key. The bytes are a view, valid until the next call of any method. */
  encodeRecord<T>(key: Uint8Array, table: Message<T>, value: T): Write {
    this.#writer.reset();
    const writes: Write[] = [];
    this.#put(writes, key, table, value);
    return writes[0] as Write;
  }

  /** Lends the buffer for one record, under the same rule. */
  borrowWriter(): ByteWriter {
    this.#writer.reset();
    return this.#writer;
  }

  /** Whether it is time to {@link beginNotes}. */
  get wantsNotes(): boolean {
    const commits = this.head - this.#notedAt.commit;
    return commits >= NOTE_AFTER_COMMITS || this.#recordsSince >= NOTE_AFTER_RECORDS;
  }

  /** Runs whose positions are to be noted now; pass them to {@link encodeNotes}, then call {@link encodeVerified}. */
  beginNotes(): readonly RunId[] {
    this.#recordsSince = 0;
    return this.open.takeTouched();
  }

  /** Writes that note where these runs stand. */
  encodeNotes(runs: readonly RunId[]): WriteFrame {
    const writer = this.#writer;
    writer.reset();
    for (const runId of runs) {
      const position = this.open.get(runId);
      if (position === undefined) continue;
      position.isNoted = true;
      this.open.set(runId, position);
      this.#putUnder(openKey(runId), OPEN, position);
    }
    return new WriteFrame(writer.copy());
  }

  /** Moves the verified point to where the previous notes began, and remembers where these did. */
  encodeVerified(begun: VerifiedRecord): Write {
    this.verified = this.#notedAt;
    this.#notedAt = begun;
    return this.encodeRecord(metaKey("verified"), VERIFIED, this.verified);
  }

  /** The head as a point to verify from. */
  here(): VerifiedRecord {
    return { commit: this.head, ...this.link };
  }

  /** Continues from what recovery found. */
  resume(found: { head: number; link: Link; verified: VerifiedRecord; epoch: number }): void {
    this.head = found.head;
    this.link = found.link;
    this.verified = found.verified;
    this.#notedAt = found.verified;
    this.epoch = found.epoch;
  }

  /** Takes over an open run that recovery found, in the open index or only in the latest commits. */
  adopt(runId: RunId, found: OpenRecord, isNoted: boolean): void {
    const { sequence, high, low, bytes } = found;
    this.open.set(runId, {
      sequence,
      high,
      low,
      bytes,
      isNoted,
      isTouched: true,
      commit: 0,
      column: 0,
    });
  }

  #put<T>(writes: Write[], key: Uint8Array, table: Message<T>, value: T): void {
    writes.push({
      key,
      value: sealed(this.#writer, key, () => encode(this.#writer, table, value)),
    });
  }

  /** Adds one record of a table to the frame. */
  #putUnder<T>(key: Uint8Array, table: Message<T>, value: T): void {
    const keyStart = beginPut(this.#writer);
    this.#writer.raw(key);
    this.#putValue(keyStart, table, value);
  }

  /** The value of the put whose key has just been written, as a sealed record; returns its checksum. */
  #putValue<T>(keyStart: number, table: Message<T>, value: T): number {
    const writer = this.#writer;
    const keyCrc = crc32c(writer.bytes, keyStart, writer.length);
    const start = beginValue(writer, keyStart);
    beginRecord(writer);
    encode(writer, table, value);
    const crc = sealRecord(writer, start, keyCrc);
    endValue(writer, start);
    return crc;
  }

  #positionOf(runId: RunId, firstSequence: number): Position {
    const position = this.open.get(runId) ?? firstPosition(runId);
    assert(
      firstSequence === position.sequence + 1,
      `run ${runId}: event ${firstSequence} is out of order`,
    );
    return position;
  }

  #putRun(columns: Columns, run: RunEvents): void {
    const { runId, firstSequence, events } = run;
    const position = this.#positionOf(runId, firstSequence);
    const count = events.length;
    assert(count > 0, `run ${runId} has no events in its commit`);
    const writer = this.#writer;
    const keyStart = beginPut(writer);
    putRunKey(writer, runId, firstSequence);
    const keyCrc = crc32c(writer.bytes, keyStart, writer.length);
    const start = beginValue(writer, keyStart);
    beginRecord(writer);
    putRunHeader(writer, { count, firstSequence, previous: position });
    const blobs: Uint8Array[] = [];
    writer.blobs = blobs;
    for (const event of events) {
      writer.byte(0x0a);
      const body = writer.open();
      encodeUnion(writer, EVENT, event);
      writer.close(body);
    }
    writer.blobs = undefined;
    patchBlobs(writer, start, blobs.length);
    const crc = sealRecord(writer, start, keyCrc);
    endValue(writer, start);
    position.bytes += writer.length - start;
    for (const [index, blob] of blobs.entries()) {
      addWrite(writer, blobKey(runId, firstSequence, index), blob);
      position.bytes += blob.length;
    }
    const { high, low } = linkAfter(position, crc, firstSequence);
    position.high = high;
    position.low = low;
    position.sequence += count;
    position.commit = this.head;
    position.column = columns.crcs.length;
    position.isTouched = true;
    this.open.set(runId, position);
    columns.runIds += runId;
    columns.firstSequences.push(firstSequence);
    columns.counts.push(count);
    columns.crcs.push(crc);
  }

  #putEnded(columns: Columns, summary: RunSummary): void {
    const { runId } = summary;
    const position = present(this.open.get(runId), `the open run ${runId}`);
    const { column, sequence, high, low, bytes } = position;
    assert(position.commit === this.head, `run ${runId} ends without an event`);
    columns.ended.push(column);
    if (position.isNoted) addWrite(this.#writer, openKey(runId), undefined);
    const keyStart = beginPut(this.#writer);
    putEndedKey(this.#writer, runId);
    const commit = this.head;
    this.#putValue(keyStart, ENDED, { ...summary, sequence, high, low, bytes, commit });
    this.open.delete(runId);
    this.endedTotals.count++;
    this.endedTotals.bytes += bytes;
  }

  #putCommit(columns: Columns): void {
    const keyStart = beginPut(this.#writer);
    this.#writer.raw(commitKey(this.head));
    const { partition, epoch, link } = this;
    const openRuns = this.open.size;
    const crc = this.#putValue(keyStart, COMMIT, {
      partition,
      epoch,
      ...link,
      openRuns,
      ...columns,
    });
    this.link = linkAfter(link, crc, this.head);
  }
}

/** Before a run's first event. */
function firstPosition(runId: RunId): Position {
  const { high, low } = linkOfRun(runId);
  return {
    sequence: 0,
    high,
    low,
    bytes: 0,
    isNoted: false,
    isTouched: false,
    commit: 0,
    column: 0,
  };
}

/** A write that does not share the log's buffer. */
function copyOf({ key, value }: Write): Write {
  return { key, value: value?.slice() };
}
