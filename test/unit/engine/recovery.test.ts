/**
 * Corners that the simulation found. Most are about restarts and what they must not lose although it is nowhere in the
 * events: the place of a task outside its full lane, the wait before a retry, the end of a run that was ending.
 */
import { describe, expect, test } from "vitest";
import { FaultError } from "../../../src/base/fault.ts";
import type { RunId } from "../../../src/base/ids.ts";
import type { LanesConfig } from "../../../src/core/lane/lane.ts";
import { EngineBench } from "../../support/engine-bench.ts";
import { RunHarness } from "../../support/run-harness.ts";

const narrow: LanesConfig = {
  global: { concurrency: 10 },
  named: [{ name: "io", concurrency: 1, capacity: 1, overflow: { kind: "block" } }],
  session: { scope: "run", concurrency: 1 },
};

const three = {
  name: "three",
  tasks: ["a", "b", "c"].map((id) => ({ id, agent: "work", lane: "io" })),
};

async function refused(work: Promise<unknown>): Promise<string> {
  const error = await work.catch((e: unknown) => e);
  return error instanceof FaultError ? error.fault.code : "not refused";
}

test("engine time goes on from where it was, although the clock was set back by a day", async () => {
  const first = await new EngineBench().start();
  await first.host.advance(86_400_000);
  const runId = await first.run({ name: "one", tasks: [{ id: "a", agent: "work" }] });
  first.disk.unlock();
  const next = await new EngineBench({ disk: first.disk }).start();
  expect(next.host.now()).toBeGreaterThan(first.host.now());
  expect(await next.status(runId)).toMatchObject({ run: "RUNNING" });
});

describe("after a restart", () => {
  test("a task that was blocked when the snapshot was taken is offered to its lane again", async () => {
    const bench = await new EngineBench({ lanes: narrow }).start();
    const runId = await bench.run(three);
    expect(await bench.status(runId)).toEqual({
      run: "RUNNING",
      a: "RUNNING",
      b: "SCHEDULED",
      c: "PENDING",
    });
    await bench.wait(bench.journal.snapshot(await bench.wait(bench.engine.getRun(runId))));
    const next = await bench.restart();
    await next.settle();
    for (let left = 3; left > 0; left--) {
      await next.host.advance(1);
      await next.answer();
    }
    expect(await next.status(runId)).toMatchObject({ run: "COMPLETED", c: "COMPLETED" });
  });

  test("a task that waits for its retry goes on waiting", async () => {
    const retry = { max_attempts: 2, backoff: "10s", jitter: 0 };
    const bench = await new EngineBench().start();
    const runId = await bench.run({ name: "one", tasks: [{ id: "a", agent: "work", retry }] });
    bench.calls.shift()?.fail("no");
    await bench.settle();
    await bench.host.advance(4_000);
    const next = await bench.restart();
    await next.settle();
    expect(await next.status(runId)).toMatchObject({ a: "RETRYING" });
    await next.host.advance(5_999);
    await next.settle();
    expect(await next.status(runId)).toMatchObject({ a: "RETRYING" });
    await next.host.advance(1);
    await next.settle();
    expect(await next.status(runId)).toMatchObject({ a: "RUNNING" });
  });

  test("a run that was ending starts nothing again", async () => {
    const bench = await new EngineBench({ agents: ["work", "other"] }).start();
    const runId = await bench.run({
      name: "two",
      fail_fast: false,
      tasks: [
        { id: "bad", agent: "work", retry: { max_attempts: 1 } },
        { id: "long", agent: "other" },
      ],
    });
    bench.calls.shift()?.fail("no");
    await bench.settle();
    expect(await bench.status(runId)).toEqual({ run: "RUNNING", bad: "FAILED", long: "RUNNING" });
    const next = await bench.restart();
    await next.settle();
    expect(await next.status(runId)).toEqual({ run: "FAILED", bad: "FAILED", long: "FAILED" });
    expect(next.calls).toEqual([]);
  });
});

test("an interrupted task of a run that is ending is not tried with its new input", () => {
  const harness = new RunHarness({
    name: "two",
    fail_fast: false,
    tasks: [
      { id: "bad", agent: "work" },
      { id: "long", agent: "work" },
    ],
  });
  harness.start("bad", "long");
  const content = {
    kind: "interrupt",
    reason: "newer",
    graceMs: 100,
    replaceWith: { json: "1" },
  } as const;
  harness.do({ type: "signal", task: "long", signal: "s1", content });
  harness.report("bad", { kind: "failure", failure: "terminal", message: "no" });
  harness.report("long", { kind: "stopped" });
  expect(harness.statuses()).toEqual({ bad: "FAILED", long: "CANCELLED" });
  expect(harness.run.status).toBe("FAILED");
});

test("refused commands that fill a batch do not hold up what waits behind them", async () => {
  const bench = await new EngineBench({ lanes: narrow }).start();
  const runId = await bench.run(three);
  const nobody = "01JE0000000000000000000000" as RunId;
  const refusals = Array.from({ length: 2_000 }, () =>
    refused(bench.engine.cancelRun(nobody, { reason: "" })),
  );
  const read = bench.engine.getRun(runId);
  expect(await bench.wait(read)).toMatchObject({ id: runId });
  expect(new Set(await Promise.all(refusals))).toEqual(new Set(["RUN_NOT_FOUND"]));
});

test("a report or receipt of attempt 0 means nothing to a task that has not started", () => {
  const harness = new RunHarness({ name: "one", tasks: [{ id: "a", agent: "work" }] });
  const content = { kind: "steer", payload: { json: "1" }, text: "" } as const;
  harness.do({ type: "signal", task: "a", signal: "s1", content });
  const stale = { task: "a", lease: 0 } as const;
  expect(harness.do({ ...stale, type: "report", outcome: { kind: "stopped" } })).toEqual([]);
  const receipt = { type: "receipt", signal: "s1", receipt: "admitted" } as const;
  expect(harness.do({ ...stale, ...receipt })).toEqual([]);
});

test("a lane whose rate opens between two milliseconds lets the next task start in the next one", async () => {
  const bench = await new EngineBench({
    lanes: {
      ...narrow,
      named: [
        {
          name: "io",
          concurrency: 10,
          capacity: 10,
          rate: { limit: 3, perMs: 10, burst: 1 },
          overflow: { kind: "block" },
        },
      ],
    },
  }).start();
  await bench.run(three);
  expect(bench.calls).toHaveLength(1);
  await bench.host.advance(4);
  await bench.settle();
  expect(bench.calls).toHaveLength(2);
  await bench.host.advance(4);
  await bench.settle();
  expect(bench.calls).toHaveLength(3);
});
