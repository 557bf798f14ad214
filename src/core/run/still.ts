/**
 * Which runs stand still: nothing of them is out, nothing follows from their state by itself, and only a lane, a timer
 * or a caller can move them. Such a run may be put away in a smaller form. Large ones are not, because each time one of
 * their tasks starts they would be brought back as a whole.
 */
import { IDLE_AGENDA, type RunState } from "./state.ts";

/** Most tasks, and most bytes of events, of a run that is worth putting away. */
export const STILL_TASKS_MAX = 16;
export const STILL_BYTES_MAX = 16_384;

/** Whether a run stands still and is small. */
export function isStill(run: RunState): boolean {
  return (
    run.leases === 0 &&
    run.agenda === IDLE_AGENDA &&
    run.ending === undefined &&
    run.open > 0 &&
    run.tasks.length <= STILL_TASKS_MAX &&
    run.historyBytes <= STILL_BYTES_MAX
  );
}

/**
 * Forgets what the agenda of a replayed run still names although its events have answered it: folding events notes what
 * is due, and only drawing the consequence takes it off. Tasks that have a place in a lane are no longer due.
 */
export function forgetAnswered(run: RunState): void {
  const { agenda } = run;
  if (agenda === IDLE_AGENDA) return;
  const due = agenda.ready.filter((index) => {
    const task = run.tasks[index];
    const isDue = task?.status === "PENDING" || task?.status === "RETRYING";
    return isDue && task?.place === undefined;
  });
  agenda.ready.splice(0, agenda.ready.length, ...due);
  const { ready, joinable, expiring, collecting, fatal, closing } = agenda;
  const entries = ready.length + joinable.length + expiring.length + collecting.length;
  if (entries === 0 && fatal === undefined && !closing) run.agenda = IDLE_AGENDA;
}
