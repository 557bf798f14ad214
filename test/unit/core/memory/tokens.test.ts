/** Text to stems: English endings, accents, contractions, and scripts that write no spaces. */
import { expect, test } from "vitest";
import { documentStems, queryStems } from "../../../../src/core/memory/tokens.ts";

test("case, endings, possessives and function words do not matter", () => {
  expect(documentStems("The painter's INSPIRING paintings")).toEqual([
    "painter",
    "inspir",
    "paint",
  ]);
  expect(documentStems("She was inspired by a painting")).toEqual(["inspir", "paint"]);
});

test("contractions are function words with either apostrophe", () => {
  expect(documentStems("I'm sure they don’t, it isn't")).toEqual(["sure"]);
});

test("accents and compatibility forms are folded, digits are words", () => {
  expect(documentStems("Café Zürich ﬁle №42 ＡＢＣ")).toEqual(
    documentStems("cafe zurich file no42 abc"),
  );
});

test("a word of another alphabet keeps its ending", () => {
  expect(documentStems("Ёлки и соседями")).toEqual(["елки", "и", "соседями"]);
});

test("an entry counts a repeated word, a query does not", () => {
  expect(documentStems("tea, tea and more tea")).toEqual(["tea", "tea", "tea"]);
  expect(queryStems("tea, tea and more tea")).toEqual(["tea"]);
});

test("text without letters or digits has no stems", () => {
  expect(documentStems(" \n\t… — 🙂 !?")).toEqual([]);
  expect(queryStems("")).toEqual([]);
});

test("Chinese becomes pairs, with single characters only in entries", () => {
  expect(queryStems("黑猫警长")).toEqual(["黑猫", "猫警", "警长"]);
  expect(documentStems("黑猫")).toEqual(["黑猫", "黑", "猫"]);
  expect(queryStems("猫")).toEqual(["猫"]);
});

test("Japanese keeps its voice marks, and half width is folded to full", () => {
  expect(queryStems("がくせい")).toEqual(["がく", "くせ", "せい"]);
  expect(queryStems("ﾃﾞｰﾀ")).toEqual(["デー", "ータ"]);
});

test("Korean syllables stay whole, also when they come decomposed", () => {
  expect(queryStems("학교에서")).toEqual(["학교", "교에", "에서"]);
  expect(queryStems("학교".normalize("NFD"))).toEqual(["학교"]);
});

test("Latin words and numbers inside unspaced text are words of their own", () => {
  expect(queryStems("東京2024年のAPIs")).toEqual(["東京", "年の", "2024", "api"]);
});

test("Thai becomes pairs too", () => {
  expect(queryStems("กาแฟ")).toEqual(["กา", "าแ", "แฟ"]);
});
