/**
 * A run as somebody watching it knows it: a snapshot from GetRun, kept up to date by its events. Folding is the same
 * for an engine in this process and a daemon elsewhere, and for a gap in the events, which brings a new snapshot.
 * Nothing here draws; `dag-view.ts` does.
 */
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { RunInfo, TaskEvent, TaskStatus } from "../../gen/goclaw/v1/run_pb.ts";
import { Reason, RunState, TaskEventType, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import type { Instant } from "../base/time.ts";

/** One task, or one instance of a `for_each` task. */
export interface WatchedTask {
  readonly id: string;
  readonly agent: string;
  readonly deps: readonly string[];
  state: TaskState;
  reason: Reason;
  /** What its agent or the engine last said. */
  message: string;
  attempt: number;
  lane: string;
  percent: number;
  /** Since when it is in its state; 0 = unknown. */
  since: Instant;
  /** When the latest attempt started; 0 = never. */
  startedAt: Instant;
  /** When a retrying task is due. */
  dueAt: Instant;
  /** Instances of an expanded `for_each` task, as far as something happened to them. */
  readonly instances: Map<string, WatchedTask>;
  instanceCount: number;
}

/** States that do not change any more. */
const TERMINAL_TASKS: ReadonlySet<TaskState> = new Set<TaskState>([
  TaskState.COMPLETED,
  TaskState.FAILED,
  TaskState.CANCELLED,
  TaskState.SKIPPED,
]);
const TERMINAL_RUNS: ReadonlySet<RunState> = new Set<RunState>([
  RunState.COMPLETED,
  RunState.FAILED,
  RunState.CANCELLED,
  RunState.COMPENSATED,
  RunState.COMPENSATION_FAILED,
]);

/** Whether a task will never change again. */
export function isTerminalTask(state: TaskState): boolean {
  return TERMINAL_TASKS.has(state);
}

/** Whether a run will never change again. */
export function isTerminalRun(state: RunState): boolean {
  return TERMINAL_RUNS.has(state);
}

/** A watched run. */
export class RunModel {
  readonly runId: string;
  readonly tasks = new Map<string, WatchedTask>();
  workflow = "";
  state: RunState = RunState.UNSPECIFIED;
  reason: Reason = Reason.UNSPECIFIED;
  message = "";
  failedTask = "";
  sequence = 0n;
  acceptedAt: Instant = 0;
  endedAt: Instant = 0;

  constructor(snapshot: RunInfo) {
    this.runId = snapshot.runId;
    this.#take(snapshot);
  }

  /** Takes the next event. Repeated ones (after a reconnect) change nothing. */
  apply(event: TaskEvent): void {
    if (event.sequence <= this.sequence && event.type !== TaskEventType.GAP) return;
    if (event.snapshot !== undefined) this.#take(event.snapshot);
    this.sequence = event.sequence;
    if (event.taskId === "" || isRunEvent(event.type)) this.#applyToRun(event);
    else this.#applyToTask(this.#task(event.taskId), event);
  }

  #take(snapshot: RunInfo): void {
    this.workflow = snapshot.workflow;
    this.state = snapshot.state;
    this.reason = snapshot.reason;
    this.message = snapshot.message;
    this.failedTask = snapshot.failedTask;
    this.sequence = snapshot.sequence;
    this.acceptedAt = instant(snapshot.accepted);
    this.endedAt = instant(snapshot.ended);
    this.tasks.clear();
    for (const status of snapshot.tasks) takeStatus(this.#task(status.taskId, status), status);
  }

  #task(id: string, status?: TaskStatus): WatchedTask {
    const bracket = id.indexOf("[");
    const parent = bracket === -1 ? undefined : this.#task(id.slice(0, bracket));
    const home = parent?.instances ?? this.tasks;
    const known = home.get(id);
    if (known !== undefined) return known;
    const task = newTask(id, status?.agent ?? parent?.agent ?? "", status?.deps ?? []);
    home.set(id, task);
    return task;
  }

  #applyToRun(event: TaskEvent): void {
    if (event.runState !== RunState.UNSPECIFIED) this.state = event.runState;
    if (event.type === TaskEventType.RUN_ENDING || isTerminalRun(event.runState)) {
      if (event.reason !== Reason.UNSPECIFIED) this.reason = event.reason;
      if (event.message !== "") this.message = event.message;
      if (event.taskId !== "") this.failedTask = event.taskId;
    }
    if (isTerminalRun(event.runState)) this.endedAt = instant(event.time);
  }

  #applyToTask(task: WatchedTask, event: TaskEvent): void {
    const at = instant(event.time);
    if (event.attempt > 0) task.attempt = event.attempt;
    if (event.lane !== "") task.lane = event.lane;
    if (event.type === TaskEventType.TASK_PROGRESS) {
      task.percent = event.percent;
      task.message = event.message;
    }
    if (event.type === TaskEventType.TASK_EXPANDED) task.instanceCount = event.instances;
    if (event.type === TaskEventType.TASK_STARTED) {
      task.startedAt = at;
      task.percent = 0;
    }
    if (event.taskState === TaskState.UNSPECIFIED) return;
    task.state = event.taskState;
    task.since = at;
    task.reason = event.reason;
    task.message = event.message;
    task.dueAt = instant(event.due);
  }
}

function isRunEvent(type: TaskEventType): boolean {
  return (
    type === TaskEventType.RUN_ENDING ||
    type === TaskEventType.RUN_FAILED ||
    type === TaskEventType.GAP
  );
}

function newTask(id: string, agent: string, deps: readonly string[]): WatchedTask {
  return {
    id,
    agent,
    deps,
    state: TaskState.PENDING,
    reason: Reason.UNSPECIFIED,
    message: "",
    attempt: 0,
    lane: "",
    percent: 0,
    since: 0,
    startedAt: 0,
    dueAt: 0,
    instances: new Map(),
    instanceCount: 0,
  };
}

function takeStatus(task: WatchedTask, status: TaskStatus): void {
  task.state = status.state;
  task.reason = status.reason;
  task.message = status.message === "" ? status.note : status.message;
  task.attempt = status.attempt;
  task.lane = status.lane;
  task.percent = status.percent;
  task.since = instant(status.since);
  task.startedAt = instant(status.started);
  task.dueAt = instant(status.due);
  task.instanceCount = status.instances;
}

/** A Timestamp as milliseconds; 0 when absent. */
export function instant(time: Timestamp | undefined): Instant {
  return time === undefined ? 0 : timestampMs(time);
}
