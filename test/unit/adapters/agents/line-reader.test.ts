/** Lines from bytes, however they are cut. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LineReader } from "../../../../src/adapters/agents/line-reader.ts";

function linesOf(chunks: readonly Uint8Array[], lineMax = 1_000): string[] {
  const lines: string[] = [];
  const reader = new LineReader(lineMax, (line) => lines.push(line));
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return lines;
}

test("any text cut into any chunks comes back line by line", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: "grapheme" })),
      fc.infiniteStream(fc.integer({ min: 1, max: 7 })),
      (parts, sizes) => {
        const text = parts.join("\n");
        let rest = Buffer.from(text);
        const chunks: Uint8Array[] = [];
        while (rest.length > 0) {
          const size = sizes.next().value;
          chunks.push(rest.subarray(0, size));
          rest = rest.subarray(size);
        }
        const expected = text.split("\n");
        if (expected.at(-1) === "") expected.pop();
        expect(linesOf(chunks)).toEqual(expected);
      },
    ),
  );
});

test("a line without an end comes in pieces", () => {
  expect(linesOf([Buffer.from("a".repeat(25))], 10)).toEqual([
    "a".repeat(10),
    "a".repeat(10),
    "a".repeat(5),
  ]);
});
