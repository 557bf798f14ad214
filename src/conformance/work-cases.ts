/**
 * Cases for a worker on one stream: it says who it is, takes what it is given, works, answers probes meanwhile, stops when
 * told to, and keeps its results until their verdict. The engine of these plays is sometimes slow, sometimes repeats itself
 * and sometimes speaks of things the worker has never heard of, but the connection holds.
 */
import { FailureClass, VerdictOutcome } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { pause } from "./inbox.ts";
import { describeSaid } from "./said.ts";
import { type Case, demand, NotApplicable } from "./verdicts.ts";
import type { Given } from "./worker-session.ts";
import { SLOTS_MIN, TEST_AGENTS, type WorkerStage } from "./worker-stage.ts";

/** An attempt that ends only because it is told to. */
const ENDLESS = { ms: 3_600_000 };
/** How long a play looks whether something forbidden happens. */
const LOOK_MS = 400;

type WorkCase = Case<WorkerStage>;

const hello: WorkCase = {
  name: "hello",
  rule: 10,
  demand:
    "the first message is a Hello that speaks version 1 and names agents, instance and capacity",
  play: async (stage) => {
    const session = await stage.open();
    const { protocolVersion, instanceId, agents } = session.hello;
    demand(protocolVersion === 1, "protocol_version 1", String(protocolVersion));
    demand(/^[A-Za-z0-9_.:-]{1,128}$/.test(instanceId), "a valid instance_id", instanceId);
    for (const agent of TEST_AGENTS.slice(0, 2)) {
      const names = agents.map(({ name }) => name);
      demand(names.includes(agent), `an agent "${agent}"`, names.join(", "));
      const slots = stage.slotsOf(session.hello, agent);
      demand(slots >= SLOTS_MIN, `capacity for ${SLOTS_MIN} of "${agent}"`, String(slots));
    }
    await stage.stillWorks(session);
    const again = session.inbox.takeNow((said) => (said.kind === "hello" ? said : undefined));
    demand(again !== undefined, "a Hello", "none");
    const second = session.inbox.takeNow((said) => (said.kind === "hello" ? said : undefined));
    demand(second === undefined, "a Hello in the first message only", "another Hello");
  },
};

const ackAtOnce: WorkCase = {
  name: "ack-at-once",
  rule: 2,
  demand: "every Assign is acknowledged when it is taken up, not when it is done",
  play: async (stage) => {
    const session = await stage.open();
    const given = Array.from({ length: SLOTS_MIN }, () => session.give("sleep", ENDLESS));
    for (const each of given) await session.acked(each);
    await stage.abandon(session, ...given);
  },
};

const sideBySide: WorkCase = {
  name: "side-by-side",
  rule: 1,
  demand: "a worker runs as many attempts at once as it has slots",
  play: async (stage) => {
    const session = await stage.open();
    const long = Array.from({ length: SLOTS_MIN - 1 }, () => session.give("sleep", ENDLESS));
    for (const each of long) await session.acked(each);
    const short = session.give("echo", "overtakes");
    await stage.finish(session, short);
    await stage.abandon(session, ...long);
  },
};

const burst: WorkCase = {
  name: "burst",
  rule: 1,
  demand: "assignments that come in one message are all taken up and all ended",
  play: async (stage) => {
    const session = await stage.open();
    const slots = Math.min(200, stage.slotsOf(session.hello, "echo"));
    const given = Array.from({ length: slots }, (_, n) => session.newLease("echo", { n }));
    session.assign(...given);
    for (const each of given) await session.acked(each);
    await stage.finish(session, ...given);
  },
};

const overCapacity: WorkCase = {
  name: "over-capacity",
  rule: 1,
  demand:
    "a worker that is given more than it has room for ends what it acknowledged, and works on",
  play: async (stage) => {
    const session = await stage.open();
    const slots = stage.slotsOf(session.hello, "sleep");
    if (slots > 1_000) throw new NotApplicable(`the worker has ${slots} slots`);
    const given = Array.from({ length: slots * 2 }, () => session.newLease("sleep", { ms: 50 }));
    session.assign(...given);
    await session.beat(session.probe());
    // What a worker does not acknowledge is given to somebody else.
    const acks = await Promise.allSettled(given.map((each) => session.acked(each)));
    for (const each of given.filter((_, at) => acks[at]?.status === "fulfilled")) {
      await session.result(each, "a result after the ack");
      session.verdict(VerdictOutcome.COMMITTED, each);
    }
    await stage.stillWorks(session);
  },
};

