/**
 * Cases for a worker that polls: the same protocol in unary calls, where the worker may be a shell script. It names what it
 * holds often enough, sends a result until its verdict comes, stops what it is told to stop, and pauses when nobody answers.
 * Times of this surface are fixed by the protocol, so only those that a short play can show are tested.
 */
import { Code } from "@connectrpc/connect";
import { type Hello, VerdictOutcome } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { pause } from "./inbox.ts";
import { describeSaid, isResult, type Result } from "./said.ts";
import { jsonOf, sameJson } from "./values.ts";
import { type Case, demand } from "./verdicts.ts";
import { type Given, outputOf, WorkerSession } from "./worker-session.ts";
import type { WorkerStage } from "./worker-stage.ts";

type PollCase = Case<WorkerStage>;

const ENDLESS = { ms: 3_600_000 };
/** The time in which a task must be named in a report. */
const ACK_LIMIT_MS = 3_000;
const LOOK_MS = 400;
/** How long polls fail, and the most of them that a worker may make meanwhile. */
const REFUSING_MS = 2_000;
const POLLS_MAX = 12;

/** What a worker of this surface holds is given by hand, so its Hello is all that is needed of a session. */
interface PollPlay {
  readonly stage: WorkerStage;
  readonly hello: Hello;
  readonly session: WorkerSession;
}

async function begin(stage: WorkerStage): Promise<PollPlay> {
  stage.desk.reset();
  const { worker: hello } = await stage.polled();
  const session = new WorkerSession(hello, () => {}, stage.clock, stage.patienceMs);
  return { stage, hello, session };
}

function give({ stage, session }: PollPlay, agent: string, input: Given["input"]): Given {
  const given = session.newLease(agent, input);
  stage.desk.give([session.assignOf(given)]);
  return given;
}

function named({ stage }: PollPlay, { leaseId }: Given, withinMs: number): Promise<unknown> {
  return stage.desk.said.take(
    (said) => (said.kind === "ack" && said.leaseId === leaseId ? said : undefined),
    `a ReportTask that names lease ${leaseId}`,
    withinMs,
  );
}

function resultOf({ stage }: PollPlay, { leaseId }: Given, expected: string): Promise<Result> {
  return stage.desk.said.take(
    (said) => (isResult(said) && said.leaseId === leaseId ? said : undefined),
    `${expected} of lease ${leaseId}`,
    stage.patienceMs,
  );
}

async function completed(play: PollPlay, given: Given): Promise<void> {
  const result = await resultOf(play, given, "a complete");
  const output =
    result.kind === "complete"
      ? jsonOf(result.complete.output, result.complete.outputData)
      : undefined;
  const isRight = output !== undefined && sameJson(output, outputOf(given));
  const expected = `a complete with ${JSON.stringify(outputOf(given))}`;
  demand(isRight, expected, describeSaid(result));
}

function noSecondResult({ stage }: PollPlay, { leaseId }: Given): void {
  const second = stage.desk.said.takeNow((said) =>
    isResult(said) && said.leaseId === leaseId ? said : undefined,
  );
  const seen = second === undefined ? "" : describeSaid(second);
  demand(second === undefined, `one result of lease ${leaseId}`, `another one: ${seen}`);
}

async function stillWorks(play: PollPlay): Promise<void> {
  await completed(play, give(play, "echo", { still: "here" }));
}

const hello: PollCase = {
  name: "hello",
  rule: 10,
  demand: "every PollTasks says who polls: version 1, the same instance, its agents",
  play: async (stage) => {
    const { hello: worker } = await begin(stage);
    const { protocolVersion, instanceId, agents } = worker;
    demand(protocolVersion === 1, "protocol_version 1", String(protocolVersion));
    demand(/^[A-Za-z0-9_.:-]{1,128}$/.test(instanceId), "a valid instance_id", instanceId);
    const names = agents.map(({ name }) => name);
    for (const agent of ["echo", "sleep"]) {
      demand(names.includes(agent), `an agent "${agent}"`, names.join(", "));
    }
    const next = await stage.polled();
    const same = next.worker.instanceId;
    demand(same === instanceId, `instance_id ${instanceId} again`, same);
    const { waitMs = 0 } = next.request;
    demand(waitMs <= 30_000, "wait_ms of at most 30,000", String(waitMs));
  },
};

