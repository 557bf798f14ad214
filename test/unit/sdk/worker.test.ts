/**
 * The worker against an engine that the test plays, on virtual time: what each message makes it do and say, and that no
 * cut, silence or stop loses a result or runs a lease twice.
 */
import { create } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Agent, agent, GoClawError } from "goclaw";
import { describe, expect, test } from "vitest";
import { Reason, SignalKind, SignalReceipt } from "../../../gen/goclaw/v1/run_pb.ts";
import {
  FailureClass,
  SignalSchema,
  VerdictOutcome,
} from "../../../gen/goclaw/v1/worker_service_pb.ts";
import { Worker, type WorkerOptions } from "../../../src/sdk/worker.ts";
import { assign, FakeEngine, jsonData } from "../../support/fake-engine.ts";
import { MemoryLogger } from "../../support/memory-logger.ts";
import { VirtualHost } from "../../support/virtual-host.ts";

const echo = agent("echo", (input) => input);

/** Ends when the test says so, or when it is told to stop. */
function gate() {
  const open: ((value: unknown) => void)[] = [];
  const stopped: string[] = [];
  const held = agent("held", (_input, ctx) => {
    return new Promise((resolve, reject) => {
      open.push(resolve);
      ctx.signal.addEventListener("abort", () => {
        stopped.push(String(ctx.signal.reason));
        reject(ctx.signal.reason as Error);
      });
    });
  });
  return { held, open, stopped };
}

/** Goes on whatever it is told. */
function stubborn() {
  const open: ((value: unknown) => void)[] = [];
  return {
    open,
    held: agent("held", () => new Promise((resolve) => void open.push(resolve))),
  };
}

async function begin(agents: readonly Agent<never>[], options: Partial<WorkerOptions> = {}) {
  const host = new VirtualHost();
  const engine = new FakeEngine();
  const log = new MemoryLogger();
  let closings = 0;
  const world = { host, dial: engine.dial, log, close: () => void closings++ };
  const subject = new Worker({ agents, stopOn: [], ...options }, world);
  const started = subject.start();
  started.catch(() => {});
  await host.settle();
  return { host, engine, log, worker: subject, started, closings: () => closings };
}

/** As {@link begin}, and welcomed. */
async function connect(agents: readonly Agent<never>[], options: Partial<WorkerOptions> = {}) {
  const rig = await begin(agents, options);
  rig.engine.session.welcome();
  await rig.host.settle();
  return rig;
}

const outputs = (completes: readonly { outputData?: { data: Uint8Array } | undefined }[]) =>
  completes.map(({ outputData }) => JSON.parse(new TextDecoder().decode(outputData?.data)));

const committed = (leaseId: string) => ({ leaseId, outcome: VerdictOutcome.COMMITTED });

describe("Hello", () => {
  test("says who the worker is and what it can do", async () => {
    const sum = agent("sum", () => 0, { cost: 3, version: "1.2.0", timeoutMs: 500 });
    const { engine, worker } = await begin([echo, sum], {
      name: "box",
      capacity: 7,
      labels: { zone: "a" },
    });
    const { hello } = engine.session;
    expect(hello).toMatchObject({ protocolVersion: 1, name: "box", labels: { zone: "a" } });
    expect(hello.instanceId).toBe(worker.status.instanceId);
    expect(hello.capacity?.slots).toEqual({ default: 7 });
    expect(hello.agents).toMatchObject([
      { name: "echo", version: "", slotCost: 1, timeoutMs: 0 },
      { name: "sum", version: "1.2.0", slotCost: 3, timeoutMs: 500 },
    ]);
    expect(hello.resume).toBeUndefined();
  });

  test("comes alone until the engine has said Welcome", async () => {
    const { engine, host, worker } = await begin([echo]);
    worker.setCapacity(3);
    await host.settle();
    expect(engine.session.heard).toHaveLength(1);
    engine.session.welcome();
    await host.settle();
    expect(engine.session.heard[1]?.capacity?.slots).toEqual({ default: 3 });
  });

  test("that is refused ends the worker", async () => {
    const { host, worker, started, engine, closings } = await begin([echo]);
    engine.session.end(new ConnectError("no agents", Code.InvalidArgument));
    await host.settle();
    await expect(started).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(worker.closed).rejects.toBeInstanceOf(GoClawError);
    expect(engine.sessions).toHaveLength(1);
    expect(closings()).toBe(1);
  });
});

