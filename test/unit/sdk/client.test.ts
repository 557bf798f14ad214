/**
 * The client against a real daemon in this process, over gRPC: the same handles as the embedded engine's, errors with
 * their details, and a watch that outlives a cut connection.
 */
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { agent, Client, GoClawError, RunFailedError, type RunView, workflow } from "goclaw";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Daemon, startDaemon } from "../../../src/app.ts";
import { resolveConfig } from "../../../src/config.ts";
import { collected, rejection } from "../../support/sdk-calls.ts";

let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  const baseDir = import.meta.dirname;
  const tree = { listen: "127.0.0.1:0", store: "memory", log: { level: "error" } };
  daemon = await startDaemon(
    resolveConfig([{ name: "test", tree, baseDir }], {
      cores: 2,
      baseDir,
      resolvePath: (_base, path) => path,
    }),
  );
  client = new Client({ server: daemon.address });
});

afterAll(async () => {
  client.close();
  await daemon.stop();
});

const echo = agent("echo", (input: { n: number }) => input);
const join = agent("echo", (input: { first: { n: number } }) => input);
const line = workflow("line")
  .task("first", echo)
  .task("second", join, { deps: ["first"] });
const asleep = workflow("asleep").task("sleep", "sleep", { input: { ms: 3_600_000 } });

describe("runs", () => {
  test("of a workflow result in what its types say", async () => {
    const { second } = await client.execute(line, { n: 7 });
    expect(second.first.n).toBe(7);
  });

  test("of a spec and without input", async () => {
    const spec = { name: "spec", tasks: [{ id: "only", agent: "echo" }] };
    expect(await client.execute(spec)).toEqual({ only: null });
    expect(await client.execute(spec, ["a", { b: 1.5 }])).toEqual({ only: ["a", { b: 1.5 }] });
  });

  test("that fail reject with task and reason", async () => {
    const broken = workflow("broken").task("bad", "fail", {
      input: { class: "terminal", message: "as asked" },
    });
    const error = await rejection(client.execute(broken, undefined));
    expect(error).toBeInstanceOf(RunFailedError);
    expect(error).toMatchObject({ status: "FAILED", reason: "NON_RETRYABLE", taskId: "bad" });
    expect(String(error)).toContain("as asked");
  });

  test("are watched from any event on", async () => {
    const run = await client.submit(line, { n: 1 });
    const all = await collected(run.watch());
    expect(all.map(({ sequence }) => sequence)).toEqual(all.map((_, index) => index + 1));
    expect(all.at(-1)).toMatchObject({
      type: "run_completed",
      output: { second: { first: { n: 1 } } },
    });
    expect(await collected(run.watch({ afterSequence: 4 }))).toEqual(all.slice(4));
    expect(await collected(run.watch({ afterSequence: all.length }))).toEqual([]);
  });

  test("are cancelled, and say so", async () => {
    const run = await client.submit(asleep, undefined);
    for await (const event of run.watch()) if (event.type === "task_started") break;
    await run.cancel({ reason: "enough", graceMs: 0 });
    expect(await rejection(run.result())).toMatchObject({ status: "CANCELLED" });
  });

  test("take signals", async () => {
    const run = await client.submit(asleep, undefined);
    for await (const event of run.watch()) if (event.type === "task_started") break;
    const standing = await run.signal("sleep", {
      interrupt: "sooner",
      graceMs: 0,
      replaceWith: { ms: 0 },
    });
    expect(["accepted", "delivered", "admitted"]).toContain(standing);
    expect(await run.result()).toEqual({ sleep: { ms: 0 } });
  });
});