const values: PollCase = {
  name: "values",
  rule: 10,
  demand: "JSON values arrive as input and leave as output unchanged",
  play: async (stage) => {
    const play = await begin(stage);
    for (const value of [0, "ünïcødé \"quotes\" $(echo no) 'x' 🦀", [], { a: [1, { b: null }] }]) {
      await completed(play, give(play, "echo", value));
    }
  },
};

const ack: PollCase = {
  name: "ack-at-once",
  rule: 2,
  demand: "a task is named in a ReportTask within 3 s, long before it is done",
  play: async (stage) => {
    const play = await begin(stage);
    const given = give(play, "sleep", ENDLESS);
    // The poll that carries it may have to come first.
    await named(play, given, stage.patienceMs + ACK_LIMIT_MS);
    await abandon(play, given);
  },
};

/** Cancels a lease with the next report and takes its end. */
async function abandon(play: PollPlay, given: Given): Promise<Result> {
  const { leaseId } = given;
  play.stage.desk.tellWithReport({ cancels: [{ leaseId, reason: 3, graceMs: 5_000n }] });
  play.stage.desk.tellWithPoll({ cancels: [{ leaseId, reason: 3, graceMs: 5_000n }] });
  return resultOf(play, given, "an end after the cancel");
}

const heartbeat: PollCase = {
  name: "heartbeat",
  rule: 4,
  demand: "a task that goes on is named again and again, well within its lease",
  play: async (stage) => {
    const play = await begin(stage);
    const given = give(play, "sleep", ENDLESS);
    await named(play, given, stage.patienceMs + ACK_LIMIT_MS);
    await named(play, given, 15_000);
    await abandon(play, given);
  },
};

const cancel: PollCase = {
  name: "cancel",
  rule: 7,
  demand: "a cancelled attempt stops and is reported, within its grace",
  play: async (stage) => {
    const play = await begin(stage);
    const given = give(play, "sleep", ENDLESS);
    await named(play, given, stage.patienceMs + ACK_LIMIT_MS);
    const result = await abandon(play, given);
    demand(result.kind === "fail", "a Fail of class CANCELLED", describeSaid(result));
    await stillWorks(play);
  },
};

const drop: PollCase = {
  name: "drop",
  rule: 4,
  demand: "an attempt whose lease is dropped is stopped and no longer named",
  play: async (stage) => {
    const play = await begin(stage);
    const given = give(play, "sleep", ENDLESS);
    const { leaseId } = given;
    await named(play, given, stage.patienceMs + ACK_LIMIT_MS);
    stage.desk.tellWithReport({ drops: [leaseId] });
    stage.desk.tellWithPoll({ drops: [leaseId] });
    await stillWorks(play);
    stage.desk.said.clear();
    await stillWorks(play);
    await pause(stage.clock, LOOK_MS * 3);
    const again = stage.desk.said.takeNow((said) =>
      said.kind === "ack" && said.leaseId === leaseId ? said : undefined,
    );
    demand(again === undefined, "a dropped lease not to be named again", "it was");
  },
};

const verdictLost: PollCase = {
  name: "verdict-lost",
  rule: 6,
  demand: "a result whose answer is lost is sent again until its verdict comes, and never after",
  play: async (stage) => {
    const play = await begin(stage);
    stage.desk.loseReports("cut", 1);
    const cut = give(play, "echo", { answer: "cut" });
    await completed(play, cut);
    await completed(play, cut);
    await stillWorks(play);
    noSecondResult(play, cut);
    stage.desk.loseReports({ code: Code.Unavailable }, 2);
    const refused = give(play, "echo", { answer: "refused" });
    for (let time = 0; time < 3; time++) await completed(play, refused);
    await stillWorks(play);
    noSecondResult(play, refused);
  },
};

const everyVerdict: PollCase = {
  name: "every-verdict",
  rule: 6,
  demand: "after any verdict the result is forgotten",
  play: async (stage) => {
    const play = await begin(stage);
    for (const outcome of [2, 3, 4, 5] as const satisfies readonly VerdictOutcome[]) {
      const given = play.session.newLease("echo", { outcome });
      stage.desk.give([play.session.assignOf(given)], () => outcome);
      await completed(play, given);
      await pause(stage.clock, LOOK_MS);
      noSecondResult(play, given);
    }
    stage.desk.give([], () => VerdictOutcome.COMMITTED);
    await stillWorks(play);
  },
};