const probes: WorkCase = {
  name: "probe-while-busy",
  rule: 3,
  demand: "probes are answered with their nonce while every slot is busy",
  play: async (stage) => {
    const session = await stage.open({ isQuiet: true });
    const given = Array.from({ length: SLOTS_MIN }, () => session.give("sleep", ENDLESS));
    for (const each of given) await session.acked(each);
    for (const nonce of [7n, 1n, 2n ** 53n + 1n, 2n ** 64n - 1n]) {
      await session.beat(session.probe(nonce));
    }
    await stage.abandon(session, ...given);
  },
};

const beatLists: WorkCase = {
  name: "beat-lists-leases",
  rule: 4,
  demand: "a Beat lists what runs and what has a result without a verdict, and nothing else",
  play: async (stage) => {
    const session = await stage.open({ isQuiet: true });
    const lists = async (expected: readonly Given[], when: string) => {
      const leases = await session.beat(session.probe());
      const ids = expected.map(({ leaseId }) => leaseId).sort();
      const isSame = JSON.stringify([...leases].sort()) === JSON.stringify(ids);
      demand(isSame, `${when}: a beat listing ${ids.join(", ") || "nothing"}`, leases.join(", "));
    };
    await lists([], "before any assignment");
    const long = session.give("sleep", ENDLESS);
    const short = session.give("echo", 1);
    await session.acked(long);
    await session.completed(short);
    await lists([long, short], "with one that runs and one without a verdict");
    session.verdict(VerdictOutcome.COMMITTED, short);
    await lists([long], "after the verdict");
    await stage.abandon(session, long);
    await lists([], "at the end");
  },
};

const lateVerdict: WorkCase = {
  name: "late-verdict",
  rule: 6,
  demand: "a result whose verdict is late is kept, and new work goes on meanwhile",
  play: async (stage) => {
    const session = await stage.open();
    const waiting = session.give("echo", "waits");
    await session.completed(waiting);
    await stage.stillWorks(session);
    const leases = await session.beat(session.probe());
    demand(leases.includes(waiting.leaseId), "the lease without a verdict in a beat", "it is gone");
    session.verdict(VerdictOutcome.COMMITTED, waiting);
    await stage.stillWorks(session);
  },
};

const duplicateAssign: WorkCase = {
  name: "duplicate-assign",
  rule: 2,
  demand: "a lease that is assigned twice is acknowledged again and run once",
  play: async (stage) => {
    const session = await stage.open();
    const given = session.newLease("sleep", { ms: LOOK_MS });
    session.assign(given, given);
    await session.acked(given);
    session.assign(given);
    await session.acked(given);
    await session.acked(given);
    await session.completed(given);
    await pause(stage.clock, LOOK_MS * 2);
    session.noResult(given);
    session.verdict(VerdictOutcome.COMMITTED, given);
    await stage.stillWorks(session);
  },
};

const cancel: WorkCase = {
  name: "cancel",
  rule: 7,
  demand: "a cancelled attempt stops and ends, and its neighbours do not notice",
  play: async (stage) => {
    const session = await stage.open();
    const [one, other] = [session.give("sleep", ENDLESS), session.give("sleep", ENDLESS)];
    await session.acked(one);
    await session.acked(other);
    session.send({ cancels: [{ leaseId: one.leaseId, reason: 3, graceMs: 5_000n }] });
    const result = await session.result(one, "an end after the cancel");
    const isCancelled = result.kind === "fail" && result.fail.class === FailureClass.CANCELLED;
    demand(isCancelled, "Fail of class CANCELLED", describeSaid(result));
    session.verdict(VerdictOutcome.COMMITTED, one);
    const leases = await session.beat(session.probe());
    demand(leases.includes(other.leaseId), "the other attempt to run on", leases.join(", "));
    await pause(stage.clock, LOOK_MS);
    session.noResult(other);
    await stage.abandon(session, other);
    await stage.stillWorks(session);
  },
};

