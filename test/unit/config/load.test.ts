import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { FaultError } from "../../../src/base/fault.ts";
import type { ConfigRequest } from "../../../src/config/load.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { Config } from "../../../src/config.ts";

function directory(files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), "goclaw-config-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

function load(dir: string, request: Partial<ConfigRequest> = {}): Config {
  return loadConfig({ baseDir: dir, workingDir: dir, environment: {}, flags: {}, ...request });
}

function refusal(dir: string, request: Partial<ConfigRequest> = {}): string {
  try {
    load(dir, request);
  } catch (error) {
    if (error instanceof FaultError && error.fault.code === "CONFIG_INVALID") {
      return error.fault.violations
        .map(({ source, line, field, message }) => [source, line, field, message].join("|"))
        .join("\n");
    }
    throw error;
  }
  throw new Error("the configuration was accepted");
}

test("without any source the defaults hold", () => {
  const dir = directory({});
  expect(load(dir)).toMatchObject({ data: join(dir, "goclaw-data"), agents: [] });
});

test("the file of the base directory is found, in any of its spellings", () => {
  for (const [name, text] of [
    ["goclaw.yaml", "drainTimeout: 7s"],
    ["goclaw.yml", "drainTimeout: 7s"],
    ["goclaw.json", '{"drainTimeout": "7s"}'],
  ] as const) {
    expect(load(directory({ [name]: text })).drainTimeoutMs).toBe(7_000);
  }
});

test("a named file wins over the found one, a flag over the variable", () => {
  const dir = directory({
    "goclaw.yaml": "drainTimeout: 1s",
    "variable.yaml": "drainTimeout: 2s",
    "flag.yaml": "drainTimeout: 3s",
  });
  const environment = { GOCLAW_CONFIG: "variable.yaml" };
  expect(load(dir).drainTimeoutMs).toBe(1_000);
  expect(load(dir, { environment }).drainTimeoutMs).toBe(2_000);
  expect(load(dir, { environment, file: "flag.yaml" }).drainTimeoutMs).toBe(3_000);
});

test("file, environment and flags win in this order", () => {
  const dir = directory({ "goclaw.yaml": "listen: 127.0.0.1:1\ndata: f\ndrainTimeout: 1s" });
  const config = load(dir, {
    environment: { GOCLAW_LISTEN: "127.0.0.1:2", GOCLAW_DATA: "e" },
    flags: { listen: "127.0.0.1:3" },
  });
  expect([config.listen.port, config.data, config.drainTimeoutMs]).toEqual([
    3,
    join(dir, "e"),
    1_000,
  ]);
});

test("an agents directory is used only when nobody says anything about agents", () => {
  const dir = directory({ "agents/a.mjs": "", "other/b.mjs": "" });
  expect(load(dir).agents).toEqual([join(dir, "agents")]);
  expect(load(dir, { flags: { agents: ["other"] } }).agents).toEqual([join(dir, "other")]);
  writeFileSync(join(dir, "goclaw.yaml"), "agents: []");
  expect(load(dir).agents).toEqual([]);
});

test("defaults come from the base directory, relative flags count from the working directory", () => {
  const base = directory({ "goclaw.yaml": "data: kept", "agents/a.mjs": "" });
  const workingDir = directory({ "mine/a.mjs": "" });
  const config = load(base, { workingDir, flags: { agents: ["mine"] } });
  expect([config.data, config.agents]).toEqual([join(base, "kept"), [join(workingDir, "mine")]]);
  expect(load(base, { workingDir }).agents).toEqual([join(base, "agents")]);
});

test("environment variables match lanes of the file without case", () => {
  const dir = directory({ "goclaw.yaml": "lanes: { named: { Big-Lane: { capacity: 5 } } }" });
  const { lanes } = load(dir, { environment: { GOCLAW_LANES__NAMED__BIG_LANE__CONCURRENCY: "9" } });
  expect(lanes.named.at(-1)).toMatchObject({ name: "Big-Lane", capacity: 5, concurrency: 9 });
});

test("what is wrong is named as people would write it", () => {
  const dir = directory({ "goclaw.yaml": "store: x\nlanes:\n  nmed: {}\n", "broken.yaml": "a: [" });
  expect(refusal(dir)).toBe(
    'goclaw.yaml|1|store|"x" is not valid\ngoclaw.yaml|3|lanes.nmed|unknown key "nmed"',
  );
  expect(refusal(dir, { file: "broken.yaml" })).toMatch(/^broken\.yaml\|\d+\|/);
  expect(refusal(dir, { file: "none.yaml" })).toMatch(/^none\.yaml\|\|\|cannot be read: ENOENT/);
  expect(refusal(dir, { workingDir: "/" })).toContain(`${dir.slice(1)}/goclaw.yaml|1|store`);
  expect(refusal(directory({}), { flags: { agents: ["nope"] } })).toMatch(
    /agents\|.*nope is not a directory/,
  );
  expect(refusal(directory({}), { flags: { listen: "0.0.0.0:1" } })).toMatch(
    /^command line\|\|--listen\|0\.0\.0\.0 can be reached/,
  );
});
