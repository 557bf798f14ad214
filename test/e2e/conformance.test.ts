/**
 * The conformance kits as they are shipped, against everything this repository offers as a worker and as a daemon: the SDK's
 * worker, the ones made of stubs alone, and the daemon itself. scripts/test-prerequisites.sh installs what the foreign ones
 * need. The workers are tested side by side, because a kit mostly waits.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import type { CaseResult } from "../../src/conformance/verdicts.ts";
import { startDaemon } from "../support/daemon.ts";
import { goclaw } from "../support/goclaw-process.ts";

const run = promisify(execFile);
const WORKERS = join(import.meta.dirname, "../../examples/workers");
/** The plays take about half a minute; a busy machine makes that several. */
const KIT_MS = 300_000;

interface Report {
  readonly surface: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly cases: readonly CaseResult[];
}

/** Stubs of one language in a directory of their own. */
async function stubs(language: "python" | "ruby"): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), `goclaw-${language}-`));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  await run("sh", [join(WORKERS, "stubs.sh"), language, directory]);
  return directory;
}

async function conformance(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Report> {
  const { exit, stdout, stderr } = await goclaw(["conformance", ...words], { env });
  expect(stderr).toBe("");
  const report = JSON.parse(stdout) as Report;
  expect(report.cases.filter(({ outcome }) => outcome === "failed")).toEqual([]);
  expect(exit).toBe(0);
  return report;
}

const worker = (command: readonly string[], env?: Readonly<Record<string, string>>) =>
  conformance(["worker", "--json", "--patience", "20000", "--", ...command], env);

test(
  "every worker of this repository passes the kit",
  async () => {
    const [python, ruby] = [await stubs("python"), await stubs("ruby")];
    const [inPython, inRuby, inShell, inTypeScript] = await Promise.all([
      worker(["/usr/bin/python3", join(WORKERS, "python/worker.py")], {
        PYTHONPATH: python,
        PYTHONDONTWRITEBYTECODE: "1",
      }),
      worker(["ruby", "-I", ruby, join(WORKERS, "ruby/worker.rb")]),
      worker([join(WORKERS, "shell/poll.sh")]),
      worker([
        process.execPath,
        "--conditions=goclaw-source",
        join(WORKERS, "typescript/worker.ts"),
      ]),
    ]);
    const surfaces = [inPython, inRuby, inShell, inTypeScript].map(({ surface }) => surface);
    expect(surfaces).toEqual(["session", "session", "poll", "session"]);
    // The SDK offers every optional ability, so nothing is skipped.
    expect(inTypeScript.skipped).toBe(0);
    for (const { skipped } of [inPython, inRuby, inShell]) expect(skipped).toBeLessThan(4);
  },
  KIT_MS,
);

test(
  "the daemon passes the kit",
  async () => {
    const { address } = await startDaemon();
    const { passed, skipped } = await conformance([
      "engine",
      "--json",
      "--patience",
      "20000",
      "--server",
      address,
    ]);
    expect(passed).toBeGreaterThan(30);
    expect(skipped).toBe(0);
  },
  KIT_MS,
);

test("a program that never calls, or a case that does not exist, is said in one line", async () => {
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
