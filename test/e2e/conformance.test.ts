/**
 * The conformance kit for daemons as it is shipped, against a daemon, and how both kits end when there is nothing to test.
 * The kit for workers is played against every example in `worker-languages.test.ts`.
 */
import { expect, test } from "vitest";
import type { CaseResult } from "../../src/conformance/verdicts.ts";
import { startDaemon } from "../support/daemon.ts";
import { goclaw } from "../support/goclaw-process.ts";

interface Report {
  readonly tested: string;
  readonly passed: number;
  readonly skipped: number;
  readonly cases: readonly CaseResult[];
}

test("the daemon passes the kit", async () => {
  const { address } = await startDaemon();
  // The plays take half a minute; a busy machine gets more.
  const words = ["engine", "--json", "--patience", "20000", "--server", address];
  const { exit, stdout, stderr } = await goclaw(["conformance", ...words]);
  expect(stderr).toBe("");
  const { tested, passed, skipped, cases } = JSON.parse(stdout) as Report;
  expect(cases.filter(({ outcome }) => outcome !== "passed")).toEqual([]);
  expect({ tested, passed, skipped }).toEqual({ tested: "engine", passed: 39, skipped: 0 });
  expect(exit).toBe(0);
});

test("a program that never calls, an unknown case and a missing daemon are said in one line", async () => {
  const silent = await goclaw(["conformance", "worker", "--", "true"]);
  expect(silent.exit).toBe(1);
  expect(silent.stderr).toContain("there is nothing to test");
  expect(silent.stderr).toContain("exit 0");
  const unknown = await goclaw(["conformance", "engine", "--only", "no-such-case"]);
  expect(unknown.exit).toBe(2);
  expect(unknown.stderr).toContain('there is no case "no-such-case"');
  const nobody = await goclaw(["conformance", "engine", "--server", "http://127.0.0.1:9"]);
  expect(nobody.exit).toBe(3);
});
