/** Which files are agents, and what happens when they change while attempts run. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { faultMessage } from "../../../../src/base/fault.ts";
import { outputOf, steer } from "../../../support/attempts.ts";
import { type PluginRig, pluginRig } from "../../../support/plugin-rig.ts";

let rig: PluginRig;

afterEach(() => rig.close());

const open = async (...args: Parameters<typeof pluginRig>) => {
  rig = await pluginRig(...args);
};

/** A module with one agent that returns a constant. */
const returning = (name: string, value: unknown) =>
  `export const agent = { name: "${name}", run: () => (${JSON.stringify(value)}) };`;

/** A module with one agent that waits for a signal, then returns a constant. */
const waiting = (name: string, value: unknown) => `
export const agent = { name: "${name}", run: async (_, ctx) => {
  ctx.progress(1);
  while (ctx.signals().length === 0) await new Promise((resolve) => setImmediate(resolve));
  return ${JSON.stringify(value)};
} };`;

const names = () =>
  rig.transport
    .agents()
    .map(({ name }) => name)
    .sort();
const problems = () => rig.transport.problems().map(faultMessage);

const finish = (key: string) => {
  rig.transport.signal(key, steer("s", "go on"));
  return rig.recorder.finished(key);
};

describe("loading", () => {
  test("takes every module of the directory, in any of the three languages", async () => {
    await open({
      "typed.ts": `
        import type { Whatever } from "./types.d.ts";
        interface Input { readonly n: number }
        export const typed = { name: "typed", run: ({ n }: Input): Whatever => n + 1 };`,
      "plain.js": "exports.plain = { name: 'plain', run: () => 'commonjs' };",
      "module.mjs":
        'import { shared } from "./lib/shared.mjs"; export const a = shared, b = shared;',
      "lib/shared.mjs": returning("shared", 1).replace("agent", "shared"),
      "types.d.ts": "export type Whatever = number;",
      "typed.test.ts": "throw new Error('tests are not agents');",
      ".hidden.mjs": "throw new Error('hidden');",
      "node_modules/x/index.js": "throw new Error('dependency');",
      "notes.md": "# not code",
    });
    expect(problems()).toEqual([]);
    expect(names()).toEqual(["plain", "shared", "typed"]);
    expect(outputOf(await rig.run("typed", { n: 1 }))).toBe(2);
    expect(outputOf(await rig.run("plain"))).toBe("commonjs");
  });

  test("takes what agents say about themselves, and versions others by their content", async () => {
    const text = `
      export const full = { name: "full", run() {}, version: "1.2", cost: 2, timeoutMs: 50, inputSchema: { type: "null" } };
      export const bare = { name: "bare", run() {} };
      export const helper = () => 1, settings = { name: "not an agent" };`;
    await open({ "a.mjs": text });
    const source = join(rig.directory, "a.mjs");
    const [full, bare] = ["full", "bare"].map((name) =>
      rig.transport.agents().find((agent) => agent.name === name),
    );
    expect(full).toEqual({
      name: "full",
      version: "1.2",
      transport: "plugin",
      source,
      cost: 2,
      timeoutMs: 50,
      inputSchema: { type: "null" },
    });
    const version = rig.host.sha256(text).slice(0, 8);
    expect(bare).toEqual({ name: "bare", version, transport: "plugin", source });
    expect(names()).toEqual(["bare", "full"]);
  });

  test("reports what is wrong and serves the rest", async () => {
    await open({
      "a-broken.mjs": "export const x = ;",
      "b-throws.mjs": "throw new Error('at the top');",
      "c-shape.mjs": 'export const a = { name: "half", run() {}, cost: 0 };',
      "d-first.mjs": returning("same", "first"),
      "e-second.mjs": returning("same", "second"),
      "f-exits.mjs": "process.exit(1);",
      "g-uncaught.mjs":
        "setImmediate(() => { throw new Error('later'); }); await new Promise(() => {});",
      "h-good.mjs": returning("good", 1),
    });
    const at = (name: string) => join(rig.directory, name);
    expect(names()).toEqual(["good", "same"]);
    expect(problems().sort()).toEqual([
      `agent "same" of ${at("e-second.mjs")} is not loaded: ${at("d-first.mjs")} already has that name`,
      `agents of ${at("a-broken.mjs")} could not be loaded: Unexpected token ';'`,
      `agents of ${at("b-throws.mjs")} could not be loaded: at the top`,
      `agents of ${at("c-shape.mjs")} could not be loaded: agent "half": cost must be a whole number from 1 to 1000`,
      `agents of ${at("f-exits.mjs")} could not be loaded: it called process.exit(1)`,
      `agents of ${at("g-uncaught.mjs")} could not be loaded: it threw where nothing catches it: later`,
    ]);
    expect(outputOf(await rig.run("same"))).toBe("first");
  });

  test("gives up on a module that never ends", async () => {
    await open(
      { "a-loops.mjs": "for (;;);", "b-good.mjs": returning("good", 1) },
      { loadTimeoutMs: 2_500 },
    );
    expect(names()).toEqual(["good"]);
    expect(problems()).toEqual([
      `agents of ${join(rig.directory, "a-loops.mjs")} could not be loaded: it did not load within 2500 ms`,
    ]);
  });

  test("says when the directory cannot be read", async () => {
    await open({}, { directories: ["/nowhere/at/all"] });
    expect(names()).toEqual([]);
    expect(problems()).toEqual([expect.stringContaining("agents of /nowhere/at/all")]);
    expect(await rig.run("anything")).toMatchObject({ kind: "failure" });
  });

  test("runs all threads, each with every module", async () => {
    const text = `import { threadId } from "node:worker_threads"; ${waiting("where", 0).replace("return 0", "return threadId")}`;
    await open({ "a.mjs": text }, { threads: 3 });
    const seen = new Set<unknown>();
    // Threads after the first come up while it serves: keep asking until all three have answered.
    while (seen.size < 3) {
      const keys = await Promise.all([1, 2, 3].map(() => rig.running("where")));
      for (const key of keys) seen.add(outputOf(await finish(key)));
    }
    expect(seen.size).toBe(3);
  });
});

