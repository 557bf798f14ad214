import { describe, expect, test } from "vitest";
import { recallWish, StagedMemories } from "../../../../src/adapters/agents/staged-memories.ts";

describe("what is to be remembered", () => {
  test("is taken with its defaults, and absent without any", () => {
    const staged = new StagedMemories();
    expect(staged.taken()).toBeUndefined();
    staged.add("one");
    expect(staged.taken()).toEqual([
      { content: "one", kind: "note", metadata: {}, importance: "normal" },
    ]);
  });

  test.each([
    ["no text", () => new StagedMemories().add(7), TypeError],
    ["an empty text", () => new StagedMemories().add("  "), TypeError],
    [
      "an unknown importance",
      () => new StagedMemories().add("x", { importance: "vital" as "normal" }),
      TypeError,
    ],
    ["a text of too many bytes", () => new StagedMemories().add("é".repeat(32_769)), RangeError],
    ["a long kind", () => new StagedMemories().add("x", { kind: "k".repeat(129) }), RangeError],
    [
      "long metadata",
      () => new StagedMemories().add("x", { metadata: { a: "v".repeat(769) } }),
      RangeError,
    ],
  ])("is refused when it is %s", (_what, add, error) => {
    expect(add).toThrow(error);
  });

  test("is bounded in number and in all, and a refused text does not count", () => {
    const many = new StagedMemories();
    for (let n = 0; n < 100; n++) many.add(`text ${n}`);
    expect(() => many.add("one more")).toThrow("101 texts");
    const large = new StagedMemories();
    for (let n = 0; n < 16; n++) large.add("x".repeat(65_536));
    expect(() => large.add("y")).toThrow("1048577 bytes");
    expect(large.taken()).toHaveLength(16);
  });
});

describe("a question", () => {
  test("has a limit of five unless it says", () => {
    expect(recallWish("why?")).toEqual({ text: "why?", limit: 5 });
    expect(recallWish("why?", { limit: 1, filter: { a: "b" } })).toEqual({
      text: "why?",
      limit: 1,
      filter: { a: "b" },
    });
  });

  test.each([
    ["is no text", () => recallWish(undefined)],
    ["wants nothing", () => recallWish("x", { limit: 0 })],
    ["wants too much", () => recallWish("x", { limit: 1_001 })],
    ["is too long", () => recallWish("x".repeat(4_097))],
  ])("is refused when it %s", (_what, ask) => {
    expect(ask).toThrow(/./);
  });
});
