/**
 * The server from outside, over real connections and every protocol, in front of an engine that is made up per test: what
 * reaches the engine, what comes back, what is refused before it gets there.
 */
import { once } from "node:events";
import { gzipSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { AdminService } from "../../../gen/goclaw/v1/admin_service_pb.ts";
import { GoClawEngine } from "../../../gen/goclaw/v1/engine_pb.ts";
import { TaskEventType } from "../../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../../gen/goclaw/v1/run_service_pb.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import { FaultError, fault } from "../../../src/base/fault.ts";
import type { EngineApi, StartRun, WatchItem } from "../../../src/engine/api.ts";
import { RUN_ID, RunHarness } from "../../support/run-harness.ts";
import { PROTOCOLS, serve } from "../../support/serve.ts";

const SPEC = { name: "w", tasks: [{ id: "a", agent: "echo" }] };

/** Remembers what it was asked to start. */
function starter(): { readonly started: StartRun[]; readonly startRun: EngineApi["startRun"] } {
  const started: StartRun[] = [];
  return {
    started,
    startRun: async (request) => {
      started.push(request);
      return { runId: RUN_ID, sequence: 1, existing: false };
    },
  };
}

async function refusal(act: Promise<unknown>): Promise<ConnectError> {
  try {
    await act;
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const reasonOf = (error: ConnectError) => error.findDetails(ErrorInfoSchema)[0]?.reason;

const post = (
  address: string,
  path: string,
  body: string | Buffer,
  headers: Record<string, string> = {},
) =>
  fetch(address + path, {
    method: "POST",
    body,
    headers: { "content-type": "application/json", ...headers },
  });

describe.each(PROTOCOLS)("over %s", (protocol) => {
  it("a submission reaches the engine and is answered", async () => {
    const { started, startRun } = starter();
    const { client } = await serve({ startRun });
    const answer = await client(RunService, protocol).startRun({
      run: {
        source: { case: "spec", value: { ...SPEC, labels: { spec: "1" }, priority: 3 } },
        input: { kind: { case: "stringValue", value: "hi" } },
        sessionId: "s",
        deadline: "1h30m",
        labels: { run: "2" },
        idempotencyKey: "k",
      },
    });
    expect(answer).toMatchObject({ runId: RUN_ID, sequence: 1n, existing: false });
    expect(started).toMatchObject([
      {
        definition: { name: "w", tasks: [{ id: "a", agent: "echo", lane: "default" }] },
        request: {
          input: { json: '"hi"' },
          namespace: "default",
          sessionId: "s",
          priority: 3,
          deadlineMs: 5_400_000,
          labels: { spec: "1", run: "2" },
        },
        idempotencyKey: "k",
      },
    ]);
  });

  it("a fault arrives with its code and details", async () => {
    const { client } = await serve({
      startRun: async () => {
        throw new FaultError(
          fault("ENGINE_OVERLOADED", { what: "x", limit: 1, retryAfterMs: 250 }),
        );
      },
    });
    const error = await refusal(
      client(RunService, protocol).startRun({
        run: { source: { case: "definition", value: "w" } },
      }),
    );
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.rawMessage).toBe("x reached its limit of 1");
    expect(reasonOf(error)).toBe("ENGINE_OVERLOADED");
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.nanos).toBe(250_000_000);
  });

  it("events arrive in order and the stream ends with the run", async () => {
    const { client } = await serve({ watch: () => eventsOf(3) });
    const sequences: bigint[] = [];
    const events = client(RunService, protocol).watchRun({ runId: RUN_ID, afterSequence: 0n });
    for await (const { event } of events) sequences.push(event?.sequence ?? -1n);
    expect(sequences).toEqual([1n, 2n, 3n]);
  });

  it("a stream that is refused says why", async () => {
    const { client } = await serve({
      watch: async function* () {
        yield* eventsOf(1);
        throw new FaultError(fault("WATCHER_SLOW", { runId: RUN_ID, lastSequence: 1 }));
      },
    });
    const seen: unknown[] = [];
    const watching = (async () => {
      for await (const { event } of client(RunService, protocol).watchRun({ runId: RUN_ID })) {
        seen.push(event?.type);
      }
    })();
    const error = await refusal(watching);
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.findDetails(ErrorInfoSchema)[0]?.metadata.last_sequence).toBe("1");
    expect(seen).toEqual([TaskEventType.RUN_ACCEPTED]);
  });
});

async function* eventsOf(count: number): AsyncIterable<WatchItem> {
  const { events } = new RunHarness({ name: "w", tasks: [{ id: "a", agent: "a" }] });
  for (const [index, event] of events.slice(0, count).entries()) {
    yield { kind: "event", runId: RUN_ID, sequence: index + 1, event };
  }
}

