/** Late results lie beside their run: found by it, replaced by a repetition, deleted with it. */
import { expect, test } from "vitest";
import type { LateResult } from "../../../src/ports/journal.ts";
import {
  accepted,
  commitOf,
  eventsOf,
  openJournal,
  runIdAt,
  summaryAt,
} from "../../support/journal-fixture.ts";

const late = (run: number, lease: number, json: string): LateResult => ({
  runId: runIdAt(run),
  taskId: "a",
  taskIndex: 0,
  lease,
  worker: "w-1",
  at: 5,
  output: { json },
});

test("they are found by their run, in order, also after a restart; a repetition replaces", async () => {
  const { journal, disk } = await openJournal();
  await journal.storeLate(late(1, 2, "2"));
  await journal.storeLate(late(1, 1, "0"));
  await journal.storeLate(late(1, 1, "1"));
  await journal.storeLate(late(2, 1, "3"));
  const expected = [late(1, 1, "1"), late(1, 2, "2")];
  expect(await journal.lateResults(runIdAt(1))).toEqual(expected);
  await journal.close();
  const again = await openJournal(disk);
  expect(await again.journal.lateResults(runIdAt(1))).toEqual(expected);
  expect(await again.journal.lateResults(runIdAt(3))).toEqual([]);
});

test("they go with their run", async () => {
  const { journal } = await openJournal();
  for (const run of [1, 2]) {
    const events = eventsOf(run, 1, accepted(run), { type: "run_completed", at: 3_000 + run });
    await journal.append(commitOf([events], [summaryAt(run)]));
    await journal.storeLate(late(run, 1, "1"));
  }
  expect(await journal.retain({ maxCount: 1 }, 10_000)).toBe(1);
  expect(await journal.lateResults(runIdAt(1))).toEqual([]);
  expect(await journal.lateResults(runIdAt(2))).toHaveLength(1);
});
