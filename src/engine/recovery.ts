/**
 * What a start finds in the journal: every open run, in the order in which sessions gave them their turns, and the
 * instant that engine time had got to. Order hangs on that time (run ids begin with it), so a clock that was set back
 * between two lives must not repeat it.
 */
import { runIdInstant } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import type { RunState } from "../core/run/state.ts";
import type { Journal } from "../ports/journal.ts";
import type { Definitions } from "./definitions.ts";
import { replay } from "./replay.ts";

export interface Recovered {
  readonly runs: readonly RunState[];
  /** Engine time may go on from here; 0 for a new journal. */
  readonly resumeAt: Instant;
}

/** Replays every open run. Rejects with `DATA_LOSS`, and with what the journal rejects with. */
export async function recoverRuns(
  journal: Pick<Journal, "recover" | "listEnded">,
  definitions: Definitions,
): Promise<Recovered> {
  const runs: RunState[] = [];
  await journal.recover(async (stored) => {
    runs.push(await replay(stored, definitions));
  });
  const [newest] = await journal.listEnded({ limit: 1 });
  let latest = newest === undefined ? 0 : Math.max(runIdInstant(newest.runId), newest.endedAt);
  for (const run of runs) latest = Math.max(latest, runIdInstant(run.id), run.latestAt);
  return { runs: runs.sort(byTurn), resumeAt: latest === 0 ? 0 : latest + 1 };
}

/** Runs that have begun first, each in order of acceptance: whoever held its session's turn keeps it. */
function byTurn(a: RunState, b: RunState): number {
  const begun = Number(b.startedAt > 0) - Number(a.startedAt > 0);
  return begun !== 0 ? begun : a.id < b.id ? -1 : 1;
}
