/**
 * The simulation is worth what it finds: each planted defect must be found, by the oracle that is there for it, within a
 * few short simulations. The same seeds without a defect are clean, which `sim.test.ts` shows.
 */
import { expect, test } from "vitest";
import { DEFECTS, type Defect } from "./defects.ts";
import { World } from "./world.ts";

const SEEDS = 20;
const STEPS = 1_500;

/** What the oracle says that is there for a defect. */
const FOUND_BY: Readonly<Record<Defect, RegExp>> = {
  "early ack": /was acknowledged, not durable|before its start was durable|is not durable/,
  "dropped release": /slots diverged/,
  "last answer wins": /completed with what its agent did not say first/,
  "extra slot": /slots occupied/,
  "lost timer": /it never came to pass|nothing happens any more/,
  "lost write": /the journal is damaged|recovery failed|with another history than acknowledged/,
  "forgotten key": /started .* and /,
  "forgotten run": /open runs, the journal/,
  "skipped event": /has a gap|never came to pass|nothing happens any more/,
  "ignored turn": /began before .* of its session/,
  "stale answer": /completed with what its agent did not say first/,
};

async function firstViolation(defect: Defect): Promise<string> {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violation } = await new World(seed, defect).run(STEPS);
    if (violation !== undefined) return violation.message;
  }
  return "nothing was found";
}

test.for(Object.keys(DEFECTS) as Defect[])("finds: %s", { timeout: 60_000 }, async (defect) => {
  expect(await firstViolation(defect)).toMatch(FOUND_BY[defect]);
});
