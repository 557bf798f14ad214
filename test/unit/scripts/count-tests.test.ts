/**
 * The line that CI believes must never look better than what happened, so each way of not passing is tried on the script.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const SCRIPT = join(import.meta.dirname, "../../../scripts/count-tests.ts");

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "goclaw-count-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

interface File {
  readonly status: string;
  readonly tests: readonly string[];
}

function count(files: readonly File[], makeStatus: number) {
  const testResults = files.map(({ status, tests }, index) => ({
    name: `${index}.test.ts`,
    status,
    assertionResults: tests.map((outcome) => ({ status: outcome, fullName: "a test" })),
  }));
  const report = join(directory, "report.json");
  writeFileSync(report, JSON.stringify({ testResults }));
  const { status, stdout } = spawnSync(process.execPath, [SCRIPT, report, String(makeStatus)], {
    encoding: "utf8",
  });
  return { exit: status, last: stdout.trimEnd().split("\n").at(-1) };
}

const good: File = { status: "passed", tests: ["passed", "passed"] };

test.each<[string, readonly File[], number, string, number]>([
  ["all files together", [good, good, good], 0, "6 passed, 0 failed", 0],
  [
    "a failed test",
    [good, { status: "failed", tests: ["passed", "failed"] }],
    2,
    "3 passed, 1 failed",
    1,
  ],
  [
    "a failed test under a status of 0",
    [{ status: "failed", tests: ["failed"] }],
    0,
    "0 passed, 1 failed",
    1,
  ],
  [
    "a skipped test as failed",
    [{ status: "passed", tests: ["passed", "skipped"] }],
    0,
    "1 passed, 1 failed",
    1,
  ],
  ["a file that did not load", [good, { status: "failed", tests: [] }], 2, "2 passed, 1 failed", 1],
  [
    "a hook that failed after its tests",
    [{ status: "failed", tests: ["passed"] }],
    2,
    "1 passed, 1 failed",
    1,
  ],
  ["another part of make verify", [good], 2, "2 passed, 1 failed", 1],
  ["no test at all", [], 0, "0 passed, 1 failed", 1],
])("counts %s", (_what, files, makeStatus, last, exit) => {
  expect(count(files, makeStatus)).toEqual({ exit, last });
});
