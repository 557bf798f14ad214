/** What waits of an attempt's output: pieces in order, joined where small, the oldest given up beyond the window. */
import { expect, test } from "vitest";
import type { Output } from "../../../gen/goclaw/v1/worker_service_pb.ts";
import { OutputTape } from "../../../src/sdk/worker-output.ts";

const KIB = 1024;
const bytes = (text: string) => new TextEncoder().encode(text);
const shown = (pieces: readonly Output[]) =>
  pieces.map(({ offset, data }) => [Number(offset), new TextDecoder().decode(data)]);
const spans = (pieces: readonly Output[]) =>
  pieces.map(({ offset, data }) => [Number(offset), data.byteLength]);

test("small pieces leave as one, and offsets go on after them", () => {
  const tape = new OutputTape("a");
  tape.write(bytes("one "));
  tape.write(bytes("two"));
  expect(shown(tape.take())).toEqual([[0, "one two"]]);
  expect(tape.isEmpty).toBe(true);
  tape.write(bytes("three"));
  expect(shown(tape.take())).toEqual([[7, "three"]]);
});

test("a piece is what it was when it was written", () => {
  const tape = new OutputTape("a");
  const buffer = bytes("before");
  tape.write(buffer);
  buffer.fill(0);
  expect(shown(tape.take())).toEqual([[0, "before"]]);
});

test("beyond the window the oldest pieces are missing, and the offsets say so", () => {
  const tape = new OutputTape("a");
  for (let n = 0; n < 5; n++) tape.write(new Uint8Array(100 * KIB));
  expect(tape.bytes).toBe(200 * KIB);
  expect(spans(tape.take())).toEqual([
    [300 * KIB, 100 * KIB],
    [400 * KIB, 100 * KIB],
  ]);
  expect(tape.bytes).toBe(0);
});

test("of a piece larger than the window the end is kept", () => {
  const tape = new OutputTape("a");
  tape.write(new Uint8Array(300 * KIB));
  tape.write(bytes("end"));
  expect(spans(tape.take())).toEqual([[300 * KIB, 3]]);
  tape.write(new Uint8Array(300 * KIB));
  expect(spans(tape.take())).toEqual([[344 * KIB + 3, 256 * KIB]]);
});
