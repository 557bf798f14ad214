/**
 * Cases for a daemon about the way of an attempt: hand-shake, verdict after commit, failures and what later attempts are told,
 * cancels, signals, draining, versions, and input that is no protocol at all. The workers of these plays talk nonsense now
 * and then; the daemon goes on for everybody else.
 */
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { RunState, SignalReceipt, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import {
  FailureClass,
  VerdictOutcome,
  WorkerMessageSchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { EngineScene } from "./engine-scene.ts";
import { TASK } from "./engine-scene.ts";
import { sendGarbage } from "./garbage.ts";
import { completeWith, type HelloInit, leaseOf, type Words } from "./scripted-worker.ts";
import { wireValue } from "./values.ts";
import { type Case, demand } from "./verdicts.ts";

type FlowCase = Case<EngineScene>;

const { COMMITTED, DUPLICATE, FENCED, LATE_STORED } = VerdictOutcome;

const LOOK_MS = 600;
const MIB = 1024 * 1024;

const welcome: FlowCase = {
  name: "welcome",
  rule: 10,
  demand: "a Hello is answered by a Welcome with a session, a token, and times that fit together",
  play: async (scene) => {
    const capabilities = ["raw-values", "from-the-future"];
    const worker = await scene.worker({ capabilities });
    const said = worker.welcome;
    demand(said !== undefined && said.sessionId !== "", "a session_id", "none");
    demand(said.resumeToken !== "", "a resume_token", "none");
    const inForce = said.capabilities.join(", ");
    demand(!said.capabilities.includes("from-the-future"), "only known capabilities", inForce);
    const { probeIntervalMs, silenceLimitMs, ackLimitMs, leaseTtlMs, graceMs } = said;
    const times = [probeIntervalMs, silenceLimitMs, ackLimitMs, leaseTtlMs, graceMs];
    demand(!times.includes(0), "times above 0", times.join(", "));
    const fits = silenceLimitMs >= 2 * probeIntervalMs && leaseTtlMs >= 2 * probeIntervalMs;
    demand(fits, "several probes within the silence limit and the lease", times.join(", "));
    demand(said.maxPayloadBytes <= said.maxMessageBytes, "payloads that fit", "larger ones");
  },
};

const helloFaults: readonly (readonly [string, HelloInit | Words | undefined, Code])[] = [
  ["an instance id with a space", { instanceId: "a b" }, Code.InvalidArgument],
  ["no instance id", { instanceId: "" }, Code.InvalidArgument],
  ["no agents", { agents: [] }, Code.InvalidArgument],
  ["an agent without a name", { agents: [{ name: "" }] }, Code.InvalidArgument],
  ["protocol version 999", { protocolVersion: 999 }, Code.FailedPrecondition],
];

const brokenHello: FlowCase = {
  name: "broken-hello",
  rule: 10,
  demand: "a Hello that is wrong, or missing, ends the stream with an error that says so",
  play: async (scene) => {
    for (const [what, init, code] of helloFaults) {
      const worker = scene.dial(scene.hello(init as HelloInit));
      const closed = await worker.closed(`${Code[code]} for ${what}`);
      demand(closed.code === code, `${Code[code]} for ${what}`, `${closed.code} ${closed.how}`);
    }
    const rude = scene.dial(undefined);
    rude.say({ acks: ["what is a hello?"] });
    const closed = await rude.closed("INVALID_ARGUMENT for a stream without Hello");
    const seen = `${closed.code} ${closed.how}`;
    demand(closed.code === Code.InvalidArgument, "INVALID_ARGUMENT without a Hello", seen);
  },
};

const durable: FlowCase = {
  name: "verdict-after-commit",
  rule: 6,
  demand: "when the verdict COMMITTED is there, everybody can see the result",
  play: async (scene) => {
    const worker = await scene.worker();
    for (const text of ["one", "two", "three"]) {
      const run = await scene.start();
      await worker.finish(await worker.taken(), text);
      const { tasks } = await scene.look(run);
      const state = tasks[0]?.state;
      demand(state === TaskState.COMPLETED, "a completed task right after", String(state));
      await scene.completedWith(run, text);
    }
  },
};

const failures: FlowCase = {
  name: "failure-classes",
  rule: 6,
  demand: "retryable and throttled failures are tried again, terminal and invalid ones are not",
  play: async (scene) => {
    const worker = await scene.worker();
    for (const failureClass of [FailureClass.RETRYABLE, FailureClass.THROTTLED]) {
      const run = await scene.start();
      const first = await worker.taken();
      worker.say({ fails: [{ leaseId: leaseOf(first), class: failureClass, message: "not yet" }] });
      await worker.judged(leaseOf(first), COMMITTED);
      const second = await worker.taken("a second attempt");
      demand(second.lease?.attempt === 2, "attempt 2", String(second.lease?.attempt));
      await worker.finish(second, "now");
      await scene.completedWith(run, "now");
    }
    for (const failureClass of [FailureClass.TERMINAL, FailureClass.INVALID]) {
      const run = await scene.start();
      const leaseId = leaseOf(await worker.taken());
      worker.say({ fails: [{ leaseId, class: failureClass, message: "never" }] });
      await worker.judged(leaseId, COMMITTED);
      const { message } = await scene.until(run, RunState.FAILED);
      demand(message.includes("never"), "a run that fails with the worker's words", message);
    }
  },
};

const history: FlowCase = {
  name: "attempt-history",
  rule: 9,
  demand:
    "a later attempt has the same idempotency key and is told what the earlier one did and kept",
  play: async (scene) => {
    const worker = await scene.worker();
    await scene.start();
    const first = await worker.taken();
    const leaseId = leaseOf(first);
    const checkpoint = new TextEncoder().encode("page 7");
    worker.say({
      progress: [
        { leaseId, percent: 50, note: "half", checkpoint },
        { leaseId, receipts: [{ name: "mail", value: wireValue("sent-1") }] },
      ],
    });
    worker.say({ fails: [{ leaseId, class: FailureClass.RETRYABLE, message: "no paper" }] });
    await worker.judged(leaseId, COMMITTED);
    const second = await worker.taken("a second attempt");
    const key = second.idempotencyKey;
    demand(key === first.idempotencyKey && key !== "", first.idempotencyKey, key);
    const kept = new TextDecoder().decode(second.checkpoint);
    demand(kept === "page 7", "the checkpoint of the first attempt", kept);
    const earlier = second.history.at(-1);
    const isTold = earlier?.attempt === 1 && earlier.message.includes("no paper");
    demand(isTold, "how attempt 1 ended", `${earlier?.attempt} ${earlier?.message}`);
    const receipts = second.receipts.map(({ name }) => name).join(", ");
    demand(receipts === "mail", "the receipt of the first attempt", receipts);
    await worker.finish(second);
    const other = await scene.start();
    const next = await worker.taken();
    demand(next.idempotencyKey !== key, "another key for another run", next.idempotencyKey);
    await worker.finish(next);
    await scene.until(other, RunState.COMPLETED);
  },
};

const cancel: FlowCase = {
  name: "cancel",
  rule: 7,
  demand: "a cancel reaches the worker; the slot stays taken until it answers",
  play: async (scene) => {
    const worker = await scene.worker();
    const run = await scene.start();
    const leaseId = leaseOf(await worker.taken());
    await scene.runs.cancelRun({ runId: run, grace: "20s" });
    await worker.take(
      (heard) => (heard.kind === "cancel" && heard.leaseId === leaseId ? heard : undefined),
      `a Cancel of ${leaseId}`,
    );
    const next = await scene.start();
    await scene.pause(LOOK_MS);
    worker.noAssign("while the cancelled attempt still holds the slot");
    worker.say({ fails: [{ leaseId, class: FailureClass.CANCELLED, message: "stopped" }] });
    await worker.judged(leaseId, COMMITTED, DUPLICATE, FENCED);
    await scene.until(run, RunState.CANCELLED);
    await worker.finish(await worker.taken());
    await scene.until(next, RunState.COMPLETED);
  },
};

const cancelCrossing: FlowCase = {
  name: "cancel-crossing",
  rule: 7,
  demand: "when Complete and cancel cross, verdict and run tell the same story",
  play: async (scene) => {
    const worker = await scene.worker();
    for (let n = 0; n < 10; n++) {
      const run = await scene.start();
      const leaseId = leaseOf(await worker.taken());
      const cancelling = scene.runs.cancelRun({ runId: run, grace: "5s" }).catch(() => undefined);
      worker.complete(leaseId, "crossed");
      const outcome = await worker.judged(leaseId, COMMITTED, DUPLICATE, FENCED, LATE_STORED);
      await cancelling;
      const { state, tasks } = await scene.look(run);
      const isCompleted = tasks[0]?.state === TaskState.COMPLETED;
      const isCommitted = outcome === COMMITTED;
      // A Complete that answers a cancel may well be what ends the cancelled attempt.
      const isOneStory = isCommitted || !isCompleted;
      demand(isOneStory, "a completed task only with COMMITTED", `${outcome}, run ${state}`);
    }
  },
};

const signals: FlowCase = {
  name: "signals",
  rule: 8,
  demand: "signals come in order, again on every new stream until they are admitted, and not after",
  play: async (scene) => {
    const capabilities = ["signals"];
    let worker = await scene.worker({ capabilities });
    const run = await scene.start();
    const assign = await worker.taken();
    const leaseId = leaseOf(assign);
    for (const signalId of ["first", "second"]) {
      const signal = { case: "steer", value: { text: signalId } } as const;
      await scene.runs.sendSignal({ signal: { runId: run, taskId: TASK, signalId, signal } });
    }
    const next = (heard: { readonly kind: string; readonly signal?: { signalId: string } }) =>
      heard.kind === "signal" ? heard.signal?.signalId : undefined;
    for (const expected of ["first", "second"]) {
      const seen = await worker.take(next, `signal "${expected}"`);
      demand(seen === expected, `signal "${expected}"`, seen);
    }
    const admitted = { leaseId, signalId: "first", receipt: SignalReceipt.ADMITTED };
    worker.say({ signalAcks: [admitted] });
    await scene.pause(LOOK_MS);
    const { instanceId, welcome: old } = worker;
    worker.die();
    const resume = { token: old?.resumeToken ?? "", leases: [leaseId] };
    worker = await scene.worker({ instanceId, resume, capabilities }, { held: [leaseId] });
    const again = await worker.take(next, 'signal "second" again');
    demand(again === "second", 'signal "second" and not the admitted one', again);
    await worker.finish(assign);
  },
};

const drain: FlowCase = {
  name: "drain",
  rule: 12,
  demand: "a worker that drains gets nothing more, and what it has goes on",
  play: async (scene) => {
    const worker = await scene.worker({ capacity: { slots: { default: 5 } } });
    await scene.start();
    const assign = await worker.taken();
    worker.say({ drain: {} });
    const next = await scene.start();
    await scene.pause(LOOK_MS);
    worker.noAssign("after Drain");
    await worker.finish(assign, "before leaving");
    worker.leave();
    await worker.closed("the stream to end with the worker's side");
    const other = await scene.worker();
    await other.finish(await other.taken());
    await scene.until(next, RunState.COMPLETED);
  },
};

const leaving: FlowCase = {
  name: "leaving",
  rule: 12,
  demand: "what a leaving worker does not finish is given to others at once",
  play: async (scene) => {
    const worker = await scene.worker();
    const run = await scene.start();
    await worker.taken();
    const other = await scene.worker();
    worker.say({ drain: { leaving: true } });
    worker.leave();
    // Well below the grace.
    const assign = await other.taken("the task, at once", 4_000);
    await other.finish(assign, "taken over");
    await scene.completedWith(run, "taken over");
  },
};

const unknown: FlowCase = {
  name: "unknown-message",
  rule: 10,
  demand: "messages and fields that the daemon does not know are ignored",
  play: async (scene) => {
    const worker = await scene.worker();
    worker.say({});
    const strange = create(WorkerMessageSchema);
    strange.$unknown = [{ no: 1_000, wireType: 2, data: new Uint8Array([3, 1, 2, 3]) }];
    worker.sayMessage(strange);
    const run = await scene.start();
    await worker.finish(await worker.taken(), "understood");
    await scene.completedWith(run, "understood");
  },
};

const oversize: FlowCase = {
  name: "oversize",
  rule: 11,
  demand: "a message over 4 MiB ends its stream and nothing else; the lease survives",
  play: async (scene) => {
    const worker = await scene.worker();
    const run = await scene.start();
    const assign = await worker.taken();
    const leaseId = leaseOf(assign);
    worker.say({ completes: [completeWith(leaseId, "x".repeat(5 * MIB))] });
    await worker.closed("the stream to end");
    const after = await scene.returned(worker, [leaseId]);
    await after.finish(assign, "smaller");
    await scene.completedWith(run, "smaller");
  },
};

const outputFlood: FlowCase = {
  name: "output-flood",
  rule: 11,
  demand: "output without end, with gaps and lies in its offsets, never blocks the task",
  play: async (scene) => {
    const worker = await scene.worker();
    const run = await scene.start();
    const assign = await worker.taken();
    const leaseId = leaseOf(assign);
    const data = new Uint8Array(64 * 1024);
    for (let n = 0; n < 64; n++) {
      const offset = BigInt(n % 7 === 0 ? 0 : n * 1_000_000);
      worker.say({ outputs: [{ leaseId, offset, data }] });
    }
    await worker.finish(assign, "said too much");
    await scene.completedWith(run, "said too much");
  },
};

const garbage: FlowCase = {
  name: "garbage",
  rule: 10,
  demand: "bytes that are no message end their stream, and the daemon goes on",
  play: async (scene) => {
    for (const bytes of GARBAGE) {
      const ended = await sendGarbage(scene.server, bytes, scene.clock, scene.patienceMs);
      demand(ended, "the stream to end", "it stayed open");
    }
    const worker = await scene.worker();
    const run = await scene.start();
    await worker.finish(await worker.taken(), "unimpressed");
    await scene.completedWith(run, "unimpressed");
  },
};

/** gRPC frames: a byte for compression, four for the length, the message. */
const GARBAGE: readonly Uint8Array[] = [
  new Uint8Array([0, 0, 0, 0, 4, 255, 255, 255, 255]),
  new Uint8Array([0, 0, 0, 0, 2, 10, 200]),
  new Uint8Array([1, 0, 0, 0, 3, 1, 2, 3]),
  new Uint8Array([0, 255, 255, 255, 255, 1]),
  new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"),
];

const versions: FlowCase = {
  name: "versions",
  rule: 10,
  demand: "the latest version of an agent is preferred",
  play: async (scene) => {
    const agents = (version: string) => [{ name: scene.agent, version }];
    const old = await scene.worker({ agents: agents("1.9.0") });
    const latest = await scene.worker({ agents: agents("1.10.0") });
    const run = await scene.start();
    const assign = await latest.taken("an assignment to the latest version");
    demand(assign.version === "1.10.0", "version 1.10.0", assign.version);
    old.noAssign("to the older version");
    await latest.finish(assign, "latest");
    await scene.completedWith(run, "latest");
  },
};

const nobody: FlowCase = {
  name: "nobody-serves",
  rule: 1,
  demand: "a task that nobody serves says so, and starts as soon as somebody connects",
  play: async (scene) => {
    const run = await scene.start();
    await scene.pause(LOOK_MS);
    const waitingFor = (await scene.look(run)).tasks[0]?.waitingFor ?? "";
    const says = waitingFor.includes(scene.agent);
    demand(says, `a status that says nobody serves "${scene.agent}"`, `"${waitingFor}"`);
    const worker = await scene.worker();
    await worker.finish(await worker.taken("the task that waited"), "at last");
    await scene.completedWith(run, "at last");
  },
};

/** In the order of an attempt's life. */
export const FLOW_CASES: readonly FlowCase[] = [
  welcome,
  brokenHello,
  durable,
  nobody,
  versions,
  failures,
  history,
  cancel,
  cancelCrossing,
  signals,
  drain,
  leaving,
  unknown,
  oversize,
  outputFlood,
  garbage,
];
