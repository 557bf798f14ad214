/**
 * The lane manager as the engine uses it: verdicts, polls and reports over real task states. Every test ends where
 * occupancy must agree with the states.
 */
import { describe, expect, it } from "vitest";
import { FaultError } from "../../../src/base/fault.ts";
import type { LaneConfig, LanesConfig } from "../../../src/core/lane/lane.ts";
import type { RunState, TaskState } from "../../../src/core/run/state.ts";
import { LaneManager } from "../../../src/lanes/lane-manager.ts";
import {
  acceptedRun,
  cancel,
  complete,
  endLease,
  firstTask,
  laneConfig,
  lanesConfig,
  type RunWish,
  readyTask,
  retry,
  schedule,
  start,
  startedRun,
  type TaskWish,
} from "../../support/lane-tasks.ts";

/** A manager with the engine's habits: states change through events, and the lanes are told. */
class Bench {
  readonly lanes: LaneManager;
  readonly runs: RunState[] = [];

  constructor(named: readonly LaneConfig[], wish: Partial<LanesConfig> = {}) {
    this.lanes = new LaneManager(lanesConfig(named, wish));
  }

  run(wish: RunWish): RunState {
    const run = startedRun(wish);
    this.lanes.runAccepted(run);
    this.runs.push(run);
    return run;
  }

  task(wish: TaskWish & Omit<RunWish, "tasks"> = {}): TaskState {
    const { priority, ...rest } = wish;
    return firstTask(this.run({ ...rest, tasks: [{ ...rest, priority: priority ?? 0 }] }));
  }

  /** Makes a ready task and follows the verdict. */
  offer(wish: TaskWish & Omit<RunWish, "tasks"> = {}): TaskState {
    const task = this.task(wish);
    this.settle(task);
    return task;
  }

  settle(task: TaskState): string {
    const verdict = this.lanes.verdict(task);
    if (verdict.kind === "blocked") this.lanes.block(task);
    else if (verdict.kind === "dropped") this.cancel(task);
    else {
      schedule(task, verdict.lane);
      this.lanes.enqueue(task);
    }
    return verdict.kind;
  }

  /** Starts whatever may start and settles offers and drops; answers the started tasks. */
  turn(at: number, limit = 1_000): TaskState[] {
    const moves = this.lanes.poll(at, limit);
    for (const task of moves.start) this.begin(task, at);
    for (const task of moves.drop) this.cancel(task);
    for (const task of moves.offer) this.settle(task);
    return moves.start;
  }

  begin(task: TaskState, at: number): void {
    start(task, at);
    this.lanes.started(task);
  }

  end(task: TaskState, at: number): void {
    complete(task, at);
    this.lanes.released(task);
  }

  cancel(task: TaskState, at = 0): void {
    cancel(task, at);
    this.lanes.remove(task);
  }

  statusOf(name: string) {
    const found = this.lanes.status().find((lane) => lane.name === name);
    if (found === undefined) throw new Error(`no lane ${name}`);
    return found;
  }

  expectNoDivergence(): void {
    expect(this.lanes.audit(this.runs)).toEqual({ diverged: 0, divergences: [] });
  }
}

const faultOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    if (error instanceof FaultError) return error.fault;
    throw error;
  }
  throw new Error("nothing was refused");
};

