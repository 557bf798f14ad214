/**
 * The command line as people use it: the real launcher, real processes, real signals, a real terminal where that
 * matters. Only what unit tests cannot show is here.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { GoclawProcess, StartOptions } from "../support/goclaw-process.ts";
import { GOCLAW, goclaw, GoclawProcess as Process, start } from "../support/goclaw-process.ts";

/** A directory that is gone after the test, with these files. */
function directory(files: Readonly<Record<string, string>> = {}): string {
  const dir = mkdtempSync(join(tmpdir(), "goclaw-cli-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

const SLEEPER = "name: sleeper\ntasks:\n  - { id: nap, agent: sleep, input: { ms: 600000 } }\n";
const ECHO = "name: parrot\ntasks:\n  - { id: say, agent: echo, lane: io }\n";
const FAILING = `name: failing
tasks:
  - { id: try, agent: fail, input: { times: 9, message: "no luck" }, retry: { max_attempts: 1 } }
`;

/** A daemon on a free port; resolves once it listens. */
async function serve(
  words: readonly string[],
  options: StartOptions,
): Promise<{ daemon: GoclawProcess; server: string }> {
  const daemon = start(["serve", "--listen", "127.0.0.1:0", ...words], options);
  const [, server = ""] = await daemon.until(/listening on (http:\/\/127\.0\.0\.1:\d+)\n/);
  return { daemon, server };
}

function lastEvent(stdout: string): unknown {
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}

test("an old Node.js is refused in one line", async () => {
  const old = "Object.defineProperty(process,'version',{value:'v20.19.5'})";
  const main = join(import.meta.dirname, "../../src/main.ts");
  const words = ["--import", `data:text/javascript,${old}`, main, "version"];
  expect(await new Process(process.execPath, words, {}).ended).toEqual({
    exit: 1,
    stdout: "",
    stderr: "goclaw: needs Node.js 22.18 or newer, or 24; this is v20.19.5\n",
  });
});

describe("a project from nothing", () => {
  test("init, validate, plan and run", async () => {
    const cwd = directory();
    expect((await goclaw(["init"], { cwd })).exit).toBe(0);
    expect(await goclaw(["validate", "workflow.yaml"], { cwd })).toMatchObject({
      exit: 0,
      stdout: "workflow.yaml: starter is valid, 3 tasks\n",
    });
    const plan = await goclaw(["plan", "workflow.yaml"], { cwd });
    expect(plan.stdout).toContain("hot path  split → measure → summary");
    const run = await goclaw(["run", "workflow.yaml"], { cwd });
    expect(run.stderr).toBe("");
    expect(run.exit).toBe(0);
    expect(lastEvent(run.stdout)).toMatchObject({
      type: "TASK_EVENT_TYPE_RUN_COMPLETED",
      output: { summary: { paragraphs: 3, words: 51 } },
    });
    const again = await goclaw(["init"], { cwd });
    expect(again.exit).toBe(2);
    expect(again.stderr).toContain("nothing was written");
  });

  test("a terminal sees the tasks drawn, in colour unless NO_COLOR is set", async () => {
    const cwd = directory({ "workflow.yaml": ECHO });
    const inTerminal = (
      env: Record<string, string>,
    ): Promise<{ exit: number | string; stdout: string }> =>
      new Process("script", ["-qec", `${GOCLAW} run workflow.yaml --input '"hi"'`, "/dev/null"], {
        cwd,
        env: { TERM: "xterm", ...env },
      }).ended;
    const coloured = await inTerminal({});
    expect(coloured.stdout).toContain("\u001b[32m✔");
    expect(coloured.stdout).toMatch(/parrot.*completed/);
    expect(coloured.exit).toBe(0);
    expect(coloured.stdout).toContain('{\r\n  "say": "hi"\r\n}');
    const plain = await inTerminal({ NO_COLOR: "1" });
    expect(plain.stdout).toMatch(/✔ say/);
    expect(plain.stdout).not.toContain("\u001b[0m");
  });
});

describe("exit codes", () => {
  test("a failed run is 1", async () => {
    const cwd = directory({ "workflow.yaml": FAILING });
    const { exit, stdout } = await goclaw(["run", "workflow.yaml", "--plain"], { cwd });
    expect(exit).toBe(1);
    expect(stdout.trim().split("\n").at(-1)).toMatch(/^failed at task try: .*no luck/);
  });

  test("an invalid definition is 2, with every problem in its place", async () => {
    const cwd = directory({
      "bad.yaml":
        "name: bad\ntasks:\n  - { id: a, agnt: echo }\n  - { id: b, agent: echo, deps: [c] }\n",
    });
    const { exit, stderr } = await goclaw(["validate", "bad.yaml"], { cwd });
    expect(exit).toBe(2);
    expect(stderr).toMatch(/^bad\.yaml:3:\d+ tasks\[0\]\.agnt: /m);
    expect(stderr).toMatch(/^bad\.yaml:4:\d+ tasks\[1\]\.deps\[0\]: /m);
    expect((await goclaw(["run", "bad.yaml"], { cwd })).exit).toBe(2);
  });

  test("an agent nobody has is refused by name", async () => {
    const cwd = directory({ "workflow.yaml": ECHO.replace("agent: echo", "agent: ecko") });
    const { exit, stderr, stdout } = await goclaw(["run", "workflow.yaml"], { cwd });
    expect(stderr).toMatch(/ecko.*\n*.*did you mean "echo"/i);
    expect(stderr).not.toMatch(/\n {4}at /);
    expect([exit, stdout]).toEqual([2, ""]);
  });

  test("a wrong configuration is 2, from file and environment alike", async () => {
    const cwd = directory({
      "goclaw.yaml": "listne: 127.0.0.1:1\nlanes:\n  named: { io: { concurrency: 0 } }\n",
    });
    const { exit, stderr } = await goclaw(["serve"], { cwd, env: { GOCLAW_DRAIN_TIMOUT: "1s" } });
    expect(exit).toBe(2);
    expect(stderr).toMatch(
      /^goclaw\.yaml:1:1 listne: unknown key "listne"\. Did you mean "listen"\?/,
    );
    expect(stderr).toMatch(/^goclaw\.yaml:3:\d+ lanes\.named\.io\.concurrency: 0 is not valid/m);
    expect(stderr).toMatch(
      /environment GOCLAW_DRAIN_TIMOUT: .*Did you mean "GOCLAW_DRAIN_TIMEOUT"\?/,
    );
    expect((await goclaw(["serve", "--config", "none.yaml"], { cwd })).exit).toBe(2);
    expect((await goclaw(["serve", "--agents", "none"], { cwd: directory() })).stderr).toContain(
      "is not a directory",
    );
  });

  test("other machines are let in only on purpose", async () => {
    const refused = await goclaw(["serve", "--listen", "0.0.0.0:0"], { cwd: directory() });
    expect(refused.exit).toBe(2);
    expect(refused.stderr).toContain("--insecure");
  });

  test("no daemon is 3, in one line", async () => {
    const { exit, stderr } = await goclaw(["list", "--server", "http://127.0.0.1:9"]);
    expect(exit).toBe(3);
    expect(stderr).toBe(
      "goclaw: no daemon answers at http://127.0.0.1:9. Start one with `goclaw serve`, or name another with --server.\n",
    );
  });
});

describe("a daemon", () => {
  test("runs, shows, steers and remembers", async () => {
    const cwd = directory({ "sleeper.yaml": SLEEPER, "parrot.yaml": ECHO });
    const { daemon, server } = await serve(["--data", "data"], { cwd });
    const options = { cwd, env: { GOCLAW_SERVER: server } };
    const call = (...words: string[]) => goclaw(words, options);

    expect((await call("version", "--server", server)).stdout).toMatch(/ready\n$/);
    expect((await call("agents")).stdout).toMatch(/^echo /m);

    const ran = await call(
      "run",
      "parrot.yaml",
      "--server",
      server,
      "--input",
      '{"x":1}',
      "--label",
      "team=a",
    );
    expect(lastEvent(ran.stdout)).toMatchObject({ output: { say: { x: 1 } } });
    const runId = /"runId":"(\w{26})"/.exec(ran.stdout)?.[1] ?? "";

    const nap = (await call("submit", "sleeper.yaml")).stdout.trim();
    expect((await call("list", "--label", "team=a")).stdout).toMatch(
      new RegExp(`^${runId}  parrot  +completed`, "m"),
    );
    expect((await call("list", "--state", "running", "--json")).stdout).toContain(nap);
    expect((await call("get", runId)).stdout).toMatch(/✔ say +echo +completed/);
    const unknown = await call("get", "01JD0000000000000000000000");
    expect([unknown.exit, unknown.stderr]).toEqual([
      1,
      expect.stringMatching(/^goclaw: RUN_NOT_FOUND: .*\n$/),
    ]);

    const watching = start(["watch", nap, "--plain"], options);
    await watching.until(/task_started +nap/);
    expect((await call("signal", nap, "nap", "--text", "hello")).stdout).toMatch(/^nap +\w+ /);
    await watching.until(/signal_accepted +nap/);

    expect((await call("lanes", "pause", "io")).stdout).toContain("paused");
    expect((await call("lanes", "resize", "io", "3")).stdout).toMatch(/0\/3/);
    expect((await call("lanes", "resume", "io")).stdout).not.toContain("paused");
    const lane = await call("lanes", "pause", "ioo");
    expect([lane.exit, lane.stderr]).toEqual([1, expect.stringContaining('did you mean "io"?')]);

    expect((await call("definitions", "register", "parrot.yaml")).exit).toBe(0);
    const byName = (await call("submit", "parrot")).stdout.trim();
    expect((await call("watch", byName)).exit).toBe(0);

    expect((await call("cancel", nap, "--reason", "enough")).exit).toBe(0);
    expect((await watching.ended).exit).toBe(1);
    expect(watching.stdout).toMatch(/cancelled/);

    daemon.signal("SIGTERM");
    expect((await daemon.ended).exit).toBe(0);

    const restarted = await serve(["--data", "data"], { cwd });
    const list = await goclaw(["list", "--server", restarted.server, "--json"], { cwd });
    expect(list.stdout).toContain(runId);
    expect(list.stdout).toContain(nap);
  });

  test("finishes running attempts when told to stop, and leaves at once when told twice", async () => {
    const cwd = directory({
      "short.yaml": "name: short\ntasks:\n  - { id: nap, agent: sleep, input: { ms: 1500 } }\n",
      "sleeper.yaml": SLEEPER,
    });
    const first = await serve(["--data", "data"], { cwd });
    const on =
      (server: string) =>
      (...words: string[]) =>
        goclaw([...words, "--server", server], { cwd });
    const short = (await on(first.server)("submit", "short.yaml")).stdout.trim();
    const watching = start(["watch", short, "--plain", "--server", first.server], { cwd });
    await watching.until(/task_started/);
    first.daemon.signal("SIGTERM");
    await first.daemon.until(/finishing running attempts/, "stderr");
    const refused = await on(first.server)("submit", "short.yaml");
    expect(refused.exit).not.toBe(0);
    expect((await first.daemon.ended).exit).toBe(0);

    const second = await serve(["--data", "data"], { cwd });
    expect((await on(second.server)("watch", short)).exit).toBe(0);
    const { tasks } = JSON.parse((await on(second.server)("get", short, "--json")).stdout);
    expect(tasks).toMatchObject([{ state: "TASK_STATE_COMPLETED", attempt: 1 }]);
    const nap = (await on(second.server)("submit", "sleeper.yaml")).stdout.trim();
    const napping = start(["watch", nap, "--plain", "--server", second.server], { cwd });
    await napping.until(/task_started/);
    second.daemon.signal("SIGTERM");
    await second.daemon.until(/finishing running attempts/, "stderr");
    second.daemon.signal("SIGTERM");
    expect((await second.daemon.ended).exit).toBe(143);
  });

  test("a second one on the same directory is told so", async () => {
    const cwd = directory();
    await serve(["--data", "data"], { cwd });
    const second = await goclaw(["serve", "--listen", "127.0.0.1:0", "--data", "data"], { cwd });
    expect(second.exit).toBe(1);
    expect(second.stderr).toMatch(/goclaw: STORE_LOCKED: /);
    expect(second.stderr).not.toMatch(/\n {4}at /);
  });
});

describe("an engine for one run", () => {
  test("Ctrl-C cancels the run", async () => {
    const cwd = directory({ "workflow.yaml": SLEEPER });
    const run = start(["run", "workflow.yaml", "--plain"], { cwd });
    await run.until(/task_started/);
    run.signal("SIGINT");
    const { exit, stdout } = await run.ended;
    expect(stdout).toMatch(/cancelled/);
    expect(exit).toBe(1);
  });

  test("with --data the run is kept", async () => {
    const cwd = directory({ "workflow.yaml": ECHO });
    const run = await goclaw(["run", "workflow.yaml", "--data", "data", "--input", "-"], {
      cwd,
      input: "[1,2]",
    });
    expect(lastEvent(run.stdout)).toMatchObject({ output: { say: [1, 2] } });
    const { server } = await serve(["--data", "data"], { cwd });
    expect((await goclaw(["list", "--server", server], { cwd })).stdout).toContain("parrot");
  });
});