describe("reloading", () => {
  test("gives new attempts the new code and lets running ones finish on the old", async () => {
    await open({ "a.mjs": waiting("agent", "old") });
    const running = await rig.running("agent");
    const before = rig.transport.agents()[0]?.version;
    await rig.write("a.mjs", waiting("agent", "new"));
    await rig.transport.reload();
    const fresh = await rig.running("agent");
    expect(outputOf(await finish(fresh))).toBe("new");
    expect(rig.recorder.outcomes(running)).toEqual([]);
    expect(outputOf(await finish(running))).toBe("old");
    expect(rig.transport.agents()[0]?.version).not.toBe(before);
  });

  test("takes changes in modules below into account", async () => {
    await open({
      "a.mjs":
        'import { value } from "./lib/value.mjs"; export const a = { name: "a", run: () => value };',
      "lib/value.mjs": "export const value = 1;",
    });
    await rig.write("lib/value.mjs", "export const value = 2;");
    await rig.transport.reload();
    expect(outputOf(await rig.run("a"))).toBe(2);
  });

  test("lets the previous version of a broken file serve until it is right again", async () => {
    await open({ "a.mjs": returning("a", "a1"), "b.mjs": returning("b", "b1") });
    const path = await rig.write("a.mjs", "export const a = {");
    await rig.write("b.mjs", returning("b", "b2"));
    await rig.transport.reload();
    expect(problems()).toEqual([`agents of ${path} could not be loaded: Unexpected end of input`]);
    expect(names()).toEqual(["a", "b"]);
    expect(outputOf(await rig.run("a"))).toBe("a1");
    expect(outputOf(await rig.run("b"))).toBe("b2");
    await rig.transport.reload();
    expect(outputOf(await rig.run("a"))).toBe("a1");
    await rig.write("a.mjs", returning("a", "a3"));
    await rig.transport.reload();
    expect(problems()).toEqual([]);
    expect(outputOf(await rig.run("a"))).toBe("a3");
  });

  test("takes a kept version away when its last thread dies", async () => {
    await open({ "a.mjs": 'export const a = { name: "a", run: () => process.exit(1) };' });
    await rig.write("a.mjs", "export const a = {");
    await rig.transport.reload();
    expect(names()).toEqual(["a"]);
    const gone = rig.changed();
    expect(await rig.run("a")).toMatchObject({ message: "the agent called process.exit(1)" });
    await gone;
    expect(names()).toEqual([]);
    expect(await rig.run("a")).toMatchObject({ message: 'no agent "a" is loaded' });
  });

  test("removes agents, lets running ones finish, and can start from nothing again", async () => {
    await open({ "a.mjs": waiting("a", "old") });
    const running = await rig.running("a");
    await rig.remove("a.mjs");
    await rig.transport.reload();
    expect(names()).toEqual([]);
    expect(await rig.run("a")).toMatchObject({ kind: "failure", failure: "retryable" });
    expect(outputOf(await finish(running))).toBe("old");
    await rig.write("b.mjs", returning("b", 1));
    await rig.transport.reload();
    expect(outputOf(await rig.run("b"))).toBe(1);
  });

  test("hands attempts that still wait for a thread to the new code", async () => {
    await open({ "a.mjs": 'export const a = { name: "a", run: () => process.exit(1) };' });
    for (let n = 0; n < 6; n++) await rig.run("a");
    await rig.write("a.mjs", returning("a", "new"));
    const reloaded = rig.transport.reload();
    const waited = rig.start("a");
    await reloaded;
    expect(outputOf(await rig.recorder.finished(waited))).toBe("new");
  });
});

