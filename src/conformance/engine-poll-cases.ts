/**
 * Cases for the poll surface of a daemon, as JSON over HTTP/1.1: the same leases, verdicts and limits as in a session, for
 * workers that poll, forget to report, report twice, claim what is not theirs, or leave.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { RunState } from "../../gen/goclaw/v1/run_pb.ts";
import {
  type Assign,
  type PollTasksResponse,
  type ReportTaskRequestSchema,
  type ReportTaskResponse,
  VerdictOutcome,
  VerdictOutcomeSchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { EngineScene } from "./engine-scene.ts";
import { completeWith, leaseOf } from "./scripted-worker.ts";
import { wordOf } from "./values.ts";
import { type Case, demand } from "./verdicts.ts";

type PollCase = Case<EngineScene>;
type Report = Omit<MessageInitShape<typeof ReportTaskRequestSchema>, "$typeName" | "$unknown">;

const { COMMITTED, DUPLICATE, FENCED, LATE_STORED, REFUSED } = VerdictOutcome;

/** A worker of one play; its calls are made by hand. */
class Poller {
  readonly #scene: EngineScene;
  readonly #slots: number;
  readonly instanceId: string;

  constructor(scene: EngineScene, name: string, slots = 1) {
    this.#scene = scene;
    this.#slots = slots;
    this.instanceId = `${scene.agent}-${name}`;
  }

