/** What happens to tasks that find their lane full: every overflow rule, reserved room, retries and cancellations. */
import { describe, expect, it } from "vitest";
import type { TaskState } from "../../../src/core/run/state.ts";
import { LaneBench } from "../../support/lane-bench.ts";
import { laneConfig, readyTask, retry, schedule } from "../../support/lane-tasks.ts";

describe("overflow", () => {
  it("blocks newcomers outside a full lane and offers them room in order", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1, capacity: 1 })]);
    const [a, b] = [bench.offer({ lane: "cpu" }), bench.offer({ lane: "cpu", remainingMs: 1 })];
    const c = bench.offer({ lane: "cpu", remainingMs: 5 });
    expect(bench.statusOf("cpu")).toMatchObject({ queued: 1, blocked: 2 });
    expect(bench.turn(0)).toEqual([a]);
    expect(c.status).toBe("SCHEDULED");
    expect(b.status).toBe("PENDING");
    expect(bench.statusOf("cpu")).toMatchObject({ queued: 1, blocked: 1 });
    bench.expectNoDivergence();
  });

  it("lets no newcomer pass those who wait outside", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1, capacity: 1 })]);
    const queued = bench.offer({ lane: "cpu" });
    const outside = bench.offer({ lane: "cpu" });
    bench.cancel(queued);
    expect(bench.lanes.verdict(readyTask({ lane: "cpu" })).kind).toBe("blocked");
    expect(bench.lanes.poll(0, 10).offer).toEqual([outside]);
    expect(bench.lanes.verdict(readyTask({ lane: "cpu" })).kind).toBe("blocked");
    expect(bench.lanes.verdict(outside)).toEqual({ kind: "accepted", lane: "cpu" });
  });

  it("keeps room for an offered task, once", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1, capacity: 1 })]);
    const queued = bench.offer({ lane: "cpu" });
    const outside = [bench.offer({ lane: "cpu" }), bench.offer({ lane: "cpu" })];
    bench.cancel(queued);
    expect(bench.lanes.poll(0, 10).offer).toEqual([outside[0]]);
    expect(bench.lanes.poll(0, 10).offer).toEqual([]);
    bench.cancel(outside[0] as TaskState);
    expect(bench.lanes.poll(0, 10).offer).toEqual([outside[1]]);
  });

  it("takes an offered task back outside when it is blocked again", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1, capacity: 1 })]);
    const queued = bench.offer({ lane: "cpu" });
    const outside = bench.offer({ lane: "cpu" });
    bench.cancel(queued);
    bench.lanes.poll(0, 10);
    bench.lanes.block(outside);
    expect(bench.statusOf("cpu")).toMatchObject({ blocked: 1, queued: 0 });
    expect(bench.lanes.poll(1, 10).offer).toEqual([outside]);
  });

  it("drops the newest at once, before any rate is asked", () => {
    const rate = { limit: 1, perMs: 60_000, burst: 1 };
    const overflow = { kind: "drop", which: "newest" } as const;
    const bench = new LaneBench([laneConfig("cpu", { capacity: 1, overflow, rate })]);
    const first = bench.offer({ lane: "cpu" });
    const second = bench.task({ lane: "cpu" });
    expect(bench.lanes.verdict(second)).toEqual({ kind: "dropped", lane: "cpu" });
    for (let n = 0; n < 10; n++) bench.lanes.verdict(second);
    expect(bench.turn(0)).toEqual([first]);
  });

  it("drops the oldest queued task for each newcomer, unless it can start", () => {
    const overflow = { kind: "drop", which: "oldest" } as const;
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1, capacity: 2, overflow })]);
    bench.offer({ lane: "cpu" });
    bench.turn(0);
    const waiting = [1, 2, 3, 4].map(() => bench.offer({ lane: "cpu" }));
    expect(bench.lanes.poll(1, 10).drop).toEqual(waiting.slice(0, 2));
    expect(bench.statusOf("cpu").queued).toBe(2);
    expect(bench.lanes.poll(1, 10).drop).toEqual([]);

    const half = new LaneBench([laneConfig("cpu", { concurrency: 2, capacity: 2, overflow })]);
    for (let n = 0; n < 4; n++) half.offer({ lane: "cpu" });
    expect(half.lanes.poll(0, 10)).toMatchObject({ start: { length: 2 }, drop: [] });

    const idle = new LaneBench([laneConfig("cpu", { concurrency: 9, capacity: 2, overflow })]);
    for (let n = 0; n < 4; n++) idle.offer({ lane: "cpu" });
    expect(idle.lanes.poll(0, 10)).toMatchObject({ start: { length: 4 }, drop: [] });
  });

  it("spreads drops over polls when they exceed the limit", () => {
    const overflow = { kind: "drop", which: "oldest" } as const;
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1, capacity: 1, overflow })]);
    bench.lanes.change("cpu", { paused: true });
    const tasks = [1, 2, 3, 4].map(() => bench.offer({ lane: "cpu" }));
    expect(bench.lanes.poll(0, 2).drop).toEqual(tasks.slice(0, 2));
    expect(bench.lanes.poll(0, 2).drop).toEqual(tasks.slice(2, 3));
    expect(bench.lanes.poll(0, 2).drop).toEqual([]);
  });

  it("redirects along the chain and says from where", () => {
    const redirect = (to: string) => ({ kind: "redirect", to }) as const;
    const bench = new LaneBench([
      laneConfig("a", { capacity: 1, overflow: redirect("b") }),
      laneConfig("b", { capacity: 1, overflow: redirect("c") }),
      laneConfig("c", { capacity: 1, overflow: { kind: "drop", which: "newest" } }),
    ]);
    const kinds = [1, 2, 3, 4].map(() => {
      const task = bench.task({ lane: "a" });
      const verdict = bench.lanes.verdict(task);
      bench.settle(task);
      return verdict;
    });
    expect(kinds).toEqual([
      { kind: "accepted", lane: "a" },
      { kind: "redirected", lane: "b", from: "a" },
      { kind: "redirected", lane: "c", from: "a" },
      { kind: "dropped", lane: "c" },
    ]);
    bench.expectNoDivergence();
  });

  it("keeps a redirected task's reserved room even if its own lane has room again", () => {
    const bench = new LaneBench([
      laneConfig("a", { capacity: 1, overflow: { kind: "redirect", to: "b" } }),
      laneConfig("b", { capacity: 1 }),
    ]);
    const inA = bench.offer({ lane: "a" });
    const inB = bench.offer({ lane: "a" });
    const outside = bench.offer({ lane: "a" });
    expect(bench.statusOf("b")).toMatchObject({ queued: 1, blocked: 1 });
    bench.cancel(inB);
    expect(bench.lanes.poll(0, 0).offer).toEqual([]);
    bench.lanes.change("a", { paused: true });
    bench.lanes.change("b", { paused: true });
    expect(bench.lanes.poll(0, 10).offer).toEqual([outside]);
    bench.cancel(inA);
    expect(bench.settle(outside)).toBe("accepted");
    expect(bench.statusOf("a").queued).toBe(1);
    expect(bench.statusOf("b")).toMatchObject({ queued: 0, blocked: 0 });
  });

  it("always takes a retry back, full or not, and drops nobody for it", () => {
    const overflow = { kind: "drop", which: "oldest" } as const;
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1, capacity: 1, overflow })]);
    const task = bench.offer({ lane: "cpu" });
    bench.turn(0);
    const [first] = [bench.offer({ lane: "cpu" }), bench.offer({ lane: "cpu" })];
    expect(bench.lanes.poll(0, 10).drop).toEqual([first]);
    bench.cancel(first as TaskState);
    retry(task, 1);
    bench.lanes.released(task);
    bench.lanes.change("cpu", { paused: true });
    expect(bench.lanes.verdict(task)).toEqual({ kind: "accepted", lane: "cpu" });
    schedule(task, "cpu", 1);
    bench.lanes.enqueue(task);
    expect(bench.statusOf("cpu").queued).toBe(2);
    expect(bench.lanes.poll(1, 10)).toEqual({ start: [], drop: [], offer: [] });
    bench.expectNoDivergence();
  });

  it("lets a cancelled task leave at once, wherever it waits", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1, capacity: 2 })]);
    const tasks = [1, 2, 3, 4].map(() => bench.offer({ lane: "cpu" }));
    bench.cancel(tasks[3] as TaskState);
    bench.cancel(tasks[1] as TaskState);
    expect(bench.statusOf("cpu")).toMatchObject({ queued: 1, blocked: 1 });
    bench.lanes.remove(tasks[1] as TaskState);
    expect(bench.turn(0)).toEqual([tasks[0]]);
    bench.expectNoDivergence();
  });
});