describe("work", () => {
  test("is acknowledged, run and completed", async () => {
    const { engine, host, worker } = await connect([echo]);
    engine.session.say({ assigns: [assign("a", "echo", { n: 1 }), assign("b", "echo", [2])] });
    await host.settle();
    const { session } = engine;
    expect(session.all("acks")).toEqual(["a", "b"]);
    expect(session.all("completes").map(({ leaseId }) => leaseId)).toEqual(["a", "b"]);
    expect(outputs(session.all("completes"))).toEqual([{ n: 1 }, [2]]);
    expect(worker.status).toMatchObject({ running: 0, awaitingVerdict: 2 });
    session.say({ verdicts: [committed("a"), committed("b")] });
    await host.settle();
    expect(worker.status).toMatchObject({ awaitingVerdict: 0, verdicts: { COMMITTED: 2 } });
  });

  test("is acknowledged before it runs, and answered in batches", async () => {
    const { engine, host } = await connect([echo]);
    const leases = Array.from({ length: 100 }, (_, n) => `l${n}`);
    engine.session.say({ assigns: leases.map((lease) => assign(lease, "echo")) });
    await host.settle();
    const [, first, ...rest] = engine.session.heard;
    expect(first?.acks).toEqual(leases);
    expect(first?.completes).toEqual([]);
    expect(rest.length).toBeLessThan(5);
    expect(rest.flatMap(({ completes }) => completes)).toHaveLength(100);
  });

  test("sees what it is told about itself", async () => {
    let seen: unknown;
    const look = agent("look", (input, ctx) => {
      const { runId, taskId, attempt, workflow, sessionId, idempotencyKey, runInput } = ctx;
      seen = { input, runId, taskId, attempt, workflow, sessionId, idempotencyKey, runInput };
      return ctx.lastCheckpoint;
    });
    const { engine, host } = await connect([look]);
    const rest = { inputIsRunInput: false, runInputData: jsonData("run"), sessionId: "s-1" };
    const checkpoint = new Uint8Array([7]);
    engine.session.say({ assigns: [assign("a", "look", "mine", { ...rest, checkpoint })] });
    await host.settle();
    expect(seen).toEqual({
      input: "mine",
      runId: "01JD0000000000000000000000",
      taskId: "t",
      attempt: 1,
      workflow: "wf",
      sessionId: "s-1",
      idempotencyKey: "key",
      runInput: "run",
    });
    expect(engine.session.all("completes")[0]?.outputData).toMatchObject({
      mediaType: "application/octet-stream",
      data: checkpoint,
    });
  });

  test("whose input comes as a Value is understood as well", async () => {
    const { engine, host } = await connect([echo]);
    const input = create(ValueSchema, { kind: { case: "stringValue", value: "plain" } });
    const { inputData: _, ...bare } = assign("a", "echo");
    engine.session.say({ assigns: [{ ...bare, input }] });
    await host.settle();
    expect(outputs(engine.session.all("completes"))).toEqual(["plain"]);
  });

  test.each([
    ["a throw", { message: "x" }, FailureClass.RETRYABLE, 0n],
    ["one that says so", { message: "x", retryable: false }, FailureClass.TERMINAL, 0n],
    ["one that asks for a pause", { message: "x", retryAfterMs: 1.5 }, FailureClass.THROTTLED, 2n],
  ])("that fails says how: %s", async (_what, error, failure, retryAfterMs) => {
    const fail = agent("fail", () => Promise.reject(error));
    const { engine, host } = await connect([fail]);
    engine.session.say({ assigns: [assign("a", "fail")] });
    await host.settle();
    const expected = { leaseId: "a", class: failure, message: "x", retryAfterMs };
    expect(engine.session.all("fails")).toMatchObject([expected]);
  });

  test("with an output beyond the limit is invalid", async () => {
    const large = agent("large", () => "x".repeat(100));
    const { engine, host } = await begin([large]);
    engine.session.welcome({ maxPayloadBytes: 101 });
    engine.session.say({ assigns: [assign("a", "large")] });
    await host.settle();
    expect(engine.session.all("fails")).toMatchObject([
      { class: FailureClass.INVALID, message: "an output of 102 bytes exceeds the limit of 101" },
    ]);
  });

  test("with much to say keeps every message small", async () => {
    const large = agent("large", () => "x".repeat(400_000));
    const { engine, host } = await connect([large]);
    const assigns = Array.from({ length: 20 }, (_, n) => assign(`l${n}`, "large"));
    engine.session.say({ assigns });
    await host.settle();
    expect(engine.session.all("completes")).toHaveLength(20);
    for (const { completes } of engine.session.heard) expect(completes.length).toBeLessThan(3);
  });

  test("for an agent that is not here fails, to be tried elsewhere", async () => {
    const { engine, host } = await connect([echo]);
    engine.session.say({ assigns: [assign("a", "other")] });
    await host.settle();
    expect(engine.session.all("fails")).toMatchObject([
      { class: FailureClass.RETRYABLE, message: 'this worker has no agent "other"' },
    ]);
  });

  test("assigned twice runs once and is acknowledged twice", async () => {
    const { held, open } = gate();
    const { engine, host } = await connect([held]);
    engine.session.say({ assigns: [assign("a", "held"), assign("a", "held")] });
    await host.settle();
    engine.session.say({ assigns: [assign("a", "held")] });
    await host.settle();
    expect(open).toHaveLength(1);
    expect(engine.session.all("acks")).toEqual(["a", "a", "a"]);
  });
});

