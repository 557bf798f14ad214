/**
 * A copy of a run's state for readers. The writer loop goes on changing the original as soon as a commit is formed, so
 * a reader gets what was true at one commit and stays true. Everything immutable (plan, payloads, messages) is shared.
 */
import { IDLE_AGENDA, type RunState, type TaskState } from "../core/run/state.ts";

/** Copies a run with its tasks, groups and mailboxes; the agenda is not part of a reader's view. */
export function copyRun(run: RunState): RunState {
  const copy: RunState = {
    ...run,
    tasks: [],
    ending: run.ending,
    agenda: IDLE_AGENDA,
  };
  for (const task of run.tasks) copy.tasks.push(copyTask(task, copy));
  return copy;
}

function copyTask(task: TaskState, run: RunState): TaskState {
  return {
    ...task,
    run,
    group: task.group && { ...task.group },
    mailbox: task.mailbox?.map((entry) => ({ ...entry })),
    place: undefined,
  };
}
