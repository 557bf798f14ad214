/**
 * What a start finds in the journal: every open run, in the order in which sessions gave them their turns, and the
 * instant that engine time had got to. Order hangs on that time (run ids begin with it), so a clock that was set back
 * between two lives must not repeat it. Runs are handed on one by one, because a million of them may be open and most
 * of them sleep as soon as they are known.
 */
import { runIdInstant } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import type { RunState } from "../core/run/state.ts";
import type { Journal } from "../ports/journal.ts";
import type { Definitions } from "./definitions.ts";
import { replay } from "./replay.ts";

export interface Recovered {
  readonly runs: number;
  /** Engine time may go on from here; 0 for a new journal. */
  readonly resumeAt: Instant;
}

/**
 * Replays every open run and hands it to `adopt`: those that have begun first, each in order of acceptance, so that
 * whoever held its session's turn keeps it. Rejects with `DATA_LOSS`, and with what the journal rejects with.
 */
export async function recoverRuns(
  journal: Pick<Journal, "recover" | "listEnded">,
  definitions: Definitions,
  adopt: (run: RunState) => void,
): Promise<Recovered> {
  const waiting: RunState[] = [];
  let [runs, latest] = [0, 0];
  const take = (run: RunState): void => {
    runs++;
    latest = Math.max(latest, runIdInstant(run.id), run.latestAt);
    if (run.startedAt > 0) adopt(run);
    else waiting.push(run);
  };
  await journal.recover((stored) => {
    const run = replay(stored, definitions);
    return run instanceof Promise ? run.then(take) : take(run);
  });
  for (const run of waiting) adopt(run);
  const [newest] = await journal.listEnded({ limit: 1 });
  if (newest !== undefined) {
    latest = Math.max(latest, runIdInstant(newest.runId), newest.endedAt);
  }
  return { runs, resumeAt: latest === 0 ? 0 : latest + 1 };
}