describe("slots", () => {
  it("starts as many as the lane has slots and the next when one ends", () => {
    const bench = new Bench([laneConfig("cpu", { concurrency: 2 })]);
    const tasks = [1, 2, 3].map(() => bench.offer({ lane: "cpu" }));
    expect(bench.turn(10)).toEqual(tasks.slice(0, 2));
    expect(bench.turn(11)).toEqual([]);
    expect(bench.statusOf("cpu")).toMatchObject({ occupied: 2, queued: 1, oldestSince: 0 });
    bench.end(tasks[0] as TaskState, 12);
    expect(bench.turn(12)).toEqual([tasks[2]]);
    bench.expectNoDivergence();
  });

  it("counts cost, and lets nothing small pass a head that does not fit", () => {
    const bench = new Bench([laneConfig("gpu", { concurrency: 4 })]);
    const small = bench.offer({ lane: "gpu", cost: 2, remainingMs: 9 });
    const large = bench.offer({ lane: "gpu", cost: 3, remainingMs: 8 });
    const tiny = bench.offer({ lane: "gpu", cost: 1, remainingMs: 7 });
    expect(bench.turn(0)).toEqual([small]);
    bench.end(small, 1);
    expect(bench.turn(1)).toEqual([large, tiny]);
    bench.expectNoDivergence();
  });

  it("runs a task larger than its lane alone", () => {
    const bench = new Bench([laneConfig("gpu", { concurrency: 2 })]);
    const huge = bench.offer({ lane: "gpu", cost: 5, remainingMs: 9 });
    const small = bench.offer({ lane: "gpu" });
    expect(bench.turn(0)).toEqual([huge]);
    expect(bench.turn(1)).toEqual([]);
    bench.end(huge, 2);
    expect(bench.turn(2)).toEqual([small]);
    bench.expectNoDivergence();
  });

  it("reserves nothing in a named lane while the global lane is full", () => {
    const bench = new Bench([laneConfig("io"), laneConfig("cpu")], { global: { concurrency: 1 } });
    const first = bench.offer({ lane: "io" });
    bench.offer({ lane: "cpu" });
    expect(bench.turn(0)).toEqual([first]);
    expect(bench.statusOf("cpu").occupied).toBe(0);
    expect(bench.statusOf("global")).toMatchObject({ occupied: 1, concurrency: 1 });
    bench.expectNoDivergence();
  });

  it("gives named lanes turns when the global lane is the bottleneck", () => {
    const bench = new Bench([laneConfig("io"), laneConfig("cpu"), laneConfig("gpu")], {
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
    const bench = new Bench([laneConfig("io"), laneConfig("cpu")], { global: { concurrency: 2 } });
    const running = bench.offer({ lane: "io" });
    bench.turn(0);
    const wide = bench.offer({ lane: "cpu", cost: 2 });
    bench.offer({ lane: "io" });
    expect(bench.turn(1)).toEqual([]);
    bench.end(running, 2);
    expect(bench.turn(2)).toEqual([wide]);
  });

  it("keeps the slot of a cancelled task until its lease ends", () => {
    const bench = new Bench([laneConfig("cpu", { concurrency: 1 })]);
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
    const bench = new Bench([laneConfig("cpu", { concurrency: 1 })]);
    const task = bench.offer({ lane: "cpu" });
    const next = bench.offer({ lane: "cpu" });
    expect(bench.lanes.poll(0, 10).start).toEqual([task]);
    expect(bench.lanes.poll(0, 10).start).toEqual([]);
    bench.cancel(task);
    expect(bench.turn(1)).toEqual([next]);
    bench.expectNoDivergence();
  });

  it("treats a release without a lease, or a second one, as a bug", () => {
    const bench = new Bench([]);
    const task = bench.offer();
    expect(() => bench.lanes.released(task)).toThrow("does not hold");
    bench.turn(0);
    bench.end(task, 1);
    expect(() => bench.lanes.released(task)).toThrow("does not hold");
  });

  it("treats a second start as a bug", () => {
    const bench = new Bench([]);
    const task = bench.offer();
    bench.turn(0);
    expect(() => bench.lanes.started(task)).toThrow("started twice");
  });

  it("returns at most the limit and goes on at the next poll", () => {
    const bench = new Bench([]);
    for (let n = 0; n < 5; n++) bench.offer();
    expect(bench.turn(0, 2)).toHaveLength(2);
    expect(bench.turn(0, 2)).toHaveLength(2);
    expect(bench.turn(0, 2)).toHaveLength(1);
  });
});

describe("overflow", () => {
  it("blocks newcomers outside a full lane and offers them room in order", () => {
    const bench = new Bench([laneConfig("cpu", { concurrency: 1, capacity: 1 })]);
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
    const bench = new Bench([laneConfig("cpu", { concurrency: 1, capacity: 1 })]);
    const queued = bench.offer({ lane: "cpu" });
    const outside = bench.offer({ lane: "cpu" });
    bench.cancel(queued);
    expect(bench.lanes.verdict(readyTask({ lane: "cpu" })).kind).toBe("blocked");
    expect(bench.lanes.poll(0, 10).offer).toEqual([outside]);
    expect(bench.lanes.verdict(readyTask({ lane: "cpu" })).kind).toBe("blocked");
    expect(bench.lanes.verdict(outside)).toEqual({ kind: "accepted", lane: "cpu" });
  });

  it("keeps room for an offered task, once", () => {
    const bench = new Bench([laneConfig("cpu", { concurrency: 1, capacity: 1 })]);
    const queued = bench.offer({ lane: "cpu" });
    const outside = [bench.offer({ lane: "cpu" }), bench.offer({ lane: "cpu" })];
    bench.cancel(queued);
    expect(bench.lanes.poll(0, 10).offer).toEqual([outside[0]]);
    expect(bench.lanes.poll(0, 10).offer).toEqual([]);
    bench.cancel(outside[0] as TaskState);
    expect(bench.lanes.poll(0, 10).offer).toEqual([outside[1]]);
  });

  it("takes an offered task back outside when it is blocked again", () => {
    const bench = new Bench([laneConfig("cpu", { concurrency: 1, capacity: 1 })]);
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
    const bench = new Bench([laneConfig("cpu", { capacity: 1, overflow, rate })]);
    const first = bench.offer({ lane: "cpu" });
    const second = bench.task({ lane: "cpu" });
    expect(bench.lanes.verdict(second)).toEqual({ kind: "dropped", lane: "cpu" });
    for (let n = 0; n < 10; n++) bench.lanes.verdict(second);
    expect(bench.turn(0)).toEqual([first]);
  });

  it("drops the oldest queued task for each newcomer, unless it can start", () => {
    const overflow = { kind: "drop", which: "oldest" } as const;
    const bench = new Bench([laneConfig("cpu", { concurrency: 1, capacity: 2, overflow })]);
    bench.offer({ lane: "cpu" });
    bench.turn(0);
    const waiting = [1, 2, 3, 4].map(() => bench.offer({ lane: "cpu" }));
    expect(bench.lanes.poll(1, 10).drop).toEqual(waiting.slice(0, 2));
    expect(bench.statusOf("cpu").queued).toBe(2);
    expect(bench.lanes.poll(1, 10).drop).toEqual([]);

    const half = new Bench([laneConfig("cpu", { concurrency: 2, capacity: 2, overflow })]);
    for (let n = 0; n < 4; n++) half.offer({ lane: "cpu" });
    expect(half.lanes.poll(0, 10)).toMatchObject({ start: { length: 2 }, drop: [] });

    const idle = new Bench([laneConfig("cpu", { concurrency: 9, capacity: 2, overflow })]);
    for (let n = 0; n < 4; n++) idle.offer({ lane: "cpu" });
    expect(idle.lanes.poll(0, 10)).toMatchObject({ start: { length: 4 }, drop: [] });
  });

  it("spreads drops over polls when they exceed the limit", () => {
    const overflow = { kind: "drop", which: "oldest" } as const;
    const bench = new Bench([laneConfig("cpu", { concurrency: 1, capacity: 1, overflow })]);
    bench.lanes.change("cpu", { paused: true });
    const tasks = [1, 2, 3, 4].map(() => bench.offer({ lane: "cpu" }));
    expect(bench.lanes.poll(0, 2).drop).toEqual(tasks.slice(0, 2));
    expect(bench.lanes.poll(0, 2).drop).toEqual(tasks.slice(2, 3));
    expect(bench.lanes.poll(0, 2).drop).toEqual([]);
  });

  it("redirects along the chain and says from where", () => {
    const redirect = (to: string) => ({ kind: "redirect", to }) as const;
    const bench = new Bench([
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
    const bench = new Bench([
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
    const bench = new Bench([laneConfig("cpu", { concurrency: 1, capacity: 1, overflow })]);
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
    const bench = new Bench([laneConfig("cpu", { concurrency: 1, capacity: 2 })]);
    const tasks = [1, 2, 3, 4].map(() => bench.offer({ lane: "cpu" }));
    bench.cancel(tasks[3] as TaskState);
    bench.cancel(tasks[1] as TaskState);
    expect(bench.statusOf("cpu")).toMatchObject({ queued: 1, blocked: 1 });
    bench.lanes.remove(tasks[1] as TaskState);
    expect(bench.turn(0)).toEqual([tasks[0]]);
    bench.expectNoDivergence();
  });
});

describe("rate", () => {
  it("starts the burst, then one per interval, and says when it opens", () => {
    const bench = new Bench([laneConfig("api", { rate: { limit: 2, perMs: 1_000, burst: 2 } })]);
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
    const bench = new Bench([laneConfig("api", { rate: { limit: 1, perMs: 3_000, burst: 1 } })], {
      global: { concurrency: 10, rate: { limit: 1, perMs: 1_000, burst: 1 } },
    });
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
    const bench = new Bench([laneConfig("api", { concurrency: 1, rate })]);
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

describe("sessions with scope run", () => {
  it("lets runs of one session go one at a time, in order of acceptance", () => {
    const { lanes } = new Bench([]);
    const [a, b, c] = [1, 2, 3].map(() => acceptedRun({ session: "s" })) as [
      RunState,
      RunState,
      RunState,
    ];
    expect([a, b, c].map((run) => lanes.runAccepted(run))).toEqual([true, false, false]);
    expect(lanes.activeRun("s", "default")).toBe(a);
    expect(lanes.status()[1]).toMatchObject({
      kind: "session",
      occupied: 1,
      queued: 2,
      oldestSince: 0,
    });
    expect(lanes.runEnded(a)).toBe(b);
    expect(lanes.runEnded(b)).toBe(c);
    expect(lanes.runEnded(c)).toBeUndefined();
    expect(lanes.activeRun("s", "default")).toBeUndefined();
    expect(lanes.status()[1]).toMatchObject({ occupied: 0, queued: 0, oldestSince: undefined });
  });

  it("removes a run that is cancelled while it waits", () => {
    const { lanes } = new Bench([]);
    const runs = [1, 2, 3].map(() => acceptedRun({ session: "s" })) as [
      RunState,
      RunState,
      RunState,
    ];
    for (const run of runs) lanes.runAccepted(run);
    expect(lanes.runEnded(runs[1])).toBeUndefined();
    expect(lanes.runEnded(runs[0])).toBe(runs[2]);
  });

  it("tells namespaces apart, and lets runs without a session begin at once", () => {
    const { lanes } = new Bench([]);
    expect(lanes.runAccepted(acceptedRun({ session: "s", namespace: "x" }))).toBe(true);
    expect(lanes.runAccepted(acceptedRun({ session: "s", namespace: "y" }))).toBe(true);
    const free = acceptedRun({ namespace: "x" });
    expect(lanes.runAccepted(free)).toBe(true);
    expect(lanes.runAccepted(acceptedRun({ namespace: "x" }))).toBe(true);
    expect(lanes.runEnded(free)).toBeUndefined();
  });

  it("finds a session as it was after a restart", () => {
    const { lanes } = new Bench([]);
    const begun = startedRun({ session: "s" });
    const waiting = acceptedRun({ session: "s" });
    expect([begun, waiting].map((run) => lanes.runAccepted(run))).toEqual([true, false]);
    expect(lanes.runEnded(begun)).toBe(waiting);
  });

  it("lets runs that had begun before a restart go on, even if fewer may begin now", () => {
    const { lanes } = new Bench([]);
    const [a, b] = [startedRun({ session: "s" }), startedRun({ session: "s" })];
    const waiting = acceptedRun({ session: "s" });
    expect([a, b, waiting].map((run) => lanes.runAccepted(run))).toEqual([true, true, false]);
    expect(lanes.runEnded(a)).toBeUndefined();
    expect(lanes.runEnded(b)).toBe(waiting);
  });
});

describe("sessions with scope task", () => {
  const scoped = (named: readonly LaneConfig[] = []) =>
    new Bench(named, { session: { scope: "task", concurrency: 1 } });

  it("begins runs at once but starts one task of a session at a time", () => {
    const bench = scoped();
    const [a, b] = [bench.offer({ session: "s" }), bench.offer({ session: "s" })];
    expect(bench.turn(0)).toEqual([a]);
    expect(bench.lanes.activeRun("s", "default")).toBe(a.run);
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

describe("at run time", () => {
  it("pauses, resumes and resizes without revoking anything", () => {
    const bench = new Bench([laneConfig("cpu", { concurrency: 3 })]);
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
    const bench = new Bench([laneConfig("cpu", { concurrency: 1 })]);
    for (let n = 0; n < 4; n++) bench.offer({ lane: "cpu" });
    bench.lanes.change("cpu", { capacity: 1 });
    expect(bench.lanes.poll(0, 10)).toMatchObject({ start: { length: 1 }, drop: [], offer: [] });
    expect(bench.statusOf("cpu")).toMatchObject({ capacity: 1, queued: 3 });
    expect(bench.settle(bench.task({ lane: "cpu" }))).toBe("blocked");
  });

  it("pauses everything through the global lane", () => {
    const bench = new Bench([]);
    bench.offer();
    bench.lanes.change("global", { paused: true });
    expect(bench.turn(0)).toEqual([]);
    bench.lanes.change("global", { paused: false });
    expect(bench.turn(0)).toHaveLength(1);
  });

  it("refuses what it cannot do, naming it", () => {
    const { lanes } = new Bench([laneConfig("cpu")]);
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
    const bench = new Bench([laneConfig("cpu", { concurrency: 1 }), laneConfig("old")]);
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
    const bench = new Bench([laneConfig("api", { rate: { limit: 10, perMs: 1_000, burst: 10 } })]);
    for (let n = 0; n < 9; n++) bench.offer({ lane: "api" });
    bench.lanes.reconfigure(
      lanesConfig([laneConfig("api", { rate: { limit: 1, perMs: 1_000, burst: 3 } })]),
    );
    expect(bench.turn(5_000)).toHaveLength(3);
    bench.lanes.reconfigure(lanesConfig([laneConfig("api")]));
    expect(bench.turn(5_000)).toHaveLength(6);
  });

  it("refuses to remove a lane in use, or what needs a restart, and changes nothing then", () => {
    const bench = new Bench([laneConfig("cpu", { concurrency: 1 })]);
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

describe("after a restart", () => {
  it("takes slots for leases found in the journal, free or not", () => {
    const bench = new Bench([laneConfig("cpu", { concurrency: 1 })]);
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
    const bench = new Bench([]);
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
    const bench = new Bench([laneConfig("cpu")], { session: { scope: "task", concurrency: 1 } });
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
