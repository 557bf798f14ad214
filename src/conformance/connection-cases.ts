/**
 * Cases for a worker whose stream does not hold: it is cut at every point of a conversation, goes silent, is refused, or
 * ends because one side leaves. Whatever happens, the worker comes back as the same instance, says what it still has, and
 * every result reaches an engine that has not confirmed it.
 */
import { Code } from "@connectrpc/connect";
import { SignalKind } from "../../gen/goclaw/v1/run_pb.ts";
import { VerdictOutcome } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { pause } from "./inbox.ts";
import { describeSaid } from "./said.ts";
import { type Case, demand } from "./verdicts.ts";
import type { Given, WorkerSession } from "./worker-session.ts";
import type { WorkerStage } from "./worker-stage.ts";

/** Long enough to be running when its stream is cut, short enough to be waited for. */
const SHORT = { ms: 600 };
const ENDLESS = { ms: 3_600_000 };
const LOOK_MS = 400;
/** How long a worker is refused, and the most streams it may open meanwhile. */
const REFUSING_MS = 2_000;
const DIALS_MAX = 12;

type ConnectionCase = Case<WorkerStage>;

/** A point of a conversation at which the connection breaks; answers with what is out. */
interface CutPoint {
  readonly after: string;
  readonly play: (session: WorkerSession, stage: WorkerStage) => Promise<readonly Given[]>;
}

const CUT_POINTS: readonly CutPoint[] = [
  { after: "welcome", play: async () => [] },
  {
    after: "assign",
    play: async (session) => [session.give("sleep", SHORT), session.give("echo", "cut")],
  },
  {
    after: "ack",
    play: async (session) => {
      const given = session.give("sleep", SHORT);
      await session.acked(given);
      return [given];
    },
  },
  {
    after: "probe",
    play: async (session) => {
      const given = session.give("sleep", SHORT);
      await session.acked(given);
      session.probe();
      return [given];
    },
  },
  {
    after: "complete",
    play: async (session) => {
      const given = session.give("echo", "its verdict is lost");
      await session.completed(given);
      return [given];
    },
  },
  {
    after: "cancel",
    play: async (session) => {
      const given = session.give("sleep", SHORT);
      await session.acked(given);
      session.send({ cancels: [{ leaseId: given.leaseId, graceMs: 5_000n }] });
      return [given];
    },
  },
];

/**
 * Goes on as an honest engine after a cut: keeps what the Hello names, assigns the rest again under new leases, and
 * demands one result of each task.
 */
async function goOn(stage: WorkerStage, given: readonly Given[], instanceId: string) {
  let listed: readonly string[] = [];
  const session = await stage.reopened((hello) => {
    listed = hello.resume?.leases ?? [];
    return { welcome: { kept: [...listed] } };
  });
  const { hello } = session;
  demand(hello.instanceId === instanceId, `instance_id ${instanceId}`, hello.instanceId);
  const known = new Set(given.map(({ leaseId }) => leaseId));
  const strange = listed.filter((lease) => !known.has(lease));
  demand(strange.length === 0, "only leases it holds in `resume`", strange.join(", "));
  for (const each of given) {
    const current = listed.includes(each.leaseId)
      ? each
      : session.give(each.agent, each.input, { ...each, leaseId: `${each.leaseId}'`, fence: 2n });
    const result = await session.result(current);
    session.verdict(VerdictOutcome.COMMITTED, current);
    await session.beat(session.probe());
    const second = session.inbox.takeNow((said) =>
      said.kind === result.kind && said.leaseId === current.leaseId ? said : undefined,
    );
    demand(second === undefined, "one result of each lease on a stream", "the same again");
  }
  await stage.stillWorks(session);
}

const cutCases: readonly ConnectionCase[] = CUT_POINTS.map(({ after, play }) => ({
  name: `cut-after-${after}`,
  rule: 5,
  demand: `a connection that breaks after ${after} costs no result`,
  play: async (stage) => {
    const session = await stage.open();
    const given = await play(session, stage);
    session.cut();
    await goOn(stage, given, session.hello.instanceId);
  },
}));

const cutBeforeWelcome: ConnectionCase = {
  name: "cut-before-welcome",
  rule: 5,
  demand: "a stream that ends before its Welcome is opened again",
  play: async (stage) => {
    const first = await stage.open();
    first.end();
    for (const end of ["cut", "end"] as const) (await stage.dialled())[end]();
    await stage.stillWorks(await stage.reopened());
  },
};

