/** The lane manager as the engine uses it: slots, rates, restarts and the audit, over real task states. */
import { describe, expect, it } from "vitest";
import type { TaskState } from "../../../src/core/run/state.ts";
import { LaneBench } from "../../support/lane-bench.ts";
import { cancel, complete, endLease, laneConfig, schedule } from "../../support/lane-tasks.ts";

describe("slots", () => {
  it("starts as many as the lane has slots and the next when one ends", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 2 })]);
    const tasks = [1, 2, 3].map(() => bench.offer({ lane: "cpu" }));
    expect(bench.turn(10)).toEqual(tasks.slice(0, 2));
    expect(bench.turn(11)).toEqual([]);
    expect(bench.statusOf("cpu")).toMatchObject({ occupied: 2, queued: 1, oldestSince: 0 });
    bench.end(tasks[0] as TaskState, 12);
    expect(bench.turn(12)).toEqual([tasks[2]]);
    bench.expectNoDivergence();
  });

  it("counts cost, and lets nothing small pass a head that does not fit", () => {
    const bench = new LaneBench([laneConfig("gpu", { concurrency: 4 })]);
    const small = bench.offer({ lane: "gpu", cost: 2, remainingMs: 9 });
    const large = bench.offer({ lane: "gpu", cost: 3, remainingMs: 8 });
    const tiny = bench.offer({ lane: "gpu", cost: 1, remainingMs: 7 });
    expect(bench.turn(0)).toEqual([small]);
    bench.end(small, 1);
    expect(bench.turn(1)).toEqual([large, tiny]);
    bench.expectNoDivergence();
  });

  it("runs a task larger than its lane alone", () => {
    const bench = new LaneBench([laneConfig("gpu", { concurrency: 2 })]);
    const huge = bench.offer({ lane: "gpu", cost: 5, remainingMs: 9 });
    const small = bench.offer({ lane: "gpu" });
    expect(bench.turn(0)).toEqual([huge]);
    expect(bench.turn(1)).toEqual([]);
    bench.end(huge, 2);
    expect(bench.turn(2)).toEqual([small]);
    bench.expectNoDivergence();
  });

  it("reserves nothing in a named lane while the global lane is full", () => {
    const bench = new LaneBench([laneConfig("io"), laneConfig("cpu")], {
      global: { concurrency: 1 },
    });
    const first = bench.offer({ lane: "io" });
    bench.offer({ lane: "cpu" });
    expect(bench.turn(0)).toEqual([first]);
    expect(bench.statusOf("cpu").occupied).toBe(0);
    expect(bench.statusOf("global")).toMatchObject({ occupied: 1, concurrency: 1 });
    bench.expectNoDivergence();
  });

  it("gives named lanes turns when the global lane is the bottleneck", () => {
    const bench = new LaneBench([laneConfig("io"), laneConfig("cpu"), laneConfig("gpu")], {
      global: { concurrency: 1 },
    });
    for (const lane of ["io", "cpu", "gpu"]) for (let n = 0; n < 3; n++) bench.offer({ lane });
    const order: string[] = [];
    for (let at = 0; at < 9; at++) {
      const [task] = bench.turn(at);
      order.push(task?.lane ?? "none");
      bench.end(task as TaskState, at);
    }
    expect(order).toEqual(["io", "cpu", "gpu", "io", "cpu", "gpu", "io", "cpu", "gpu"]);
  });

  it("keeps the turn of the lane whose head waits for global slots", () => {
    const bench = new LaneBench([laneConfig("io"), laneConfig("cpu")], {
      global: { concurrency: 2 },
    });
    const running = bench.offer({ lane: "io" });
    bench.turn(0);
    const wide = bench.offer({ lane: "cpu", cost: 2 });
    bench.offer({ lane: "io" });
    expect(bench.turn(1)).toEqual([]);
    bench.end(running, 2);
    expect(bench.turn(2)).toEqual([wide]);
  });

  it("keeps the slot of a cancelled task until its lease ends", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1 })]);
    const task = bench.offer({ lane: "cpu" });
    bench.turn(0);
    const next = bench.offer({ lane: "cpu" });
    bench.cancel(task, 1);
    expect(bench.turn(1)).toEqual([]);
    bench.expectNoDivergence();
    endLease(task, 2);
    bench.lanes.released(task);
    expect(bench.turn(2)).toEqual([next]);
    bench.expectNoDivergence();
  });

  it("takes slots back when a granted task does not start after all", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1 })]);
    const task = bench.offer({ lane: "cpu" });
    const next = bench.offer({ lane: "cpu" });
    expect(bench.lanes.poll(0, 10).start).toEqual([task]);
    expect(bench.lanes.poll(0, 10).start).toEqual([]);
    bench.cancel(task);
    expect(bench.turn(1)).toEqual([next]);
    bench.expectNoDivergence();
  });

  it("treats a release without a lease, or a second one, as a bug", () => {
    const bench = new LaneBench([]);
    const task = bench.offer();
    expect(() => bench.lanes.released(task)).toThrow("does not hold");
    bench.turn(0);
    bench.end(task, 1);
    expect(() => bench.lanes.released(task)).toThrow("does not hold");
  });

  it("treats a second start as a bug", () => {
    const bench = new LaneBench([]);
    const task = bench.offer();
    bench.turn(0);
    expect(() => bench.lanes.started(task)).toThrow("started twice");
  });

  it("returns at most the limit and goes on at the next poll", () => {
    const bench = new LaneBench([]);
    for (let n = 0; n < 5; n++) bench.offer();
    expect(bench.turn(0, 2)).toHaveLength(2);
    expect(bench.turn(0, 2)).toHaveLength(2);
    expect(bench.turn(0, 2)).toHaveLength(1);
  });
});