describe("watching", () => {
  const watched = { watch: true, gatherMs: 20 };

  test("loads what is added, changed and removed, and nothing else", async () => {
    await open({}, watched);
    let changed = rig.changed();
    await rig.write("data.json", "{}");
    await rig.write("a.mjs", returning("a", 1));
    await changed;
    expect(outputOf(await rig.run("a"))).toBe(1);

    changed = rig.changed();
    await rig.write("a.mjs", returning("a", "two"));
    await changed;
    expect(outputOf(await rig.run("a"))).toBe("two");

    changed = rig.changed();
    await rig.remove("a.mjs");
    await changed;
    expect(names()).toEqual([]);
  });

  test("loads nothing when no code has changed", async () => {
    await open({ "a.mjs": returning("a", 1) }, { watch: true, gatherMs: 1 });
    await rig.write("data.json", "{}");
    while (!rig.host.delays.includes(1)) await new Promise((resolve) => setImmediate(resolve));
    // A timer that is set later and is longer fires after the one that looks for changes.
    await new Promise<void>((resolve) => rig.host.setTimer(5, resolve));
    await rig.transport.reload();
    const loads = rig.log.lines.filter((line) => line === "info: plugin agents loaded");
    expect(loads).toHaveLength(2);
  });

  test("sees folders that come later, and survives their end", async () => {
    const using = 'import { v } from "./lib/v.mjs"; export const a = { name: "a", run: () => v };';
    await open({ "a.mjs": returning("a", 0) }, watched);
    await rig.write("lib/v.mjs", "export const v = 1;");
    let changed = rig.changed();
    await rig.write("a.mjs", using);
    await changed;
    expect(outputOf(await rig.run("a"))).toBe(1);
    changed = rig.changed();
    await rig.write("lib/v.mjs", "export const v = 22;");
    await changed;
    expect(outputOf(await rig.run("a"))).toBe(22);
    changed = rig.changed();
    await rm(join(rig.directory, "lib"), { recursive: true });
    await changed;
    expect(outputOf(await rig.run("a"))).toBe(22);
    expect(problems()).toHaveLength(1);
  });
});

describe("closing", () => {
  test("while modules are loading ends both", async () => {
    await open({ "a.mjs": returning("a", 1) });
    await rig.write("a.mjs", "await new Promise((resolve) => setTimeout(resolve, 3_600_000));");
    const reloading = rig.transport.reload();
    await rig.transport.close();
    await reloading;
    expect(await rig.run("a")).toMatchObject({ kind: "lost" });
  });
});
