/** The runtime over transports that misbehave on purpose, in virtual time. */
import { beforeEach, describe, expect, test } from "vitest";
import { PAYLOAD_MAX_BYTES } from "../../../src/base/payload.ts";
import type {
  AgentInfo,
  AgentTransport,
  Assignment,
  AttemptListener,
  StopRequest,
} from "../../../src/ports/agent.ts";
import { Runtime } from "../../../src/runtime/runtime.ts";
import { assignment, ListLog, Recorder, steer } from "../../support/attempts.ts";
import { NullMetrics } from "../../support/metrics.ts";
import { VirtualHost } from "../../support/virtual-host.ts";

const SUCCESS = { kind: "success", output: { json: "1" } } as const;

/** Does nothing by itself; a test speaks for it through `listener`. */
class PuppetTransport implements AgentTransport {
  readonly kind: string;
  listener!: AttemptListener;
  announce!: () => void;
  names: string[];
  readonly calls: unknown[][] = [];
  onStart: (assignment: Assignment) => void = () => {};
  onStop: (key: string) => void = () => {};
  onClose: () => void = () => {};

  constructor(kind: string, names: string[]) {
    this.kind = kind;
    this.names = names;
  }

  open(listener: AttemptListener, onChange: () => void): Promise<void> {
    this.listener = listener;
    this.announce = onChange;
    return Promise.resolve();
  }

  agents(): readonly AgentInfo[] {
    return this.names.map((name) => ({
      name,
      version: "1",
      transport: this.kind,
      source: this.kind,
    }));
  }

  start(given: Assignment): void {
    this.calls.push(["start", given.key]);
    this.onStart(given);
  }

  signal(key: string, signal: { readonly signal: string }): void {
    this.calls.push(["signal", key, signal.signal]);
  }

  stop(key: string, request: StopRequest): void {
    this.calls.push(["stop", key, request.reason, request.graceMs]);
    this.onStop(key);
  }

  close(): Promise<void> {
    this.onClose();
    return Promise.resolve();
  }
}

let host: VirtualHost;
let first: PuppetTransport;
let second: PuppetTransport;
let log: ListLog;
let metrics: NullMetrics;
let sink: Recorder;
let runtime: Runtime;

beforeEach(async () => {
  host = new VirtualHost();
  first = new PuppetTransport("first", ["a", "b"]);
  second = new PuppetTransport("second", ["c"]);
  log = new ListLog();
  metrics = new NullMetrics();
  sink = new Recorder();
  runtime = new Runtime({}, { host, transports: [first, second], log, metrics });
  await runtime.open(sink);
});

describe("agents", () => {
  test("are listed by name and found in their transport", () => {
    expect(runtime.agents().map(({ name }) => name)).toEqual(["a", "b", "c"]);
    expect(runtime.has("c")).toBe(true);
    expect(runtime.has("d")).toBe(false);
    expect(runtime.resolve("b")?.transport).toBe("first");
    expect(runtime.resolve("d")).toBeUndefined();
  });

  test("of one name: the first transport keeps it, the second is refused with a fault", () => {
    second.names = ["c", "b"];
    second.announce();
    expect(runtime.resolve("b")?.transport).toBe("first");
    expect(runtime.problems()).toEqual([
      { code: "AGENT_DUPLICATE", agent: "b", kept: "first", refused: "second" },
    ]);
    second.announce();
    const warnings = log.lines.filter((line) => line.startsWith("warn"));
    expect(warnings).toEqual([
      'warn: agent "b" of second is not loaded: first already has that name',
    ]);
  });

  test("that change are announced", async () => {
    let changes = 0;
    const other = new Runtime({}, { host, transports: [second], log, metrics });
    await other.open(sink, () => changes++);
    second.names = ["d"];
    second.announce();
    expect(changes).toBe(1);
    expect(other.agents().map(({ name }) => name)).toEqual(["d"]);
  });
});

