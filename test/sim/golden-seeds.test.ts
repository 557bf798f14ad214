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
  /**
   * Seed 1. An agent that was throttled wished to be called again in NaN milliseconds. The retry was due at no instant, and
   * after a restart engine time itself was none: no timer fired any more and run ids began with zeros.
   */
  "no-number": "runs that never end",
  /**
   * Seed 5115. A client sent a request again and waited for the end of its run; between the look-up of its key and the
   * look-up of its run retention deleted both, and the answer was that the run did not exist, instead of another run.
   */
  "deleted-meanwhile": "a submit that answers RUN_NOT_FOUND",
} as const;

test.for(Object.keys(STORIES))("the plan %s holds all promises", async (name) => {
  const path = new URL(`../golden/plans/${name}.json`, import.meta.url);
  const { violation, steps } = await new World(readPlan(readFileSync(path, "utf8"))).run();
  expect(violation).toBeUndefined();
  expect(steps).toBeGreaterThan(0);
});
