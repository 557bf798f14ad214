/**
 * The mutation gate: one planted defect after the other is switched on, and short simulations go on from the first seed
 * until the oracle that is there for it speaks. It decides what counts as found; who prints or expects it is elsewhere.
 */
import { DEFECTS, type Defect } from "./defects.ts";
import { drawPlan } from "./plan.ts";
import { type Violation, World } from "./world.ts";

/** Ticks per seed, and seeds before a defect counts as not found. */
export const MUTANT_TICKS = 1_000;
const SEEDS = 60;

/** How a defect was found. */
export interface Finding {
  readonly defect: Defect;
  readonly seed: number;
  /** Steps of all simulations until then. */
  readonly steps: number;
  readonly cpuSeconds: number;
  readonly violation: Violation | undefined;
  /** Whether it was the oracle that is there for it. */
  readonly isExpected: boolean;
}

/** Looks for a defect; the first violation ends the search, whichever oracle it comes from. */
export async function findDefect(defect: Defect): Promise<Finding> {
  const began = process.cpuUsage();
  let steps = 0;
  for (let seed = 1; ; seed++) {
    const summary = await new World(drawPlan(seed, MUTANT_TICKS), defect).run();
    steps += summary.steps;
    const { violation } = summary;
    if (violation === undefined && seed < SEEDS) continue;
    const { user, system } = process.cpuUsage(began);
    const cpuSeconds = (user + system) / 1e6;
    const isExpected = violation !== undefined && DEFECTS[defect].oracle.test(violation.message);
    return { defect, seed, steps, cpuSeconds, violation, isExpected };
  }
}