describe("an attempt", () => {
  test("of an unknown agent fails later, naming the nearest", async () => {
    const given = assignment("aa");
    runtime.start(given);
    expect(sink.reports).toEqual([]);
    await host.settle();
    expect(sink.outcomes(given.key)).toEqual([
      {
        kind: "failure",
        failure: "retryable",
        message: 'no agent "aa" is loaded; did you mean "a"?',
      },
    ]);
    expect(runtime.inFlight).toBe(0);
  });

  test("ends once: repeated and late reports are counted and dropped", () => {
    const given = assignment("a");
    runtime.start(given);
    expect(runtime.inFlight).toBe(1);
    first.listener.progress(given.key, 40, "half");
    first.listener.finish(given.key, SUCCESS);
    first.listener.finish(given.key, { kind: "stopped" });
    first.listener.progress(given.key, 50, "late");
    expect(sink.of(given.key)).toEqual([
      ["progress", 40, "half"],
      ["finish", SUCCESS],
    ]);
    expect(metrics.count("lateReport")).toBe(2);
    expect(runtime.inFlight).toBe(0);
  });

  test("cannot be ended by another transport", () => {
    const given = assignment("a");
    runtime.start(given);
    second.listener.finish(given.key, SUCCESS);
    second.listener.finish("no such attempt", SUCCESS);
    expect(sink.reports).toEqual([]);
    expect(metrics.count("lateReport")).toBe(2);
    expect(runtime.inFlight).toBe(1);
  });

  test("whose transport reports from inside start is heard after it", async () => {
    const given = assignment("a");
    first.onStart = ({ key }) => {
      first.listener.progress(key, 1, "");
      first.listener.finish(key, SUCCESS);
    };
    runtime.start(given);
    expect(sink.reports).toEqual([]);
    await host.settle();
    expect(sink.of(given.key)).toEqual([
      ["progress", 1, ""],
      ["finish", SUCCESS],
    ]);
  });

  test("whose transport throws at start fails", async () => {
    const given = assignment("a");
    first.onStart = () => {
      throw new Error("no thread");
    };
    runtime.start(given);
    await host.settle();
    expect(sink.outcomes(given.key)).toEqual([
      {
        kind: "failure",
        failure: "retryable",
        message: "the first transport could not start the attempt: no thread",
      },
    ]);
  });

  test("may not be started twice under one key", () => {
    const given = assignment("a");
    runtime.start(given);
    expect(() => runtime.start(given)).toThrow("already in flight");
  });

  test("gets signals while it lasts", () => {
    const given = assignment("a");
    runtime.start(given);
    runtime.signal(given.key, steer("s1", "left"));
    first.listener.finish(given.key, SUCCESS);
    runtime.signal(given.key, steer("s2", "right"));
    expect(first.calls).toEqual([
      ["start", given.key],
      ["signal", given.key, "s1"],
    ]);
  });

  test("has its reports bounded", () => {
    const given = assignment("a");
    runtime.start(given);
    first.listener.progress(given.key, 250, "x".repeat(5_000));
    first.listener.progress(given.key, Number.NaN, "");
    first.listener.checkpoint(given.key, new Uint8Array(PAYLOAD_MAX_BYTES + 1));
    first.listener.checkpoint(given.key, new Uint8Array(PAYLOAD_MAX_BYTES));
    const [cut, nan, refused, kept] = sink.of(given.key);
    expect(cut?.[1]).toBe(100);
    expect(String(cut?.[2])).toHaveLength(1_024);
    expect(nan).toEqual(["progress", 0, ""]);
    expect(refused?.slice(0, 2)).toEqual(["log", "error"]);
    expect(kept?.[0]).toBe("checkpoint");
    expect(metrics.count("limitHit")).toBe(1);
  });

  test("with an output over the limit fails for good", () => {
    const given = assignment("a");
    runtime.start(given);
    const json = `"${"x".repeat(PAYLOAD_MAX_BYTES)}"`;
    first.listener.finish(given.key, { kind: "success", output: { json } });
    expect(sink.outcomes(given.key)).toMatchObject([{ kind: "failure", failure: "invalid" }]);
  });

  test("is held to the limits it was given, in bytes", async () => {
    const third = new PuppetTransport("third", ["e"]);
    const limited = new Runtime(
      { payloadBytes: 10, timerMs: 5_000 },
      { host, transports: [third], log, metrics },
    );
    await limited.open(sink);
    const umlauts = assignment("e");
    const patient = assignment("e");
    limited.start(umlauts);
    limited.start(patient);
    third.listener.checkpoint(umlauts.key, new Uint8Array(11));
    third.listener.finish(umlauts.key, { kind: "success", output: { json: '"äääää"' } });
    const failure = { kind: "failure", failure: "throttled", message: "later" } as const;
    third.listener.finish(patient.key, { ...failure, retryAfterMs: Number.POSITIVE_INFINITY });
    expect(sink.of(umlauts.key)[0]).toEqual([
      "log",
      "error",
      "checkpoint: 11 bytes exceeds the limit of 10",
    ]);
    expect(sink.outcomes(umlauts.key)).toEqual([
      {
        kind: "failure",
        failure: "invalid",
        message: "output: 12 bytes exceeds the limit of 10",
      },
    ]);
    expect(sink.outcomes(patient.key)).toEqual([{ ...failure, retryAfterMs: 5_000 }]);
    expect(metrics.limitsHit).toEqual(["payloadBytes", "payloadBytes"]);
  });
});

