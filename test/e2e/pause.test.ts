/**
 * Processes that stand still and clocks that jump by a day, under load: no timer early, nothing lost, order kept.
 * `make torture` stops them for half a minute.
 */
import { expect, test } from "vitest";
import { pauseProblems, tortureByPause } from "../torture/pause.ts";

test.each(["stop daemon", "stop client", "clock"] as const)("%s", async (what) => {
  const report = await tortureByPause({ what, durationMs: 3_000, seed: 7 });
  expect(report.acknowledged).toBeGreaterThan(30);
  expect(report).toMatchObject({ lost: 0, appliedTwice: 0, resultsTwice: 0, holes: 0 });
  expect(pauseProblems(report)).toEqual([]);
});