describe("the seed's service", () => {
  it("starts a run, streams it from its first event, and joins an existing one", async () => {
    const { started, startRun } = starter();
    const asked: unknown[] = [];
    const { client } = await serve({
      startRun,
      watch: (runId, after) => {
        asked.push([runId, after]);
        return eventsOf(2);
      },
    });
    const types: TaskEventType[] = [];
    for await (const event of client(GoClawEngine).submitWorkflow(SPEC)) types.push(event.type);
    expect(types).toEqual([TaskEventType.RUN_ACCEPTED, TaskEventType.RUN_STARTED]);
    expect(asked).toEqual([[RUN_ID, 0]]);
    expect(started).toHaveLength(1);
  });

  it("leaves the run alone when the client goes away", async () => {
    const gone = Promise.withResolvers<void>();
    const { client } = await serve({
      ...starter(),
      watch: async function* (_, __, abort) {
        yield* eventsOf(1);
        if (abort === undefined) throw new Error("no signal");
        await once(abort, "abort");
        gone.resolve();
      },
    });
    const leaving = new AbortController();
    const events = client(GoClawEngine).submitWorkflow(SPEC, { signal: leaving.signal });
    const left = refusal(
      (async () => {
        for await (const event of events) {
          expect(event.runId).toBe(RUN_ID);
          leaving.abort();
        }
      })(),
    );
    expect((await left).code).toBe(Code.Canceled);
    // The watch is over; cancelRun would have failed the test, because this engine has none.
    await gone.promise;
  });

  it("shows a task and what it waits for", async () => {
    const harness = new RunHarness({ name: "w", tasks: [{ id: "a", agent: "x" }] });
    const { client } = await serve({ getTask: async () => harness.task("a"), lanes: () => [] });
    const status = await client(GoClawEngine).getTaskStatus({ runId: RUN_ID, taskId: "a" });
    expect(status).toMatchObject({ agent: "x", waitingFor: 'queued in lane "default"' });
  });

  it("passes signals on", async () => {
    const sent: unknown[] = [];
    const { client } = await serve({
      signal: async (request) => {
        sent.push(request);
        return [];
      },
    });
    await client(GoClawEngine).signalTask({
      runId: RUN_ID,
      taskId: "a",
      signalId: "s",
      signal: { case: "interrupt", value: { reason: "stop", grace: "0ms" } },
    });
    await client(GoClawEngine).signalTask({
      sessionId: "chat",
      signal: { case: "steer", value: { text: "faster" } },
    });
    expect(sent).toEqual([
      {
        target: { runId: RUN_ID, taskId: "a" },
        signalId: "s",
        content: { kind: "interrupt", reason: "stop", graceMs: 0 },
      },
      {
        target: { sessionId: "chat", namespace: "default" },
        content: { kind: "steer", payload: { json: "null" }, text: "faster" },
      },
    ]);
  });
});

