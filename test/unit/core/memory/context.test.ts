/** Contexts: never over budget, in order of time, newest with a share of their own, nothing twice. */
import { expect, test } from "vitest";
import { assembleContext, estimatedTokens } from "../../../../src/core/memory/context.ts";

const DAY_MS = 86_400_000;
const entry = (id: string, text: string, day: number, taskId = "t1") => ({
  id,
  text,
  taskId,
  at: day * DAY_MS,
});
const BUDGET = 1_000;

test("entries stand in the order of time under their day and task", () => {
  const found = [
    entry("c", "third thing", 2, "t2"),
    entry("a", "first thing seen", 0),
    entry("b", "second thing heard", 0),
    entry("d", "free note", 3, ""),
  ];
  expect(assembleContext({ budgetTokens: BUDGET, found }).text).toBe(
    [
      "## 1970-01-01, t1",
      "- first thing seen",
      "- second thing heard",
      "## 1970-01-03, t2",
      "- third thing",
      "## 1970-01-04",
      "- free note",
      "",
    ].join("\n"),
  );
});

test("the best that fit are taken, and smaller ones after one that does not", () => {
  const found = [
    entry("a", "alpha", 0),
    entry("b", "bravo ".repeat(100), 0),
    entry("c", "charlie", 0),
  ];
  const context = assembleContext({ budgetTokens: 20, found });
  expect(context.ids).toEqual(["a", "c"]);
  expect(context.tokens).toBeLessThanOrEqual(20);
  expect(context.tokens).toBeGreaterThanOrEqual(estimatedTokens(context.text));
});

test("headings are paid for", () => {
  const found = [entry("a", "alpha", 0), entry("b", "bravo", 1), entry("c", "charlie", 2)];
  const count = (text: string) => (text.startsWith("##") ? 10 : 1);
  const context = assembleContext({ budgetTokens: 22, found, countTokens: count });
  expect(context).toMatchObject({ ids: ["a", "b"], tokens: 22 });
});

test("the newest have a fifth of the budget, and what they leave goes to the found", () => {
  const recent = [
    entry("n3", "new three", 9),
    entry("n2", "new two", 8),
    entry("n1", "new one", 7),
  ];
  const found = [entry("f", "found", 1)];
  const countTokens = (text: string) => (text.startsWith("##") ? 0 : 10);
  const shown = (budgetTokens: number) =>
    assembleContext({ budgetTokens, found, recent, countTokens }).ids;
  expect(shown(100)).toEqual(["f", "n2", "n3"]);
  expect(shown(50)).toEqual(["f", "n3"]);
  expect(shown(40)).toEqual(["f"]);
});

test("an entry that is both new and found is shown once", () => {
  const same = entry("a", "the only thing", 1);
  expect(assembleContext({ budgetTokens: BUDGET, found: [same], recent: [same] }).ids).toEqual([
    "a",
  ]);
});

test("of near-duplicates the better one is shown", () => {
  const words = "one two three four five six seven eight nine ten red green blue";
  const found = [entry("late", `${words} maroon`, 5), entry("early", words, 1)];
  expect(assembleContext({ budgetTokens: BUDGET, found }).ids).toEqual(["late"]);
});

test("nothing fits into nothing", () => {
  const context = assembleContext({ budgetTokens: 0, found: [entry("a", "alpha", 0)] });
  expect(context).toEqual({ text: "", tokens: 0, ids: [] });
});

test("a token is four Latin characters or one Chinese, Japanese or Korean", () => {
  expect(estimatedTokens("abcdefgh")).toBe(2);
  expect(estimatedTokens("abcdefghi")).toBe(3);
  expect(estimatedTokens("東京タワー")).toBe(5);
  expect(estimatedTokens("학교")).toBe(2);
});
