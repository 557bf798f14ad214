import { describe, expect, it } from "vitest";
import { FaultError } from "../../../src/base/fault.ts";
import { checkJsonShape, jsonShape } from "../../../src/server/json-shape.ts";

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
    expect(jsonShape(bytes(text), { depth: 64 }).depth).toBe(depth);
  });

  it("is not looked for beyond the limit", () => {
    expect(jsonShape(bytes("[".repeat(1_000_000)), { depth: 64 }).depth).toBe(65);
  });

  it("is refused beyond the limit, and not at it", () => {
    const nested = (levels: number) => bytes("[".repeat(levels) + "]".repeat(levels));
    checkJsonShape(nested(64), { depth: 64 }, "input");
    const refused = () => checkJsonShape(nested(65), { depth: 64 }, "input");
    expect(refused).toThrow(FaultError);
    expect(refused).toThrow("input: 65 levels of JSON exceeds the limit of 64");
  });
});

describe("the values of JSON", () => {
  it.each([
    ["1", 1],
    ["[1,2,3]", 3],
    ['{"a":1,"b":[2,3]}', 5],
    ['"a,b:c"', 1],
  ])("of %s are %d", (text, values) => {
    expect(jsonShape(bytes(text), { depth: 64 }).values).toBe(values);
  });

  it("are refused beyond the limit, and not at it", () => {
    const list = (length: number) => bytes(`[${Array(length).fill(0)}]`);
    checkJsonShape(list(100), { depth: 64, values: 100 }, "request");
    expect(() => checkJsonShape(list(5_000), { depth: 64, values: 100 }, "request")).toThrow(
      "request: 101 values of JSON exceeds the limit of 100",
    );
  });
});
