/**
 * Plans that once failed, shrunk and kept with the story of each. They are data, so they stay what they are when the
 * generator changes, and run for ever. Each was seen to fail before its fix.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readPlan } from "./plan.ts";
import { World } from "./world.ts";

/** File in `test/golden/plans`, and what it showed. */
const STORIES = {
  /**
   * Seed 5146. Two equal requests at once; every task of the run was skipped, so the run ended in the commit that accepted
   * it. Until that commit was durable neither the open nor the finished runs nor the journal had it, the second request
   * took its key for one whose run retention had deleted, and started another run.
   */
  "ended-at-once": "one key started two runs",
} as const;

test.for(Object.keys(STORIES))("the plan %s holds all promises", async (name) => {
  const path = new URL(`../golden/plans/${name}.json`, import.meta.url);
  const { violation, steps } = await new World(readPlan(readFileSync(path, "utf8"))).run();
  expect(violation).toBeUndefined();
  expect(steps).toBeGreaterThan(0);
});
