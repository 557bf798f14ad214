/**
 * Cases for what the messages of one stream carry: any JSON value both ways, words and fields from the future, outputs that
 * are too large, failures with their class, and signals in their order. The connection holds unless the case is about
 * messages that are sent again.
 */
import { create } from "@bufbuild/protobuf";
import { SignalKind, SignalReceipt } from "../../gen/goclaw/v1/run_pb.ts";
import {
  EngineMessageSchema,
  FailureClass,
  FailureClassSchema,
  VerdictOutcome,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { describeSaid } from "./said.ts";
import { wireData, wireValue, wordOf } from "./values.ts";
import { type Case, demand } from "./verdicts.ts";
import type { Given } from "./worker-session.ts";
import { SLOTS_MIN, type WorkerStage } from "./worker-stage.ts";

/** An attempt that ends only because it is told to. */
const ENDLESS = { ms: 3_600_000 };
const KIB = 1024;

const VALUES = [
  null,
  false,
  0,
  -1.5,
  "",
  "ünïcødé \u0000 \n “quotes” 🦀",
  [],
  {},
  [1, [2, [3, null]]],
  { a: { b: [true, { "key with spaces": "x" }] }, n: 9_007_199_254_740_991 },
] as const;

type PayloadCase = Case<WorkerStage>;

const values: PayloadCase = {
  name: "values",
  rule: 10,
  demand: "any JSON value arrives as input and leaves as output unchanged, null included",
  play: async (stage) => {
    const session = await stage.open();
    for (const value of VALUES) {
      const given = session.give("echo", value as Given["input"]);
      await stage.finish(session, given);
    }
  },
};

const rawValues: PayloadCase = {
  name: "raw-values",
  rule: 10,
  demand: "a worker whose capability `raw-values` is in force reads inputs as Data",
  play: async (stage) => {
    const before = await stage.open();
    stage.needsCapability(before.hello, "raw-values");
    const session = await stage.open({ welcome: { capabilities: ["raw-values"] } });
    for (const value of VALUES) {
      const given = session.newLease("echo", value as Given["input"]);
      const { input: _, ...assign } = session.assignOf(given);
      session.send({ assigns: [{ ...assign, inputData: wireData(given.input) }] });
      await stage.finish(session, given);
    }
  },
};

const unknownLeases: PayloadCase = {
  name: "unknown-leases",
  rule: 10,
  demand:
    "cancels, drops, signals and verdicts for leases it does not hold do not disturb a worker",
  play: async (stage) => {
    const session = await stage.open();
    const leaseId = "nobody's";
    const payload = wireValue({ ignored: true });
    const signal = { leaseId, signalId: "s", kind: SignalKind.STEER, text: "?", payload };
    session.send({
      cancels: [{ leaseId, graceMs: 1n }],
      drops: [leaseId, ""],
      signals: [signal],
      verdicts: [{ leaseId, outcome: VerdictOutcome.COMMITTED }],
    });
    await stage.stillWorks(session);
  },
};

const unknownFields: PayloadCase = {
  name: "unknown-message",
  rule: 10,
  demand: "messages, fields and words of enums that the worker does not know are ignored",
  play: async (stage) => {
    const session = await stage.open({ welcome: { capabilities: ["from-the-future"] } });
    session.send({});
    const unknown = create(EngineMessageSchema);
    unknown.$unknown = [{ no: 1_000, wireType: 2, data: new Uint8Array([3, 1, 2, 3]) }];
    session.sendMessage(unknown);
    const given = session.give("sleep", ENDLESS);
    await session.acked(given);
    const cancelled = create(EngineMessageSchema, {
      cancels: [{ leaseId: given.leaseId, reason: 99 as 0, graceMs: 5_000n }],
    });
    cancelled.$unknown = [{ no: 77, wireType: 0, data: new Uint8Array([1]) }];
    session.sendMessage(cancelled);
    await session.result(given, "an end after the cancel");
    session.verdict(VerdictOutcome.COMMITTED, given);
    await stage.stillWorks(session);
  },
};

const unknownAgent: PayloadCase = {
  name: "unknown-agent",
  rule: 10,
  demand: "an assignment for an agent that the worker does not have fails, and only that",
  play: async (stage) => {
    const session = await stage.open();
    const given = session.give("nobody-has-this-agent", {});
    const result = await session.result(given, "a fail");
    demand(result.kind === "fail", "a Fail", describeSaid(result));
    session.verdict(VerdictOutcome.COMMITTED, given);
    await stage.stillWorks(session);
  },
};

const largeMessage: PayloadCase = {
  name: "large-message",
  rule: 11,
  demand: "messages of almost 4 MiB arrive",
  play: async (stage) => {
    const session = await stage.open();
    const given = session.give("sleep", { ms: 1, padding: "x".repeat(4 * KIB * KIB - 4 * KIB) });
    await session.acked(given);
    await stage.finish(session, given);
  },
};

const oversize: PayloadCase = {
  name: "oversize-result",
  rule: 11,
  demand: "an output over `max_payload_bytes` becomes a Fail instead of a message nobody accepts",
  play: async (stage) => {
    const welcome = { maxPayloadBytes: 64 * KIB, maxMessageBytes: 256 * KIB };
    const session = await stage.open({ welcome });
    const given = session.give("echo", "x".repeat(80 * KIB));
    const result = await session.result(given);
    demand(result.kind === "fail", "a Fail", describeSaid(result));
    session.verdict(VerdictOutcome.COMMITTED, given);
    await stage.stillWorks(session);
  },
};

const largeBatch: PayloadCase = {
  name: "large-batch",
  rule: 11,
  demand: "results that wait together are sent in messages of at most `max_message_bytes`",
  play: async (stage) => {
    const limit = 256 * KIB;
    const welcome = { maxPayloadBytes: 128 * KIB, maxMessageBytes: limit };
    const session = await stage.open({ welcome });
    const given = Array.from({ length: SLOTS_MIN }, (_, n) =>
      session.newLease("echo", { n, text: "x".repeat(100 * KIB) }),
    );
    // One message with several would be over the limit of this side.
    for (const each of given) session.assign(each);
    for (const each of given) await session.completed(each);
    session.cut();
    const kept = given.map(({ leaseId }) => leaseId);
    const next = await stage.reopened({ welcome: { ...welcome, kept } });
    await stage.finish(next, ...given);
    for (const { inbox } of [session, next]) {
      const tooLarge = inbox.takeNow((said) =>
        said.kind === "message" && said.bytes > limit ? said : undefined,
      );
      const seen = tooLarge === undefined ? "" : describeSaid(tooLarge);
      demand(tooLarge === undefined, `no message over ${limit} bytes`, seen);
    }
  },
};

const failures: PayloadCase = {
  name: "failure-classes",
  rule: 6,
  demand: "an agent's failure is told with its class and message",
  play: async (stage) => {
    const session = await stage.open();
    stage.needsAgent(session.hello, "fail");
    for (const [word, failureClass] of FAILURES) {
      const given = session.give("fail", { class: word, message: `as ${word}` });
      const result = await session.result(given, "a fail");
      const isRight =
        result.kind === "fail" &&
        result.fail.class === failureClass &&
        result.fail.message.includes(`as ${word}`);
      demand(
        isRight,
        `Fail of class ${wordOf(FailureClassSchema, failureClass)}`,
        describeSaid(result),
      );
      session.verdict(VerdictOutcome.COMMITTED, given);
    }
  },
};

const FAILURES = [
  ["retryable", FailureClass.RETRYABLE],
  ["terminal", FailureClass.TERMINAL],
] as const;

const signals: PayloadCase = {
  name: "signals",
  rule: 8,
  demand: "signals reach the attempt in their order, each once however often it is sent",
  play: async (stage) => {
    const before = await stage.open();
    stage.needsCapability(before.hello, "signals");
    stage.needsAgent(before.hello, "listen");
    const session = await stage.open({ welcome: { capabilities: ["signals"] } });
    const given = session.give("listen", { count: 3 });
    await session.acked(given);
    const signal = (text: string) => ({
      leaseId: given.leaseId,
      signalId: `signal ${text}`,
      kind: SignalKind.STEER,
      text,
    });
    session.send({ signals: [signal("a"), signal("b")] });
    session.send({ signals: [signal("a"), signal("b"), signal("c")] });
    await session.completed(given, ["a", "b", "c"]);
    for (const text of ["a", "b", "c"]) {
      await session.inbox.take(
        (said) =>
          said.kind === "signalAck" &&
          said.signalAck.signalId === `signal ${text}` &&
          said.signalAck.receipt === SignalReceipt.ADMITTED
            ? said
            : undefined,
        `signal "${text}" to be acknowledged as ADMITTED`,
        session.patienceMs,
      );
    }
    session.verdict(VerdictOutcome.COMMITTED, given);
  },
};

/** The plain ones first. */
export const PAYLOAD_CASES: readonly PayloadCase[] = [
  values,
  rawValues,
  unknownLeases,
  unknownFields,
  unknownAgent,
  failures,
  signals,
  oversize,
  largeBatch,
  largeMessage,
];
