/**
 * From journal records back to state: restore the snapshot if there is one, fold the events after it. The same code
 * serves recovery and reading a finished run, so what a client sees of an old run is what the engine would resume.
 */
import { fault, refuse } from "../base/fault.ts";
import type { Plan } from "../core/dag/plan.ts";
import { newRun } from "../core/run/birth.ts";
import { evolve } from "../core/run/evolve.ts";
import type { RunState } from "../core/run/state.ts";
import type { RecoveredRun } from "../ports/journal.ts";
import type { Definitions } from "./definitions.ts";

/** How to begin, and the definition it takes. */
interface Beginning {
  readonly definition: string;
  readonly begin: (plan: Plan) => RunState;
  /** Events that the beginning contains. */
  readonly skip: number;
}

/**
 * Rebuilds one run, at once where its plan is in memory. Fails with `DATA_LOSS` when its history does not begin with its
 * acceptance.
 */
export function replay(
  stored: RecoveredRun,
  definitions: Definitions,
): RunState | Promise<RunState> {
  const { definition, begin, skip } = beginningOf(stored);
  const { events } = stored.events;
  const fold = (plan: Plan): RunState => {
    const run = begin(plan);
    for (const event of skip === 0 ? events : events.slice(skip)) evolve(run, event);
    return run;
  };
  const plan = definitions.planByHash(definition);
  return plan instanceof Promise ? plan.then(fold) : fold(plan);
}

function beginningOf({ runId, snapshot, events }: RecoveredRun): Beginning {
  if (snapshot !== undefined) {
    return { definition: snapshot.definition, begin: snapshot.restore, skip: 0 };
  }
  const [first] = events.events;
  if (first?.type !== "run_accepted") {
    const detail = "its history has no beginning";
    return refuse(fault("DATA_LOSS", { where: `run ${runId}`, detail }));
  }
  return { definition: first.definition, begin: (plan) => newRun(runId, plan, first), skip: 1 };
}
