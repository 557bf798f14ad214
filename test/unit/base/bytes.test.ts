/** Byte order, key ranges and the checksum of records. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareBytes, keyAfter, prefixRange } from "../../../src/base/bytes.ts";
import { crc32c } from "../../../src/base/crc32c.ts";

const anyBytes = fc.uint8Array({ maxLength: 6, max: 255 });
const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

describe("order", () => {
  test("is that of hexadecimal text", () => {
    const hex = (key: Uint8Array): string =>
      [...key].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    fc.assert(
      fc.property(anyBytes, anyBytes, (a, b) => {
        const expected = hex(a) < hex(b) ? -1 : hex(a) > hex(b) ? 1 : 0;
        expect(Math.sign(compareBytes(a, b))).toBe(expected);
      }),
    );
  });

  test("nothing lies between a key and the one after it", () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, (key, other) => {
        const after = keyAfter(key);
        expect(compareBytes(key, after)).toBeLessThan(0);
        expect(compareBytes(other, key) <= 0 || compareBytes(other, after) >= 0).toBe(true);
      }),
    );
  });

  test("a prefix range holds what begins with it and nothing else", () => {
    const prefix = fc
      .uint8Array({ minLength: 1, maxLength: 3 })
      .filter((key) => key.some((byte) => byte < 255));
    fc.assert(
      fc.property(prefix, anyBytes, fc.boolean(), (start, rest, isInside) => {
        const key = isInside ? Uint8Array.of(...start, ...rest) : rest;
        const { from, to } = prefixRange(start);
        const begins = start.every((byte, at) => key[at] === byte);
        expect(compareBytes(key, from) >= 0 && compareBytes(key, to) < 0).toBe(begins);
      }),
    );
    expect(() => prefixRange(Uint8Array.of(255, 255))).toThrow(RangeError);
  });
});

describe("CRC32C", () => {
  // RFC 3720, appendix B.4, and the customary check value.
  test.each<[string, Uint8Array, number]>([
    ["nothing", ascii(""), 0],
    ["123456789", ascii("123456789"), 0xe3069283],
    ["32 zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ["0 to 31", Uint8Array.from({ length: 32 }, (_, at) => at), 0x46dd794e],
    ["31 to 0", Uint8Array.from({ length: 32 }, (_, at) => 31 - at), 0x113fdb5c],
  ])("of %s", (_, data, expected) => {
    expect(crc32c(data)).toBe(expected);
  });

  test("continues over parts, at any boundary, and looks only at its part", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(), fc.nat(), (data, a, b) => {
        const first = a % (data.length + 1);
        const second = first + (b % (data.length - first + 1));
        const parts = crc32c(
          data,
          second,
          data.length,
          crc32c(data, first, second, crc32c(data, 0, first)),
        );
        expect(parts).toBe(crc32c(data));
        expect(crc32c(data.slice(first, second))).toBe(crc32c(data, first, second));
      }),
    );
  });
});
