/** The journal's own codec: whatever goes in comes out, and what a newer version adds is passed over. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Event } from "../../src/core/run/message.ts";
import { weigh } from "../../src/core/run/weight.ts";
import { decodeUnion } from "../../src/journal/decode.ts";
import { encodeUnion } from "../../src/journal/encode.ts";
import { EVENT } from "../../src/journal/event-table.ts";
import { ByteReader, ByteWriter, WireError } from "../../src/journal/wire.ts";
import { anyEvent, EVENT_TYPES, eventOf } from "../support/events.ts";

function bytesOf(event: Event): { bytes: Uint8Array; blobs: Uint8Array[] } {
  const writer = new ByteWriter();
  writer.blobs = [];
  encodeUnion(writer, EVENT, event);
  return { bytes: writer.since(0).slice(), blobs: writer.blobs };
}

describe("events", () => {
  test.each(EVENT_TYPES)("%s comes back as it was", (type) => {
    fc.assert(
      fc.property(eventOf(type), (event) => {
        const { bytes, blobs } = bytesOf(event);
        const decoded = decodeUnion(new ByteReader(bytes, 0, blobs), EVENT);
        expect(decoded).toStrictEqual(event);
        expect(weigh(decoded)).toBe(weigh(event));
      }),
      { numRuns: 60 },
    );
  });

  test("unknown fields of every wire type are passed over", () => {
    const unknown = Uint8Array.of(
      ...[0xf8, 0x3f, 0x05],
      ...[0xf9, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8],
      ...[0xfa, 0x3f, 0x02, 9, 9],
      ...[0xfd, 0x3f, 1, 2, 3, 4],
    );
    fc.assert(
      fc.property(anyEvent, (event) => {
        const { bytes, blobs } = bytesOf(event);
        const longer = Uint8Array.of(...unknown, ...bytes, ...unknown);
        expect(decodeUnion(new ByteReader(longer, 0, blobs), EVENT)).toStrictEqual(event);
      }),
      { numRuns: 100 },
    );
  });

  test("a cut-off event is an error or a shorter valid one, never a crash", () => {
    fc.assert(
      fc.property(anyEvent, fc.nat(), (event, where) => {
        const { bytes, blobs } = bytesOf(event);
        const short = bytes.slice(0, where % bytes.length);
        try {
          decodeUnion(new ByteReader(short, 0, blobs), EVENT);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
      }),
      { numRuns: 300 },
    );
  });
});
