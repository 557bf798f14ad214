/**
 * Runs that stand still and are put away: whatever is asked of them they do as if they were awake. The bench lets none
 * stay awake, so every other test of the engine goes through here as well; these look at the table itself.
 */
import { describe, expect, test } from "vitest";
import type { RunId } from "../../../src/base/ids.ts";
import type { LanesConfig } from "../../../src/core/lane/lane.ts";
import { newRun } from "../../../src/core/run/birth.ts";
import { forgetAnswered, isStill, STILL_TASKS_MAX } from "../../../src/core/run/still.ts";
import { LiveRuns } from "../../../src/engine/live-runs.ts";
import { EngineBench } from "../../support/engine-bench.ts";
import { RunHarness } from "../../support/run-harness.ts";

const narrow: LanesConfig = {
  global: { concurrency: 10 },
  named: [{ name: "io", concurrency: 1, capacity: 2, overflow: { kind: "block" } }],
  session: { scope: "run", concurrency: 1 },
};

const waiting = { name: "waiting", tasks: [{ id: "a", agent: "work", lane: "io" }] };

/** A bench whose lane is busy, with runs that wait: two in the lane, the others outside. */
async function crowd(count: number): Promise<{ bench: EngineBench; runs: RunId[] }> {
  const bench = await new EngineBench({ lanes: narrow }).start();
  const runs: RunId[] = [];
  for (let n = 0; n < count; n++) runs.push(await bench.run(waiting, {}, { n }));
  return { bench, runs };
}

async function drain(bench: EngineBench, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await bench.answer({ done: n });
}

describe("runs that wait asleep", () => {
  test("start in order of acceptance and end with what they were given", async () => {
    const { bench, runs } = await crowd(5);
    const inputs = [];
    for (const runId of runs) {
      inputs.push(bench.calls[0]?.input);
      await bench.answer({ ok: true });
      expect(await bench.status(runId)).toEqual({ run: "COMPLETED", a: "COMPLETED" });
    }
    expect(inputs).toEqual(runs.map((_, n) => ({ n })));
  });

  test("are listed, read and cancelled", async () => {
    const { bench, runs } = await crowd(4);
    const query = { pageSize: 10, namespace: "default", statuses: ["RUNNING"] } as const;
    const page = await bench.wait(bench.engine.listRuns(query));
    expect(page.runs.map(({ runId }) => runId)).toEqual(runs.toReversed());
    expect(await bench.status(runs[3] as RunId)).toEqual({ run: "RUNNING", a: "PENDING" });
    await bench.wait(bench.engine.cancelRun(runs[1] as RunId, { reason: "no need" }));
    expect(await bench.status(runs[1] as RunId)).toMatchObject({ run: "CANCELLED" });
    await drain(bench, 3);
    for (const runId of [runs[0], runs[2], runs[3]]) {
      expect(await bench.status(runId as RunId)).toMatchObject({ run: "COMPLETED" });
    }
  });

  test("take signals, and show them to their attempt", async () => {
    const { bench, runs } = await crowd(2);
    const target = { runId: runs[1] as RunId, taskId: "a" };
    const content = { kind: "steer", text: "be brief", payload: { json: "null" } } as const;
    const answers = await bench.wait(bench.engine.signal({ target, signalId: "s1", content }));
    expect(answers).toMatchObject([{ signalId: "s1", taskId: "a" }]);
    await bench.answer();
    const run = await bench.wait(bench.engine.getRun(target.runId));
    expect(run.tasks[0]?.mailbox).toMatchObject([{ signal: "s1", content }]);
  });

  test("end at their deadline", async () => {
    const { bench } = await crowd(1);
    const runId = await bench.run(waiting, { deadlineMs: 5_000 });
    await bench.host.advance(5_001);
    await bench.settle();
    expect(await bench.status(runId)).toMatchObject({ run: "FAILED" });
  });

  test("are the same after a restart", async () => {
    const { bench, runs } = await crowd(6);
    const next = await bench.restart();
    for (let left = 7; left > 0; left--) {
      await next.host.advance(1);
      if (next.calls.length > 0) await next.answer();
    }
    for (const runId of runs) expect(await next.status(runId)).toMatchObject({ run: "COMPLETED" });
  });

  test("hold no slot that is not theirs", async () => {
    const { bench } = await crowd(5);
    const lane = bench.engine.lanes().find(({ name }) => name === "io");
    expect(lane).toMatchObject({ occupied: 1, queued: 2, blocked: 2 });
    await drain(bench, 5);
    expect(bench.engine.lanes().find(({ name }) => name === "io")).toMatchObject({
      occupied: 0,
      queued: 0,
      blocked: 0,
    });
  });
});

describe("the table of live runs", () => {
  const harness = (): RunHarness => new RunHarness({ name: "w", tasks: [{ id: "a", agent: "x" }] });

  function table(awakeMost: number, isUnderWay = false): LiveRuns {
    return new LiveRuns(awakeMost, { isSoon: () => false, isUnderWay: () => isUnderWay });
  }

  test("keeps the same object awake while there are few, and equal state when there are many", () => {
    const { run } = harness();
    forgetAnswered(run);
    const few = table(1);
    few.add(run);
    few.settle([{ run }]);
    expect(few.get(run.id)).toBe(run);
    const many = table(0);
    many.add(run);
    many.settle([{ run }]);
    expect(many.awake(run.id)).toBe(isStill(run) ? undefined : run);
    expect(many.peek(run.id)).toEqual(run);
    const woken = many.get(run.id);
    expect(woken).toEqual(run);
    expect(many.get(run.id)).toBe(woken);
    many.settle([]);
    expect(many.awake(run.id)).toBe(isStill(run) ? undefined : woken);
    expect([many.size, many.has(run.id), [...many.ids()]]).toEqual([1, true, [run.id]]);
    expect(many.delete(run.id)).toBe(true);
    expect(many.get(run.id)).toBeUndefined();
  });

  test("leaves a run awake that a commit under way has", () => {
    const { run } = harness();
    const busy = table(0, true);
    busy.add(run);
    busy.settle([{ run }]);
    expect(busy.awake(run.id)).toBe(run);
  });

  test("leaves large runs awake", () => {
    const tasks = Array.from({ length: STILL_TASKS_MAX + 1 }, (_, n) => ({
      id: `t${n}`,
      agent: "x",
    }));
    const { run } = new RunHarness({ name: "wide", tasks });
    expect(isStill(run)).toBe(false);
    const small = newRun(run.id, harness().run.plan, {
      type: "run_accepted",
      at: 1,
      definition: "d",
      name: "w",
      request: run.request,
    });
    expect(isStill(small)).toBe(true);
  });
});