test.for([
  [Number.NaN, 0],
  [-5_000, 0],
  [0.5, 0.5],
])("a wish to be called again in %d ms is one of %d ms", async ([wished, granted]) => {
  const given = assignment("a");
  runtime.start(given);
  const failure = { kind: "failure", failure: "throttled", message: "later" } as const;
  first.listener.finish(given.key, { ...failure, retryAfterMs: wished as number });
  expect(sink.outcomes(given.key)).toEqual([{ ...failure, retryAfterMs: granted }]);
});

describe("stop", () => {
  test("reaches the transport with its reason and grace", () => {
    const given = assignment("a");
    runtime.start(given);
    runtime.stop(given.key, { reason: "TIMED_OUT", graceMs: 500 });
    expect(first.calls[1]).toEqual(["stop", given.key, "TIMED_OUT", 500]);
    first.listener.finish(given.key, { kind: "stopped" });
    expect(sink.outcomes(given.key)).toEqual([{ kind: "stopped" }]);
    expect(host.timers).toBe(0);
    runtime.stop(given.key, { reason: "TIMED_OUT", graceMs: 0 });
    expect(first.calls).toHaveLength(2);
  });

  test("overrules a silent transport a second after the grace", async () => {
    const given = assignment("a");
    runtime.start(given);
    runtime.stop(given.key, { reason: "INTERRUPTED", graceMs: 500 });
    await host.advance(1_499);
    expect(sink.reports).toEqual([]);
    await host.advance(1);
    expect(sink.outcomes(given.key)).toMatchObject([{ kind: "lost", reason: "WORKER_LOST" }]);
    first.listener.finish(given.key, SUCCESS);
    expect(sink.outcomes(given.key)).toHaveLength(1);
    expect(metrics.count("lateReport")).toBe(1);
  });

  test("again with less grace counts from the earlier end, with more grace changes nothing", async () => {
    const [hurried, patient] = [assignment("a"), assignment("a")];
    for (const { key } of [hurried, patient]) {
      runtime.start(key === hurried.key ? hurried : patient);
      runtime.stop(key, { reason: "INTERRUPTED", graceMs: 5_000 });
    }
    runtime.stop(hurried.key, { reason: "CANCELLED_BY_USER", graceMs: 0 });
    runtime.stop(patient.key, { reason: "CANCELLED_BY_USER", graceMs: 60_000 });
    await host.advance(1_000);
    expect(sink.outcomes(hurried.key)).toHaveLength(1);
    await host.advance(5_000);
    expect(sink.outcomes(patient.key)).toHaveLength(1);
    expect(host.timers).toBe(0);
  });

  test("survives a transport that throws", async () => {
    const given = assignment("a");
    first.onStop = () => {
      throw new Error("broken pipe");
    };
    runtime.start(given);
    runtime.stop(given.key, { reason: "TIMED_OUT", graceMs: 0 });
    await host.advance(1_000);
    expect(sink.outcomes(given.key)).toMatchObject([{ kind: "lost" }]);
    expect(log.lines).toContain("error: a transport failed");
  });
});

