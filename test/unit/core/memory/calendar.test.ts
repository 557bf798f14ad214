/** The calendar against the platform's own, over leap days, centuries and instants before the epoch. */
import { expect, test } from "vitest";
import { calendarDay } from "../../../../src/core/memory/calendar.ts";

test("every day agrees with the platform's calendar", () => {
  const from = Date.UTC(1899, 11, 1);
  const to = Date.UTC(2101, 1, 1);
  const wrong: string[] = [];
  for (let at = from; at < to; at += 86_400_000 - 1) {
    const day = new Date(at).toISOString().slice(0, 10);
    if (calendarDay(at) !== day) wrong.push(day);
  }
  expect(wrong).toEqual([]);
});
