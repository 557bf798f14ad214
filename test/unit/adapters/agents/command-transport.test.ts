/** What programs do wrong, and that nothing of them is left. Real processes, most of them shells. */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { CommandAgent } from "../../../../src/adapters/agents/command-process.ts";
import { CommandTransport } from "../../../../src/adapters/agents/command-transport.ts";
import { SystemHost } from "../../../../src/adapters/system-host.ts";
import type { Outcome } from "../../../../src/core/run/message.ts";
import type { Assignment } from "../../../../src/ports/agent.ts";
import { assignment, ListLog, outputOf, Recorder, steer } from "../../../support/attempts.ts";

let host: SystemHost;
let log: ListLog;
let recorder: Recorder;
let transport: CommandTransport | undefined;

beforeEach(() => {
  host = new SystemHost();
  log = new ListLog();
  recorder = new Recorder();
});

afterEach(async () => {
  await transport?.close();
  host.close();
});

const sh = (script: string): readonly string[] => ["/bin/sh", "-c", script];

async function start(
  command: readonly string[],
  options: Partial<CommandAgent> = {},
  rest: Partial<Assignment> = {},
): Promise<string> {
  const agent: CommandAgent = {
    name: "program",
    command,
    format: "json",
    stdin: "once",
    cwd: "/",
    passEnv: [],
    graceMs: 60_000,
    maxOutputBytes: 1_000,
    ...options,
  };
  transport = new CommandTransport({ agents: [agent] }, { host, log });
  await transport.open(recorder);
  const given = assignment("program", { in: 1 }, rest);
  transport.start(given);
  return given.key;
}

async function run(...args: Parameters<typeof start>): Promise<Outcome> {
  return recorder.finished(await start(...args));
}

const progressOf = (key: string) =>
  recorder.until(([method, k]) => method === "progress" && k === key);

const stop = (key: string, graceMs: number) =>
  transport?.stop(key, { reason: "CANCELLED_BY_USER", graceMs });

describe("output", () => {
  test.each([
    ["JSON, compacted", "echo '{ \"a\": [1,\n 2] }'", {}, { a: [1, 2] }],
    ["nothing", "true", {}, null],
    ["text", 'echo " two "; echo lines', { format: "text" }, "two \nlines"],
    ["no text", "true", { format: "text" }, ""],
  ] as const)("of %s", async (_what, script, options, expected) => {
    expect(outputOf(await run(sh(script), options))).toEqual(expected);
  });

  test("that is not JSON is a failure", async () => {
    expect(await run(sh("echo oops"))).toMatchObject({
      kind: "failure",
      failure: "retryable",
      message: expect.stringContaining("the program's output is not JSON"),
    });
  });

  test("over the cap ends the program", async () => {
    expect(await run(sh("while :; do echo xxxxxxxxxxxxxxxx; done"))).toEqual({
      kind: "failure",
      failure: "invalid",
      message: "the program printed more than 1000 bytes",
    });
  });

  test("at the cap is taken", async () => {
    const outcome = await run(["/bin/sh", "-c", 'printf "%01000d" 0'], { format: "text" });
    expect(outputOf(outcome)).toHaveLength(1_000);
  });
});

describe("exit", () => {
  test.each([
    ["exit 1", "retryable", "the program exited with code 1"],
    ["echo why >&2; exit 2", "retryable", "why"],
    ["exit 64", "terminal", "the program exited with code 64"],
    ["exit 65", "terminal", "the program exited with code 65"],
    ["exit 78", "terminal", "the program exited with code 78"],
    ["echo busy >&2; exit 75", "retryable", "busy"],
    ["kill -9 $$", "retryable", "the program was killed by SIGKILL"],
  ])("%s", async (script, failure, message) => {
    expect(await run(sh(script))).toEqual({ kind: "failure", failure, message });
  });

  test("with a wait asked for", async () => {
    const script = "echo '::goclaw retry-after 1m30s' >&2; echo limit >&2; exit 75";
    expect(await run(sh(script))).toEqual({
      kind: "failure",
      failure: "throttled",
      message: "limit",
      retryAfterMs: 90_000,
    });
  });

  test("of a crashed Node program is told by its error, not by what is printed after it", async () => {
    const outcome = await run([process.execPath, "-e", "throw new TypeError('wrong kind')"]);
    expect(outcome).toMatchObject({ failure: "retryable", message: "TypeError: wrong kind" });
  });
});

