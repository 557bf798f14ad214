/**
 * Cases for a daemon about who holds a task: room is never exceeded, a task nobody takes up is given away, a worker that
 * comes back keeps its work and one that does not loses it, and only the holder of the latest lease counts. The workers of
 * these plays die, fall silent, lie about leases and claim each other's.
 */

import { RunState, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import {
  type Assign,
  FailureClass,
  VerdictOutcome,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { type EngineScene, TASK } from "./engine-scene.ts";
import { completeWith, leaseOf, type ScriptedWorker } from "./scripted-worker.ts";
import { type Case, demand } from "./verdicts.ts";

type LeaseCase = Case<EngineScene>;

const { COMMITTED, DUPLICATE, FENCED, LATE_STORED, REFUSED } = VerdictOutcome;

/** The protocol's times, with some room for a busy machine. */
const ACK_LIMIT_MS = 3_000;
const GRACE_MS = 10_000;
/** Three probes, each with its interval to be answered in. */
const SILENT_MS = 20_000;
const LEASE_TTL_MS = 30_000;
const ROOM_MS = 10_000;
/** How long a play looks whether something forbidden happens. */
const LOOK_MS = 600;

const credit: LeaseCase = {
  name: "credit",
  rule: 1,
  demand: "no more than the capacity is out; the next assignment comes when one has ended",
  play: async (scene) => {
    const worker = await scene.worker({ capacity: { slots: { default: 2 } } });
    const runs: string[] = [];
    for (let n = 0; n < 4; n++) runs.push(await scene.start());
    const first = await worker.taken();
    let last = await worker.taken();
    for (let n = 2; n < runs.length; n++) {
      await scene.pause(LOOK_MS);
      worker.noAssign("beyond a capacity of 2");
      await worker.finish(last);
      last = await worker.taken();
    }
    await worker.finish(last);
    await worker.finish(first);
    for (const run of runs) await scene.until(run, RunState.COMPLETED);
  },
};

const slotCost: LeaseCase = {
  name: "slot-cost",
  rule: 1,
  demand: "an attempt takes as many slots of its class as its agent costs",
  play: async (scene) => {
    const worker = await scene.worker({
      agents: [{ name: scene.agent, slotCost: 2, slotClass: "gpu" }],
      capacity: { slots: { gpu: 3, default: 100 } },
    });
    await scene.start();
    await scene.start();
    const first = await worker.taken();
    await scene.pause(LOOK_MS);
    worker.noAssign("of cost 2 into the one slot that is left");
    await worker.finish(first);
    await worker.finish(await worker.taken());
  },
};

const capacityLowered: LeaseCase = {
  name: "capacity-lowered",
  rule: 1,
  demand: "a capacity below what is out takes nothing away and stops more",
  play: async (scene) => {
    const worker = await scene.worker({ capacity: { slots: { default: 3 } } });
    for (let n = 0; n < 5; n++) await scene.start();
    const out = [await worker.taken(), await worker.taken(), await worker.taken()];
    worker.say({ capacity: { slots: { default: 1 } } });
    for (const assign of out) {
      await worker.finish(assign);
      if (assign !== out[2]) await scene.pause(LOOK_MS / 2);
      if (assign !== out[2]) worker.noAssign("while as much is out as the capacity");
    }
    const fourth = await worker.taken();
    worker.say({ capacity: { slots: {} } });
    await worker.finish(fourth);
    await scene.pause(LOOK_MS);
    worker.noAssign("at a capacity of 0");
    worker.say({ capacity: { slots: { default: 1 } } });
    await worker.finish(await worker.taken());
  },
};

const neverAcks: LeaseCase = {
  name: "never-acks",
  rule: 2,
  demand:
    "a task not acknowledged in 3 s is dropped there and assigned anew: same attempt, another lease",
  play: async (scene) => {
    const deaf = await scene.worker();
    const run = await scene.start();
    const old = await deaf.assigned();
    const other = await scene.worker();
    // The deaf one has room again, and may well be chosen again.
    const workers = [deaf, other];
    const young = await assignedToOne(workers, "an assignment anew", ACK_LIMIT_MS + ROOM_MS);
    await dropped(deaf, leaseOf(old));
    sameAttemptAgain(old, young.assign);
    deaf.complete(leaseOf(old), "too late");
    await deaf.judged(leaseOf(old), FENCED, LATE_STORED);
    young.worker.ack(young.assign);
    await young.worker.finish(young.assign, "in time");
    await scene.completedWith(run, "in time");
  },
};

function sameAttemptAgain(old: Assign, young: Assign): void {
  const [before, after] = [old.lease, young.lease];
  const isSame = after?.attempt === before?.attempt && after?.runId === before?.runId;
  demand(isSame, `attempt ${before?.attempt} again`, `attempt ${after?.attempt}`);
  demand(after?.leaseId !== before?.leaseId, "another lease id", "the same");
  const isHigher = (after?.fence ?? 0n) > (before?.fence ?? 0n);
  demand(isHigher, `a fence above ${before?.fence}`, String(after?.fence));
}

/** Waits for an assignment to any of the workers. */
async function assignedToOne(
  workers: readonly ScriptedWorker[],
  expected: string,
  withinMs: number,
): Promise<{ readonly worker: ScriptedWorker; readonly assign: Assign }> {
  const waits = workers.map(async (worker) => ({
    worker,
    assign: await worker.assigned(expected, withinMs),
  }));
  return Promise.any(waits).catch(() => Promise.race(waits));
}

function dropped(worker: ScriptedWorker, leaseId: string): Promise<true> {
  return worker.take(
    (heard) => (heard.kind === "drop" && heard.leaseId === leaseId ? true : undefined),
    `a drop of ${leaseId}`,
  );
}

const forgedLeases: LeaseCase = {
  name: "forged-leases",
  rule: 4,
  demand: "results, acks and progress for leases that do not exist change nothing",
  play: async (scene) => {
    const worker = await scene.worker();
    const run = await scene.start();
    const assign = await worker.taken();
    const lease = leaseOf(assign);
    const forged = ["x", `${lease}0`, lease.slice(0, -1), lease.toUpperCase(), "../../etc", "💥"];
    const invented = forged.filter((id) => id !== lease && id !== "");
    worker.say({
      acks: invented,
      progress: invented.map((leaseId) => ({ leaseId, percent: Number.NaN, note: "a lie" })),
      outputs: invented.map((leaseId) => ({ leaseId, data: new Uint8Array(9) })),
      signalAcks: invented.map((leaseId) => ({ leaseId, signalId: "none", receipt: 4 })),
      completes: invented.map((leaseId) => completeWith(leaseId, "a lie")),
    });
    for (const leaseId of invented) await worker.judged(leaseId, REFUSED, FENCED);
    const { state } = await scene.look(run);
    demand(state === RunState.RUNNING, "a run that still runs", String(state));
    await worker.finish(assign, "the truth");
    await scene.completedWith(run, "the truth");
  },
};

const foreignLease: LeaseCase = {
  name: "foreign-lease",
  rule: 4,
  demand: "only the worker that a lease was given to can end, renew or acknowledge it",
  play: async (scene) => {
    const owner = await scene.worker();
    const run = await scene.start();
    const assign = await owner.taken();
    const leaseId = leaseOf(assign);
    const thief = await scene.worker();
    thief.say({
      acks: [leaseId],
      completes: [completeWith(leaseId, "stolen")],
    });
    await thief.judged(leaseId, REFUSED, FENCED);
    thief.say({ fails: [{ leaseId, class: FailureClass.TERMINAL, message: "sabotage" }] });
    await thief.judged(leaseId, REFUSED, FENCED);
    await owner.finish(assign, "honest");
    await scene.completedWith(run, "honest");
  },
};

const graceResume: LeaseCase = {
  name: "grace-resume",
  rule: 5,
  demand: "a worker that comes back within the grace keeps its lease, and the attempt goes on",
  play: async (scene) => {
    const before = await scene.worker();
    const run = await scene.start();
    const assign = await before.taken();
    const lease = leaseOf(assign);
    const other = await scene.worker();
    before.die();
    await scene.pause(LOOK_MS);
    other.noAssign("during the grace");
    const after = await scene.returned(before, [lease]);
    const { kept = [], epoch = 0n } = after.welcome ?? {};
    demand(kept.includes(lease), `a Welcome that keeps ${lease}`, kept.join(", ") || "nothing");
    const isNext = epoch > (before.welcome?.epoch ?? 0n);
    demand(isNext, "a higher epoch", String(epoch));
    await after.finish(assign, "resumed");
    const { tasks } = await scene.completedWith(run, "resumed");
    demand(tasks[0]?.attempt === 1, "one attempt", String(tasks[0]?.attempt));
  },
};

const graceOver: LeaseCase = {
  name: "grace-over",
  rule: 5,
  demand:
    "after the grace the task goes to somebody else, and the first one's result comes too late",
  play: async (scene) => {
    const dead = await scene.worker();
    const run = await scene.start();
    const old = await dead.taken();
    const heir = await scene.worker();
    dead.die();
    await scene.pause(GRACE_MS / 2);
    heir.noAssign("during the grace");
    const young = await heir.taken("an assignment after the grace", GRACE_MS / 2 + ROOM_MS);
    const isHigher = (young.lease?.fence ?? 0n) > (old.lease?.fence ?? 0n);
    demand(isHigher, "a higher fence", String(young.lease?.fence));
    const risen = await scene.returned(dead, [leaseOf(old)]);
    const { dropped: lost = [] } = risen.welcome ?? {};
    demand(lost.includes(leaseOf(old)), "a Welcome that drops the lease", lost.join(", "));
    risen.complete(leaseOf(old), "too late");
    await risen.judged(leaseOf(old), LATE_STORED);
    await heir.finish(young, "inherited");
    const { tasks } = await scene.completedWith(run, "inherited");
    const late = tasks[0]?.lateResults.length ?? 0;
    demand(late === 1, "one late result in the status of the task", String(late));
  },
};

const resumeUnlisted: LeaseCase = {
  name: "resume-unlisted",
  rule: 5,
  demand: "a lease that a returning worker does not name is given to somebody at once",
  play: async (scene) => {
    const before = await scene.worker();
    const run = await scene.start();
    const old = await before.taken();
    before.die();
    await scene.pause(LOOK_MS);
    const after = await scene.returned(before, []);
    const young = await after.taken("the task again");
    demand(leaseOf(young) !== leaseOf(old), "another lease", "the same");
    await after.finish(young, "again");
    await scene.completedWith(run, "again");
  },
};

const resumeLies: LeaseCase = {
  name: "resume-lies",
  rule: 5,
  demand: "a Hello that resumes leases it never had is told to drop them",
  play: async (scene) => {
    const owner = await scene.worker();
    await scene.start();
    const assign = await owner.taken();
    const stolen = leaseOf(assign);
    const resume = { token: "made up", leases: [stolen, "made up", ""] };
    const liar = await scene.worker({ resume });
    const { kept = [], dropped: lost = [] } = liar.welcome ?? {};
    demand(kept.length === 0, "a Welcome that keeps nothing", kept.join(", "));
    demand(lost.includes(stolen), `a Welcome that drops ${stolen}`, lost.join(", ") || "nothing");
    await owner.finish(assign);
  },
};

const sameInstance: LeaseCase = {
  name: "same-instance",
  rule: 5,
  demand: "an instance that is connected is replaced by one with its token and by nobody else",
  play: async (scene) => {
    const first = await scene.worker();
    const run = await scene.start();
    const assign = await first.taken();
    const { instanceId } = first;
    const impostor = scene.dial(scene.hello({ instanceId }));
    const refused = await impostor.closed("ALREADY_EXISTS for a second stream of the instance");
    demand(refused.code === 6, "ALREADY_EXISTS", `code ${refused.code} ${refused.how}`);
    const second = await scene.returned(first, [leaseOf(assign)]);
    await first.closed("the replaced stream to end");
    await second.finish(assign, "by the second stream");
    await scene.completedWith(run, "by the second stream");
  },
};

const unanswered: LeaseCase = {
  name: "probe-unanswered",
  rule: 3,
  demand: "a worker that answers no probe gets no new work, and its lease runs out",
  play: async (scene) => {
    const mute = await scene.worker({ capacity: { slots: { default: 2 } } }, { isMute: true });
    const run = await scene.start();
    const old = await mute.taken();
    await scene.pause(SILENT_MS + 3_000);
    await scene.start();
    await scene.pause(LOOK_MS);
    mute.noAssign("after three probes without an answer");
    const heir = await scene.worker({ capacity: { slots: { default: 2 } } });
    await heir.finish(await heir.taken(), "the second run");
    const young = await heir.taken("the task of the mute worker", LEASE_TTL_MS + ROOM_MS);
    mute.complete(leaseOf(old), "too late");
    await mute.judged(leaseOf(old), LATE_STORED);
    await heir.finish(young, "inherited");
    await scene.completedWith(run, "inherited");
  },
};

const unlisted: LeaseCase = {
  name: "beat-without-lease",
  rule: 4,
  demand: "a lease that no Beat lists runs out, though the worker answers every probe",
  play: async (scene) => {
    const worker = await scene.worker();
    const run = await scene.start();
    const old = await worker.taken();
    worker.held.clear();
    const young = await worker.taken("the task again", LEASE_TTL_MS + ROOM_MS);
    const isHigher = (young.lease?.fence ?? 0n) > (old.lease?.fence ?? 0n);
    demand(isHigher, "a higher fence", String(young.lease?.fence));
    await worker.finish(young, "listed");
    await scene.completedWith(run, "listed");
  },
};

const diesOften: LeaseCase = {
  name: "dies-often",
  rule: 5,
  demand: "a task whose worker dies again and again is completed once, by the one that lives",
  play: async (scene) => {
    const run = await scene.start();
    for (let n = 0; n < 5; n++) {
      const worker = await scene.worker();
      await worker.taken();
      worker.say({ drain: { leaving: true } });
      await scene.pause(20);
      worker.die();
    }
    const survivor = await scene.worker();
    await survivor.finish(await survivor.taken(), "survived");
    await scene.completedWith(run, "survived");
  },
};

const duplicates: LeaseCase = {
  name: "duplicate-result",
  rule: 6,
  demand: "of many results of one lease the first counts and every other is a duplicate",
  play: async (scene) => {
    const worker = await scene.worker();
    const run = await scene.start();
    const leaseId = leaseOf(await worker.taken());
    const one = completeWith(leaseId, "first");
    const fail = { leaseId, class: FailureClass.TERMINAL, message: "third" };
    worker.say({ completes: [one, completeWith(leaseId, "second")], fails: [fail] });
    await worker.judged(leaseId, COMMITTED);
    worker.complete(leaseId, "fourth");
    await worker.judged(leaseId, DUPLICATE);
    const { tasks } = await scene.completedWith(run, "first");
    const state = tasks.find(({ taskId }) => taskId === TASK)?.state;
    demand(state === TaskState.COMPLETED, "a completed task", String(state));
  },
};

/** The slow ones first, because all are played at once. */
export const LEASE_CASES: readonly LeaseCase[] = [
  unanswered,
  unlisted,
  graceOver,
  neverAcks,
  credit,
  slotCost,
  capacityLowered,
  forgedLeases,
  foreignLease,
  duplicates,
  graceResume,
  resumeUnlisted,
  resumeLies,
  sameInstance,
  diesOften,
];
