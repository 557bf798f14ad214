import { describe, expect, it } from "vitest";
import { FaultError } from "../../../src/base/fault.ts";
import { checkJsonDepth, jsonDepth } from "../../../src/server/json-depth.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("the depth of JSON", () => {
  it.each([
    ["1", 0],
    ['"[[["', 0],
    ["[]", 1],
    ['{"a":[{"b":1}]}', 3],
    ["[[],[[]],[]]", 3],
    ['["\\"[[[", [2]]', 2],
    ['{"\\\\":[1]}', 2],
    ["", 0],
    ["]]]][", 0],
  ])("of %s is %d", (text, depth) => {
    expect(jsonDepth(bytes(text), 64)).toBe(depth);
  });

  it("is not looked for beyond the limit", () => {
    expect(jsonDepth(bytes("[".repeat(1_000_000)), 64)).toBe(65);
  });

  it("is refused beyond the limit, and not at it", () => {
    const nested = (levels: number) => bytes("[".repeat(levels) + "]".repeat(levels));
    checkJsonDepth(nested(64), 64, "input");
    const refused = () => checkJsonDepth(nested(65), 64, "input");
    expect(refused).toThrow(FaultError);
    expect(refused).toThrow("input: 65 levels of JSON exceeds the limit of 64");
  });
});
