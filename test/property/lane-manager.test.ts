/**
 * The lane manager under random histories of everything the engine and operators do, restarts included. After every
 * operation occupancy and queues are recounted from task states, limits and session rules are checked, and verdicts
 * are compared with the rules applied to bare counts; at the end everything must drain, so nothing was lost.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { admit } from "../../src/core/lane/admission.ts";
import type { LaneConfig, LanesConfig, Overflow, Verdict } from "../../src/core/lane/lane.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import type { RunState, TaskState } from "../../src/core/run/state.ts";
import { isTerminalTask } from "../../src/core/run/status.ts";
import { LaneManager } from "../../src/lanes/lane-manager.ts";
import {
  acceptedRun,
  cancel,
  complete,
  endLease,
  laneConfig,
  lanesConfig,
  retry,
  schedule,
  start,
} from "../support/lane-tasks.ts";

const NAMES = ["default", "a", "b", "c"] as const;

const overflows: fc.Arbitrary<Overflow> = fc.oneof(
  fc.constant({ kind: "block" } as const),
  fc.record({ kind: fc.constant("drop" as const), which: fc.constantFrom("newest", "oldest") }),
);

/** Lanes redirect only to the right, so that every generated configuration is valid. */
const configs: fc.Arbitrary<LanesConfig> = fc
  .record({
    concurrency: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 5, maxLength: 5 }),
    capacity: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 4, maxLength: 4 }),
    overflow: fc.array(fc.oneof(overflows, fc.constant("redirect" as const)), {
      minLength: 4,
      maxLength: 4,
    }),
    rated: fc.boolean(),
    scope: fc.constantFrom("run" as const, "task" as const),
    perSession: fc.integer({ min: 1, max: 2 }),
  })
  .map(({ concurrency, capacity, overflow, rated, scope, perSession }) => {
    const named = NAMES.map((name, n): LaneConfig => {
      const to = NAMES[n + 1];
      const wish = overflow[n];
      return laneConfig(name, {
        concurrency: concurrency[n] as number,
        capacity: capacity[n] as number,
        overflow:
          wish === undefined || wish === "redirect"
            ? to === undefined
              ? { kind: "block" }
              : { kind: "redirect", to }
            : wish,
        ...(rated && n === 1 ? { rate: { limit: 1, perMs: 7, burst: 2 } } : {}),
      });
    });
    return lanesConfig(named, {
      global: { concurrency: (concurrency[4] as number) + 1 },
      session: { scope, concurrency: perSession },
      order: { agingMs: 20, weights: {} },
    });
  });

