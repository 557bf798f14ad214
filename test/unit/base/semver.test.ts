/** Versions in order, and ranges as the package managers read them. */
import { expect, test } from "vitest";
import { compareVersions, parseVersion, versionTest } from "../../../src/base/semver.ts";

test("order: numbers by value, a pre-release before its release, texts before versions", () => {
  const ordered = [
    "main",
    "nightly",
    "0.0.0",
    "0.9.9",
    "1.0.0-rc.1",
    "1.0.0",
    "1.2.0",
    "1.10.0",
    "2",
  ];
  const shuffled = [...ordered].reverse();
  expect(shuffled.sort(compareVersions)).toEqual(ordered);
  expect(compareVersions("1.0", "1.0.0")).toBe(0);
  expect(parseVersion("1.x")).toBeUndefined();
  expect(parseVersion("v2.1+build.7")).toEqual({ numbers: [2, 1, 0], pre: "" });
});

test.each([
  ["", ["0.0.1", "9.0.0", "nightly"], []],
  ["latest", ["1.0.0"], []],
  ["1.4.0", ["1.4.0", "1.4"], ["1.4.1", "1.4.0-rc.1"]],
  ["=1.4.0", ["1.4.0"], ["1.5.0"]],
  ["1.4.0-rc.1", ["1.4.0-rc.1"], ["1.4.0"]],
  ["^1.2", ["1.2.0", "1.9.0"], ["1.1.9", "2.0.0", "1.5.0-rc.1"]],
  ["^2", ["2.0.0", "2.9.1"], ["1.9.9", "3.0.0"]],
  ["^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]],
  ["^0.0.3", ["0.0.3"], ["0.0.4"]],
  ["^0", ["0.0.1", "0.9.0"], ["1.0.0"]],
  ["~1.4", ["1.4.0", "1.4.7"], ["1.5.0"]],
  ["~1", ["1.0.0", "1.9.0"], ["2.0.0"]],
  ["2", ["2.0.0", "2.5.0"], ["3.0.0"]],
  ["2.1", ["2.1.0", "2.1.9"], ["2.2.0"]],
  [">=3", ["3.0.0", "12.0.0"], ["2.9.9"]],
  [">3", ["3.0.1"], ["3.0.0"]],
  ["<=3.1", ["3.1.0", "1.0.0"], ["3.1.1"]],
  ["<3", ["2.9.9"], ["3.0.0"]],
  ["nightly", ["nightly"], ["main", "1.0.0"]],
])("%s", (range, fits, fitsNot) => {
  const isFit = versionTest(range);
  expect(fits.filter((version) => !isFit?.(version))).toEqual([]);
  expect(fitsNot.filter((version) => isFit?.(version))).toEqual([]);
});

test("an operator without a version is no range", () => {
  expect(versionTest("^abc")).toBeUndefined();
  expect(versionTest(">=")).toBeUndefined();
});