describe("capacity", () => {
  test("beyond it nothing is taken up", async () => {
    const { held, open } = gate();
    const heavy: Agent<never> = { ...held, cost: 2 };
    const { engine, host, worker } = await connect([heavy], { capacity: 5 });
    engine.session.say({ assigns: ["a", "b", "c"].map((lease) => assign(lease, "held")) });
    await host.settle();
    expect(engine.session.all("acks")).toEqual(["a", "b"]);
    expect(worker.status).toMatchObject({ running: 2, ignored: 1 });
    // A call that is over takes nothing, even before its verdict.
    open[0]?.("done");
    await host.settle();
    engine.session.say({ assigns: [assign("d", "held")] });
    await host.settle();
    expect(engine.session.all("acks")).toEqual(["a", "b", "d"]);
  });

  test("shrinks while an agent goes on without its lease", async () => {
    const { held, open } = stubborn();
    const { engine, host, worker } = await connect([held], { capacity: 2 });
    engine.session.say({ assigns: [assign("a", "held")] });
    await host.settle();
    engine.session.say({ drops: ["a"] });
    await host.settle();
    expect(engine.session.heard.at(-1)?.capacity?.slots).toEqual({ default: 1 });
    open[0]?.("late");
    await host.settle();
    expect(engine.session.heard.at(-1)?.capacity?.slots).toEqual({ default: 2 });
    expect(outputs(engine.session.all("completes"))).toEqual(["late"]);
    engine.session.say({ verdicts: [{ leaseId: "a", outcome: VerdictOutcome.LATE_STORED }] });
    await host.settle();
    expect(worker.status).toMatchObject({ running: 0, awaitingVerdict: 0 });
  });
});