const resumeKeep: ConnectionCase = {
  name: "resume-keep",
  rule: 5,
  demand: "a kept attempt runs on over a reconnect; its Hello brings the token and every lease",
  play: async (stage) => {
    const session = await stage.open();
    const running = session.give("sleep", SHORT);
    const waiting = session.give("echo", "without a verdict");
    await session.acked(running);
    await session.completed(waiting);
    session.cut();
    const next = await stage.dialled();
    const { resume } = next.hello;
    const token = resume?.token ?? "";
    demand(token === session.resumeToken, `token "${session.resumeToken}"`, `"${token}"`);
    const ids = [running, waiting].map(({ leaseId }) => leaseId).sort();
    const listed = [...(resume?.leases ?? [])].sort();
    const isSame = JSON.stringify(listed) === JSON.stringify(ids);
    demand(isSame, `resume of ${ids.join(", ")}`, listed.join(", ") || "nothing");
    stage.admit(next, { welcome: { kept: ids } });
    await stage.finish(next, running, waiting);
    await stage.stillWorks(next);
  },
};

const resumeDrop: ConnectionCase = {
  name: "resume-drop",
  rule: 5,
  demand: "an attempt that the Welcome drops stops, and a result that it already had is sent",
  play: async (stage) => {
    const session = await stage.open();
    const running = session.give("sleep", ENDLESS);
    const waiting = session.give("echo", "paid for");
    await session.acked(running);
    await session.completed(waiting);
    session.cut();
    const next = await stage.reopened();
    await next.completed(waiting);
    next.verdict(VerdictOutcome.LATE_STORED, waiting);
    const until = stage.clock.now() + stage.patienceMs;
    for (;;) {
      next.verdict(VerdictOutcome.FENCED, running);
      const leases = await next.beat(next.probe());
      if (leases.length === 0) break;
      demand(stage.clock.now() < until, "a beat listing nothing", leases.join(", "));
      await pause(stage.clock, 50);
    }
    await stage.stillWorks(next);
  },
};

const verdictLostTwice: ConnectionCase = {
  name: "verdict-lost",
  rule: 6,
  demand: "a result is sent on every new stream until its verdict comes, and never after",
  play: async (stage) => {
    let session = await stage.open();
    const given = session.give("echo", { keep: "me" });
    await session.completed(given);
    for (const end of ["cut", "end"] as const) {
      session[end]();
      session = await stage.reopened({ welcome: { kept: [given.leaseId] } });
      await session.completed(given);
    }
    session.verdict(VerdictOutcome.COMMITTED, given);
    await session.beat(session.probe());
    session.cut();
    const last = await stage.dialled();
    const listed = last.hello.resume?.leases ?? [];
    demand(listed.length === 0, "a Hello that resumes nothing", listed.join(", "));
    stage.admit(last);
    await stage.stillWorks(last);
    last.noResult(given);
  },
};

const silence: ConnectionCase = {
  name: "silent-stream",
  rule: 3,
  demand: "a worker that hears nothing for `silence_limit_ms` leaves the stream and opens another",
  play: async (stage) => {
    const silenceLimitMs = 1_500;
    const welcome = { silenceLimitMs };
    const session = await stage.open({ isQuiet: true, welcome });
    const given = session.give("sleep", ENDLESS);
    await session.acked(given);
    const start = stage.clock.now();
    const next = await stage.dialled(`a new stream after ${silenceLimitMs} ms of silence`);
    const afterMs = Math.round(stage.clock.now() - start);
    // The limit counts from the last thing it heard, which is the assignment a moment ago.
    const isEarly = afterMs < silenceLimitMs / 2;
    demand(!isEarly, `a new stream after ${silenceLimitMs} ms`, `one after ${afterMs} ms`);
    const listed = next.hello.resume?.leases ?? [];
    const isListed = listed.includes(given.leaseId);
    demand(isListed, "the running lease in `resume`", listed.join(", ") || "nothing");
    stage.admit(next, { welcome: { kept: [given.leaseId] } });
    await stage.abandon(next, given);
    await stage.stillWorks(next);
  },
};

const heardStream: ConnectionCase = {
  name: "probes-are-heard",
  rule: 3,
  demand: "probes alone keep a worker from leaving an idle stream",
  play: async (stage) => {
    const welcome = { silenceLimitMs: 3_000, probeIntervalMs: 250 };
    const session = await stage.open({ welcome });
    await pause(stage.clock, 4_000);
    demand(session.isOpen, "the stream to stay open", session.inbox.latest());
    await stage.stillWorks(session);
  },
};

const backoff: ConnectionCase = {
  name: "redial-backoff",
  rule: 5,
  demand: "a worker that is refused again and again comes back after pauses, not at once",
  play: async (stage) => {
    const before = await stage.open();
    before.end();
    const start = stage.clock.now();
    let dials = 0;
    while (stage.clock.now() < start + REFUSING_MS) {
      (await stage.dialled()).fail(Code.Unavailable, "not now");
      dials++;
    }
    await stage.stillWorks(await stage.reopened());
    // Full jitter up to 100 ms, 200 ms, 400 ms… makes six or so; a dozen is beyond bad luck.
    const expected = `at most ${DIALS_MAX} streams within ${REFUSING_MS} ms of being refused`;
    demand(dials <= DIALS_MAX, expected, `${dials} streams`);
  },
};

