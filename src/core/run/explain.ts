/**
 * Why a task does not run, in one sentence for people, told from the state alone. It names the nearest blocker only: the
 * one that, removed, lets the task go on. Total over every state; a task that runs or has ended waits for nothing and
 * gets the empty sentence.
 */
import { unreachable } from "../../base/assert.ts";
import { LANE_GLOBAL } from "../lane/admission.ts";
import type { LaneStatus } from "../lane/lane.ts";
import type { RunState, TaskState } from "./state.ts";
import { isTerminalTask } from "./status.ts";

/** Lanes by name, as they are now. */
export type LaneView = (name: string) => LaneStatus | undefined;

/** Names of blockers in one sentence; the rest is counted. */
const NAMED_MAX = 3;

/** The sentence, or the empty text. */
export function explainWait(task: TaskState, lanes?: LaneView): string {
  switch (task.status) {
    case "PENDING":
      return pending(task, lanes);
    case "SCHEDULED":
      return queued(task.lane, lanes);
    case "WAITING":
      return suspended(task);
    case "RETRYING":
      return task.lease === 0
        ? `backs off after attempt ${task.attempt}`
        : `attempt ${task.attempt} has not stopped yet`;
    case "RUNNING":
    case "COMPLETED":
    case "FAILED":
    case "CANCELLED":
    case "SKIPPED":
      return "";
    default:
      return unreachable(task.status);
  }
}

function pending(task: TaskState, lanes: LaneView | undefined): string {
  const { run } = task;
  if (run.status === "PENDING") {
    const { sessionId } = run.request;
    return sessionId === undefined
      ? "the run has not begun"
      : `an earlier run of session "${sessionId}" has not ended`;
  }
  const blockers = task.item === undefined ? openDependencies(run, task) : [];
  if (blockers.length > 0) return `waits for ${listed(blockers)}`;
  const lane = task.node.task.lane;
  const status = lanes?.(lane);
  if (status === undefined) return `waits for room in lane "${lane}"`;
  return `waits for room in lane "${lane}": ${status.queued} of ${status.capacity} places of its queue are taken`;
}

function openDependencies(run: RunState, task: TaskState): string[] {
  return task.node.deps
    .map((index) => run.tasks[index] as TaskState)
    .filter((dependency) => !isTerminalTask(dependency.status))
    .map((dependency) => `"${dependency.id}" (${dependency.status})`);
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, NAMED_MAX).join(", ");
  return names.length > NAMED_MAX ? `${shown} and ${names.length - NAMED_MAX} more` : shown;
}

function queued(name: string, lanes: LaneView | undefined): string {
  const lane = lanes?.(name);
  if (lane === undefined) return `queued in lane "${name}"`;
  const own = holdUp(lane);
  if (own !== undefined) return `${own}, ${lane.queued} queued`;
  const whole = lanes?.(LANE_GLOBAL);
  const shared = whole === undefined ? undefined : holdUp(whole);
  return `${shared ?? `next in lane "${name}"`}, ${lane.queued} queued in lane "${name}"`;
}

/** Why a lane starts nothing now; undefined when it could. */
function holdUp({ name, paused, opensAt, occupied, concurrency }: LaneStatus): string | undefined {
  if (paused) return `lane "${name}" is paused`;
  if (opensAt !== undefined) return `the rate limit of lane "${name}" is used up`;
  if (occupied < concurrency) return undefined;
  return `${occupied} of ${concurrency} slots of lane "${name}" are taken`;
}

function suspended(task: TaskState): string {
  if (task.group === undefined) return task.note === "" ? "suspended" : task.note;
  return `waits for ${task.group.open} of its ${task.group.count} instances`;
}