describe("stopping one attempt", () => {
  test("a Cancel aborts it, and its end is a cancelled failure", async () => {
    const { held, stopped } = gate();
    const { engine, host } = await connect([held]);
    engine.session.say({ assigns: [assign("a", "held")] });
    await host.settle();
    engine.session.say({ cancels: [{ leaseId: "a", reason: Reason.INTERRUPTED, graceMs: 100n }] });
    await host.settle();
    expect(stopped).toEqual(["AbortError: the attempt is to stop: INTERRUPTED"]);
    expect(engine.session.all("fails")).toMatchObject([
      { leaseId: "a", class: FailureClass.CANCELLED },
    ]);
  });

  test("a Drop aborts it, and nothing is said about it", async () => {
    const { held, stopped } = gate();
    const { engine, host, worker } = await connect([held]);
    engine.session.say({ assigns: [assign("a", "held")] });
    await host.settle();
    engine.session.say({ drops: ["a"] });
    await host.settle();
    expect(stopped).toHaveLength(1);
    expect(engine.session.all("fails")).toEqual([]);
    expect(worker.status).toMatchObject({ running: 0, awaitingVerdict: 0 });
  });

  test("dropped in the same breath, it never runs", async () => {
    const { held, open } = gate();
    const { engine, host, worker } = await connect([held]);
    engine.session.say({ assigns: [assign("a", "held")], drops: ["a"] });
    await host.settle();
    expect(open).toEqual([]);
    expect(worker.status.running).toBe(0);
  });
});

describe("what an attempt says", () => {
  test("of several reports in one turn the last is sent, with the last checkpoint", async () => {
    const talk = agent("talk", (_input, ctx) => {
      ctx.checkpoint(new Uint8Array([1]));
      ctx.progress(10, "ten");
      ctx.checkpoint(new Uint8Array([2]));
      ctx.progress(120, "all");
      ctx.progress(Number.NaN, "odd");
      return null;
    });
    const { engine, host } = await connect([talk]);
    engine.session.say({ assigns: [assign("a", "talk")] });
    await host.settle();
    expect(engine.session.all("progress")).toMatchObject([
      { leaseId: "a", percent: 100, note: "odd", checkpoint: new Uint8Array([2]) },
    ]);
  });

  test("a heartbeat and a log line are signs of life", async () => {
    const steps: (() => void)[] = [];
    const alive = agent("alive", (_input, ctx) => {
      steps.push(ctx.heartbeat, () => ctx.log.info("line"));
      return new Promise(() => {});
    });
    const { engine, host, log } = await connect([alive]);
    engine.session.say({ assigns: [assign("a", "alive")] });
    await host.settle();
    for (const step of steps) {
      step();
      await host.settle();
    }
    expect(engine.session.all("progress")).toHaveLength(2);
    expect(log.all).toContainEqual(
      expect.objectContaining({ level: "info", text: "line", leaseId: "a", agent: "alive" }),
    );
  });

  test("survives the stream it was said into", async () => {
    const says: ((percent: number) => void)[] = [];
    const talk = agent("talk", (_input, ctx) => {
      says.push(ctx.progress);
      return new Promise(() => {});
    });
    const { engine, host } = await connect([talk]);
    engine.session.say({ assigns: [assign("a", "talk")] });
    await host.settle();
    engine.session.cut();
    await host.settle();
    says[0]?.(40);
    says[0]?.(60);
    await host.advance(100);
    engine.session.welcome({ kept: ["a"] });
    await host.settle();
    expect(engine.session.all("progress")).toMatchObject([{ leaseId: "a", percent: 60 }]);
  });
});

