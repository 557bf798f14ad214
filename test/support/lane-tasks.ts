/**
 * Tasks for lane tests, without definitions, journal or engine: runs are born by the real `newRun` from plans written
 * by hand, and change only through the real `evolve`, so a lane test can never use a state that could not exist.
 */
import type { RunId } from "../../src/base/ids.ts";
import { NULL_PAYLOAD } from "../../src/base/payload.ts";
import { DEFAULTS, type TaskDefinition } from "../../src/core/dag/definition.ts";
import type { Plan, PlanNode } from "../../src/core/dag/plan.ts";
import type { LaneConfig, LanesConfig } from "../../src/core/lane/lane.ts";
import { newRun } from "../../src/core/run/birth.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import type { RunState, TaskState } from "../../src/core/run/state.ts";

/** What a lane looks at in a task; everything else is a default. */
export interface TaskWish {
  readonly lane?: string;
  readonly priority?: number;
  readonly cost?: number;
  readonly remainingMs?: number;
}

/** What a lane looks at in a run. */
export interface RunWish {
  readonly at?: number;
  readonly namespace?: string;
  readonly session?: string;
  readonly priority?: number;
  readonly tasks?: readonly TaskWish[];
}

let runsMade = 0;

/** A run id that sorts by creation, as ULIDs do. */
function nextRunId(): RunId {
  runsMade++;
  return `01${String(runsMade).padStart(24, "0")}` as RunId;
}

/** An accepted run of independent tasks `t0`, `t1`, …; one task when nothing is wished. */
export function acceptedRun(wish: RunWish = {}): RunState {
  const nodes = (wish.tasks ?? [{}]).map(planNode);
  const plan: Plan = {
    hash: "0".repeat(64),
    definition: { name: "w", version: "", tasks: nodes.map(({ task }) => task), failFast: true },
    nodes,
    indexOf: new Map(nodes.map(({ task, index }) => [task.id, index])),
    order: Uint32Array.from(nodes.keys()),
    sinks: nodes.map(({ index }) => index),
  };
  return newRun(nextRunId(), plan, {
    type: "run_accepted",
    at: wish.at ?? 0,
    definition: plan.hash,
    name: "w",
    request: {
      input: NULL_PAYLOAD,
      namespace: wish.namespace ?? "default",
      ...(wish.session === undefined ? {} : { sessionId: wish.session }),
      priority: wish.priority ?? 0,
      labels: {},
      traceId: "0".repeat(32),
    },
  });
}

/** A run that has begun: its tasks are ready. */
export function startedRun(wish: RunWish = {}): RunState {
  const run = acceptedRun(wish);
  evolve(run, { type: "run_started", at: wish.at ?? 0 });
  return run;
}

/** One ready task of a run of its own. */
export function readyTask(wish: TaskWish & Omit<RunWish, "tasks" | "priority"> = {}): TaskState {
  return firstTask(startedRun({ ...wish, priority: 0, tasks: [wish] }));
}

/** The first task of a run. */
export function firstTask(run: RunState): TaskState {
  return run.tasks[0] as TaskState;
}

function planNode(wish: TaskWish, index: number): PlanNode {
  const task: TaskDefinition = {
    id: `t${index}`,
    agent: "echo",
    deps: [],
    lane: wish.lane ?? DEFAULTS.lane,
    retry: DEFAULTS.retry,
    priority: wish.priority ?? 0,
    cost: wish.cost ?? 1,
    onError: { kind: "fail" },
    labels: {},
  };
  return { index, task, deps: [], dependents: [], remainingMs: wish.remainingMs ?? 1 };
}

/** Settings of a lane; unlimited in practice where nothing is wished. */
export function laneConfig(name: string, wish: Partial<LaneConfig> = {}): LaneConfig {
  return { name, concurrency: 1_000, capacity: 10_000, overflow: { kind: "block" }, ...wish };
}

/** Settings of all lanes; unlimited in practice where nothing is wished. */
export function lanesConfig(
  named: readonly LaneConfig[] = [],
  wish: Partial<LanesConfig> = {},
): LanesConfig {
  return {
    global: { concurrency: 1_000 },
    named,
    session: { scope: "run", concurrency: 1 },
    ...wish,
  };
}

/** The task becomes SCHEDULED in `lane`. */
export function schedule(task: TaskState, lane: string, at = task.run.acceptedAt): void {
  evolve(task.run, { type: "task_scheduled", at, task: task.id, lane });
}

/** The task starts its next attempt. */
export function start(task: TaskState, at: number): void {
  evolve(task.run, { type: "task_started", at, task: task.id, attempt: task.attempt + 1 });
}

/** The running attempt succeeds. */
export function complete(task: TaskState, at: number): void {
  evolve(task.run, { type: "task_completed", at, task: task.id, attempt: task.attempt });
}

/** The running attempt fails; the task will be tried again. */
export function retry(task: TaskState, at: number): void {
  evolve(task.run, {
    type: "task_retrying",
    at,
    task: task.id,
    attempt: task.attempt,
    reason: "AGENT_ERROR",
    message: "",
    dueAt: at,
    counted: true,
  });
}

/** The task is cancelled; a running attempt keeps its lease until {@link endLease}. */
export function cancel(task: TaskState, at: number): void {
  evolve(task.run, {
    type: "task_cancelled",
    at,
    task: task.id,
    reason: "CANCELLED_BY_USER",
    message: "",
    ...(task.lease === 0 ? {} : { stopGraceMs: 5_000 }),
  });
}

/** The stopped attempt answers. */
export function endLease(task: TaskState, at: number): void {
  evolve(task.run, { type: "lease_ended", at, task: task.id, attempt: task.lease });
}
