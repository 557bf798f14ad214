/**
 * The kit for workers is itself put to the test: the reference worker passes every case, and every quirk of it is caught
 * by the cases that forbid it and by no other. That is some two thousand plays, most of them waiting for something, so
 * they run side by side, each on a stage of its own; the pool keeps them from starving each other.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { SystemHost } from "../../../src/adapters/system-host.ts";
import type { CaseResult } from "../../../src/conformance/verdicts.ts";
import { testWorker, WORKER_CASES } from "../../../src/conformance/worker-kit.ts";
import type { WorkerProgram } from "../../../src/conformance/worker-program.ts";
import { referenceWorker, type SessionQuirk } from "../../support/reference-worker.ts";

const PLAYS_AT_ONCE = 32;
/** Those that measure pauses need some quiet. */
const LONG_PLAYS_AT_ONCE = 2;
const SUITE_MS = 240_000;

/** The cases that must catch each quirk. */
const CAUGHT_BY: Readonly<Record<SessionQuirk, readonly string[]>> = {
  "acks only while a slot is left": ["ack-at-once", "burst", "drop", "probe-while-busy"],
  "reads every input as a value": ["raw-values"],
  "breaks on leases it does not know": ["unknown-leases"],
  "ends attempts with unknown reasons by itself": ["unknown-message"],
  "cancels nothing": [
    "ack-at-once",
    "beat-lists-leases",
    "cancel",
    "cancel-with-assign",
    "probe-while-busy",
    "side-by-side",
    "silent-stream",
    "unknown-message",
  ],
  "completes what is cancelled": ["cancel"],
  "reports again when it is cancelled too late": ["cancel-crossing"],
  "cancels everything at once": ["cancel"],
  "drops nothing": ["drop", "resume-drop"],
  "gives up before the first welcome": [
    "cut-after-assign",
    "cut-after-welcome",
    "cut-before-welcome",
    "redial-backoff",
  ],
  "exits without its verdicts": ["drain", "drain-after-cut"],
  "resumes nothing": ["resume-drop", "resume-keep", "silent-stream"],
  "forgets results as it sends them": [
    "beat-lists-leases",
    "drain",
    "drain-after-cut",
    "half-open",
    "large-batch",
    "late-verdict",
    "resume-drop",
    "resume-keep",
    "verdict-lost",
  ],
  "forgets results at the end of a stream": [
    "drain-after-cut",
    "half-open",
    "large-batch",
    "resume-drop",
    "resume-keep",
    "verdict-lost",
  ],
  "is a new instance on every stream": [
    "cut-after-ack",
    "cut-after-assign",
    "cut-after-cancel",
    "cut-after-complete",
    "cut-after-probe",
    "cut-after-welcome",
  ],
  "keeps dropped results to itself": ["resume-drop"],
  "runs on what the welcome drops": ["resume-drop"],
  "leaves without a drain": ["drain"],
  "leaves when its stream breaks": ["drain-after-cut"],
  "lists only what runs": ["beat-lists-leases", "late-verdict"],
  "lists everything for ever": [
    "beat-lists-leases",
    "drop",
    "every-verdict",
    "fence-then-late-complete",
    "resume-drop",
    "verdict-lost",
  ],
  "loses the class of failures": ["cancel", "failure-classes"],
  "answers probes with their lower half": ["probe-while-busy"],
  "answers no probe while it is full": ["probe-while-busy"],
  "turns null into an object": ["raw-values", "values"],
  "counts no silence": ["half-open", "silent-stream"],
  "counts only work as a sign of life": ["probes-are-heard"],
  "keeps results that are refused": ["every-verdict", "resume-drop"],
  "redials at once": ["redial-backoff"],
  "runs one attempt at a time": [
    "ack-at-once",
    "beat-lists-leases",
    "fence-then-late-complete",
    "probe-while-busy",
    "resume-drop",
    "side-by-side",
  ],
  "runs twice what is assigned twice": ["duplicate-assign"],
  "acks once what is assigned twice": ["duplicate-assign"],
  "speaks version 2": ["hello"],
  "mistakes its token": ["resume-keep"],
  "sends all that is ready in one message": ["large-batch"],
  "sends outputs of any size": ["oversize-result"],
  "ignores agents it does not have": ["unknown-agent"],
  "shows signals as often as they come": ["signal-redelivery", "signals"],
  "shows the latest signal first": ["signal-redelivery", "signals"],
  "leaves at go away": ["go-away"],
  "does not wait after go away": ["go-away"],
  "takes only the first of a batch": ["burst", "duplicate-assign"],
  "names its old lease": ["fence-then-late-complete"],
  "reads at most a megabyte": ["large-message"],
  "ignores a cancel that comes with its assign": ["cancel-with-assign"],
};

/** Long plays, because they are about silence or move megabytes: for workers that they concern, and the good one. */
const LONG: ReadonlySet<string> = new Set([
  "go-away",
  "half-open",
  "large-message",
  "probes-are-heard",
  "redial-backoff",
  "silent-stream",
]);

/** For what must come and what must not: a busy machine may delay the one, and only patience ends the other. */
const PATIENCE_MS = { passes: 15_000, fails: 1_500 } as const;

async function judge(
  program: WorkerProgram,
  name: string,
  expected: keyof typeof PATIENCE_MS,
): Promise<readonly CaseResult[]> {
  const patienceMs = PATIENCE_MS[expected];
  const options = { program, clock: new SystemHost(), patienceMs, only: [name] };
  return testWorker(options, { started: () => {}, played: () => {} });
}

const failures = (results: readonly CaseResult[]) =>
  results.filter(({ outcome }) => outcome === "failed").map(({ name }) => name);

/** Runs tasks in their order, a few at a time. */
async function pooled(atOnce: number, tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const queue = [...tasks];
  const work = async () => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) await task();
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

it(
  "passes the reference worker",
  async () => {
    const results: CaseResult[] = [];
    await pooled(
      PLAYS_AT_ONCE,
      WORKER_CASES.session.map(({ name }) => async () => {
        results.push(...(await judge(referenceWorker(), name, "passes")));
      }),
    );
    expect(results).toHaveLength(WORKER_CASES.session.length);
    expect(results.filter(({ outcome }) => outcome !== "passed")).toEqual([]);
  },
  SUITE_MS,
);

describe("catches a worker that", () => {
  const quirks = Object.entries(CAUGHT_BY) as [SessionQuirk, readonly string[]][];
  const caught = new Map<string, string[]>(quirks.map(([quirk]) => [quirk, []]));

  beforeAll(async () => {
    const plays = (isLong: boolean) =>
      quirks.flatMap(([quirk, cases]) =>
        WORKER_CASES.session
          .filter(({ name }) => LONG.has(name) === isLong && (!isLong || cases.includes(name)))
          .map(({ name }) => async () => {
            const expected = cases.includes(name) ? "fails" : "passes";
            const results = await judge(referenceWorker(quirk), name, expected);
            caught.get(quirk)?.push(...failures(results));
          }),
      );
    await pooled(PLAYS_AT_ONCE, plays(false));
    await pooled(LONG_PLAYS_AT_ONCE, plays(true));
  }, SUITE_MS);

  it.each(quirks)("%s", (quirk, cases) => {
    expect([...(caught.get(quirk) ?? [])].sort()).toEqual([...cases].sort());
  });
});