describe("rate", () => {
  it("starts the burst, then one per interval, and says when it opens", () => {
    const bench = new LaneBench([
      laneConfig("api", { rate: { limit: 2, perMs: 1_000, burst: 2 } }),
    ]);
    for (let n = 0; n < 4; n++) bench.offer({ lane: "api", at: 10_000 });
    expect(bench.turn(10_000)).toHaveLength(2);
    expect(bench.lanes.nextWake(10_000)).toBe(10_500);
    expect(bench.statusOf("api").opensAt).toBe(10_500);
    expect(bench.turn(10_499)).toHaveLength(0);
    expect(bench.turn(10_500)).toHaveLength(1);
    expect(bench.turn(11_000)).toHaveLength(1);
    expect(bench.lanes.nextWake(11_000)).toBeUndefined();
    expect(bench.statusOf("api").opensAt).toBeUndefined();
  });

  it("holds every lane back by the global rate and wakes when both are open", () => {
    const bench = new LaneBench(
      [laneConfig("api", { rate: { limit: 1, perMs: 3_000, burst: 1 } })],
      {
        global: { concurrency: 10, rate: { limit: 1, perMs: 1_000, burst: 1 } },
      },
    );
    for (const lane of ["api", "api", "default"]) bench.offer({ lane });
    const first = bench.turn(0);
    expect(first).toHaveLength(1);
    expect(bench.lanes.nextWake(0)).toBe(1_000);
    expect(bench.turn(1_000).map((task) => task.lane)).toEqual(["api"]);
    expect(first.map((task) => task.lane)).toEqual(["default"]);
    expect(bench.lanes.nextWake(1_000)).toBe(4_000);
    expect(bench.statusOf("global").opensAt).toBe(2_000);
  });

  it("sets no alarm for a lane that waits for something else", () => {
    const rate = { limit: 1, perMs: 1_000, burst: 1 };
    const bench = new LaneBench([laneConfig("api", { concurrency: 1, rate })]);
    bench.offer({ lane: "api" });
    bench.offer({ lane: "api" });
    const [task] = bench.turn(0);
    expect(bench.lanes.nextWake(0)).toBeUndefined();
    bench.end(task as TaskState, 1);
    expect(bench.lanes.nextWake(1)).toBe(1_000);
    bench.lanes.change("api", { paused: true });
    expect(bench.lanes.nextWake(1)).toBeUndefined();
    bench.lanes.change("api", { paused: false });
    bench.lanes.change("global", { paused: true });
    expect(bench.lanes.nextWake(1)).toBeUndefined();
  });
});

describe("after a restart", () => {
  it("takes slots for leases found in the journal, free or not", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1 })]);
    const leased = [1, 2].map(() => bench.task({ lane: "cpu" }));
    for (const task of leased) {
      schedule(task, "cpu");
      bench.begin(task, 1);
    }
    expect(bench.statusOf("cpu").occupied).toBe(2);
    bench.expectNoDivergence();
    for (const task of leased) bench.end(task, 2);
    expect(bench.statusOf("cpu").occupied).toBe(0);
  });

  it("sends tasks of a lane that is gone to the default lane", () => {
    const bench = new LaneBench([]);
    const queued = bench.task({ lane: "gone" });
    schedule(queued, "gone");
    bench.lanes.enqueue(queued);
    expect(bench.lanes.verdict(bench.task({ lane: "gone" }))).toEqual({
      kind: "redirected",
      lane: "default",
      from: "gone",
    });
    expect(bench.turn(0)).toEqual([queued]);
    bench.expectNoDivergence();
  });
});

describe("audit", () => {
  it("finds every kind of divergence", () => {
    const bench = new LaneBench([laneConfig("cpu")], {
      session: { scope: "task", concurrency: 1 },
    });
    const held = bench.offer({ lane: "cpu", session: "s", cost: 3 });
    bench.turn(0);
    const queued = bench.offer({ lane: "cpu" });
    bench.expectNoDivergence();
    complete(held, 1);
    cancel(queued, 1);
    expect(bench.lanes.audit(bench.runs)).toEqual({
      diverged: 3 + 3 + 1 + 1,
      divergences: [
        { figure: "occupied:global", claimed: 3, derived: 0 },
        { figure: "occupied:cpu", claimed: 3, derived: 0 },
        { figure: "queued:cpu", claimed: 1, derived: 0 },
        { figure: "session:default/s", claimed: 1, derived: 0 },
      ],
    });
  });
});