describe("signals", () => {
  /** Takes its signals when the test says so. */
  function mailbox() {
    const takes: (() => readonly unknown[])[] = [];
    const listener = agent("listener", (_input, ctx) => {
      takes.push(ctx.signals);
      return new Promise(() => {});
    });
    return { listener, take: () => takes[0]?.() };
  }
  const steer = (signalId: string, leaseId = "a") =>
    create(SignalSchema, {
      leaseId,
      signalId,
      kind: SignalKind.STEER,
      text: signalId,
      payloadData: jsonData(1),
    });

  test("arrive in order and are acknowledged when they come and when they are taken", async () => {
    const { listener, take } = mailbox();
    const { engine, host } = await connect([listener]);
    const waiting = steer("first", "");
    engine.session.say({
      assigns: [assign("a", "listener", null, { signals: [waiting] })],
      signals: [steer("second")],
    });
    await host.settle();
    expect(engine.session.all("signalAcks").map(({ receipt }) => receipt)).toEqual([
      SignalReceipt.DELIVERED,
      SignalReceipt.DELIVERED,
    ]);
    expect(take()).toMatchObject([{ id: "first" }, { id: "second", kind: "steer", payload: 1 }]);
    await host.settle();
    expect(engine.session.all("signalAcks").slice(2)).toMatchObject([
      { leaseId: "a", signalId: "first", receipt: SignalReceipt.ADMITTED },
      { leaseId: "a", signalId: "second", receipt: SignalReceipt.ADMITTED },
    ]);
  });

  test("that come again are acknowledged again and not delivered again", async () => {
    const { listener, take } = mailbox();
    const { engine, host } = await connect([listener]);
    engine.session.say({ assigns: [assign("a", "listener")], signals: [steer("one")] });
    await host.settle();
    expect(take()).toHaveLength(1);
    engine.session.cut();
    await host.advance(100);
    engine.session.welcome({ kept: ["a"] });
    engine.session.say({ signals: [steer("one"), steer("two")] });
    await host.settle();
    const last = new Map(
      engine.session.all("signalAcks").map((ack) => [ack.signalId, ack.receipt]),
    );
    expect(last).toEqual(
      new Map([
        ["one", SignalReceipt.ADMITTED],
        ["two", SignalReceipt.DELIVERED],
      ]),
    );
    expect(take()).toMatchObject([{ id: "two" }]);
  });

  test("a collect brings results and what is missing", async () => {
    const { listener, take } = mailbox();
    const { engine, host } = await connect([listener]);
    engine.session.say({
      assigns: [assign("a", "listener")],
      signals: [
        {
          leaseId: "a",
          signalId: "c",
          kind: SignalKind.COLLECT,
          payloadData: jsonData({ left: 1 }),
          missing: ["right"],
        },
      ],
    });
    await host.settle();
    expect(take()).toEqual([
      { id: "c", kind: "collect", results: { left: 1 }, missing: ["right"] },
    ]);
  });
});

describe("probes", () => {
  test("are answered with every lease that runs or awaits its verdict", async () => {
    const { held } = gate();
    const { engine, host } = await connect([held, echo]);
    engine.session.say({
      assigns: [assign("a", "held"), assign("b", "echo"), assign("c", "held")],
    });
    await host.settle();
    engine.session.say({ drops: ["c"], probe: { nonce: 6n } });
    engine.session.say({ probe: { nonce: 7n } });
    await host.settle();
    expect(engine.session.beats.at(-1)).toMatchObject({ nonce: 7n, leases: ["a", "b"] });
  });
});