test("get shows a run with its tasks, list finds it by label", async () => {
  const run = await client.submit(line, { n: 3 }, { labels: { team: "x" }, sessionId: "s-1" });
  await run.result();
  expect(await client.get(run.runId)).toMatchObject({
    workflow: "line",
    status: "COMPLETED",
    sessionId: "s-1",
    output: { second: { first: { n: 3 } } },
    tasks: [
      { taskId: "first", status: "COMPLETED", attempt: 1 },
      { taskId: "second", status: "COMPLETED", attempt: 1 },
    ],
  });
  const found: RunView[] = await collected(client.list({ labels: { team: "x" } }));
  expect(found).toMatchObject([{ runId: run.runId, labels: { team: "x" } }]);
  expect(await collected(client.list({ labels: { team: "y" } }))).toEqual([]);
  const failed = await collected(client.list({ statuses: ["FAILED"], workflow: "line" }));
  expect(failed).toEqual([]);
});

describe("errors", () => {
  test("name every wrong field", async () => {
    const wrong = { name: "wrong", tasks: [{ id: "a", agent: "echo", deps: ["b"] }] };
    const error = await rejection(client.submit(wrong));
    expect(error).toBeInstanceOf(GoClawError);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", reason: "DEFINITION_INVALID" });
    expect((error as GoClawError).violations[0]).toMatchObject({ field: "tasks[0].deps[0]" });
  });

  test("carry the stable reason", async () => {
    const missing = client.run("01ARZ3NDEKTSV4RRFFQ69G5FAV").result();
    expect(await rejection(missing)).toMatchObject({ code: "NOT_FOUND", reason: "RUN_NOT_FOUND" });
    const unknown = client.submit("nobody-registered-this");
    expect(await rejection(unknown)).toMatchObject({ reason: "DEFINITION_NOT_FOUND" });
  });

  test("tell that nobody answers", async () => {
    const lost = new Client({ server: "http://127.0.0.1:1" });
    expect(await rejection(lost.submit(line, { n: 1 }))).toMatchObject({ code: "UNAVAILABLE" });
    lost.close();
  });
});

describe("a cut watch", () => {
  /** Ends each of the first `cuts` streams of events after two messages. */
  function cutting(
    cuts: number,
    error: ConnectError,
  ): { interceptor: Interceptor; seen: () => number } {
    let streams = 0;
    const interceptor: Interceptor = (next) => async (request) => {
      const response = await next(request);
      if (!response.stream || response.method.name !== "WatchRun") return response;
      streams++;
      if (streams > cuts) return response;
      async function* cut<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
        let count = 0;
        for await (const message of messages) {
          yield message;
          if (++count === 2) throw error;
        }
      }
      return { ...response, message: cut(response.message) } as typeof response;
    };
    return { interceptor, seen: () => streams };
  }

  const clientWith = (interceptor: Interceptor) =>
    new Client({
      transport: createGrpcTransport({ baseUrl: daemon.address, interceptors: [interceptor] }),
    });

  test("goes on after the last event it delivered", async () => {
    const { interceptor, seen } = cutting(2, new ConnectError("cut", Code.Unavailable));
    const run = await client.submit(line, { n: 2 });
    const whole = await collected(run.watch());
    const events = await collected(clientWith(interceptor).run(run.runId).watch());
    expect(events).toEqual(whole);
    expect(seen()).toBe(3);
  });

  test("ends with the error when that is not the connection's", async () => {
    const { interceptor, seen } = cutting(1, new ConnectError("no", Code.PermissionDenied));
    const run = await client.submit(line, { n: 2 });
    const watching = collected(clientWith(interceptor).run(run.runId).watch());
    expect(await rejection(watching)).toMatchObject({ code: "PERMISSION_DENIED" });
    expect(seen()).toBe(1);
  });

  test("ends when asked to", async () => {
    const run = await client.submit(asleep, undefined);
    const abort = new AbortController();
    const types: string[] = [];
    const watching = (async () => {
      for await (const { type } of run.watch({ abort: abort.signal })) {
        types.push(type);
        if (type === "task_started") abort.abort();
      }
    })();
    expect(await rejection(watching)).toMatchObject({ code: "CANCELLED" });
    expect(types.at(-1)).toBe("task_started");
    await run.cancel();
  });
});
