/** Durations as text. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatDuration, parseDuration } from "../../../src/base/time.ts";

describe("parseDuration", () => {
  test.each([
    ["250ms", 250],
    ["5s", 5_000],
    ["3.5s", 3_500],
    ["2m", 120_000],
    ["1h30m", 5_400_000],
    ["7d", 604_800_000],
    ["0ms", 0],
    ["1d2h3m4s5ms", 93_784_005],
    ["0.5ms", 0.5],
    ["90m", 5_400_000],
  ])("%s is %d ms", (text, durationMs) => {
    expect(parseDuration(text)).toBe(durationMs);
  });

  test.each([
    "",
    "5",
    "5 s",
    "s",
    "-1s",
    "+1s",
    "1s ",
    " 1s",
    "1S",
    "1.s",
    ".5s",
    "1e3s",
    "1h 30m",
    "1w",
    "one",
    "1m30",
    "∞s",
  ])("%j is none", (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  test("more digits than a number holds is still a number or infinity, never wrong", () => {
    expect(parseDuration(`${"9".repeat(400)}d`)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("formatDuration", () => {
  test.each([
    [0, "0ms"],
    [250, "250ms"],
    [1_000, "1s"],
    [90_000, "1m30s"],
    [93_784_005, "1d2h3m4s5ms"],
    [1_499.6, "1s500ms"],
  ])("%d ms is %s", (durationMs, text) => {
    expect(formatDuration(durationMs)).toBe(text);
  });

  test("whole milliseconds survive the way there and back", () => {
    fc.assert(
      fc.property(fc.nat({ max: 400 * 86_400_000 }), (durationMs) => {
        expect(parseDuration(formatDuration(durationMs))).toBe(durationMs);
      }),
    );
  });
});