describe("a request is refused", () => {
  it("with every broken rule at once", async () => {
    const { client } = await serve();
    const error = await refusal(
      client(RunService).startRun({
        run: {
          source: { case: "definition", value: "w" },
          priority: 101,
          sessionId: "x".repeat(300),
          namespace: "no spaces",
        },
      }),
    );
    expect(error.code).toBe(Code.InvalidArgument);
    expect(reasonOf(error)).toBe("REQUEST_INVALID");
    const fields = error
      .findDetails(BadRequestSchema)[0]
      ?.fieldViolations.map(({ field }) => field);
    expect(fields?.sort()).toEqual(["run.namespace", "run.priority", "run.session_id"]);
  });

  it("by the definition's own validator where the spec is wrong, all problems together", async () => {
    const { client } = await serve();
    const error = await refusal(
      client(RunService).startRun({
        run: {
          source: {
            case: "spec",
            value: {
              name: "bad name!",
              tasks: [
                { id: "a", agent: "x", deps: ["b"], timeout: "soon" },
                { id: "b", agent: "x", deps: ["a", "zz"] },
              ],
            },
          },
        },
      }),
    );
    expect(reasonOf(error)).toBe("DEFINITION_INVALID");
    const violations = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
    const fields = violations.map(({ field }) => field);
    expect(fields).toEqual(
      expect.arrayContaining(["name", "tasks[0].timeout", "tasks[1].deps[1]"]),
    );
    expect(violations.map(({ description }) => description).join("\n")).toContain("a → b → a");
  });

  it("also in a stream's first message", async () => {
    const { client } = await serve();
    const reading = async () => {
      for await (const _ of client(RunService).watchRun({ runId: "short" }))
        throw new Error("sent");
    };
    expect(reasonOf(await refusal(reading()))).toBe("REQUEST_INVALID");
  });

  it.each([
    ["no run has such an id", { runId: "!".repeat(26) }, "RUN_NOT_FOUND"],
    ["a duration is none", { runId: RUN_ID, grace: "soon" }, "ARGUMENT_INVALID"],
    ["a duration is longer than a year", { runId: RUN_ID, grace: "400d" }, "LIMIT_EXCEEDED"],
  ])("when %s", async (_, request, reason) => {
    const { client } = await serve();
    expect(reasonOf(await refusal(client(RunService).cancelRun(request)))).toBe(reason);
  });

  it.each([
    ["nobody", {}],
    ["a run without a task", { runId: RUN_ID }],
    ["a task and a session", { runId: RUN_ID, taskId: "a", sessionId: "s" }],
  ])("when a signal is for %s", async (_, target) => {
    const { client } = await serve();
    const error = await refusal(
      client(GoClawEngine).signalTask({ ...target, signal: { case: "steer", value: {} } }),
    );
    expect(reasonOf(error)).toBe("ARGUMENT_INVALID");
  });

  it("when a quorum is impossible", async () => {
    const { client } = await serve();
    const collect = (quorum: number) =>
      client(RunService).collectResults({ runId: RUN_ID, taskIds: ["a", "b"], mode: 3, quorum });
    expect(reasonOf(await refusal(collect(0)))).toBe("ARGUMENT_INVALID");
    expect(reasonOf(await refusal(collect(3)))).toBe("ARGUMENT_INVALID");
  });

  it("when a number of the spec has no JSON", async () => {
    const { client } = await serve();
    const input = create(ValueSchema, { kind: { case: "numberValue", value: Number.NaN } });
    const error = await refusal(
      client(RunService).planWorkflow({
        source: { case: "spec", value: { name: "w", tasks: [{ id: "a", agent: "x", input }] } },
      }),
    );
    expect(reasonOf(error)).toBe("ARGUMENT_INVALID");
  });

  it("when a message is larger than 4 MiB", async () => {
    const { client } = await serve();
    const data = { mediaType: "x/y", data: new Uint8Array(4 * 1024 * 1024 + 1) };
    const error = await refusal(
      client(RunService).startRun({
        run: { source: { case: "definition", value: "w" }, inputData: data },
      }),
    );
    expect(error.code).toBe(Code.ResourceExhausted);
  });

  it("when JSON has a field nobody knows, so that a slip does not vanish", async () => {
    const { address } = await serve();
    const response = await post(
      address,
      "/goclaw.v1.RunService/StartRun",
      JSON.stringify({ run: { spec: { ...SPEC, fial_fast: true } } }),
    );
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("fial_fast");
  });

  describe("when JSON nests deeper than 64 levels", () => {
    const deep = `{"run":{"definition":"w","input":${"[".repeat(70)}${"]".repeat(70)}}}`;
    const path = "/goclaw.v1.RunService/StartRun";

    it.each([
      ["as it is", deep, {}],
      ["compressed", gzipSync(deep), { "content-encoding": "gzip" }],
      ["a bomb", `{"run":${"[".repeat(1_000_000)}`, {}],
    ])("%s", async (_, body, headers) => {
      const { address } = await serve();
      const response = await post(address, path, body, headers);
      expect(response.status).toBe(400);
      const { message, details } = (await response.json()) as {
        message: string;
        details: { debug: object }[];
      };
      expect(message).toMatch(/^request: 65 levels of JSON exceeds the limit of 64$/);
      expect(details[0]?.debug).toMatchObject({ reason: "LIMIT_EXCEEDED" });
    });

    it("in a stream", async () => {
      const { address } = await serve();
      const body = Buffer.from(`{"runId":${deep}}`);
      const head = Buffer.alloc(5);
      head.writeUInt32BE(body.length, 1);
      const response = await post(
        address,
        "/goclaw.v1.RunService/WatchRun",
        Buffer.concat([head, body]),
        {
          "content-type": "application/connect+json",
        },
      );
      expect(await response.text()).toContain("65 levels of JSON");
    });
  });

  it("when it inflates to more than 4 MiB", async () => {
    const { address } = await serve();
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, " "));
    const response = await post(address, "/goclaw.v1.RunService/StartRun", bomb, {
      "content-encoding": "gzip",
    });
    expect(response.status).toBe(429);
    expect(await response.text()).toContain("resource_exhausted");
  });

  it("when JSON holds more values than can be read without holding up others", async () => {
    const { address } = await serve();
    const body = `{"run":{"definition":"w","input":[${"0,".repeat(100_000)}0]}}`;
    const response = await post(address, "/goclaw.v1.RunService/StartRun", body);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("100001 values of JSON exceeds the limit of 100000");
  });

  it("when binary messages nest without end, without harm to the server", async () => {
    const { client } = await serve();
    let value = create(ValueSchema, { kind: { case: "boolValue", value: true } });
    for (let level = 0; level < 200; level++) {
      value = create(ValueSchema, { kind: { case: "listValue", value: { values: [value] } } });
    }
    const error = await refusal(
      client(RunService).startRun({
        run: { source: { case: "definition", value: "w" }, input: value },
      }),
    );
    expect(error.message).toContain("recursion");
  });
});