  poll(waitMs = 5_000, maxTasks = 10): Promise<PollTasksResponse> {
    const capacity = { slots: { default: this.#slots } };
    const worker = this.#scene.hello({ instanceId: this.instanceId, capacity });
    return this.#scene.polls.pollTasks({ worker, maxTasks, waitMs });
  }

  /** Polls until there is an assignment. */
  async taken(withinMs = this.#scene.patienceMs): Promise<Assign> {
    const until = this.#scene.clock.now() + withinMs;
    for (;;) {
      const { assigns } = await this.poll(1_000, 1);
      const [assign] = assigns;
      if (assign !== undefined) return assign;
      demand(this.#scene.clock.now() < until, `an assignment within ${withinMs} ms`, "none");
    }
  }

  report(report: Report): Promise<ReportTaskResponse> {
    return this.#scene.polls.reportTask({ instanceId: this.instanceId, ...report });
  }

  /** Completes a lease; its verdict must be one of these. */
  async complete(leaseId: string, text: string, ...outcomes: VerdictOutcome[]): Promise<void> {
    const { verdicts } = await this.report({ completes: [completeWith(leaseId, text)] });
    const outcome = verdicts.find((verdict) => verdict.leaseId === leaseId)?.outcome ?? 0;
    const words = outcomes.map((each) => wordOf(VerdictOutcomeSchema, each)).join(" or ");
    const seen = wordOf(VerdictOutcomeSchema, outcome);
    demand(outcomes.includes(outcome), `verdict ${words} for ${leaseId}`, seen);
  }
}

const work: PollCase = {
  name: "poll-work",
  rule: 13,
  demand:
    "a task that is polled, reported and completed is committed, and repeating it is harmless",
  play: async (scene) => {
    const poller = new Poller(scene, "curl");
    const run = await scene.start();
    const leaseId = leaseOf(await poller.taken());
    await poller.report({ leases: [leaseId] });
    await poller.complete(leaseId, "by poll", COMMITTED);
    await poller.complete(leaseId, "again", DUPLICATE);
    await scene.completedWith(run, "by poll");
  },
};

const empty: PollCase = {
  name: "poll-empty",
  rule: 13,
  demand: "a poll without work returns empty after its wait, one with work at once",
  play: async (scene) => {
    const poller = new Poller(scene, "curl");
    const start = scene.clock.now();
    const { assigns } = await poller.poll(700);
    const tookMs = Math.round(scene.clock.now() - start);
    demand(assigns.length === 0, "no assignment", `${assigns.length}`);
    demand(tookMs >= 600, "an answer after 700 ms", `one after ${tookMs} ms`);
    const polled = poller.poll(20_000);
    await scene.pause(200);
    const begun = scene.clock.now();
    await scene.start();
    const found = await polled;
    const lateMs = Math.round(scene.clock.now() - begun);
    demand(found.assigns.length === 1, "the task", `${found.assigns.length} tasks`);
    demand(lateMs < scene.patienceMs, "an answer as soon as there is work", `after ${lateMs} ms`);
    await poller.complete(leaseOf(found.assigns[0] as Assign), "found", COMMITTED);
  },
};

const credit: PollCase = {
  name: "poll-credit",
  rule: 1,
  demand: "an instance never holds more than its capacity, however much it asks for",
  play: async (scene) => {
    const poller = new Poller(scene, "greedy", 2);
    for (let n = 0; n < 4; n++) await scene.start();
    const held = [leaseOf(await poller.taken())];
    held.push(leaseOf(await poller.taken()));
    await poller.report({ leases: held });
    const { assigns } = await poller.poll(500, 1_000);
    demand(assigns.length === 0, "nothing beyond a capacity of 2", `${assigns.length} more`);
    for (const leaseId of held) await poller.complete(leaseId, "done", COMMITTED);
    await poller.taken();
  },
};

const forgotten: PollCase = {
  name: "poll-never-reports",
  rule: 2,
  demand: "a task that no report names in 3 s is given anew: same attempt, another lease",
  play: async (scene) => {
    const poller = new Poller(scene, "forgetful");
    const run = await scene.start();
    const old = await poller.taken();
    const young = await poller.taken(13_000);
    const isSame = young.lease?.attempt === old.lease?.attempt;
    demand(isSame, "the same attempt", String(young.lease?.attempt));
    demand(leaseOf(young) !== leaseOf(old), "another lease", "the same");
    await poller.complete(leaseOf(old), "too late", FENCED, LATE_STORED);
    await poller.complete(leaseOf(young), "in time", COMMITTED);
    await scene.completedWith(run, "in time");
  },
};

const foreign: PollCase = {
  name: "poll-foreign-lease",
  rule: 4,
  demand: "a report for somebody else's lease, or for none that exists, is refused",
  play: async (scene) => {
    const owner = new Poller(scene, "owner");
    const thief = new Poller(scene, "thief");
    const run = await scene.start();
    const leaseId = leaseOf(await owner.taken());
    await owner.report({ leases: [leaseId] });
    await thief.poll(0);
    await thief.complete(leaseId, "stolen", REFUSED, FENCED);
    await thief.complete("made up", "stolen", REFUSED, FENCED);
    const { drops } = await thief.report({ leases: [leaseId, "made up"] });
    const isTold = drops.includes(leaseId) && drops.includes("made up");
    demand(isTold, "drops for leases it does not hold", drops.join(", ") || "none");
    await owner.complete(leaseId, "honest", COMMITTED);
    await scene.completedWith(run, "honest");
  },
};

const cancel: PollCase = {
  name: "poll-cancel",
  rule: 7,
  demand: "a cancel comes with the next answer to a report",
  play: async (scene) => {
    const poller = new Poller(scene, "curl");
    const run = await scene.start();
    const leaseId = leaseOf(await poller.taken());
    await poller.report({ leases: [leaseId] });
    await scene.runs.cancelRun({ runId: run, grace: "20s" });
    const { cancels } = await poller.report({ leases: [leaseId] });
    const isTold = cancels.some((each) => each.leaseId === leaseId);
    demand(isTold, `a Cancel of ${leaseId}`, `${cancels.length} cancels`);
    await poller.report({ fails: [{ leaseId, class: 4, message: "stopped" }] });
    await scene.until(run, RunState.CANCELLED);
  },
};

const leaving: PollCase = {
  name: "poll-leaving",
  rule: 12,
  demand: "DrainWorker with `leaving` gives what is out to others at once",
  play: async (scene) => {
    const poller = new Poller(scene, "leaver");
    const run = await scene.start();
    const leaseId = leaseOf(await poller.taken());
    await poller.report({ leases: [leaseId] });
    await scene.polls.drainWorker({ instanceId: poller.instanceId, leaving: true });
    const other = new Poller(scene, "other");
    const assign = await other.taken();
    await other.complete(leaseOf(assign), "taken over", COMMITTED);
    await poller.complete(leaseId, "too late", LATE_STORED, FENCED);
    await scene.completedWith(run, "taken over");
  },
};

const broken: PollCase = {
  name: "poll-broken",
  rule: 10,
  demand: "calls that are wrong are answered with INVALID_ARGUMENT",
  play: async (scene) => {
    const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["a poll without worker", () => scene.polls.pollTasks({})],
      ["a wait of an hour", () => new Poller(scene, "slow").poll(3_600_000)],
      ["a million tasks", () => new Poller(scene, "greedy").poll(0, 1_000_000)],
      ["a report without instance", () => scene.polls.reportTask({})],
    ];
    for (const [what, call] of calls) {
      const code = await call().then(
        () => undefined,
        (error: unknown) => ConnectError.from(error).code,
      );
      const isRight = code === Code.InvalidArgument;
      demand(
        isRight,
        `INVALID_ARGUMENT for ${what}`,
        code === undefined ? "an answer" : Code[code],
      );
    }
  },
};

export const ENGINE_POLL_CASES: readonly PollCase[] = [
  work,
  empty,
  credit,
  forgotten,
  foreign,
  cancel,
  leaving,
  broken,
];