const runWishes = fc.record({
  session: fc.option(fc.constantFrom("s", "t"), { nil: undefined }),
  priority: fc.integer({ min: -1, max: 1 }),
  tasks: fc.array(
    fc.record({
      lane: fc.constantFrom(...NAMES, "gone"),
      cost: fc.integer({ min: 1, max: 6 }),
      remainingMs: fc.integer({ min: 1, max: 3 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
});

const operations = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("accept" as const), wish: runWishes }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("turn" as const),
      limit: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "complete" as const,
        "retry" as const,
        "cancel" as const,
        "endLease" as const,
      ),
      pick: fc.nat(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancelRun" as const), pick: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("change" as const),
      name: fc.constantFrom(...NAMES, "global"),
      paused: fc.boolean(),
      concurrency: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reload" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
);

type Operation = typeof operations extends fc.Arbitrary<infer T> ? T : never;

/** The engine's part, as small as it can be. */
class Engine {
  readonly config: LanesConfig;
  lanes: LaneManager;
  at = 0;
  readonly runs: RunState[] = [];
  /** Where the test believes tasks wait outside, to compare with. */
  readonly blocked = new Map<TaskState, string>();

  constructor(config: LanesConfig) {
    this.config = config;
    this.lanes = new LaneManager(config);
  }

  do(operation: Operation): void {
    this.at += 3;
    switch (operation.kind) {
      case "accept":
        return this.accept(operation.wish);
      case "turn":
        return this.turn(operation.limit);
      case "change":
        this.lanes.change(operation.name, operation);
        return;
      case "reload":
        this.lanes.reconfigure(this.config);
        return;
      case "restart":
        return this.restart();
      case "cancelRun":
        return this.cancelRun(pickOf(this.runs.filter(isOpen), operation.pick));
      default:
        return this.act(operation.kind, operation.pick);
    }
  }

  accept({ session, ...wish }: typeof runWishes extends fc.Arbitrary<infer T> ? T : never): void {
    const run = acceptedRun({ at: this.at, ...wish, ...(session && { session }) });
    this.runs.push(run);
    if (this.lanes.runAccepted(run)) this.beginRun(run);
  }

  beginRun(run: RunState): void {
    evolve(run, { type: "run_started", at: this.at });
    for (const task of run.tasks) this.offer(task);
  }

  offer(task: TaskState): void {
    const verdict = this.lanes.verdict(task);
    if (this.blocked.get(task) === undefined) expect(verdict).toEqual(this.expectedVerdict(task));
    this.blocked.delete(task);
    if (verdict.kind === "blocked") {
      this.lanes.block(task);
      this.blocked.set(task, verdict.lane);
    } else if (verdict.kind === "dropped") {
      this.fail(task);
    } else {
      schedule(task, verdict.lane, this.at);
      this.lanes.enqueue(task);
    }
  }

  /** The overflow rules on bare counts, for a task that was not offered room. */
  expectedVerdict(task: TaskState): Verdict {
    return admit(task.node.task.lane, (name) => {
      const lane = this.config.named.find((known) => known.name === name);
      if (lane === undefined) return { room: false, overflow: { kind: "redirect", to: "default" } };
      const outside = [...this.blocked.values()].filter((waitsFor) => waitsFor === name).length;
      return { room: outside === 0 && this.queued(name) < lane.capacity, overflow: lane.overflow };
    });
  }

  queued(lane: string): number {
    return this.tasks().filter((task) => task.status === "SCHEDULED" && task.lane === lane).length;
  }

  turn(limit: number): void {
    const { start: started, drop, offer } = this.lanes.poll(this.at, limit);
    expect(Math.max(started.length, drop.length, offer.length)).toBeLessThanOrEqual(limit);
    for (const task of started) {
      expect(task).toMatchObject({ status: "SCHEDULED", lease: 0 });
      start(task, this.at);
      this.lanes.started(task);
    }
    this.checkLimits(started);
    for (const task of drop) this.fail(task);
    for (const task of offer) {
      expect(this.blocked.has(task)).toBe(true);
      this.offer(task);
    }
  }

  /** A lane that let a task start is within its limit, or that task is alone; what ran before may have had more room. */
  checkLimits(started: readonly TaskState[]): void {
    const lanes = new Set(started.map(({ lane }) => lane));
    for (const { name, kind, occupied, concurrency } of this.lanes.status()) {
      const isGlobal = kind === "global";
      if (isGlobal ? started.length === 0 : !lanes.has(name)) continue;
      const holders = this.tasks().filter(
        ({ lease, lane }) => lease !== 0 && (isGlobal || lane === name),
      );
      if (holders.length > 1) expect(occupied).toBeLessThanOrEqual(concurrency);
    }
  }

  fail(task: TaskState): void {
    cancel(task, this.at);
    this.lanes.remove(task);
    this.blocked.delete(task);
    this.endIfDone(task.run);
  }

  act(kind: "complete" | "retry" | "cancel" | "endLease", pick: number): void {
    const eligible: Record<typeof kind, (task: TaskState) => boolean> = {
      complete: ({ status }) => status === "RUNNING",
      retry: ({ status }) => status === "RUNNING",
      cancel: (task) => !isTerminalTask(task.status) && task.run.status === "RUNNING",
      endLease: ({ status, lease }) => status !== "RUNNING" && lease !== 0,
    };
    const task = pickOf(this.tasks().filter(eligible[kind]), pick);
    if (task === undefined) return;
    if (kind === "cancel") return this.fail(task);
    if (kind === "complete") complete(task, this.at);
    if (kind === "endLease") endLease(task, this.at);
    if (kind === "retry") retry(task, this.at);
    this.lanes.released(task);
    if (kind === "retry") {
      schedule(task, task.lane, this.at);
      this.lanes.enqueue(task);
    }
    this.endIfDone(task.run);
  }

  cancelRun(run: RunState | undefined): void {
    if (run === undefined) return;
    for (const task of run.tasks) if (!isTerminalTask(task.status)) this.fail(task);
    for (const task of run.tasks) {
      if (task.lease === 0) continue;
      endLease(task, this.at);
      this.lanes.released(task);
    }
    this.endIfDone(run);
  }

  endIfDone(run: RunState): void {
    if (!isOpen(run) || run.open > 0 || run.leases > 0) return;
    evolve(run, { type: "run_completed", at: this.at });
    const next = this.lanes.runEnded(run);
    const waiting = this.runs.find(({ id }) => id === next);
    if (waiting !== undefined) this.beginRun(waiting);
  }

  /** A new process: the lanes are rebuilt from task states. */
  restart(): void {
    this.lanes = new LaneManager(this.config);
    this.blocked.clear();
    const open = this.runs.filter(isOpen);
    for (const task of this.tasks()) task.place = undefined;
    const begun = open.filter(({ status }) => status === "RUNNING");
    for (const run of begun) expect(this.lanes.runAccepted(run)).toBe(true);
    for (const task of begun.flatMap(({ tasks }) => tasks)) {
      if (task.lease !== 0) this.lanes.started(task);
      else if (task.status === "SCHEDULED") this.lanes.enqueue(task);
    }
    for (const task of begun.flatMap(({ tasks }) => tasks))
      if (task.status === "PENDING") this.offer(task);
    for (const run of open)
      if (run.status === "PENDING" && this.lanes.runAccepted(run)) this.beginRun(run);
  }

  tasks(): TaskState[] {
    return this.runs.flatMap(({ tasks }) => tasks);
  }

  check(): void {
    expect(this.lanes.audit(this.runs)).toEqual({ diverged: 0, divergences: [] });
    for (const lane of this.lanes.status()) {
      if (lane.kind === "session") continue;
      const outside = [...this.blocked.values()].filter(
        (waitsFor) => waitsFor === lane.name,
      ).length;
      expect(lane.blocked).toBe(outside);
    }
    this.checkSessions();
  }

  checkSessions(): void {
    const { scope, concurrency } = this.config.session;
    for (const session of ["s", "t"]) {
      const runs = this.runs.filter((run) => run.request.sessionId === session);
      const open = runs.filter(isOpen);
      const begun = open.filter(({ status }) => status !== "PENDING");
      if (scope === "task") {
        expect(begun).toEqual(open);
        const held = runs.flatMap(({ tasks }) => tasks).filter(({ lease }) => lease !== 0).length;
        expect(held).toBeLessThanOrEqual(concurrency);
      } else {
        // In order, and none waits while there is room.
        expect(begun).toEqual(open.slice(0, 1));
      }
      expect(this.lanes.activeRuns(session, "default")[0]).toBe(begun[0]?.id);
    }
  }

  /** Lets everything finish; the number of turns is bounded because every turn with free slots starts something. */
  drain(): void {
    for (const { name, concurrency } of this.config.named)
      this.lanes.change(name, { paused: false, concurrency });
    this.lanes.change("global", { paused: false });
    for (let turn = 0; this.runs.some(isOpen); turn++) {
      expect(turn).toBeLessThan(20 * this.tasks().length + 20);
      this.at = this.lanes.nextWake(this.at) ?? this.at;
      this.turn(100);
      for (const task of this.tasks()) {
        if (task.lease === 0) continue;
        if (task.status === "RUNNING") complete(task, this.at);
        else endLease(task, this.at);
        this.lanes.released(task);
        this.endIfDone(task.run);
      }
    }
    this.turn(100);
  }
}

const isOpen = (run: RunState): boolean => run.status === "PENDING" || run.status === "RUNNING";

function pickOf<T>(from: readonly T[], pick: number): T | undefined {
  return from.length === 0 ? undefined : from[pick % from.length];
}

describe("LaneManager", () => {
  it("keeps limits, loses nothing and never diverges from task states", () => {
    fc.assert(
      fc.property(
        configs,
        fc.array(operations, { maxLength: 80, size: "max" }),
        (config, history) => {
          const engine = new Engine(config);
          for (const operation of history) {
            engine.do(operation);
            engine.check();
          }
          engine.drain();
          expect(
            engine.tasks().every(({ status, lease }) => isTerminalTask(status) && lease === 0),
          ).toBe(true);
          expect(engine.tasks().filter(({ place }) => place !== undefined)).toEqual([]);
          for (const lane of engine.lanes.status()) {
            expect(lane).toMatchObject({ occupied: 0, queued: 0, blocked: 0 });
          }
        },
      ),
      { numRuns: 300, seed: 1 },
    );
  });
});
