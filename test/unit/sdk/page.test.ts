/** docs/sdk.md: every `ts` block compiles as a stranger would compile it, and runs unless it needs a daemon. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { blocksOf } from "../../support/console-session.ts";

const ROOT = join(import.meta.dirname, "../../..");
const snippets = blocksOf(readFileSync(join(ROOT, "docs/sdk.md"), "utf8")).filter(
  ({ language }) => language === "ts",
);

let directory = "";

beforeAll(() => {
  // Inside the checkout, so that `goclaw` is this package.
  mkdirSync(join(ROOT, ".vitest"), { recursive: true });
  directory = mkdtempSync(join(ROOT, ".vitest/sdk-page-"));
  const options = {
    extends: "../../tsconfig.json",
    compilerOptions: {
      incremental: false,
      // Snippets show what there is, not what is used.
      noUnusedLocals: false,
      noUnusedParameters: false,
    },
    include: ["*.ts", "../../types"],
  };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(options));
  for (const { line, text } of snippets) writeFileSync(join(directory, `line-${line}.ts`), text);
});

afterAll(() => rmSync(directory, { recursive: true }));

test("types are right", { timeout: 60_000 }, () => {
  const compiled = spawnSync("node_modules/.bin/tsc", ["-p", directory], {
    cwd: ROOT,
    encoding: "utf8",
  });
  expect(compiled.stdout).toBe("");
  expect(compiled.status).toBe(0);
});

test.each(snippets.filter(({ flags }) => !flags.includes("no-run")))(
  "the snippet in line $line runs",
  { timeout: 60_000 },
  ({ line }) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--conditions=goclaw-source", join(directory, `line-${line}.ts`)],
      { cwd: directory, encoding: "utf8", timeout: 50_000 },
    );
    expect(status, stdout + stderr).toBe(0);
  },
);
