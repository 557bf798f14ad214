/** The session lane in both scopes: turns of runs, turns of tasks, and what a restart finds. */
import { describe, expect, it } from "vitest";
import type { LaneConfig } from "../../../src/core/lane/lane.ts";
import type { RunState } from "../../../src/core/run/state.ts";
import { LaneBench } from "../../support/lane-bench.ts";
import { acceptedRun, laneConfig, startedRun } from "../../support/lane-tasks.ts";

describe("sessions with scope run", () => {
  it("lets runs of one session go one at a time, in order of acceptance", () => {
    const { lanes } = new LaneBench([]);
    const [a, b, c] = [1, 2, 3].map(() => acceptedRun({ session: "s" })) as [
      RunState,
      RunState,
      RunState,
    ];
    expect([a, b, c].map((run) => lanes.runAccepted(run))).toEqual([true, false, false]);
    expect(lanes.activeRuns("s", "default")).toEqual([a.id]);
    expect(lanes.status()[1]).toMatchObject({
      kind: "session",
      occupied: 1,
      queued: 2,
      oldestSince: 0,
    });
    expect(lanes.runEnded(a)).toBe(b.id);
    expect(lanes.runEnded(b)).toBe(c.id);
    expect(lanes.runEnded(c)).toBeUndefined();
    expect(lanes.activeRuns("s", "default")).toEqual([]);
    expect(lanes.status()[1]).toMatchObject({ occupied: 0, queued: 0, oldestSince: undefined });
  });

  it("removes a run that is cancelled while it waits", () => {
    const { lanes } = new LaneBench([]);
    const runs = [1, 2, 3].map(() => acceptedRun({ session: "s" })) as [
      RunState,
      RunState,
      RunState,
    ];
    for (const run of runs) lanes.runAccepted(run);
    expect(lanes.runEnded(runs[1])).toBeUndefined();
    expect(lanes.runEnded(runs[0])).toBe(runs[2].id);
  });

  it("tells namespaces apart, and lets runs without a session begin at once", () => {
    const { lanes } = new LaneBench([]);
    expect(lanes.runAccepted(acceptedRun({ session: "s", namespace: "x" }))).toBe(true);
    expect(lanes.runAccepted(acceptedRun({ session: "s", namespace: "y" }))).toBe(true);
    const free = acceptedRun({ namespace: "x" });
    expect(lanes.runAccepted(free)).toBe(true);
    expect(lanes.runAccepted(acceptedRun({ namespace: "x" }))).toBe(true);
    expect(lanes.runEnded(free)).toBeUndefined();
  });

  it("finds a session as it was after a restart", () => {
    const { lanes } = new LaneBench([]);
    const begun = startedRun({ session: "s" });
    const waiting = acceptedRun({ session: "s" });
    expect([begun, waiting].map((run) => lanes.runAccepted(run))).toEqual([true, false]);
    expect(lanes.runEnded(begun)).toBe(waiting.id);
  });

  it("lets runs that had begun before a restart go on, even if fewer may begin now", () => {
    const { lanes } = new LaneBench([]);
    const [a, b] = [startedRun({ session: "s" }), startedRun({ session: "s" })];
    const waiting = acceptedRun({ session: "s" });
    expect([a, b, waiting].map((run) => lanes.runAccepted(run))).toEqual([true, true, false]);
    expect(lanes.runEnded(a)).toBeUndefined();
    expect(lanes.runEnded(b)).toBe(waiting.id);
  });
});

describe("sessions with scope task", () => {
  const scoped = (named: readonly LaneConfig[] = []) =>
    new LaneBench(named, { session: { scope: "task", concurrency: 1 } });

  it("begins runs at once but starts one task of a session at a time", () => {
    const bench = scoped();
    const [a, b] = [bench.offer({ session: "s" }), bench.offer({ session: "s" })];
    expect(bench.turn(0)).toEqual([a]);
    expect(bench.lanes.activeRuns("s", "default")[0]).toBe(a.run.id);
    bench.expectNoDivergence();
    bench.end(a, 1);
    expect(bench.turn(1)).toEqual([b]);
    bench.expectNoDivergence();
  });

  it("does not let a busy session stand before others", () => {
    const bench = scoped([laneConfig("cpu", { concurrency: 2 })]);
    for (let n = 0; n < 3; n++) bench.offer({ lane: "cpu", session: "busy", priority: 9 });
    const other = bench.offer({ lane: "cpu", session: "other" });
    expect(bench.turn(0).map((task) => task.run.request.sessionId)).toEqual(["busy", "other"]);
    expect(other.status).toBe("RUNNING");
    expect(bench.statusOf("cpu")).toMatchObject({ occupied: 2, queued: 2 });
  });

  it("holds a session over all lanes and priorities, and forgets cancelled waiters", () => {
    const bench = scoped([laneConfig("io"), laneConfig("cpu")]);
    const first = bench.offer({ lane: "io", session: "s" });
    expect(bench.turn(0)).toEqual([first]);
    const inCpu = bench.offer({ lane: "cpu", session: "s" });
    const urgent = bench.offer({ lane: "cpu", session: "s", priority: 5 });
    expect(bench.turn(1)).toEqual([]);
    bench.cancel(urgent);
    bench.end(first, 2);
    expect(bench.turn(2)).toEqual([inCpu]);
    bench.expectNoDivergence();
  });

  it("starts a newcomer of a parked session in its turn once there is room", () => {
    const bench = scoped();
    const first = bench.offer({ session: "s" });
    bench.turn(0);
    const waiting = bench.offer({ session: "s", remainingMs: 1 });
    bench.turn(1);
    const longer = bench.offer({ session: "s", remainingMs: 9 });
    bench.turn(2);
    bench.end(first, 3);
    expect(bench.turn(3)).toEqual([longer]);
    bench.end(longer, 4);
    expect(bench.turn(4)).toEqual([waiting]);
  });
});