describe("start", () => {
  test.each([
    ["a program that is not there", ["/no/such/program"], {}],
    ["a file that is no program", ["/etc/passwd"], {}],
    ["a working directory that is not there", sh("true"), { cwd: "/no/such/directory" }],
  ] as const)("of %s fails for good, and is logged", async (_what, command, options) => {
    const outcome = await run(command, options);
    expect(outcome).toMatchObject({
      failure: "terminal",
      message: expect.stringContaining(`cannot start "${command[0]}"`),
    });
    expect(log.lines).toEqual([expect.stringContaining("warn: cannot start")]);
  });

  test("with an argument that cannot be one fails", async () => {
    expect(await run(["/bin/echo", "a\0b"])).toMatchObject({ kind: "failure" });
  });

  test("uses no shell", async () => {
    const outcome = await run(["/bin/echo", "$HOME; `id`"], { format: "text" });
    expect(outputOf(outcome)).toBe("$HOME; `id`");
  });

  test("does not wait for a program that never reads its input", async () => {
    const input = { json: `"${"x".repeat(1_000_000)}"` };
    expect(outputOf(await run(sh("exec <&-; echo 1"), {}, { input }))).toBe(1);
  });
});

test("the environment holds what was named, and nothing else", async () => {
  process.env.GOCLAW_TEST_SECRET = "hidden";
  process.env.GOCLAW_TEST_PASSED = "passed";
  const outcome = await run(["/usr/bin/env"], {
    format: "text",
    env: { EXTRA: "extra", LANG: "C" },
    passEnv: ["GOCLAW_TEST_PASSED", "GOCLAW_TEST_ABSENT"],
  });
  delete process.env.GOCLAW_TEST_SECRET;
  delete process.env.GOCLAW_TEST_PASSED;
  const lines = String(outputOf(outcome)).split("\n");
  expect(lines).toEqual(expect.arrayContaining(["EXTRA=extra", "LANG=C", "GOCLAW_TASK_ID=task"]));
  expect(lines).toContain("GOCLAW_TEST_PASSED=passed");
  const names = lines.map((line) => line.split("=")[0]);
  const allowed = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "EXTRA", "GOCLAW_TEST_PASSED"];
  const ours = ["RUN_ID", "TASK_ID", "ATTEMPT", "IDEMPOTENCY_KEY", "TRACE_ID"];
  const known = new Set([...allowed, ...ours.map((name) => `GOCLAW_${name}`)]);
  expect(names.filter((name) => !known.has(name ?? ""))).toEqual([]);
});

describe("standard error", () => {
  test("becomes log lines, and directives what they say", async () => {
    const script = [
      "echo plain",
      "echo '::goclaw progress 12.5 on the way'",
      "echo '::goclaw progress 100%'",
      "echo '::goclaw heartbeat'",
      "echo '::goclaw error it hurts'",
      "echo '::goclaw nonsense'",
      "echo '::goclaw progress much'",
      "printf 'no end'",
    ].join("; ");
    const key = await start(sh(`{ ${script}; } >&2`));
    await recorder.finished(key);
    expect(recorder.of(key).slice(0, -1)).toEqual([
      ["log", "info", "plain"],
      ["progress", 12.5, "on the way"],
      ["progress", 100, ""],
      ["beat"],
      ["log", "error", "it hurts"],
      ["log", "warn", "not understood: ::goclaw nonsense"],
      ["log", "warn", "not understood: ::goclaw progress much"],
      ["log", "info", "no end"],
    ]);
  });

  test("is bounded", async () => {
    const key = await start(sh("seq 1 20000 >&2; echo last >&2; exit 1"));
    expect(await recorder.finished(key)).toMatchObject({ message: "last" });
    const lines = recorder.of(key).filter(([method]) => method === "log");
    expect(lines).toHaveLength(10_001);
    expect(lines.at(-1)).toEqual(["log", "warn", "further lines are dropped: the limit is 10000"]);
  });
});

