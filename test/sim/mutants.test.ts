/**
 * The simulation is worth what it finds: each planted defect must be found, by the oracle that is there for it, within a
 * few short simulations. The same seeds without a defect are clean, which `sim.test.ts` shows.
 */
import { expect, test } from "vitest";
import { DEFECT_NAMES } from "./defects.ts";
import { findDefect } from "./mutants.ts";

test.for(DEFECT_NAMES)("finds: %s", { timeout: 60_000 }, async (defect) => {
  const { violation, isExpected } = await findDefect(defect);
  expect(isExpected, violation?.message ?? "nothing was found").toBe(true);
});