describe("a lost stream", () => {
  test("is opened again with everything that is not settled", async () => {
    const { held, open } = gate();
    const { engine, host, worker } = await connect([held, echo]);
    engine.session.say({
      assigns: [assign("a", "held"), assign("b", "echo"), assign("c", "echo")],
    });
    await host.settle();
    engine.session.say({ verdicts: [committed("c")] });
    await host.settle();
    engine.session.cut();
    await host.advance(100);
    expect(engine.sessions).toHaveLength(2);
    expect(engine.session.hello).toMatchObject({
      instanceId: worker.status.instanceId,
      resume: { token: "token", leases: ["a", "b"] },
    });
    engine.session.welcome({ kept: ["a"], dropped: ["b"] });
    await host.settle();
    expect(engine.session.all("completes").map(({ leaseId }) => leaseId)).toEqual(["b"]);
    open[0]?.("still here");
    await host.settle();
    expect(outputs(engine.session.all("completes"))).toEqual([null, "still here"]);
    expect(worker.status.sessions).toBe(2);
  });

  test("a result is said again on every stream until its verdict comes", async () => {
    const { engine, host } = await connect([echo]);
    engine.session.say({ assigns: [assign("a", "echo", 5)] });
    await host.settle();
    for (let times = 0; times < 3; times++) {
      engine.session.cut();
      await host.advance(100);
      engine.session.welcome({ kept: ["a"] });
      await host.settle();
      expect(outputs(engine.session.all("completes"))).toEqual([5]);
    }
    engine.session.say({ verdicts: [committed("a")] });
    await host.settle();
    engine.session.cut();
    await host.advance(100);
    engine.session.welcome();
    await host.settle();
    expect(engine.session.all("completes")).toEqual([]);
  });

  test("what ends while there is no stream is said on the next", async () => {
    const { held, open } = gate();
    const { engine, host } = await connect([held]);
    engine.session.say({ assigns: [assign("a", "held")] });
    await host.settle();
    engine.session.cut();
    await host.settle();
    open[0]?.("meanwhile");
    await host.advance(100);
    engine.session.welcome({ kept: ["a"] });
    await host.settle();
    expect(outputs(engine.session.all("completes"))).toEqual(["meanwhile"]);
  });

  test("dropped on return, its calls are stopped", async () => {
    const { held, stopped } = gate();
    const { engine, host } = await connect([held]);
    engine.session.say({ assigns: [assign("a", "held")] });
    await host.settle();
    engine.session.cut();
    await host.advance(100);
    engine.session.welcome({ dropped: ["a"] });
    await host.settle();
    expect(stopped).toHaveLength(1);
  });

  test("pauses double up to five seconds and are drawn evenly", async () => {
    const { engine, host } = await begin([echo]);
    engine.refusal = new ConnectError("nobody there", Code.Unavailable);
    engine.session.end(engine.refusal);
    const dials: number[] = [];
    const beganAt = host.now();
    let seen = 1;
    for (let ms = 0; ms < 20_000; ms += 50) {
      await host.advance(50);
      if (engine.sessions.length > seen) dials.push(host.now() - beganAt);
      seen = engine.sessions.length;
    }
    const pauses = dials.map((at, n) => at - (dials[n - 1] ?? 0));
    // This host draws the middle.
    expect(pauses.slice(0, 8)).toEqual([100, 200, 400, 800, 1_600, 2_500, 2_500, 2_500]);
  });

  test("silence for its limit is one, a message is none", async () => {
    const { engine, host } = await connect([echo]);
    await host.advance(14_000);
    engine.session.say({ probe: { nonce: 1n } });
    await host.advance(14_900);
    expect(engine.sessions).toHaveLength(1);
    await host.advance(500);
    expect(engine.sessions).toHaveLength(2);
  });

  test("the engine going away is one, after the pause it asks for", async () => {
    const { held, open } = gate();
    const { engine, host } = await connect([held]);
    engine.session.say({ assigns: [assign("a", "held")] });
    engine.session.say({ goAway: { reason: "restart", reconnectAfterMs: 2_000 } });
    await host.settle();
    open[0]?.("finished first");
    await host.settle();
    expect(outputs(engine.session.all("completes"))).toEqual(["finished first"]);
    engine.session.end();
    await host.advance(1_900);
    expect(engine.sessions).toHaveLength(1);
    await host.advance(200);
    expect(engine.sessions).toHaveLength(2);
  });
});

