/**
 * Reading runs back. Whatever it returns has been checked: envelope, key, sequence, link to the record before, number
 * of events, large payloads, and that the history reaches as far as the indexes say. Anything else is `DATA_LOSS`
 * naming the key, and nothing past the damage is returned. Readers see at most what was durable when they began.
 */
import { FaultError, fault, refuse } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { Event, RunEvents } from "../core/run/message.ts";
import type { Entry } from "../ports/store.ts";
import { decode, decodeUnion } from "./decode.ts";
import { EVENT } from "./event-table.ts";
import { type OpenRecord, TRIMMED, type TrimmedRecord } from "./index-table.ts";
import { blobKey, numberOf, runKey, snapshotKey, trimmedKey } from "./keys.ts";
import type { ReadableStore } from "./read-ahead.ts";
import {
  damaged,
  decoded,
  isSameLink,
  type Link,
  linkAfter,
  linkOfRun,
  openRecord,
  type RunHeader,
  readRecord,
  readRunHeader,
} from "./record.ts";
import { decodeSnapshot, type FoundSnapshot } from "./snapshot.ts";
import type { ByteReader } from "./wire.ts";

/** Records per page; a record holds what one commit had of one run, so this is some tens of kilobytes as a rule. */
const PAGE_RECORDS = 128;

/** Of a watcher's page, because a thousand watchers that stand still hold one each; records can be large. */
const WATCHED_PAGE_BYTES = 128 * 1024;
/** How many records its first page has, before their size is known. */
const WATCHED_PAGE_RECORDS = 4;

/** The events of one record. */
export interface ReadRecord {
  readonly header: RunHeader;
  readonly events: readonly Event[];
  /** Bytes on disk, large payloads included. */
  readonly bytes: number;
}

/** Where reading starts and must end. Without a link the first record's own is believed. */
export interface ReadSpan {
  readonly runId: RunId;
  readonly firstSequence: number;
  readonly link: Link | undefined;
  /** Of the last event that must be there. */
  readonly lastSequence: number;
  /** Whether a later record is damage; otherwise it is a commit under way and left alone. Default false. */
  readonly isWhole?: boolean;
  /** About how large a page may be; a record is never cut in two. Without it, a page has a number of records. */
  readonly pageBytes?: number;
}

/** How a history must end: at a sequence, with a link or a last record's checksum where one is known. */
export interface ExpectedEnd {
  readonly sequence: number;
  readonly link?: Link | undefined;
  readonly crc?: number | undefined;
}

/** A run from its snapshot on. */
export interface LoadedRun {
  readonly snapshot: FoundSnapshot | undefined;
  readonly events: readonly Event[];
  readonly position: OpenRecord;
}

/** Whether reading found something missing or wrong. */
export function isDamage(error: unknown): boolean {
  return error instanceof FaultError && error.fault.code === "DATA_LOSS";
}

/** Reads histories from a store. */
export class RunReader {
  readonly #store: ReadableStore;

  constructor(store: ReadableStore) {
    this.#store = store;
  }

  /** Every record of a span, in pages. */
  async *records(span: ReadSpan): AsyncGenerator<readonly ReadRecord[]> {
    const { runId, lastSequence, isWhole = false, pageBytes } = span;
    const to = runKey(runId, isWhole ? Number.MAX_SAFE_INTEGER : lastSequence + 1);
    let { firstSequence: next, link } = span;
    let limit = pageBytes === undefined ? PAGE_RECORDS : WATCHED_PAGE_RECORDS;
    do {
      const range = { from: runKey(runId, next), to };
      const entries = await this.#store.range(range, { limit });
      if (entries.length === 0 && next <= lastSequence)
        damaged(range.from, "the record is missing");
      const page: ReadRecord[] = [];
      for (const entry of entries) {
        const record = await this.#read(runId, entry);
        const { header } = record;
        if (header.firstSequence !== next) damaged(runKey(runId, next), "the record is missing");
        if (link !== undefined && !isSameLink(link, header.previous)) {
          damaged(entry.key, "it does not continue the record before");
        }
        link = linkAfter(header.previous, header.crc, next);
        next += header.count;
        page.push(record);
      }
      yield page;
      if (pageBytes !== undefined) limit = nextLimit(page, pageBytes);
    } while (next <= lastSequence);
    if (next !== lastSequence + 1) damaged(runKey(runId, lastSequence), "events are in no commit");
  }

