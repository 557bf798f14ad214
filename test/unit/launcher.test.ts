/**
 * Runs `bin/goclaw` as a user's shell does, in a copy beside a stand-in program, so that what is seen is the launcher:
 * which Node.js it takes, which program it starts, and that it gets out of the way.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const BIN = join(import.meta.dirname, "../../bin");
const PROGRAM = `
console.log(JSON.stringify({
  file: import.meta.filename, args: process.argv.slice(2), flags: process.execArgv, pid: process.pid,
}));
process.exitCode = 7;
`;

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "goclaw-launcher-"));
  cpSync(BIN, join(root, "bin"), { recursive: true });
});

afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string, mode = 0o644): string {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text, { mode });
  return join(root, path);
}

/** A directory for PATH with the tools the launcher needs and, if told so, a `node` of some version. */
function pathWith(nodeVersion?: string): string {
  const path = join(root, "path");
  mkdirSync(path);
  for (const tool of ["sh", "dirname", "readlink"]) {
    symlinkSync(
      execFileSync("/bin/sh", ["-c", `command -v ${tool}`], { encoding: "utf8" }).trim(),
      join(path, tool),
    );
  }
  if (nodeVersion !== undefined) write("path/node", `#!/bin/sh\necho ${nodeVersion}\n`, 0o755);
  return path;
}

interface Outcome {
  readonly status: number | null;
  readonly stderr: string;
  readonly stdout: string;
  readonly pid: number;
}

function launch(
  command: string,
  env: Record<string, string>,
  args: readonly string[] = [],
): Outcome {
  return spawnSync(command, args, { cwd: tmpdir(), env, encoding: "utf8" });
}

const thisNode = { GOCLAW_NODE: process.execPath };

describe("the program", () => {
  test("is src/main.ts in a checkout, with the condition that resolves the package to its sources", () => {
    const main = write("src/main.ts", `const typed: number = 1;\nvoid typed;\n${PROGRAM}`);
    write("dist/src/main.js", "throw new Error('stale build')");
    const { status, stdout, stderr } = launch(
      join(root, "bin/goclaw"),
      { ...thisNode, PATH: pathWith() },
      ["run", "a b"],
    );
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toMatchObject({ file: main, args: ["run", "a b"] });
    expect(JSON.parse(stdout).flags).toContain("--conditions=goclaw-source");
    expect(status).toBe(7);
  });

  test("is dist/src/main.js in an installed package", () => {
    write("package.json", '{"type":"module"}');
    const main = write("dist/src/main.js", PROGRAM);
    const { status, stdout } = launch(join(root, "bin/goclaw"), { ...thisNode, PATH: pathWith() });
    expect(JSON.parse(stdout)).toMatchObject({ file: main, args: [] });
    expect(JSON.parse(stdout).flags).not.toContain("--conditions=goclaw-source");
    expect(status).toBe(7);
  });

  test("is found through relative and absolute links", () => {
    const main = write("src/main.ts", PROGRAM);
    mkdirSync(join(root, "links"));
    symlinkSync("../bin/goclaw", join(root, "links/first"));
    symlinkSync(join(root, "links/first"), join(root, "links/second"));
    const { stdout } = launch(join(root, "links/second"), { ...thisNode, PATH: pathWith() });
    expect(JSON.parse(stdout)).toMatchObject({ file: main });
  });

  test("replaces the launcher, so that signals reach it", () => {
    write("src/main.ts", PROGRAM);
    const { stdout, pid } = launch(join(root, "bin/goclaw"), { ...thisNode, PATH: pathWith() });
    expect(JSON.parse(stdout)).toMatchObject({ pid });
  });
});

describe("Node.js", () => {
  test.each([
    ["v22.18.0", true],
    ["v22.21.1", true],
    ["v24.0.0", true],
    ["v26.3.1", true],
    ["v20.20.2", false],
    ["v22.17.1", false],
    ["v23.11.0", false],
    ["what?", false],
  ])("%s is fit: %s", (version, fit) => {
    const PATH = pathWith(version);
    const { status, stdout } = launch(join(root, "bin/find-node"), { PATH });
    expect({ status, stdout }).toEqual(
      fit ? { status: 0, stdout: `${join(PATH, "node")}\n` } : { status: 1, stdout: "" },
    );
  });

  test("of $GOCLAW_NODE comes first, then the fetched one, then the one on PATH", () => {
    const PATH = pathWith("v24.1.0");
    const fetched = write(".node/node_modules/node/bin/node", "#!/bin/sh\necho v24.2.0\n", 0o755);
    const named = write("named/node", "#!/bin/sh\necho v24.3.0\n", 0o755);
    const found = (env: Record<string, string>) =>
      execFileSync("readlink", ["-f", launch(join(root, "bin/find-node"), env).stdout.trim()], {
        encoding: "utf8",
      }).trim();
    expect(found({ PATH, GOCLAW_NODE: named })).toBe(named);
    expect(found({ PATH })).toBe(fetched);
    rmSync(fetched);
    expect(found({ PATH })).toBe(join(PATH, "node"));
  });

  test.each([
    ["too old", "v20.20.2", "found: v20.20.2"],
    ["missing", undefined, "found: none"],
  ])("%s is refused in one line that names the remedy", (_what, version, found) => {
    write("src/main.ts", PROGRAM);
    const { status, stdout, stderr } = launch(join(root, "bin/goclaw"), {
      PATH: pathWith(version),
    });
    expect(status).toBe(1);
    expect(stdout).toBe("");
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(stderr).toContain(found);
    expect(stderr).toContain("make setup");
  });
});