describe("headers", () => {
  it("may carry the idempotency key and the trace", async () => {
    const { started, startRun } = starter();
    const { address } = await serve({ startRun });
    const body = JSON.stringify({ run: { definition: "w" } });
    const trace = "0af7651916cd43dd8448eb211c80319c";
    const response = await post(address, "/goclaw.v1.RunService/StartRun", body, {
      "idempotency-key": "from-header",
      traceparent: `00-${trace}-b7ad6b7169203331-01`,
    });
    expect(response.status).toBe(200);
    expect(started).toMatchObject([{ idempotencyKey: "from-header", request: { traceId: trace } }]);
  });

  it("yield to the message, and a broken trace is no trace", async () => {
    const { started, startRun } = starter();
    const { address } = await serve({ startRun });
    const body = JSON.stringify({ run: { definition: "w", idempotencyKey: "from-message" } });
    await post(address, "/goclaw.v1.RunService/StartRun", body, {
      "idempotency-key": "from-header",
      traceparent: `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
    });
    expect(started[0]?.idempotencyKey).toBe("from-message");
    expect(started[0]?.request.traceId).toBeUndefined();
  });

  it("bound the key as the message does", async () => {
    const { address } = await serve(starter());
    const response = await post(
      address,
      "/goclaw.v1.RunService/StartRun",
      JSON.stringify({ run: { definition: "w" } }),
      { "idempotency-key": "k".repeat(257) },
    );
    expect(response.status).toBe(400);
  });
});

describe("a defect of the daemon", () => {
  it("is an incident to the client and a stack to the log", async () => {
    const { client, log } = await serve({
      getRun: async () => {
        throw new TypeError("undefined is not a function");
      },
    });
    const error = await refusal(client(RunService).getRun({ runId: RUN_ID }));
    expect(error.code).toBe(Code.Internal);
    expect(error.message).not.toContain("undefined");
    const incident = error.findDetails(ErrorInfoSchema)[0]?.metadata.incident;
    expect(log.lines).toMatchObject([
      { level: "error", incident, method: "goclaw.v1.RunService/GetRun" },
    ]);
  });
});

describe("leaving", () => {
  it("refuses new work while draining, with a time to come back, and goes on with reads", async () => {
    const { client, server, address } = await serve({
      getRun: async () => new RunHarness({ name: "w", tasks: [{ id: "a", agent: "a" }] }).run,
      lanes: () => [],
    });
    server.drain();
    const start = client(RunService).startRun({
      run: { source: { case: "definition", value: "w" } },
    });
    const error = await refusal(start);
    expect(error.code).toBe(Code.Unavailable);
    expect(reasonOf(error)).toBe("ENGINE_DRAINING");
    expect(error.findDetails(RetryInfoSchema)).toHaveLength(1);
    const submit = async () => {
      for await (const _ of client(GoClawEngine).submitWorkflow(SPEC)) throw new Error("sent");
    };
    expect((await refusal(submit())).code).toBe(Code.Unavailable);
    expect((await client(RunService).getRun({ runId: RUN_ID })).run?.workflow).toBe("w");
    const ready = await fetch(`${address}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ ready: false, reason: "draining" });
    expect((await fetch(`${address}/healthz`)).status).toBe(200);
  });

  it("drains on request, engine and edge", async () => {
    const drained: number[] = [];
    const { client } = await serve({
      drain: async (timeoutMs) => {
        drained.push(timeoutMs);
      },
    });
    await client(AdminService).drain({ timeout: "2s" });
    expect(drained).toEqual([2_000]);
    const start = client(RunService).startRun({
      run: { source: { case: "definition", value: "w" } },
    });
    expect((await refusal(start)).code).toBe(Code.Unavailable);
  });

  it("ends open streams with UNAVAILABLE, not as if the run had ended", async () => {
    const watching = Promise.withResolvers<void>();
    const { client, server } = await serve({
      watch: async function* (_, __, abort) {
        yield* eventsOf(1);
        watching.resolve();
        if (abort !== undefined) await once(abort, "abort");
      },
    });
    const reading = refusal(
      (async () => {
        for await (const _ of client(RunService).watchRun({ runId: RUN_ID }));
      })(),
    );
    await watching.promise;
    await server.stop();
    const error = await reading;
    expect(error.code).toBe(Code.Unavailable);
    expect(reasonOf(error)).toBe("ENGINE_DRAINING");
  });

  it("stops twice, and before it ever started", async () => {
    const { server } = await serve();
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
  });
});

