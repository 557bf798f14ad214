/**
 * A lane manager with the habits of the engine: states change only through events, and the lanes are told of each. It
 * keeps every run it made, so that a test can end by recounting slots and queues from their tasks.
 */
import { expect } from "vitest";
import { FaultError } from "../../src/base/fault.ts";
import type { LaneConfig, LaneStatus, LanesConfig } from "../../src/core/lane/lane.ts";
import type { RunState, TaskState } from "../../src/core/run/state.ts";
import { LaneManager } from "../../src/lanes/lane-manager.ts";
import type { Placement } from "../../src/ports/placement.ts";
import {
  cancel,
  complete,
  firstTask,
  lanesConfig,
  type RunWish,
  schedule,
  start,
  startedRun,
  type TaskWish,
} from "./lane-tasks.ts";

/** The lanes and the engine's part around them. */
export class LaneBench {
  readonly lanes: LaneManager;
  readonly runs: RunState[] = [];

  constructor(
    named: readonly LaneConfig[],
    wish: Partial<LanesConfig> = {},
    placement?: Placement,
  ) {
    this.lanes = new LaneManager(lanesConfig(named, wish), placement);
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

  statusOf(name: string): LaneStatus {
    const found = this.lanes.status().find((lane) => lane.name === name);
    if (found === undefined) throw new Error(`no lane ${name}`);
    return found;
  }

  expectNoDivergence(): void {
    expect(this.lanes.audit(this.runs)).toEqual({ diverged: 0, divergences: [] });
  }
}

/** The fault that `act` is refused with. */
export function faultOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    if (error instanceof FaultError) return error.fault;
    throw error;
  }
  throw new Error("nothing was refused");
}
