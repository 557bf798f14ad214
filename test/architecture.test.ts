/**
 * Holds src to the architecture. Every rule is shown twice: it finds nothing in the sources, and it finds a violation
 * planted in a copy of one, because a rule that cannot fail protects nothing.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { describe, expect, test } from "vitest";
import { AMBIENT, RULES } from "./support/architecture-rules.ts";
import { type SourceFile, sourceFile } from "./support/source-text.ts";

const ROOT = join(import.meta.dirname, "..");

function sources(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) =>
      sourceFile(relative(ROOT, path).split(sep).join("/"), readFileSync(path, "utf8")),
    );
}

const OPENING = "/** Decides a thing. Assumes nothing. */\n";
const lines = (count: number) => "export const x = 1;\n".repeat(count);

/** For each rule, small worlds it must object to: path → text. */
const PLANTED: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>> = {
  "each file imports only what its layer allows": [
    { "src/base/a.ts": 'import { b } from "../core/b.ts";', "src/core/b.ts": "" },
    { "src/core/a.ts": 'import type { B } from "../ports/b.ts";', "src/ports/b.ts": "" },
    { "src/core/a.ts": 'import { create } from "@bufbuild/protobuf";' },
    { "src/lanes/a.ts": 'import { b } from "../journal/b.ts";', "src/journal/b.ts": "" },
    { "src/journal/a.ts": 'import { readFile } from "node:fs/promises";' },
    { "src/journal/a.ts": 'import { RocksLevel } from "@nxtedition/rocksdb";' },
    { "src/engine/a.ts": 'export async function f() { return await import("../server/b.ts"); }' },
    { "src/server/a.ts": 'import { b } from "../adapters/b.ts";' },
    { "src/config/a.ts": 'import { b } from "../ports/b.ts";' },
    { "src/server/a.ts": 'import type { B } from "../journal/b.ts";' },
    { "src/adapters/a.ts": 'import { b } from "../engine/b.ts";' },
    { "src/cli/a.ts": 'import {\n  b,\n} from "../engine/b.ts";' },
    { "src/sdk/a.ts": 'new Worker(new URL("../engine/b.ts", import.meta.url));' },
    { "src/elsewhere/a.ts": 'import type { B } from "../base/b.ts";' },
  ],
  "ports hold no code": [
    { "src/ports/a.ts": "export const limit = 3;" },
    { "src/ports/a.ts": 'import { b } from "../base/b.ts";' },
  ],
  "base and core are pure": [
    { "src/base/a.ts": "export async function f() {}" },
    { "src/base/a.ts": "export const f = (): Promise<void> => g();" },
    { "src/core/a.ts": "export const now = new Date(0);" },
    { "src/core/a.ts": "export const r = Math.random();" },
    { "src/core/a.ts": "setTimeout(f, 1);" },
    { "src/core/a.ts": "export const home = process.env;" },
    { "src/core/a.ts": "console.log(`${1}`);" },
    { "src/core/a.ts": "export const now = `${performance.now()}`;" },
  ],
  "only the host touches time, timers and randomness": [
    { "src/engine/a.ts": "export const now = Date.now();" },
    { "src/engine/a.ts": "export const now = new Date();" },
    { "src/server/a.ts": "const s = AbortSignal.timeout(5);" },
    { "src/adapters/a.ts": "setInterval(f, 5);" },
    { "src/adapters/a.ts": 'import { setTimeout as sleep } from "node:timers/promises";' },
    { "src/cli/a.ts": 'import { randomUUID } from "node:crypto";' },
  ],
  "each package has one importer": [
    {
      "src/adapters/a.ts": 'import pino from "pino";',
      "src/cli/b.ts": 'import type { Logger } from "pino";',
    },
    {
      "src/adapters/a.ts": 'createRequire(import.meta.url)("x/binding.js");',
      "src/adapters/b.ts": 'const x = require("x");',
    },
    { "src/adapters/a.ts": 'import "@x/y/z";', "src/adapters/b.ts": 'import "@x/y";' },
  ],
  "there are no import cycles": [
    {
      "src/base/a.ts": 'import "./b.ts";',
      "src/base/b.ts": 'import "./c.ts";',
      "src/base/c.ts": 'import type { A } from "./a.ts";',
    },
    { "src/base/a.ts": 'import "./a.ts";' },
  ],
  "there are no dead files": [
    {
      "src/main.ts": 'import "./base/a.ts";',
      "src/base/a.ts": "",
      "src/base/b.ts": 'import "./a.ts";',
    },
  ],
  "imports name existing files": [
    { "src/base/a.ts": 'import { b } from "./b.js";', "src/base/b.ts": "" },
  ],
  "started files are found in a build": [
    {
      "src/adapters/a.ts": 'const u = new URL("./b.ts", import.meta.url);',
      "src/adapters/b.ts": "",
    },
  ],
  "there are no barrels": [
    { "src/base/a.ts": 'export * from "./b.ts";' },
    { "src/base/a.ts": 'export { b } from "./b.ts";' },
    { "src/base/a.ts": 'export type { B } from "./b.ts";' },
    { "src/base/index.ts": "" },
  ],
  "there are no default exports": [
    { "src/base/a.ts": "export default 1;" },
    { "src/base/a.ts": "export { a as default };" },
  ],
  "files are named after what they decide": [
    { "src/base/utils.ts": "" },
    { "src/helpers/a.ts": "" },
    { "src/base/camelCase.ts": "" },
  ],
  "files stay small": [{ "src/base/a.ts": lines(501) }],
  "files open by saying why they exist": [
    { "src/base/a.ts": lines(1) },
    { "src/base/a.ts": "/** Only one sentence. */" },
  ],
};

