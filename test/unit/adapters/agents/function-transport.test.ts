/** What functions return, throw and do to the engine, in virtual time. */
import { beforeEach, describe, expect, test } from "vitest";
import { FunctionTransport } from "../../../../src/adapters/agents/function-transport.ts";
import { FaultError } from "../../../../src/base/fault.ts";
import { PAYLOAD_MAX_BYTES } from "../../../../src/base/payload.ts";
import type { Outcome } from "../../../../src/core/run/message.ts";
import type { Agent, AgentContext } from "../../../../src/ports/agent-context.ts";
import { assignment, outputOf, Recorder, steer } from "../../../support/attempts.ts";
import { VirtualHost } from "../../../support/virtual-host.ts";

let host: VirtualHost;
let recorder: Recorder;
let transport: FunctionTransport;
let changes: number;

beforeEach(async () => {
  host = new VirtualHost();
  recorder = new Recorder();
  transport = new FunctionTransport({}, { host });
  changes = 0;
  await transport.open(recorder, () => changes++);
});

async function outcomeOf(run: Agent<unknown>["run"], input: unknown = null): Promise<Outcome> {
  const name = `agent-${transport.agents().length}`;
  transport.register({ name, run } as Agent);
  const given = assignment(name, input);
  transport.start(given);
  await host.settle();
  const [outcome] = recorder.outcomes(given.key);
  if (outcome === undefined) throw new Error("the attempt has not ended");
  return outcome;
}

const throwing = (facts: object) => () => {
  throw Object.assign(new Error("said"), facts);
};

test("output leaves as bytes, copied, in order, and nothing after the end", async () => {
  const buffer = new Uint8Array([1, 2]);
  let later: (() => void) | undefined;
  await outcomeOf((_, ctx) => {
    ctx.output("é");
    ctx.output(buffer);
    buffer.fill(9);
    later = () => ctx.output("late");
  });
  later?.();
  const written = recorder.reports.filter(([method]) => method === "output");
  expect(written.map(([, , data]) => data)).toEqual([
    new TextEncoder().encode("é"),
    new Uint8Array([1, 2]),
  ]);
});

describe("a result", () => {
  test.each([
    ["undefined", undefined, { json: "null" }],
    ["a date", new Date(0), { json: '"1970-01-01T00:00:00.000Z"' }],
    ["an object with undefined", { a: undefined, b: [undefined] }, { json: '{"b":[null]}' }],
    [
      "bytes",
      new Uint8Array([1, 2]),
      { mediaType: "application/octet-stream", bytes: new Uint8Array([1, 2]) },
    ],
    [
      "bytes with a media type",
      { mediaType: "image/png", bytes: Buffer.from([137]) },
      { mediaType: "image/png", bytes: new Uint8Array([137]) },
    ],
  ])("of %s becomes a payload", async (_what, value, output) => {
    expect(await outcomeOf(() => value)).toEqual({ kind: "success", output });
  });

  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  test.each([
    ["a function", () => {}, "a function is not JSON"],
    ["a symbol", Symbol("s"), "a symbol is not JSON"],
    ["a big integer", 1n, "BigInt"],
    ["a cycle", cycle, "circular"],
    ["an object whose toJSON throws", { toJSON: throwing({}) }, "said"],
  ])("of %s fails for good", async (_what, value, part) => {
    const outcome = await outcomeOf(() => Promise.resolve(value));
    expect(outcome).toMatchObject({ kind: "failure", failure: "invalid" });
    expect(outcome).toHaveProperty("message", expect.stringContaining(part));
  });

  test("may come through any thenable", async () => {
    // biome-ignore lint/suspicious/noThenProperty: a foreign promise is what is tested
    const foreign = { then: (resolve: (value: string) => void) => resolve("yes") };
    expect(outputOf(await outcomeOf(() => foreign))).toBe("yes");
  });
});

describe("a throw", () => {
  test.each([
    ["plainly", throwing({}), { failure: "retryable", message: "said" }],
    ["retryable: false", throwing({ retryable: false }), { failure: "terminal" }],
    ["NonRetryableError", throwing({ name: "NonRetryableError" }), { failure: "terminal" }],
    ["retryAfterMs", throwing({ retryAfterMs: 250 }), { failure: "throttled", retryAfterMs: 250 }],
    ["a wrong retryAfterMs", throwing({ retryAfterMs: -1 }), { failure: "retryable" }],
    ["without a message", throwing({ message: "", name: "Odd" }), { message: "Odd" }],
    ["a text", () => Promise.reject("words"), { failure: "retryable", message: "words" }],
    ["nothing", () => Promise.reject(undefined), { failure: "retryable", message: "undefined" }],
  ])("%s is a failure", async (_what, run, facts) => {
    expect(await outcomeOf(run)).toMatchObject({ kind: "failure", ...facts });
  });

  test("of something hostile is a failure too", async () => {
    const hostile = new Proxy({}, { get: throwing({}) });
    expect(await outcomeOf(() => Promise.reject(hostile))).toMatchObject({
      kind: "failure",
      message: "something that cannot be printed",
    });
  });
});

