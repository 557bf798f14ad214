/** Changing lanes while they work, by operators and by a new configuration, and every refusal. */
import { describe, expect, it } from "vitest";
import type { TaskState } from "../../../src/core/run/state.ts";
import { faultOf, LaneBench } from "../../support/lane-bench.ts";
import { laneConfig, lanesConfig } from "../../support/lane-tasks.ts";

describe("at run time", () => {
  it("pauses, resumes and resizes without revoking anything", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 3 })]);
    for (let n = 0; n < 5; n++) bench.offer({ lane: "cpu" });
    const held = bench.turn(0);
    expect(bench.lanes.change("cpu", { concurrency: 1 })).toMatchObject({
      concurrency: 1,
      occupied: 3,
    });
    bench.end(held[0] as TaskState, 1);
    expect(bench.turn(1)).toEqual([]);
    bench.lanes.change("cpu", { concurrency: 4, paused: true });
    expect(bench.turn(2)).toEqual([]);
    bench.lanes.change("cpu", { paused: false });
    expect(bench.turn(3)).toHaveLength(2);
    bench.expectNoDivergence();
  });

  it("keeps queued tasks when the capacity shrinks", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1 })]);
    for (let n = 0; n < 4; n++) bench.offer({ lane: "cpu" });
    bench.lanes.change("cpu", { capacity: 1 });
    expect(bench.lanes.poll(0, 10)).toMatchObject({ start: { length: 1 }, drop: [], offer: [] });
    expect(bench.statusOf("cpu")).toMatchObject({ capacity: 1, queued: 3 });
    expect(bench.settle(bench.task({ lane: "cpu" }))).toBe("blocked");
  });

  it("pauses everything through the global lane", () => {
    const bench = new LaneBench([]);
    bench.offer();
    bench.lanes.change("global", { paused: true });
    expect(bench.turn(0)).toEqual([]);
    bench.lanes.change("global", { paused: false });
    expect(bench.turn(0)).toHaveLength(1);
  });

  it("refuses what it cannot do, naming it", () => {
    const { lanes } = new LaneBench([laneConfig("cpu")]);
    expect(faultOf(() => lanes.change("cpuu", { paused: true }))).toEqual({
      code: "LANE_UNKNOWN",
      lane: "cpuu",
      nearest: "cpu",
    });
    for (const [name, settings, field] of [
      ["cpu", { concurrency: 0 }, "concurrency"],
      ["cpu", { concurrency: 1.5 }, "concurrency"],
      ["cpu", { capacity: -1 }, "capacity"],
      ["cpu", { concurrency: Number.NaN }, "concurrency"],
      ["global", { capacity: 5 }, "capacity"],
      ["session", { paused: true }, "lane"],
    ] as const) {
      expect(faultOf(() => lanes.change(name, settings))).toMatchObject({
        code: "ARGUMENT_INVALID",
        field,
      });
    }
  });

  it("adopts a new configuration around queues, holders and pauses", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1 }), laneConfig("old")]);
    for (let n = 0; n < 3; n++) bench.offer({ lane: "cpu" });
    bench.turn(0);
    bench.lanes.change("cpu", { paused: true });
    bench.lanes.reconfigure(
      lanesConfig([laneConfig("cpu", { concurrency: 3 }), laneConfig("new")]),
    );
    expect(bench.lanes.names().sort()).toEqual(["cpu", "default", "new"]);
    expect(bench.statusOf("cpu")).toMatchObject({
      concurrency: 3,
      occupied: 1,
      queued: 2,
      paused: true,
    });
    bench.lanes.change("cpu", { paused: false });
    expect(bench.turn(1)).toHaveLength(2);
    bench.expectNoDivergence();
  });

  it("keeps saved tokens up to the new burst when a rate changes", () => {
    const bench = new LaneBench([
      laneConfig("api", { rate: { limit: 10, perMs: 1_000, burst: 10 } }),
    ]);
    for (let n = 0; n < 9; n++) bench.offer({ lane: "api" });
    bench.lanes.reconfigure(
      lanesConfig([laneConfig("api", { rate: { limit: 1, perMs: 1_000, burst: 3 } })]),
    );
    expect(bench.turn(5_000)).toHaveLength(3);
    bench.lanes.reconfigure(lanesConfig([laneConfig("api")]));
    expect(bench.turn(5_000)).toHaveLength(6);
  });

  it("refuses to remove a lane in use, or what needs a restart, and changes nothing then", () => {
    const bench = new LaneBench([laneConfig("cpu", { concurrency: 1 })]);
    const task = bench.offer({ lane: "cpu" });
    bench.offer({ lane: "cpu" });
    bench.turn(0);
    expect(faultOf(() => bench.lanes.reconfigure(lanesConfig([laneConfig("new")])))).toEqual({
      code: "LANE_IN_USE",
      lane: "cpu",
      waiting: 1,
      occupied: 1,
    });
    expect(bench.lanes.names()).toEqual(["default", "cpu"]);
    const cpu = laneConfig("cpu", { concurrency: 9 });
    for (const wish of [
      { session: { scope: "task", concurrency: 1 } },
      { session: { scope: "run", concurrency: 2 } },
      { order: { agingMs: 5, weights: {} } },
    ] as const) {
      expect(faultOf(() => bench.lanes.reconfigure(lanesConfig([cpu], wish)))).toMatchObject({
        code: "ARGUMENT_INVALID",
      });
    }
    expect(bench.statusOf("cpu").concurrency).toBe(1);
    bench.end(task, 1);
    bench.expectNoDivergence();
  });
});