describe("signals", () => {
  test("do not reach a program that reads its input once", async () => {
    const key = await start(sh("echo '::goclaw progress 1' >&2; exec sleep 3600"));
    await progressOf(key);
    transport?.signal(key, steer("s1", "left"));
    stop(key, 60_000);
    await recorder.finished(key);
    expect(recorder.of(key).filter(([method]) => method === "receipt")).toEqual([]);
  });

  test("come as JSON lines with what belongs to their kind", async () => {
    const script =
      'read opening; echo "::goclaw progress 1" >&2; read -r a; read -r b; printf "[%s,%s]" "$a" "$b"';
    const key = await start(sh(script), { stdin: "stream" });
    await progressOf(key);
    transport?.signal(key, steer("s1", "left\u2028", { degrees: 90 }));
    const collect = { kind: "collect", tasks: ["a", "b"], mode: { kind: "all" } } as const;
    const collected = { results: { json: '{"a":1}' }, missing: ["b"] };
    transport?.signal(key, { signal: "s2", content: collect, collected });
    expect(outputOf(await recorder.finished(key))).toEqual([
      { signal: { id: "s1", kind: "steer", text: "left\u2028", payload: { degrees: 90 } } },
      { signal: { id: "s2", kind: "collect", missing: ["b"], results: { a: 1 } } },
    ]);
  });
});

describe("what a program leaves behind", () => {
  let server: Server;
  let port: number;
  let connected: Promise<Socket>;

  beforeEach(async () => {
    server = createServer();
    connected = new Promise((resolve) => {
      server.on("connection", (socket) => {
        socket.on("error", () => {});
        resolve(socket);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    port = (server.address() as AddressInfo).port;
  });

  afterEach(() => {
    server.close();
  });

  /** A grandchild that ignores SIGTERM and holds a connection (and our pipes) as long as it lives. */
  const grandchild = () => {
    const code = `process.on("SIGTERM",()=>{});require("net").connect(${port},"127.0.0.1")`;
    return `"${process.execPath}" -e '${code}' &`;
  };

  const closed = async () => {
    const socket = await connected;
    socket.resume();
    return new Promise<void>((resolve) => socket.on("close", () => resolve()));
  };

  test("is killed with it when it is stopped", async () => {
    const key = await start(
      sh(`${grandchild()} trap '' TERM; echo '::goclaw progress 1' >&2; wait`),
    );
    await progressOf(key);
    await connected;
    const gone = closed();
    stop(key, 50);
    expect(await recorder.finished(key)).toEqual({ kind: "stopped" });
    await gone;
  });

  test("is killed with it when it ends well", async () => {
    const script = `${grandchild()} read opening; read line; echo 1`;
    const key = await start(sh(script), { stdin: "stream" });
    await connected;
    const gone = closed();
    transport?.signal(key, steer("s1", "go on"));
    expect(outputOf(await recorder.finished(key))).toBe(1);
    await gone;
  });

  test("is killed with it when the transport closes", async () => {
    const key = await start(sh(`${grandchild()} wait`));
    await connected;
    const gone = closed();
    await transport?.close();
    expect(recorder.outcomes(key)).toMatchObject([{ kind: "lost", reason: "WORKER_LOST" }]);
    await gone;
  });

  test("outside of its process group cannot hold up its end", async () => {
    const escaped = `setsid -f ${grandchild().slice(0, -1)}`;
    const script = `${escaped}; read opening; read line; echo 1`;
    const key = await start(sh(script), { stdin: "stream" });
    const socket = await connected;
    transport?.signal(key, steer("s1", "go on"));
    expect(outputOf(await recorder.finished(key))).toBe(1);
    socket.destroy();
  });
});

describe("stopping", () => {
  test("ends at the agent's own grace when that is shorter", async () => {
    const script = "trap '' TERM; echo '::goclaw progress 1' >&2; while :; do sleep 1; done";
    const key = await start(sh(script), { graceMs: 50 });
    await progressOf(key);
    stop(key, 3_600_000);
    expect(await recorder.finished(key)).toEqual({ kind: "stopped" });
  });

  test("takes a failure for a stop", async () => {
    const script =
      "trap 'exit 3' TERM; echo '::goclaw progress 1' >&2; while :; do sleep 0.1; done";
    const key = await start(sh(script));
    await progressOf(key);
    stop(key, 60_000);
    expect(await recorder.finished(key)).toEqual({ kind: "stopped" });
  });
});

test("agents are listed as configured", () => {
  const agent: CommandAgent = {
    name: "one",
    command: ["a", "b"],
    format: "text",
    stdin: "once",
    cwd: "/",
    passEnv: [],
    graceMs: 1,
    maxOutputBytes: 1,
    cost: 2,
    timeoutMs: 5,
    version: "7",
  };
  const listed = new CommandTransport({ agents: [agent] }, { host, log });
  expect(listed.agents()).toEqual([
    { name: "one", version: "7", transport: "command", source: "a b", cost: 2, timeoutMs: 5 },
  ]);
});
