/**
 * The head of the journal: which commit comes next, where each open run's history stands, and the bytes of a commit.
 * Every commit is one record listing its run records with their checksums, chained to the commit before, so that
 * nothing can vanish unnoticed. Now and then the positions of the runs touched since are noted in the open index;
 * recovery then reads only the commits after that. It assumes that what it encodes is written in the same order.
 */
import { assert, present } from "../base/assert.ts";
import type { RunId } from "../base/ids.ts";
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
  endedKey,
  idempotencyKeyOf,
  keyOfRunKey,
  metaKey,
  openKey,
  runKey,
} from "./keys.ts";
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

type Position = { -readonly [K in keyof OpenRecord]: OpenRecord[K] };

interface Columns {
  /** Position of a run's latest record in the lists below. */
  readonly indexOf: Map<RunId, number>;
  runIds: string;
  readonly firstSequences: number[];
  readonly counts: number[];
  readonly crcs: number[];
  readonly ended: number[];
}

const newColumns = (): Columns => ({
  indexOf: new Map(),
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
  readonly open = new Map<RunId, Position>();
  /** Runs that ended since the start, and the bytes of their records. */
  readonly endedTotals = { count: 0, bytes: 0 };
  readonly #writer = new ByteWriter();
  #touched = new Set<RunId>();
  #notedAt: VerifiedRecord = this.verified;
  #recordsSince = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  /** The writes of the next commit. Their bytes are views, valid until the next call of any method. */
  encodeCommit(commit: Commit): Write[] {
    this.#writer.reset();
    const writes: Write[] = [];
    const columns = newColumns();
    this.head++;
    for (const { hash, json } of commit.definitions)
      this.#put(writes, definitionKey(hash), DEFINITION, { json });
    for (const run of commit.runs) this.#putRun(writes, columns, run);
    for (const { runId, namespace, idempotency } of commit.accepted) {
      if (idempotency === undefined) continue;
      const { key, fingerprint } = idempotency;
      this.#put(writes, idempotencyKeyOf(namespace, key), IDEMPOTENT, { runId, fingerprint });
      this.#put(writes, keyOfRunKey(runId), KEY_OF_RUN, { namespace, key });
    }
    for (const summary of commit.ended) this.#putEnded(writes, columns, summary);
    this.#putCommit(writes, columns);
    this.#recordsSince += commit.runs.length;
    return writes;
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
    const touched = [...this.#touched];
    this.#touched = new Set();
    this.#recordsSince = 0;
    return touched;
  }

  /** Writes that note where these runs stand. */
  encodeNotes(runs: readonly RunId[]): Write[] {
    this.#writer.reset();
    const writes: Write[] = [];
    for (const runId of runs) {
      const position = this.open.get(runId);
      if (position !== undefined) this.#put(writes, openKey(runId), OPEN, position);
    }
    return writes;
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

  /** Takes over an open run that recovery found. */
  adopt(runId: RunId, position: OpenRecord): void {
    this.open.set(runId, { ...position });
    this.#touched.add(runId);
  }

  #put<T>(writes: Write[], key: Uint8Array, table: Message<T>, value: T): void {
    writes.push({
      key,
      value: sealed(this.#writer, key, () => encode(this.#writer, table, value)),
    });
  }

  #positionOf(runId: RunId, firstSequence: number): Position {
    let position = this.open.get(runId);
    if (position === undefined) {
      position = { sequence: 0, ...linkOfRun(runId), bytes: 0 };
      this.open.set(runId, position);
    }
    assert(
      firstSequence === position.sequence + 1,
      `run ${runId}: event ${firstSequence} is out of order`,
    );
    return position;
  }

  #putRun(writes: Write[], columns: Columns, run: RunEvents): void {
    const { runId, firstSequence, events } = run;
    const position = this.#positionOf(runId, firstSequence);
    const count = events.length;
    assert(count > 0, `run ${runId} has no events in its commit`);
    if (firstSequence === 1)
      this.#put(writes, openKey(runId), OPEN, { sequence: 0, high: 0, low: 0, bytes: 0 });
    const writer = this.#writer;
    const key = runKey(runId, firstSequence);
    const start = beginRecord(writer);
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
    const crc = sealRecord(writer, start, key);
    writes.push({ key, value: writer.since(start) });
    position.bytes += writer.length - start;
    for (const [index, blob] of blobs.entries()) {
      writes.push({ key: blobKey(runId, firstSequence, index), value: blob });
      position.bytes += blob.length;
    }
    Object.assign(position, linkAfter(position, crc, firstSequence));
    position.sequence += count;
    this.#touched.add(runId);
    columns.indexOf.set(runId, columns.crcs.length);
    columns.runIds += runId;
    columns.firstSequences.push(firstSequence);
    columns.counts.push(count);
    columns.crcs.push(crc);
  }

  #putEnded(writes: Write[], columns: Columns, summary: RunSummary): void {
    const { runId } = summary;
    const position = present(this.open.get(runId), `the open run ${runId}`);
    columns.ended.push(present(columns.indexOf.get(runId), `the last event of run ${runId}`));
    writes.push({ key: openKey(runId), value: undefined });
    this.#put(writes, endedKey(runId), ENDED, { ...summary, ...position, commit: this.head });
    this.open.delete(runId);
    this.#touched.delete(runId);
    this.endedTotals.count++;
    this.endedTotals.bytes += position.bytes;
  }

  #putCommit(writes: Write[], columns: Columns): void {
    const key = commitKey(this.head);
    const { partition, epoch, link } = this;
    const start = beginRecord(this.#writer);
    encode(this.#writer, COMMIT, {
      partition,
      epoch,
      ...link,
      openRuns: this.open.size,
      ...columns,
    });
    const crc = sealRecord(this.#writer, start, key);
    writes.push({ key, value: this.#writer.since(start) });
    this.link = linkAfter(link, crc, this.head);
  }
}