describe("the context", () => {
  test("hands binary input and run input over as bytes and values", async () => {
    const bytes = new Uint8Array([1]);
    let seen: unknown[] = [];
    transport.register({
      name: "binary",
      run: (input: unknown, ctx: AgentContext) => {
        seen = [input, ctx.runInput, ctx.runInput];
      },
    } as Agent);
    transport.start(assignment("binary", null, { input: { mediaType: "image/png", bytes } }));
    await host.settle();
    expect(seen[0]).toEqual({ mediaType: "image/png", bytes });
    expect(seen[1]).toEqual({ of: "run" });
    expect(seen[1]).toBe(seen[2]);
  });

  test("refuses checkpoints that are too large or no bytes", async () => {
    const large = new Uint8Array(PAYLOAD_MAX_BYTES + 1);
    expect(await outcomeOf((_, { checkpoint }) => checkpoint(large))).toMatchObject({
      message: `a checkpoint of ${large.byteLength} bytes exceeds the limit of ${PAYLOAD_MAX_BYTES}`,
    });
    const text = "text" as unknown as Uint8Array;
    expect(await outcomeOf((_, { checkpoint }) => checkpoint(text))).toMatchObject({
      message: "a checkpoint is a Uint8Array",
    });
  });

  test("gives each kind of signal its own shape, once", async () => {
    let taken: unknown;
    transport.register({
      name: "mail",
      run: (_: unknown, { signals }: AgentContext) => {
        taken = signals();
        expect(signals()).toEqual([]);
      },
    } as Agent);
    const collect = { kind: "collect", tasks: ["a", "b"], mode: { kind: "all" } } as const;
    const collected = { results: { json: '{"a":1}' }, missing: ["b"] };
    const signals = [
      steer("s1", "go left", { degrees: 90 }),
      steer("s1", "the same again"),
      { signal: "s2", content: collect, collected },
      { signal: "s3", content: { kind: "interrupt", reason: "enough", graceMs: 5 } } as const,
    ];
    const given = assignment("mail", null, { signals });
    transport.start(given);
    await host.settle();
    expect(taken).toEqual([
      { id: "s1", kind: "steer", text: "go left", payload: { degrees: 90 } },
      { id: "s2", kind: "collect", results: { a: 1 }, missing: ["b"] },
      { id: "s3", kind: "interrupt", reason: "enough" },
    ]);
    expect(recorder.of(given.key).slice(0, 3)).toEqual([
      ["receipt", "s1", "delivered"],
      ["receipt", "s2", "delivered"],
      ["receipt", "s3", "delivered"],
    ]);
  });

  test("is silent after the end", async () => {
    let kept: AgentContext | undefined;
    await outcomeOf((_, ctx) => {
      kept = ctx;
    });
    const before = recorder.reports.length;
    kept?.progress(1);
    kept?.heartbeat();
    kept?.log.error("late");
    kept?.checkpoint(new Uint8Array(1));
    expect(kept?.signals()).toEqual([]);
    expect(recorder.reports).toHaveLength(before);
  });

  test("reports a heartbeat", async () => {
    const outcome = await outcomeOf((_, { heartbeat }) => heartbeat());
    expect(outcome.kind).toBe("success");
    expect(recorder.reports.map(([method]) => method)).toEqual(["beat", "finish"]);
  });
});

describe("stopping", () => {
  test.each([
    ["result", "resolve"],
    ["failure", "reject"],
  ] as const)("a deaf function ends at the grace, its later %s is ignored", async (_what, how) => {
    const { promise, ...late } = Promise.withResolvers<string>();
    transport.register({ name: "deaf", run: () => promise });
    const given = assignment("deaf");
    transport.start(given);
    transport.stop(given.key, { reason: "TIMED_OUT", graceMs: 1_000 });
    await host.advance(999);
    expect(recorder.outcomes(given.key)).toEqual([]);
    await host.advance(1);
    expect(recorder.outcomes(given.key)).toEqual([{ kind: "stopped" }]);
    late[how]("too late");
    await host.settle();
    expect(recorder.outcomes(given.key)).toHaveLength(1);
    expect(host.timers).toBe(0);
  });

  test("tells the reason through an abort that libraries know", async () => {
    let reason: unknown;
    transport.register({
      name: "asks-late",
      run: async (_: unknown, ctx: AgentContext) => {
        await host.settle();
        reason = ctx.signal.aborted ? ctx.signal.reason : undefined;
      },
    } as Agent);
    const given = assignment("asks-late");
    transport.start(given);
    transport.stop(given.key, { reason: "DEADLINE", graceMs: 1_000 });
    await host.settle();
    expect(reason).toMatchObject({
      name: "AbortError",
      message: "the attempt is to stop: DEADLINE",
    });
  });
});

describe("register", () => {
  test("announces the agent with everything it says about itself", () => {
    transport.register({
      name: "full",
      run: () => null,
      inputSchema: { type: "object" },
      cost: 2,
      timeoutMs: 1_500,
      version: "1.2",
    });
    expect(changes).toBe(1);
    expect(transport.agents()).toEqual([
      {
        name: "full",
        version: "1.2",
        transport: "function",
        source: "in-process",
        inputSchema: { type: "object" },
        cost: 2,
        timeoutMs: 1_500,
      },
    ]);
  });

  test("refuses a name twice", () => {
    transport.register({ name: "one", run: () => 1 });
    expect(() => transport.register({ name: "one", run: () => 2 })).toThrow(FaultError);
    expect(transport.agents()).toHaveLength(1);
  });

  test.each([
    [{ name: "no spaces" }, "is not a name"],
    [{ name: "__proto__" }, "is not a name"],
    [{ name: "a", cost: 0 }, "cost"],
    [{ name: "a", cost: 1.5 }, "cost"],
    [{ name: "a", cost: "1" }, "cost"],
    [{ name: "a", timeoutMs: 0 }, "timeoutMs"],
    [{ name: "a", timeoutMs: Number.POSITIVE_INFINITY }, "timeoutMs"],
    [{ name: "a", version: 1 }, "version"],
  ])("refuses %j", (facts, part) => {
    const agent = { run: () => null, ...facts } as unknown as Agent;
    expect(() => transport.register(agent)).toThrow(part);
    expect(transport.agents()).toEqual([]);
  });
});