const cancelCrossing: WorkCase = {
  name: "cancel-crossing",
  rule: 7,
  demand: "a Cancel for an attempt that has just completed changes nothing",
  play: async (stage) => {
    const session = await stage.open();
    const given = session.give("echo", "done");
    await session.completed(given);
    session.send({ cancels: [{ leaseId: given.leaseId, reason: 3, graceMs: 1_000n }] });
    await session.beat(session.probe());
    await pause(stage.clock, LOOK_MS);
    session.noResult(given);
    session.verdict(VerdictOutcome.COMMITTED, given);
    await stage.stillWorks(session);
  },
};

const cancelWithAssign: WorkCase = {
  name: "cancel-with-assign",
  rule: 7,
  demand: "a Cancel in the same message as its Assign ends the attempt",
  play: async (stage) => {
    const session = await stage.open();
    const given = session.newLease("sleep", ENDLESS);
    const { leaseId } = given;
    session.send({ assigns: [session.assignOf(given)], cancels: [{ leaseId, graceMs: 5_000n }] });
    await session.result(given, "an end after the cancel");
    session.verdict(VerdictOutcome.COMMITTED, given);
    await stage.stillWorks(session);
  },
};

const drop: WorkCase = {
  name: "drop",
  rule: 4,
  demand: "an attempt whose lease is dropped stops, and its slot is free again",
  play: async (stage) => {
    const session = await stage.open();
    const given = Array.from({ length: SLOTS_MIN }, () => session.give("sleep", ENDLESS));
    for (const each of given) await session.acked(each);
    session.send({ drops: given.map(({ leaseId }) => leaseId) });
    await untilUnlisted(stage, session, given);
    await stage.stillWorks(session);
  },
};

/** Waits until no beat lists the leases, telling their results that they come too late. */
async function untilUnlisted(
  stage: WorkerStage,
  session: Awaited<ReturnType<WorkerStage["open"]>>,
  given: readonly Given[],
): Promise<void> {
  const until = stage.clock.now() + stage.patienceMs;
  for (;;) {
    session.verdict(VerdictOutcome.FENCED, ...given);
    const leases = await session.beat(session.probe());
    const left = given.filter(({ leaseId }) => leases.includes(leaseId));
    if (left.length === 0) return;
    demand(stage.clock.now() < until, "dropped leases to vanish from beats", leases.join(", "));
    await pause(stage.clock, 50);
  }
}

const newLease: WorkCase = {
  name: "fence-then-late-complete",
  rule: 4,
  demand: "the same attempt under a new lease is run anew, and each result names its own lease",
  play: async (stage) => {
    const session = await stage.open();
    const old = session.give("sleep", { ms: 1_000 });
    await session.acked(old);
    const { runId, taskId, agent, input } = old;
    const young = session.newLease(agent, input, { runId, taskId, fence: 2n });
    session.send({ assigns: [session.assignOf(young)], drops: [old.leaseId] });
    await session.acked(young);
    await session.completed(young);
    session.verdict(VerdictOutcome.COMMITTED, young);
    session.noResult(young);
    // The old one may have been too far to stop; then its result is a late one.
    await untilUnlisted(stage, session, [old]);
    await stage.stillWorks(session);
  },
};

const outcomes: WorkCase = {
  name: "every-verdict",
  rule: 6,
  demand: "after any verdict the result is forgotten: it is neither listed nor sent again",
  play: async (stage) => {
    const session = await stage.open();
    const given: Given[] = [];
    for (const outcome of [1, 2, 3, 4, 5] as const satisfies readonly VerdictOutcome[]) {
      const each = session.give("echo", { outcome });
      await session.completed(each);
      session.verdict(outcome, each);
      given.push(each);
    }
    const leases = await session.beat(session.probe());
    demand(leases.length === 0, "a beat listing nothing", leases.join(", "));
    const again = await stage.open();
    const resumed = again.hello.resume?.leases ?? [];
    demand(resumed.length === 0, "a Hello that resumes no lease", resumed.join(", "));
  },
};

/** In the order of a worker's life. */
export const WORK_CASES: readonly WorkCase[] = [
  hello,
  ackAtOnce,
  sideBySide,
  burst,
  overCapacity,
  probes,
  beatLists,
  lateVerdict,
  duplicateAssign,
  cancel,
  cancelCrossing,
  cancelWithAssign,
  drop,
  newLease,
  outcomes,
];