const goAway: ConnectionCase = {
  name: "go-away",
  rule: 12,
  demand:
    "after GoAway what runs is finished on the old stream; the next one waits as long as asked",
  play: async (stage) => {
    const session = await stage.open();
    const given = session.give("sleep", SHORT);
    await session.acked(given);
    const waitMs = 2_000;
    const start = stage.clock.now();
    session.send({ goAway: { reason: "restart", reconnectAfterMs: waitMs } });
    await session.completed(given);
    await session.beat(session.probe());
    session.verdict(VerdictOutcome.COMMITTED, given);
    session.end();
    const next = await stage.reopened();
    const afterMs = Math.round(stage.clock.now() - start);
    demand(afterMs >= waitMs, `a pause of ${waitMs} ms`, `a new stream after ${afterMs} ms`);
    await stage.stillWorks(next);
  },
};

const drain: ConnectionCase = {
  name: "drain",
  rule: 12,
  demand:
    "on SIGTERM a worker says Drain, finishes what runs, waits for the verdicts and exits with 0",
  play: async (stage) => {
    const session = await stage.open();
    const given = session.give("sleep", SHORT);
    await session.acked(given);
    stage.terminate();
    await session.inbox.take(
      (said) => (said.kind === "drain" ? said : undefined),
      "a Drain after SIGTERM",
      stage.patienceMs,
    );
    await session.completed(given);
    await pause(stage.clock, LOOK_MS);
    demand(stage.isAlive, "the process to wait for the verdict", "it has ended");
    session.verdict(VerdictOutcome.COMMITTED, given);
    await stage.ended();
  },
};

const drainAfterCut: ConnectionCase = {
  name: "drain-after-cut",
  rule: 12,
  demand: "a worker that is leaving when its stream breaks comes back to deliver its results",
  play: async (stage) => {
    const session = await stage.open();
    const given = session.give("sleep", SHORT);
    await session.acked(given);
    stage.terminate();
    await session.completed(given);
    session.cut();
    const next = await stage.reopened({ welcome: { kept: [given.leaseId] } });
    await next.completed(given);
    next.verdict(VerdictOutcome.COMMITTED, given);
    await stage.ended();
  },
};

const redelivery: ConnectionCase = {
  name: "signal-redelivery",
  rule: 8,
  demand: "a signal that comes again after a reconnect reaches the attempt once",
  play: async (stage) => {
    const { hello } = await stage.open();
    stage.needsCapability(hello, "signals");
    stage.needsAgent(hello, "listen");
    const welcome = { capabilities: ["signals"] };
    const session = await stage.open({ welcome });
    const given = session.give("listen", { count: 2 });
    await session.acked(given);
    const signal = (text: string) => ({
      leaseId: given.leaseId,
      signalId: `signal ${text}`,
      kind: SignalKind.STEER,
      text,
    });
    session.send({ signals: [signal("first")] });
    await session.inbox.take(
      (said) => (said.kind === "signalAck" ? said : undefined),
      "a SignalAck",
      stage.patienceMs,
    );
    session.cut();
    const next = await stage.reopened({ welcome: { ...welcome, kept: [given.leaseId] } });
    next.send({ signals: [signal("first"), signal("second")] });
    await next.completed(given, ["first", "second"]);
    next.verdict(VerdictOutcome.COMMITTED, given);
    await stage.stillWorks(next);
  },
};

const oldStream: ConnectionCase = {
  name: "half-open",
  rule: 5,
  demand: "what was said into a stream that nobody read is said again on the next one",
  play: async (stage) => {
    const silenceLimitMs = 1_500;
    const session = await stage.open({ isQuiet: true, welcome: { silenceLimitMs } });
    const given = session.give("echo", "into the void");
    await session.acked(given);
    const next = await stage.reopened({ welcome: { kept: [given.leaseId] } });
    const result = await next.result(given);
    demand(result.kind === "complete", "the result again", describeSaid(result));
    next.verdict(VerdictOutcome.COMMITTED, given);
    await stage.stillWorks(next);
  },
};

/** The endings come last: after them the worker has to be started again. */
export const CONNECTION_CASES: readonly ConnectionCase[] = [
  cutBeforeWelcome,
  ...cutCases,
  resumeKeep,
  resumeDrop,
  verdictLostTwice,
  silence,
  oldStream,
  heardStream,
  redelivery,
  backoff,
  goAway,
  drain,
  drainAfterCut,
];