describe("heartbeats", () => {
  const given = () => assignment("a", null, { heartbeatTimeoutMs: 1_000 });

  test("any sign of life keeps an attempt", async () => {
    const alive = given();
    runtime.start(alive);
    const signs = [
      () => first.listener.beat(alive.key),
      () => first.listener.progress(alive.key, 1, ""),
      () => first.listener.log(alive.key, "info", "here"),
      () => first.listener.checkpoint(alive.key, new Uint8Array(1)),
    ];
    for (const sign of signs) {
      await host.advance(900);
      sign();
    }
    await host.advance(999);
    expect(first.calls).toEqual([["start", alive.key]]);
    await host.advance(1);
    expect(first.calls[1]).toEqual(["stop", alive.key, "HEARTBEAT_LOST", 1_000]);
  });

  test("a silent attempt is stopped and then lost", async () => {
    const silent = given();
    runtime.start(silent);
    await host.advance(1_000);
    expect(sink.outcomes(silent.key)).toEqual([]);
    first.listener.finish(silent.key, { kind: "stopped" });
    expect(sink.outcomes(silent.key)).toMatchObject([{ kind: "lost", reason: "HEARTBEAT_LOST" }]);
    expect(host.timers).toBe(0);
  });

  test("a silent attempt of a silent transport is lost as well", async () => {
    const silent = given();
    runtime.start(silent);
    await host.advance(3_000);
    expect(sink.outcomes(silent.key)).toMatchObject([{ kind: "lost", reason: "HEARTBEAT_LOST" }]);
  });

  test("a result within the grace is a result", async () => {
    const late = given();
    runtime.start(late);
    await host.advance(1_500);
    first.listener.finish(late.key, SUCCESS);
    expect(sink.outcomes(late.key)).toEqual([SUCCESS]);
  });
});

describe("expected duration", () => {
  test("is the median of the latest successes", async () => {
    expect(runtime.expectedMs("a")).toBeUndefined();
    for (const [durationMs, outcome] of [
      [100, SUCCESS],
      [300, SUCCESS],
      [200, SUCCESS],
      [90_000, { kind: "failure", failure: "retryable", message: "" }],
    ] as const) {
      const given = assignment("a");
      runtime.start(given);
      await host.advance(durationMs);
      first.listener.finish(given.key, outcome);
    }
    expect(runtime.expectedMs("a")).toBe(200);
    expect(runtime.expectedMs("b")).toBeUndefined();
    expect(metrics.count("attemptEnded")).toBe(4);
  });

  test("forgets what is older than 64 attempts", async () => {
    for (let n = 0; n < 128; n++) {
      const given = assignment("a");
      runtime.start(given);
      await host.advance(n < 64 ? 1_000 : 10);
      first.listener.finish(given.key, SUCCESS);
    }
    expect(runtime.expectedMs("a")).toBe(10);
  });
});

describe("close", () => {
  test("ends what transports leave behind, and starts nothing any more", async () => {
    const left = assignment("a");
    runtime.start(left);
    first.onClose = () => {
      throw new Error("stuck");
    };
    await runtime.close();
    await runtime.close();
    expect(sink.outcomes(left.key)).toMatchObject([{ kind: "lost", reason: "WORKER_LOST" }]);
    expect(log.lines).toContain("error: a transport did not close");
    const late = assignment("a");
    runtime.start(late);
    await host.settle();
    expect(sink.outcomes(late.key)).toMatchObject([{ kind: "lost" }]);
    expect(first.calls).toEqual([["start", left.key]]);
  });

  test("is legal before open", async () => {
    const unopened = new Runtime({}, { host, transports: [second], log, metrics });
    await expect(unopened.close()).resolves.toBeUndefined();
  });
});
