import fc from "fast-check";
import { expect, test } from "vitest";
import { sizeBeyond } from "../../../src/base/payload.ts";
import { utf8Length } from "../../../src/base/utf8.ts";

test("a text is as long as its encoding, lone surrogates included", () => {
  const encoder = new TextEncoder();
  const anyText = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
  );
  fc.assert(
    fc.property(anyText, (text) => {
      expect(utf8Length(text)).toBe(encoder.encode(text).byteLength);
    }),
  );
});

test("a payload is measured in bytes, not in characters", () => {
  expect(sizeBeyond({ json: '"ääää"' }, 10)).toBeUndefined();
  expect(sizeBeyond({ json: '"ääää"' }, 9)).toBe(10);
  expect(sizeBeyond({ json: "123" }, 3)).toBeUndefined();
  expect(sizeBeyond({ mediaType: "a/b", bytes: new Uint8Array(4) }, 3)).toBe(4);
  expect(sizeBeyond({ mediaType: "a/b", bytes: new Uint8Array(3) }, 3)).toBeUndefined();
});
