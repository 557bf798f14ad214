/** Views of a plan for people. */
import { describe, expect, test } from "vitest";
import type { Json } from "../../../../src/base/payload.ts";
import { compile } from "../../../../src/core/dag/compile.ts";
import { hotPath, laneDemand, layers, parallelGroups } from "../../../../src/core/dag/layers.ts";
import { readDefinition } from "../../../../src/core/dag/validate.ts";

function planOf(...tasks: Json[]) {
  const read = readDefinition({ name: "w", tasks });
  if ("violations" in read) throw new Error(JSON.stringify(read.violations));
  return compile(read.definition, { hash: "h" });
}

const task = (id: string, deps: string[], rest: { readonly [key: string]: Json } = {}) => ({
  id,
  agent: "A",
  deps,
  ...rest,
});

/** A(1 s) → B(9 s) and C(9 s) → D(1 s), which take 10 s and not 18. */
const TWO_CHAINS = [
  task("a", [], { timeout: "1s", lane: "io" }),
  task("b", ["a"], { timeout: "9s", lane: "cpu" }),
  task("c", [], { timeout: "9s", lane: "cpu" }),
  task("d", ["c"], { timeout: "1s", lane: "cpu", cost: 3 }),
];

describe("layers", () => {
  test("are sets without dependencies inside", () => {
    expect(layers(planOf(...TWO_CHAINS))).toEqual([
      ["a", "c"],
      ["b", "d"],
    ]);
  });

  test("hold a task as early as its dependencies allow, in the definition's order", () => {
    const plan = planOf(
      task("end", ["long", "a"]),
      task("long", ["mid"]),
      task("mid", ["a"]),
      task("a", []),
      task("b", []),
    );
    expect(layers(plan)).toEqual([["a", "b"], ["mid"], ["long"], ["end"]]);
    expect(parallelGroups(plan)).toEqual([["a", "b"]]);
  });

  test("put a fallback after the task it guards", () => {
    const plan = planOf(task("f", []), task("a", [], { on_error: { fallback: "f" } }));
    expect(layers(plan)).toEqual([["a"], ["f"]]);
    expect(parallelGroups(plan)).toEqual([]);
  });
});

describe("hot path", () => {
  test("is the heaviest chain, not the heaviest layers", () => {
    expect(hotPath(planOf(...TWO_CHAINS))).toEqual({ ids: ["a", "b"], totalMs: 10_000 });
  });

  test("counts tasks where nothing is known", () => {
    const plan = planOf(task("a", []), task("b", ["a"]), task("c", ["b"]), task("x", []));
    expect(hotPath(plan)).toEqual({ ids: ["a", "b", "c"], totalMs: 3 });
  });

  test("expects no fallback to run", () => {
    const plan = planOf(
      task("a", [], { on_error: { fallback: "f" } }),
      task("f", [], { timeout: "1h" }),
      task("b", ["a"]),
    );
    expect(hotPath(plan)).toEqual({ ids: ["a", "b"], totalMs: 2 });
    const waitedFor = planOf(
      task("a", [], { on_error: { fallback: "f" } }),
      task("f", [], { timeout: "1h" }),
      task("b", ["f"], { timeout: "5s" }),
    );
    expect(hotPath(waitedFor)).toEqual({ ids: ["a", "f", "b"], totalMs: 5_001 });
  });
});

test("lane demand is the most slots of one layer, by lane name", () => {
  expect([...laneDemand(planOf(...TWO_CHAINS))]).toEqual([
    ["cpu", 4],
    ["io", 1],
  ]);
});
