/**
 * From journal records back to state: restore the snapshot if there is one, fold the events after it. The same code
 * serves recovery and reading a finished run, so what a client sees of an old run is what the engine would resume.
 */
import { fault, refuse } from "../base/fault.ts";
import { newRun } from "../core/run/birth.ts";
import { evolve } from "../core/run/evolve.ts";
import type { RunState } from "../core/run/state.ts";
import type { RecoveredRun } from "../ports/journal.ts";
import type { Definitions } from "./definitions.ts";

/** Rebuilds one run. Rejects with `DATA_LOSS` when its history does not begin with its acceptance. */
export async function replay(stored: RecoveredRun, definitions: Definitions): Promise<RunState> {
  const { events } = stored.events;
  if (stored.snapshot !== undefined) {
    const run = stored.snapshot.restore(await definitions.planByHash(stored.snapshot.definition));
    for (const event of events) evolve(run, event);
    return run;
  }
  const [first, ...rest] = events;
  if (first?.type !== "run_accepted") {
    return refuse(
      fault("DATA_LOSS", { where: `run ${stored.runId}`, detail: "its history has no beginning" }),
    );
  }
  const run = newRun(stored.runId, await definitions.planByHash(first.definition), first);
  for (const event of rest) evolve(run, event);
  return run;
}
