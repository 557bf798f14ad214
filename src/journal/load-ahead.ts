/**
 * The common case of a start, without waiting: an open run that has no snapshot, lost no events to trimming, keeps no
 * payload apart, and whose records have all been read ahead. Whatever is not exactly so, damage included, is left to the
 * reader that can ask the store, so there is one place that says what is wrong.
 */
import type { RunId } from "../base/ids.ts";
import type { Event } from "../core/run/message.ts";
import { runKey } from "./keys.ts";
import type { ReadAhead } from "./read-ahead.ts";
import { type ExpectedEnd, type LoadedRun, readInline } from "./reader.ts";
import { isSameLink, type Link, linkAfter, linkOfRun } from "./record.ts";

/**
 * A run that has neither snapshot nor trimmed events; undefined when it takes more than what was read ahead. Throws
 * `DATA_LOSS` for a damaged record.
 */
export function loadAhead(ahead: ReadAhead, runId: RunId, end: ExpectedEnd): LoadedRun | undefined {
  const records = ahead.entries({
    from: runKey(runId, 0),
    to: runKey(runId, Number.MAX_SAFE_INTEGER),
  });
  if (records === undefined) return undefined;
  const events: Event[] = [];
  let link: Link = linkOfRun(runId);
  let [sequence, bytes, crc] = [0, 0, 0];
  for (const entry of records) {
    const record = readInline(entry);
    if (record === undefined) return undefined;
    const { header } = record;
    if (header.firstSequence !== sequence + 1 || !isSameLink(link, header.previous))
      return undefined;
    for (const event of record.events) events.push(event);
    link = linkAfter(header.previous, header.crc, header.firstSequence);
    sequence += header.count;
    bytes += record.bytes;
    crc = header.crc;
  }
  const isThere =
    sequence === end.sequence &&
    (end.link === undefined || isSameLink(link, end.link)) &&
    (end.crc === undefined || end.crc === crc);
  if (!isThere) return undefined;
  return {
    snapshot: undefined,
    events,
    position: { sequence, high: link.high, low: link.low, bytes },
  };
}
