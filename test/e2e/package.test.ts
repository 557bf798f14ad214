/**
 * Builds the package and uses it as a stranger's project does: through `node_modules/.bin` and through `import "goclaw"`,
 * with plain JavaScript only. Threads, native stores and import paths must survive the build, which nothing that runs
 * from the sources can show.
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };

const ROOT = join(import.meta.dirname, "../..");

let project: string;

function run(command: string, args: readonly string[], cwd: string) {
  const { NODE_OPTIONS: _conditions, ...environment } = process.env;
  return spawnSync(command, args, { cwd, env: environment, encoding: "utf8", timeout: 100_000 });
}

beforeAll(() => {
  const home = mkdtempSync(join(tmpdir(), "goclaw-package-"));
  const installed = join(home, "goclaw");
  const built = run(
    join(ROOT, "node_modules/.bin/tsc"),
    ["-p", "tsconfig.build.json", "--outDir", join(installed, "dist")],
    ROOT,
  );
  expect(built.stdout).toBe("");
  for (const path of manifest.files.filter((path) => path !== "dist").concat("package.json")) {
    cpSync(join(ROOT, path), join(installed, path), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(installed, "node_modules"));

  project = join(home, "project");
  mkdirSync(join(project, "node_modules/.bin"), { recursive: true });
  symlinkSync(installed, join(project, "node_modules/goclaw"));
  symlinkSync("../goclaw/bin/goclaw", join(project, "node_modules/.bin/goclaw"));
  mkdirSync(join(project, "agents"));
  writeFileSync(
    join(project, "agents/double.mjs"),
    'export const double = { name: "double", run: (input) => ({ twice: input.number * 2 }) };\n',
  );
  writeFileSync(
    join(project, "flow.yaml"),
    "name: flow\ntasks:\n  - { id: start, agent: echo }\n  - { id: twice, agent: double, deps: [start], input: { number: '{{start.number}}' } }\n",
  );
});

afterAll(() => rmSync(join(project, ".."), { recursive: true }));

test("the installed command says its version", () => {
  const { status, stdout, stderr } = run("node_modules/.bin/goclaw", ["version"], project);
  expect(status, stderr).toBe(0);
  expect(stdout).toContain(manifest.version);
});

test("the installed command runs a workflow with a plugin agent in its thread", () => {
  const args = ["run", "flow.yaml", "--input", '{"number":21}', "--agents", "agents", "--json"];
  const { status, stdout, stderr } = run("node_modules/.bin/goclaw", args, project);
  expect(status, stderr).toBe(0);
  expect(stdout).toContain('"twice":42');
});

test("the import offers what the sources offer", async () => {
  const script = 'console.log(JSON.stringify(Object.keys(await import("goclaw")).sort()))';
  const { status, stdout, stderr } = run(
    process.execPath,
    ["--input-type=module", "-e", script],
    project,
  );
  expect(status, stderr).toBe(0);
  expect(JSON.parse(stdout)).toEqual(Object.keys(await import("goclaw")).sort());
});

test("the declarations type a project that uses the package", () => {
  writeFileSync(
    join(project, "use.ts"),
    'import * as goclaw from "goclaw";\nexport const api: object = goclaw;\n',
  );
  const options = [
    "--ignoreConfig",
    "--noEmit",
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--types",
    "",
  ];
  const { status, stdout } = run(
    join(ROOT, "node_modules/.bin/tsc"),
    [...options, "use.ts"],
    project,
  );
  expect(status, stdout).toBe(0);
});

test("the package carries no sources that would shadow the build", () => {
  expect(existsSync(join(project, "node_modules/goclaw/src"))).toBe(false);
});
