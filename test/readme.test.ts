/**
 * Runs the README as a newcomer would: every command of its `console` blocks with the output it shows, every `ts`
 * snippet through the compiler and through Node. Also holds all pages to each other and to the tree: links lead
 * somewhere and ARCHITECTURE.md knows every folder.
 */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { blocksOf, commandsOf, matches, runSession } from "./support/console-session.ts";

const ROOT = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

/** Commands that are shown and not typed here, each with what tries it instead. */
const TRIED_ELSEWHERE: Readonly<Record<string, string>> = {
  "git clone": "continuous integration starts with it",
  "cd ": "belongs to git clone",
  "make test": "runs this very test",
  "make verify": "runs this very test",
  "make demo": "test/e2e runs the demo",
  "docker compose": "continuous integration builds and starts the image",
};

const isTriedElsewhere = (command: string) =>
  Object.keys(TRIED_ELSEWHERE).some((start) => command.startsWith(start));

const readme = blocksOf(read("README.md"));
const sessions = readme
  .filter(({ language }) => language === "console")
  .map(({ line, text }) => ({
    line,
    commands: commandsOf(text).filter(({ command }) => !isTriedElsewhere(command)),
  }))
  .filter(({ commands }) => commands.length > 0);
const snippets = readme.filter(({ language }) => language === "ts");

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}

test("README.md shows shell commands in console blocks only, so that all of them are tried", () => {
  expect(readme.filter(({ language }) => /^(?:sh|bash|shell)$/.test(language))).toEqual([]);
  expect(sessions.length).toBeGreaterThan(0);
});

describe("README.md session", () => {
  test.each(sessions)(
    "in line $line prints what is shown",
    { timeout: 120_000 },
    async ({ commands }) => {
      const ran = runSession(ROOT, commands, await freePort());
      expect(ran).toHaveLength(commands.length);
      commands.forEach(({ command, output }, index) => {
        const { exitCode, output: printed } = ran[index] ?? { exitCode: -1, output: [] };
        expect(exitCode, `${command}\n${printed.join("\n")}`).toBe(0);
        if (!command.endsWith("&") && !matches(output, printed)) {
          expect(printed.join("\n"), command).toBe(output.join("\n"));
        }
      });
    },
  );
});

describe("README.md snippet", () => {
  let directory = "";

  beforeAll(() => {
    // Inside the checkout, so that `goclaw` is this package.
    mkdirSync(join(ROOT, ".vitest"), { recursive: true });
    directory = mkdtempSync(join(ROOT, ".vitest/readme-"));
    const options = {
      extends: "../../tsconfig.json",
      compilerOptions: { incremental: false },
      include: ["*.ts", "../../types"],
    };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(options));
    for (const { line, text } of snippets) writeFileSync(join(directory, `line-${line}.ts`), text);
  });

  afterAll(() => rmSync(directory, { recursive: true }));

  test("types are right", { timeout: 60_000 }, () => {
    const { stdout } = spawnSync("node_modules/.bin/tsc", ["-p", directory], {
      cwd: ROOT,
      encoding: "utf8",
    });
    expect(stdout).toBe("");
  });

  test.each(snippets.filter(({ flags }) => !flags.includes("no-run")))(
    "in line $line runs",
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
});

describe("pages", () => {
  const pages = [".", "docs", "docs/adr", "examples"]
    .filter((folder) => existsSync(join(ROOT, folder)))
    .flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => join(folder, name)))
    .filter((path) => path.endsWith(".md"));

  test.each(pages)("%s links to files that exist", (page) => {
    const links = [...read(page).matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g)].map(
      (match) => match[1] ?? "",
    );
    const broken = links
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => !existsSync(join(ROOT, dirname(page), decodeURIComponent(link))));
    expect(broken).toEqual([]);
  });

  test("ARCHITECTURE.md knows every folder of src, and no path that is gone", () => {
    const text = read("ARCHITECTURE.md");
    const folders = readdirSync(join(ROOT, "src"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
    for (const folder of folders) expect(text).toMatch(new RegExp(`\\b${folder}/|\`${folder}\``));
    const paths = [
      ...text.matchAll(/`((?:src|test|docs|proto|examples|bench|scripts)\/[\w./-]+)`/g),
    ];
    expect(paths.length).toBeGreaterThan(0);
    for (const [, path = ""] of paths) expect(existsSync(join(ROOT, path)), path).toBe(true);
  });
});
