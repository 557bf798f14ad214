/**
 * The accounting behind "nothing lost, nothing twice": reads a run's whole history and says what is wrong with it. A
 * history is right when its sequence has no gap, every task changes only along the arrows of the table, every task and
 * the run end exactly once and last, and no attempt number is used twice, unless nobody took that attempt up. An
 * announced gap is no hole: the history goes on from the run as it is there.
 */
import { type TaskEvent, TaskEventType, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import { isTerminalTask, type TaskStatus } from "../../src/core/run/status.ts";
import { TASK_TABLE } from "../../src/core/run/task-machine.ts";

const RUN_ENDS: ReadonlySet<TaskEventType> = new Set([
  TaskEventType.RUN_COMPLETED,
  TaskEventType.RUN_FAILED,
  TaskEventType.RUN_CANCELLED,
]);

const STATUS_OF: ReadonlyMap<number, TaskStatus> = new Map(
  Object.entries(TaskState).map(([name, value]) => [value, name as TaskStatus]),
);

/** Problems of one history; empty when it is right. */
export function problemsOf(events: readonly TaskEvent[]): string[] {
  const problems: string[] = [];
  const statuses = new Map<string, TaskStatus>();
  const attempts = new Map<string, number>();
  let expected = 1;
  events.forEach((event, at) => {
    const place = `event ${event.sequence}`;
    if (event.type === TaskEventType.GAP) {
      if (Number(event.sequence) < expected) problems.push(`${place}: a gap that goes back`);
      expected = Number(event.sequence) + 1;
      for (const { taskId, state, attempt } of event.snapshot?.tasks ?? []) {
        statuses.set(taskId, STATUS_OF.get(state) as TaskStatus);
        attempts.set(taskId, attempt);
      }
      return;
    }
    if (Number(event.sequence) !== expected) problems.push(`${place} is at position ${expected}`);
    expected++;
    if (RUN_ENDS.has(event.type) !== (at === events.length - 1)) {
      problems.push(`${place}: a run ends with its last event and only then`);
    }
    if (event.type === TaskEventType.TASK_STARTED) {
      if (event.attempt <= (attempts.get(event.taskId) ?? 0)) {
        problems.push(`${place}: ${event.taskId} started attempt ${event.attempt} again`);
      }
      attempts.set(event.taskId, event.attempt);
    }
    if (event.taskState === TaskState.UNSPECIFIED) return;
    const from = statuses.get(event.taskId) ?? "PENDING";
    const to = STATUS_OF.get(event.taskState) as TaskStatus;
    if (!Object.values(TASK_TABLE[from]).includes(to)) {
      problems.push(`${place}: ${event.taskId} went from ${from} to ${to}`);
    }
    // Nobody took the attempt up: it is the same one that starts again.
    if (from === "RUNNING" && to === "SCHEDULED") attempts.set(event.taskId, event.attempt - 1);
    statuses.set(event.taskId, to);
  });
  for (const [task, status] of statuses) {
    if (!isTerminalTask(status)) problems.push(`${task} was left ${status}`);
  }
  return problems;
}
