/**
 * The kit for polling workers is put to the test like the one for sessions: the reference poller passes every case, and
 * each of its quirks is caught by the cases that forbid it and by no other. Most plays wait, so they go side by side.
 */
import { beforeAll, describe, expect, it } from "vitest";
import { SystemHost } from "../../../src/adapters/system-host.ts";
import type { CaseResult } from "../../../src/conformance/verdicts.ts";
import { testWorker, WORKER_CASES } from "../../../src/conformance/worker-kit.ts";
import type { WorkerProgram } from "../../../src/conformance/worker-program.ts";
import { type PollQuirk, referencePoller } from "../../support/reference-poller.ts";

const SUITE_MS = 240_000;
const PLAYS_AT_ONCE = 24;

/** The cases that must catch each quirk. */
const CAUGHT_BY: Readonly<Record<PollQuirk, readonly string[]>> = {
  "is a new instance on every poll": ["hello"],
  "loses what is not ASCII": ["values"],
  "reports only at the end": ["ack-at-once", "heartbeat", "cancel", "drop"],
  "names a lease once": ["heartbeat"],
  "cancels nothing": ["ack-at-once", "heartbeat", "cancel"],
  "drops nothing": ["drop"],
  "reports a result once": ["verdict-lost"],
  "keeps results that are refused": ["every-verdict"],
  "runs twice what comes twice": ["duplicate-assign"],
  "breaks on leases it does not know": ["unknown-leases"],
  "polls at once after a failure": ["poll-backoff"],
  "does not wait after go away": ["go-away"],
  "leaves without a word": ["drain"],
};

/** A case that must fail needs no patience; one that must pass may need some on a busy machine. */
async function judge(program: WorkerProgram, name: string, fails: boolean) {
  const patienceMs = fails ? 1_500 : 15_000;
  const options = { program, clock: new SystemHost(), patienceMs, only: [name] };
  return testWorker(options, { started: () => {}, played: () => {} });
}

async function pooled(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const queue = [...tasks];
  const work = async () => {
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) await task();
  };
  await Promise.all(Array.from({ length: PLAYS_AT_ONCE }, work));
}

const names = WORKER_CASES.poll.map(({ name }) => name);

it(
  "passes the reference poller",
  async () => {
    const results: CaseResult[] = [];
    await pooled(
      names.map((name) => async () => {
        results.push(...(await judge(referencePoller(), name, false)));
      }),
    );
    expect(results).toHaveLength(names.length);
    expect(results.filter(({ outcome }) => outcome !== "passed")).toEqual([]);
  },
  SUITE_MS,
);

describe("catches a polling worker that", () => {
  const quirks = Object.entries(CAUGHT_BY) as [PollQuirk, readonly string[]][];
  const caught = new Map<string, string[]>(quirks.map(([quirk]) => [quirk, []]));

  beforeAll(async () => {
    await pooled(
      quirks.flatMap(([quirk, cases]) =>
        names.map((name) => async () => {
          const [result] = await judge(referencePoller(quirk), name, cases.includes(name));
          if (result?.outcome === "failed") caught.get(quirk)?.push(name);
        }),
      ),
    );
  }, SUITE_MS);

  it.each(quirks)("%s", (quirk, cases) => {
    expect([...(caught.get(quirk) ?? [])].sort()).toEqual([...cases].sort());
  });
});