describe("stop", () => {
  test("waits for what runs and for its verdict", async () => {
    const { held, open } = gate();
    const { engine, host, worker, closings } = await connect([held]);
    engine.session.say({ assigns: [assign("a", "held")] });
    await host.settle();
    let isStopped = false;
    const stopped = worker.stop().then(() => {
      isStopped = true;
    });
    await host.settle();
    expect(engine.session.heard.at(-1)?.drain).toMatchObject({ leaving: false });
    open[0]?.("done");
    await host.settle();
    expect(outputs(engine.session.all("completes"))).toEqual(["done"]);
    expect(isStopped).toBe(false);
    engine.session.say({ verdicts: [committed("a")] });
    await host.settle();
    expect(engine.session.hasFinished).toBe(true);
    engine.session.end();
    await stopped;
    await worker.closed;
    expect(closings()).toBe(1);
    expect(host.timers).toBe(0);
  });

  test("with nothing to do ends at once, even when the engine does not", async () => {
    const { engine, host, worker } = await connect([echo]);
    const stopped = worker.stop();
    await host.settle();
    expect(engine.session.hasFinished).toBe(true);
    await host.advance(1_000);
    await stopped;
    expect(engine.sessions).toHaveLength(1);
  });

  test("hands back what is left at its deadline", async () => {
    const { held, stopped: aborted } = gate();
    const { engine, host, worker } = await connect([held], { drainTimeoutMs: 500 });
    engine.session.say({ assigns: [assign("a", "held")] });
    await host.settle();
    const stopped = worker.stop();
    await host.advance(500);
    expect(aborted).toEqual(["AbortError: the attempt is to stop: SHUTDOWN"]);
    expect(engine.session.heard.at(-1)?.drain).toMatchObject({ leaving: true });
    expect(engine.session.all("fails")).toEqual([]);
    engine.session.end();
    await stopped;
  });

  test("brings results over a reconnect, and asks for no work on the way", async () => {
    const { engine, host, worker } = await connect([echo]);
    engine.session.say({ assigns: [assign("a", "echo", 3)] });
    await host.settle();
    const stopped = worker.stop();
    engine.session.cut();
    await host.advance(100);
    expect(engine.session.hello.capacity?.slots).toEqual({ default: 0 });
    engine.session.welcome({ kept: ["a"] });
    await host.settle();
    expect(outputs(engine.session.all("completes"))).toEqual([3]);
    engine.session.say({ verdicts: [committed("a")] });
    await host.settle();
    engine.session.end();
    await stopped;
  });

  test("before any Welcome ends the attempt to connect", async () => {
    const { host, worker, started, engine } = await begin([echo]);
    const stopped = worker.stop();
    await host.settle();
    await stopped;
    await started;
    expect(worker.status.sessions).toBe(0);
    expect(engine.sessions).toHaveLength(1);
  });
});

describe("the unknown", () => {
  test("is ignored and counted", async () => {
    const { engine, host, worker } = await connect([echo]);
    engine.session.say({
      assigns: [{ agent: "echo" }],
      signals: [{ leaseId: "a", signalId: "s", kind: 77 as SignalKind }],
      cancels: [{ leaseId: "never seen" }],
      drops: ["never seen"],
      verdicts: [committed("never seen")],
    });
    const field = { no: 99, wireType: 0, data: new Uint8Array([1]) };
    engine.session.say({ assigns: [assign("a", "echo")] }).$unknown = [field];
    await host.settle();
    expect(worker.status.ignored).toBe(5);
    expect(engine.session.all("completes")).toHaveLength(1);
  });

  test("outcome of a verdict settles a result like any other", async () => {
    const { engine, host, worker } = await connect([echo]);
    engine.session.say({ assigns: [assign("a", "echo")] });
    await host.settle();
    engine.session.say({ verdicts: [{ leaseId: "a", outcome: 42 as VerdictOutcome }] });
    await host.settle();
    expect(worker.status).toMatchObject({ awaitingVerdict: 0, verdicts: { UNSPECIFIED: 1 } });
  });
});

describe("options that cannot be", () => {
  test.each([
    ["no agents", { agents: [] }, "ARGUMENT_INVALID"],
    ["an agent twice", { agents: [echo, agent("echo", () => 1)] }, "AGENT_DUPLICATE"],
    ["a name no definition can write", { agents: [agent("a b", () => 1)] }, "AGENT_LOAD_FAILED"],
    ["half a slot", { agents: [echo], capacity: 0.5 }, "ARGUMENT_INVALID"],
  ])("are refused: %s", async (_what, options, reason) => {
    const { worker } = await import("goclaw");
    expect(() => worker(options)).toThrow(expect.objectContaining({ reason }));
  });
});