const world = (texts: Readonly<Record<string, string>>) =>
  Object.entries(texts).map(([path, text]) => sourceFile(path, text));

const all = [...sources("src"), ...sources("gen")];

describe.each(Object.entries(RULES))("%s", (name, rule) => {
  test("holds in src", () => {
    expect(rule(all)).toEqual([]);
  });

  test.each(PLANTED[name] ?? [{}])("objects to %o", (texts) => {
    expect(rule(world(texts))).not.toEqual([]);
  });
});

describe("no rule objects to", () => {
  test.each([
    [
      "words in comments",
      "/** The clock, Date.now(), is not read here. Nor is Math.random(). */\n// new Date()",
    ],
    ["words in strings", `${OPENING}export const s = "Date.now()" + 'async';`],
    [
      "words in templates",
      `${OPENING}export const s = \`setTimeout \${"await"} import x from "pino";\`;`,
    ],
    ["words in regular expressions", `${OPENING}export const r = /["'\`]async Date/.test(x);`],
    ["a quote in a regular expression", `${OPENING}export const r = [/[/"]/, /\\//]; // async`],
    [
      "a thread that is started by extension",
      `${OPENING}const e = "ts"; export const u = new URL(\`./b.\${e}\`, import.meta.url);`,
    ],
    [
      "a thread that is started from sources and from a build",
      `${OPENING}export const u = new URL(import.meta.url.endsWith(".ts") ? "./b.ts" : "./b.js", import.meta.url);`,
    ],
    ["division", `${OPENING}export const r = (a) / b / c; // async /`],
    [
      "imports shown in a template",
      `${OPENING}export const s = \`\nimport x from "pino";\nimport("yaml");\n\`;`,
    ],
  ])("%s", (_what, text) => {
    const files = world({
      "src/main.ts": `${OPENING}import "./base/a.ts";`,
      "src/base/a.ts": text,
      ...(text.includes("import.meta.url") ? { "src/base/b.ts": OPENING } : {}),
    });
    const found = Object.values(RULES).flatMap((rule) => rule(files));
    expect(found).toEqual([]);
  });
});

test("files excused from the rule on ambient time exist and say why", () => {
  for (const [path, reason] of Object.entries(AMBIENT)) {
    expect(all.map((file) => file.path)).toContain(path);
    expect(reason.split(" ").length).toBeGreaterThan(3);
  }
});
