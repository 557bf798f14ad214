/** Graphs over indexes: rows, orders, cycles, and what a stranger's size does to them. */
import { describe, expect, test } from "vitest";
import {
  buildGraph,
  dependentsOf,
  depsOf,
  findCycles,
  IncrementalOrder,
  topologicalOrder,
} from "../../../../src/core/dag/graph.ts";

describe("rows", () => {
  const graph = buildGraph([[], [0], [1, 0], []]);

  test("keep dependencies in order and dependents ascending", () => {
    expect([0, 1, 2, 3].map((node) => [...depsOf(graph, node)])).toEqual([[], [0], [1, 0], []]);
    expect([0, 1, 2, 3].map((node) => [...dependentsOf(graph, node)])).toEqual([
      [1, 2],
      [2],
      [],
      [],
    ]);
  });

  test("of an empty graph", () => {
    const empty = buildGraph([]);
    expect([empty.size, topologicalOrder(empty).length, findCycles(empty)]).toEqual([0, 0, []]);
  });
});

describe("topological order", () => {
  test("goes breadth first, smaller indexes first", () => {
    expect([...topologicalOrder(buildGraph([[3], [], [1], [1], [0, 2]]))]).toEqual([1, 2, 3, 0, 4]);
  });

  test("leaves out cycles and what is behind them", () => {
    expect([...topologicalOrder(buildGraph([[1], [0], [1], []]))]).toEqual([3]);
  });
});

describe("cycles", () => {
  test.each<[string, number[][], number[][]]>([
    ["none in a diamond", [[], [0], [0], [1, 2]], []],
    ["of one node", [[0]], [[0]]],
    ["of two", [[1], [0]], [[0, 1]]],
    ["along the edges, from the smallest index", [[1], [2], [0]], [[0, 2, 1]]],
    [
      "independent ones, each once",
      [[1], [0], [3], [2, 0]],
      [
        [0, 1],
        [2, 3],
      ],
    ],
    ["one of two that share a node", [[1, 2], [0], [0]], [[0, 1]]],
    ["behind other tasks", [[], [0, 3], [1], [2]], [[1, 2, 3]]],
  ])("%s", (_, deps, cycles) => {
    expect(findCycles(buildGraph(deps))).toEqual(cycles);
  });

  test("a million nodes in one chain do not exhaust the stack", () => {
    const size = 1_000_000;
    const chain = Array.from({ length: size }, (_, at) => (at === 0 ? [] : [at - 1]));
    expect(findCycles(buildGraph(chain))).toEqual([]);
    (chain[0] as number[]).push(size - 1);
    expect(findCycles(buildGraph(chain))[0]).toHaveLength(size);
  });
});

describe("incremental order", () => {
  const empty = (size: number) =>
    new IncrementalOrder(
      new Uint32Array(0),
      size,
      () => [],
      () => [],
    );

  test("moves only what an edge against it forces", () => {
    const order = empty(5);
    expect(order.add(3, 1)).toBeUndefined();
    expect([...order.order]).toEqual([0, 3, 2, 1, 4]);
    expect(order.add(4, 3)).toBeUndefined();
    expect([...order.order]).toEqual([0, 4, 2, 3, 1]);
  });

  test("names the cycle an edge would close and stays as it was", () => {
    const order = empty(4);
    order.add(2, 0);
    order.add(0, 3);
    const before = [...order.order];
    expect(order.add(3, 2)).toEqual([0, 3, 2]);
    expect(order.add(1, 1)).toEqual([1]);
    expect([...order.order]).toEqual(before);
    expect(order.add(3, 1)).toBeUndefined();
  });
});