const duplicate: PollCase = {
  name: "duplicate-assign",
  rule: 2,
  demand: "a lease that comes twice is run once",
  play: async (stage) => {
    const play = await begin(stage);
    const given = play.session.newLease("sleep", { ms: LOOK_MS });
    stage.desk.giveTogether([play.session.assignOf(given), play.session.assignOf(given)]);
    await completed(play, given);
    await pause(stage.clock, LOOK_MS * 2);
    noSecondResult(play, given);
    await stillWorks(play);
  },
};

const unknownLeases: PollCase = {
  name: "unknown-leases",
  rule: 10,
  demand: "cancels and drops for leases it does not hold do not disturb a worker",
  play: async (stage) => {
    const play = await begin(stage);
    const directives = { cancels: [{ leaseId: "nobody's", graceMs: 1n }], drops: ["nobody's", ""] };
    stage.desk.tellWithPoll(directives);
    stage.desk.tellWithReport(directives);
    await stillWorks(play);
    await stillWorks(play);
  },
};

const refused: PollCase = {
  name: "poll-backoff",
  rule: 5,
  demand: "a worker whose polls fail goes on polling, with pauses",
  play: async (stage) => {
    const play = await begin(stage);
    const { polls } = stage.desk;
    polls.clear();
    stage.desk.losePolls({ code: Code.Unavailable }, Number.MAX_SAFE_INTEGER);
    await pause(stage.clock, REFUSING_MS);
    let count = 0;
    while (polls.takeNow((poll) => poll) !== undefined) count++;
    // Full jitter up to 100 ms, 200 ms, 400 ms… makes six or so; a dozen is beyond bad luck.
    const expected = `at most ${POLLS_MAX} polls within ${REFUSING_MS} ms of failing`;
    demand(count <= POLLS_MAX, expected, `${count} polls`);
    stage.desk.losePolls("cut", 2);
    // Two that are cut, and one that is not; by now the pauses before them may be long.
    for (let poll = 0; poll < 3; poll++) await stage.polled();
    await stillWorks(play);
  },
};

const goAway: PollCase = {
  name: "go-away",
  rule: 12,
  demand: "after GoAway the next poll waits as long as asked",
  play: async (stage) => {
    const play = await begin(stage);
    const waitMs = 1_000;
    stage.desk.tellWithPoll({ goAway: { reason: "restart", reconnectAfterMs: waitMs } });
    let next = await stage.polled();
    while (next.at <= (stage.desk.toldAt ?? next.at)) next = await stage.polled();
    const afterMs = Math.round(next.at - (stage.desk.toldAt ?? next.at));
    demand(afterMs >= waitMs, `a pause of ${waitMs} ms`, `a poll after ${afterMs} ms`);
    await stillWorks(play);
  },
};

const drain: PollCase = {
  name: "drain",
  rule: 12,
  demand:
    "on SIGTERM a worker ends what it holds or says DrainWorker with `leaving`, and exits with 0",
  play: async (stage) => {
    const play = await begin(stage);
    const given = give(play, "sleep", { ms: LOOK_MS });
    await named(play, given, stage.patienceMs + ACK_LIMIT_MS);
    stage.terminate();
    await stage.ended();
    const result = stage.desk.said.takeNow((said) =>
      isResult(said) && said.leaseId === given.leaseId ? said : undefined,
    );
    const leaving = stage.desk.drains.takeNow((call) => (call.leaving ? call : undefined));
    const isClean = result !== undefined || leaving !== undefined;
    demand(isClean, "a result or DrainWorker with `leaving`", stage.desk.said.latest());
  },
};

/** The ending comes last: after it the worker has to be started again. */
export const POLL_CASES: readonly PollCase[] = [
  hello,
  values,
  ack,
  heartbeat,
  cancel,
  drop,
  verdictLost,
  everyVerdict,
  duplicate,
  unknownLeases,
  refused,
  goAway,
  drain,
];
