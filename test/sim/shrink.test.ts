/**
 * A seed that fails is worth what one can see in it: the shrunk plan must fail by the same oracle and be much shorter.
 * Shown on planted defects, because there is always one of them.
 */
import { expect, test } from "vitest";
import type { Defect } from "./defects.ts";
import { findDefect, MUTANT_TICKS } from "./mutants.ts";
import { drawPlan } from "./plan.ts";
import { oracleOf, shrink } from "./shrink.ts";
import { World } from "./world.ts";

/** Enough to show it; a real shrink may take all it wants. */
const SIMULATIONS = 60;

test.for(["bottomless lane", "two results"] as Defect[])(
  "shrinks what finds: %s",
  { timeout: 120_000 },
  async (defect) => {
    const { seed } = await findDefect(defect);
    const plan = drawPlan(seed, MUTANT_TICKS);
    const found = await new World(plan, defect).run();
    const shrunk = await shrink(plan, defect, SIMULATIONS);
    const again = shrunk && (await new World(shrunk.plan, defect).run());
    expect(again?.violation).toEqual(shrunk?.summary.violation);
    expect(oracleOf(again?.violation?.message ?? "")).toBe(
      oracleOf(found.violation?.message ?? "-"),
    );
    const happened = plan.happenings.filter(({ tick }) => tick <= (found.violation?.tick ?? 0));
    expect(shrunk?.plan.happenings.length).toBeLessThanOrEqual(happened.length / 4);
    expect((await new World(shrunk?.plan ?? plan).run()).violation).toBeUndefined();
  },
);

test("has nothing to shrink where nothing fails", async () => {
  expect(await shrink(drawPlan(1, 100))).toBeUndefined();
});