describe("limits", () => {
  it("bounds open streams of all connections", async () => {
    const { client } = await serve(
      {
        watch: async function* (_, __, abort) {
          yield* eventsOf(1);
          if (abort !== undefined) await once(abort, "abort");
        },
      },
      { limits: { streams: 1 } },
    );
    const first = client(RunService).watchRun({ runId: RUN_ID })[Symbol.asyncIterator]();
    await first.next();
    const second = async () => {
      for await (const _ of client(RunService).watchRun({ runId: RUN_ID })) throw new Error("sent");
    };
    const error = await refusal(second());
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(reasonOf(error)).toBe("ENGINE_OVERLOADED");
    await first.return?.();
  });

  it("refuses to listen beyond loopback unless told", async () => {
    const exposed = serve({}, { listen: { host: "0.0.0.0", port: 0 } });
    await expect(exposed).rejects.toThrow("listening on 0.0.0.0 would let any machine");
    const { log } = await serve(
      {},
      { listen: { host: "0.0.0.0", port: 0 }, allowNonLoopback: true },
    );
    expect(log.lines).toMatchObject([{ level: "warn", host: "0.0.0.0" }]);
  });
});

describe("plain pages", () => {
  it("say that the process lives, is ready, and how it fares", async () => {
    const { address } = await serve();
    const alive = await fetch(`${address}/healthz`);
    expect([alive.status, await alive.text()]).toEqual([200, "ok\n"]);
    const ready = await fetch(`${address}/readyz?verbose`);
    expect([ready.status, await ready.json()]).toEqual([200, { ready: true, reason: "" }]);
    const metrics = await fetch(`${address}/metrics`);
    expect(metrics.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await metrics.text()).toBe("goclaw_up 1\n");
  });

  it("say when the engine is not ready", async () => {
    const { address } = await serve({ readiness: () => ({ ready: false, reason: "recovering" }) });
    const ready = await fetch(`${address}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { ready: false, reason: "recovering" },
    ]);
  });

  it("answer HEAD without a body and nothing but GET", async () => {
    const { address } = await serve();
    const head = await fetch(`${address}/healthz`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    const posted = await fetch(`${address}/healthz`, { method: "POST", body: "x" });
    expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  });

  it("are all there is", async () => {
    const { address } = await serve();
    for (const path of ["/", "/constructor", "/goclaw.v1.RunService/Nothing"]) {
      const response = await fetch(address + path);
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual({
        code: "not_found",
        message: `nothing is served at ${path}`,
      });
    }
  });

  it("survive metrics that fail", async () => {
    const { address } = await serve(
      {},
      {
        scrape: async () => {
          throw new RangeError("secret");
        },
      },
    );
    const response = await fetch(`${address}/metrics`);
    expect([response.status, await response.text()]).toEqual([
      500,
      '{"code":"internal","message":"RangeError"}\n',
    ]);
  });
});

describe("browsers", () => {
  const preflight = (address: string, origin: string) =>
    fetch(`${address}/goclaw.v1.RunService/GetRun`, { method: "OPTIONS", headers: { origin } });

  it("of other origins are kept out by default", async () => {
    const { address } = await serve();
    const response = await preflight(address, "https://ui.example");
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });

  it("of named origins may call", async () => {
    const { address } = await serve({}, { corsOrigins: ["https://ui.example"] });
    const permitted = await preflight(address, "https://ui.example");
    expect(permitted.status).toBe(204);
    expect(permitted.headers.get("access-control-allow-origin")).toBe("https://ui.example");
    expect(permitted.headers.get("access-control-allow-headers")).toContain(
      "Connect-Protocol-Version",
    );
    const other = await preflight(address, "https://evil.example");
    expect(other.headers.get("access-control-allow-origin")).toBeNull();
  });
});