  /** Snapshot and events up to an end. For `isWhole` see {@link ReadSpan}. */
  async load(runId: RunId, end: ExpectedEnd, isWhole = false): Promise<LoadedRun> {
    for (;;) {
      const [snapshot, trimmed] = await Promise.all([this.snapshot(runId), this.trimmed(runId)]);
      const from = snapshot?.header ?? { sequence: 0, ...linkOfRun(runId), bytes: 0 };
      // A newer snapshot was saved and the events before it deleted between the two reads: begin again.
      if (trimmed !== undefined && trimmed.sequence > from.sequence) {
        const newer = await this.snapshot(runId);
        if ((newer?.header.sequence ?? 0) < trimmed.sequence)
          damaged(snapshotKey(runId), "the snapshot is missing");
        continue;
      }
      try {
        return { snapshot, ...(await this.#eventsAfter(runId, from, end, isWhole)) };
      } catch (error) {
        if (!(await this.#isTrimmed(runId, from.sequence, error))) throw error;
      }
    }
  }

  /** The latest snapshot of a run. */
  async snapshot(runId: RunId): Promise<FoundSnapshot | undefined> {
    const key = snapshotKey(runId);
    const value = await this.#store.get(key);
    return value && decodeSnapshot(runId, key, value);
  }

  /** Up to where a run's history was deleted. */
  async trimmed(runId: RunId): Promise<TrimmedRecord | undefined> {
    const key = trimmedKey(runId);
    const value = await this.#store.get(key);
    return value && readRecord(key, value, (reader) => decode(reader, TRIMMED));
  }

  /** Events after `afterSequence` up to `lastSequence`, a page at a time. Throws `CURSOR_EXPIRED`. */
  async *history(
    runId: RunId,
    afterSequence: number,
    lastSequence: number,
  ): AsyncGenerator<RunEvents> {
    if (afterSequence >= lastSequence) return;
    let read = afterSequence;
    const pageBytes = WATCHED_PAGE_BYTES;
    try {
      const begin = await this.#beginning(runId, afterSequence);
      for await (const page of this.records({ runId, lastSequence, pageBytes, ...begin })) {
        const events = page.flatMap((record) => record.events);
        const first = (page[0] as ReadRecord).header.firstSequence;
        const skip = Math.max(0, afterSequence + 1 - first);
        read = first + events.length - 1;
        yield {
          runId,
          firstSequence: first + skip,
          events: skip === 0 ? events : events.slice(skip),
        };
      }
    } catch (error) {
      if (await this.#isTrimmed(runId, read, error)) await this.#beginning(runId, read);
      throw error;
    }
  }

  /** Whether what looked like damage after a sequence was deleted behind a snapshot while it was read. */
  async #isTrimmed(runId: RunId, sequence: number, error: unknown): Promise<boolean> {
    if (!isDamage(error)) return false;
    const trimmed = await this.trimmed(runId);
    return trimmed !== undefined && trimmed.sequence > sequence;
  }

  /** Whether there is anything of a run's history. */
  async hasRecords(runId: RunId): Promise<boolean> {
    const range = { from: runKey(runId, 0), to: runKey(runId, Number.MAX_SAFE_INTEGER) };
    return (await this.#store.range(range, { limit: 1 })).length > 0;
  }

  /** One record, or undefined when the store has none under its key. */
  async record(runId: RunId, firstSequence: number): Promise<ReadRecord | undefined> {
    const key = runKey(runId, firstSequence);
    const value = await this.#store.get(key);
    return value && this.#read(runId, { key, value });
  }

  /** The record that holds the event after a sequence. */
  async #beginning(
    runId: RunId,
    afterSequence: number,
  ): Promise<{ firstSequence: number; link: Link | undefined }> {
    const trimmed = await this.trimmed(runId);
    if (trimmed !== undefined && afterSequence < trimmed.sequence) {
      const oldest = trimmed.sequence + 1;
      return refuse(fault("CURSOR_EXPIRED", { runId, sequence: afterSequence, oldest }));
    }
    const begin = trimmed ?? { sequence: 0, ...linkOfRun(runId) };
    if (afterSequence === begin.sequence) return { firstSequence: begin.sequence + 1, link: begin };
    const range = { from: runKey(runId, begin.sequence + 1), to: runKey(runId, afterSequence + 2) };
    const [entry] = await this.#store.range(range, { limit: 1, reverse: true });
    if (entry === undefined) return damaged(range.from, "the record is missing");
    const firstSequence = numberOf(entry.key);
    return { firstSequence, link: firstSequence === begin.sequence + 1 ? begin : undefined };
  }

  async #eventsAfter(
    runId: RunId,
    from: OpenRecord,
    end: ExpectedEnd,
    isWhole: boolean,
  ): Promise<Omit<LoadedRun, "snapshot">> {
    const events: Event[] = [];
    let { bytes } = from;
    let link: Link = from;
    let lastCrc = end.crc;
    const firstSequence = from.sequence + 1;
    const span = { runId, firstSequence, link: from, lastSequence: end.sequence, isWhole };
    for await (const page of this.records(span)) {
      for (const { header, events: more, bytes: size } of page) {
        for (const event of more) events.push(event);
        bytes += size;
        link = linkAfter(header.previous, header.crc, header.firstSequence);
        lastCrc = header.crc;
      }
    }
    const isOther = end.link !== undefined && !isSameLink(link, end.link);
    if (isOther || lastCrc !== (end.crc ?? lastCrc)) {
      damaged(runKey(runId, end.sequence), "the history ends differently than committed");
    }
    return { events, position: { sequence: end.sequence, high: link.high, low: link.low, bytes } };
  }

  async #read(runId: RunId, entry: Entry): Promise<ReadRecord> {
    const inline = readInline(entry);
    if (inline !== undefined) return inline;
    const { key, value } = entry;
    const blobs = await this.#blobs(runId, readRunHeader(key, openRecord(key, value)));
    const bytes = blobs.reduce((sum, blob) => sum + blob.length, value.length);
    const reader = openRecord(key, value, blobs);
    return { ...readEvents(key, reader, readRunHeader(key, reader)), bytes };
  }

  #blobs(runId: RunId, header: RunHeader): Promise<Uint8Array[]> {
    return Promise.all(
      Array.from({ length: header.blobs }, async (_, index) => {
        const key = blobKey(runId, header.firstSequence, index);
        return (await this.#store.get(key)) ?? damaged(key, `the payload is missing`);
      }),
    );
  }
}

/** How many records like those of a page would fill one. */
function nextLimit(page: readonly ReadRecord[], pageBytes: number): number {
  const bytes = page.reduce((sum, record) => sum + record.bytes, 0);
  return Math.min(PAGE_RECORDS, Math.max(1, Math.floor((pageBytes * page.length) / bytes)));
}

/** The record of an entry; undefined when it keeps payloads apart, which have to be fetched first. */
export function readInline({ key, value }: Entry): ReadRecord | undefined {
  const reader = openRecord(key, value);
  const header = readRunHeader(key, reader);
  if (header.blobs > 0) return undefined;
  return { ...readEvents(key, reader, header), bytes: value.length };
}

function readEvents(
  key: Uint8Array,
  reader: ByteReader,
  header: RunHeader,
): Pick<ReadRecord, "header" | "events"> {
  const events = decoded(key, () => decodeEvents(reader));
  if (events.length !== header.count)
    damaged(key, `it holds ${events.length} of ${header.count} events`);
  return { header, events };
}

/** goclaw.journal.v1.RunRecord: events = 1. */
function decodeEvents(reader: ByteReader): Event[] {
  const events: Event[] = [];
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag !== 0x0a) {
      reader.skip(tag & 7);
      continue;
    }
    const outer = reader.enter();
    events.push(decodeUnion(reader, EVENT));
    reader.leave(outer);
  }
  return events;
}
