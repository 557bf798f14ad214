/** Graph laws on random definitions: orders, layers, paths, cycles, and growing a plan against compiling it anew. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Json } from "../../src/base/payload.ts";
import { addNodes, canonicalJson, compile, parseCanonical } from "../../src/core/dag/compile.ts";
import type { Definition, TaskDefinition } from "../../src/core/dag/definition.ts";
import {
  buildGraph,
  findCycles,
  IncrementalOrder,
  topologicalOrder,
} from "../../src/core/dag/graph.ts";
import { hotPath, laneDemand, layers, parallelGroups } from "../../src/core/dag/layers.ts";
import type { Plan, PlanNode } from "../../src/core/dag/plan.ts";
import { readDefinition } from "../../src/core/dag/validate.ts";

type Edge = readonly [from: number, to: number];

const SIZE_MAX = 14;
const edgesUpTo = (size: number, maxLength: number) =>
  fc.uniqueArray(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), {
    maxLength,
    selector: (edge) => edge.join(),
  });

/** Any graph, loops and cycles included, at most one edge per pair. */
const anyGraph = fc
  .integer({ min: 1, max: SIZE_MAX })
  .chain((size) => fc.record({ size: fc.constant(size), edges: edgesUpTo(size, 30) }));

/** The raw form of a valid definition without cycles, its tasks in random order. */
const acyclic = fc
  .integer({ min: 1, max: SIZE_MAX })
  .chain((size) =>
    fc.record({
      edges: edgesUpTo(size, 40),
      order: fc.shuffledSubarray([...Array(size).keys()], { minLength: size }),
      weights: fc.array(fc.integer({ min: 1, max: 50 }), { minLength: size, maxLength: size }),
      guards: fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: 2 }),
    }),
  )
  .map(({ edges, order, weights, guards }) => {
    const forward = edges.filter(([from, to]) => from < to);
    const fallbacks = fallbacksOf(guards, forward);
    return order.map((index) => ({
      id: `t${index}`,
      agent: "A",
      lane: index % 2 === 0 ? "even" : "odd",
      timeout: `${weights[index]}ms`,
      deps: forward.filter(([, to]) => to === index).map(([from]) => `t${from}`),
      ...(fallbacks.has(index) ? { on_error: { fallback: `t${fallbacks.get(index)}` } } : {}),
    }));
  });

/** Those guards that keep every wait pointing to a larger number. */
function fallbacksOf(guards: readonly Edge[], edges: readonly Edge[]): Map<number, number> {
  const chosen = new Map<number, number>();
  for (const [guarded, fallback] of guards) {
    const taken = [...chosen].flat();
    const earliest = Math.min(...edges.filter(([from]) => from === guarded).map(([, to]) => to));
    if (guarded >= fallback || fallback > earliest) continue;
    if (!taken.includes(guarded) && !taken.includes(fallback)) chosen.set(guarded, fallback);
  }
  return chosen;
}

function definitionOf(tasks: Json): Definition {
  const read = readDefinition({ name: "w", tasks });
  if ("violations" in read) throw new Error(JSON.stringify(read.violations));
  return read.definition;
}

const hashOf = (text: string) => `${text.length}:${text}`;

const compiled = (definition: Definition): Plan =>
  compile(definition, { hash: hashOf(canonicalJson(definition)) });

function isOrderOf(order: Iterable<number>, size: number, edges: readonly Edge[]): boolean {
  const place = new Map([...order].map((node, at) => [node, at]));
  const before = (from: number, to: number) =>
    (place.get(from) as number) < (place.get(to) as number);
  return place.size === size && edges.every(([from, to]) => before(from, to));
}

function rows(size: number, edges: readonly Edge[]): number[][] {
  const deps = Array.from({ length: size }, (): number[] => []);
  for (const [from, to] of edges) deps[to]?.push(from);
  return deps;
}

/** By matrix closure: whether any node reaches itself. */
function hasCycle(size: number, edges: readonly Edge[]): boolean {
  const reach = Array.from({ length: size }, () => new Array<boolean>(size).fill(false));
  for (const [from, to] of edges) (reach[from] as boolean[])[to] = true;
  for (let via = 0; via < size; via++) {
    for (const row of reach) {
      if (!row[via]) continue;
      for (let to = 0; to < size; to++) if (reach[via]?.[to]) row[to] = true;
    }
  }
  return reach.some((row, node) => row[node]);
}

describe("cycles", () => {
  test("are found exactly when they exist, and are cycles", () => {
    fc.assert(
      fc.property(anyGraph, ({ size, edges }) => {
        const graph = buildGraph(rows(size, edges));
        const cycles = findCycles(graph);
        expect(cycles.length > 0).toBe(hasCycle(size, edges));
        expect(topologicalOrder(graph).length === size).toBe(cycles.length === 0);
        const known = new Set(edges.map((edge) => edge.join()));
        for (const cycle of cycles) {
          expect(Math.min(...cycle)).toBe(cycle[0]);
          for (const [at, node] of cycle.entries()) {
            expect(known.has(`${node},${cycle[(at + 1) % cycle.length]}`)).toBe(true);
          }
        }
        const members = cycles.flat();
        expect(new Set(members).size).toBe(members.length);
      }),
    );
  });

  test("edge by edge, the order holds and exactly the closing edges are refused", () => {
    fc.assert(
      fc.property(anyGraph, ({ size, edges }) => {
        const order = new IncrementalOrder(
          new Uint32Array(0),
          size,
          () => [],
          () => [],
        );
        const accepted: Edge[] = [];
        for (const [from, to] of edges) {
          const cycle = order.add(from, to);
          expect(cycle !== undefined).toBe(hasCycle(size, [...accepted, [from, to]]));
          if (cycle === undefined) accepted.push([from, to]);
          else expect(cycle).toEqual(expect.arrayContaining([from, to]));
          expect(isOrderOf(order.order, size, accepted)).toBe(true);
        }
      }),
    );
  });

  test("a definition is refused exactly when its dependencies close one", () => {
    fc.assert(
      fc.property(anyGraph, ({ size, edges }) => {
        const deps = rows(size, edges);
        const tasks = deps.map((row, at) => ({
          id: `t${at}`,
          agent: "A",
          deps: row.map((dep) => `t${dep}`),
        }));
        expect("violations" in readDefinition({ name: "w", tasks })).toBe(hasCycle(size, edges));
      }),
    );
  });
});

describe("plans", () => {
  test("every task can start once its dependencies are done, in the plan's order", () => {
    fc.assert(
      fc.property(acyclic, (tasks) => {
        const plan = compiled(definitionOf(tasks));
        const done = new Set<number>();
        for (const index of plan.order) {
          const node = plan.nodes[index];
          expect(node?.deps.every((dep) => done.has(dep))).toBe(true);
          done.add(index);
        }
        expect(done.size).toBe(tasks.length);
        for (const node of plan.nodes) {
          for (const dep of node.deps) expect(plan.nodes[dep]?.dependents).toContain(node.index);
          for (const dependent of node.dependents)
            expect(plan.nodes[dependent]?.deps).toContain(node.index);
        }
      }),
    );
  });

  test("layers hold every task once, right after its latest dependency", () => {
    fc.assert(
      fc.property(acyclic, (tasks) => {
        const plan = compiled(definitionOf(tasks));
        const found = layers(plan);
        const layerOf = new Map(found.flatMap((layer, at) => layer.map((id) => [id, at] as const)));
        expect(found.flat().sort()).toEqual(tasks.map(({ id }) => id).sort());
        for (const { task, deps } of plan.nodes) {
          const latest = Math.max(
            -1,
            ...deps.map((dep) => layerOf.get(plan.nodes[dep]?.task.id ?? "") as number),
          );
          expect(layerOf.get(task.id)).toBe(latest + 1);
        }
        expect(parallelGroups(plan)).toEqual(found.filter(({ length }) => length > 1));
        for (const [lane, slots] of laneDemand(plan)) {
          const inLane = (id: string) =>
            plan.definition.tasks.some((task) => task.id === id && task.lane === lane);
          expect(slots).toBe(Math.max(...found.map((layer) => layer.filter(inLane).length)));
        }
      }),
    );
  });

  test("the hot path is a path, and no path is heavier", () => {
    fc.assert(
      fc.property(acyclic, (tasks) => {
        const plan = compiled(definitionOf(tasks));
        const { ids, totalMs } = hotPath(plan);
        const weight = (node: PlanNode | undefined) =>
          node?.guards === undefined ? (node?.task.timeoutMs ?? 0) : 0;
        const heaviest = (index: number): number => {
          const node = plan.nodes[index];
          return weight(node) + Math.max(0, ...(node?.dependents ?? []).map(heaviest));
        };
        const starts = plan.nodes.filter(({ deps }) => deps.length === 0);
        expect(totalMs).toBe(Math.max(...starts.map(({ index }) => heaviest(index))));
        const nodes = ids.map((id) => plan.nodes[plan.indexOf.get(id) as number]);
        expect(nodes.reduce((sum, node) => sum + weight(node), 0)).toBe(totalMs);
        for (const [at, node] of nodes.slice(1).entries()) {
          expect(node?.deps).toContain(nodes[at]?.index);
        }
      }),
    );
  });

  test("canonical text is one per definition and reads back", () => {
    fc.assert(
      fc.property(acyclic, fc.jsonValue({ maxDepth: 4 }), (tasks, value) => {
        const plain = JSON.parse(JSON.stringify(value).replaceAll("{{", "")) as Json;
        const read = readDefinition({ name: "w", tasks, output: plain });
        if ("violations" in read) return;
        const text = canonicalJson(read.definition);
        const again = parseCanonical(text);
        expect(again).toEqual(JSON.parse(JSON.stringify(read.definition)));
        expect(canonicalJson(again)).toBe(text);
        const shuffled = Object.fromEntries(Object.entries(read.definition).reverse());
        expect(canonicalJson(shuffled as unknown as Definition)).toBe(text);
      }),
    );
  });
});

/** A plan without its order (several are right) and with parts as text. */
function shapeOf({ order: _, nodes, indexOf, output: __, ...rest }: Plan) {
  return {
    ...rest,
    indexOf: [...indexOf],
    nodes: nodes.map(({ when, forEach, input, ...node }) => ({
      ...node,
      when: when?.source,
      forEach: forEach?.source,
      input: input?.names,
    })),
  };
}

describe("growing", () => {
  /** Some tasks are there from the beginning with some of their dependencies; the rest is added. */
  const growth = fc
    .tuple(acyclic, fc.array(fc.boolean(), { minLength: SIZE_MAX, maxLength: SIZE_MAX }), fc.nat())
    .map(([tasks, isOld, seed]) => ({ tasks, isOld, seed }));

  function splitOf({
    tasks,
    isOld,
    seed,
  }: {
    tasks: readonly Json[];
    isOld: readonly boolean[];
    seed: number;
  }) {
    const all = definitionOf([...tasks]).tasks;
    // A task and its fallback come together: `on_error` is no edge that could be added later.
    const fallbacks = new Set(
      all.flatMap(({ onError }) => (onError.kind === "fallback" ? [onError.taskId] : [])),
    );
    const stays = (task: TaskDefinition, at: number) =>
      isOld[at] === true || task.onError.kind === "fallback" || fallbacks.has(task.id);
    const old = all.filter(stays);
    const oldIds = new Set(old.map(({ id }) => id));
    const kept = (task: TaskDefinition) =>
      task.deps.filter((dep, at) => oldIds.has(dep) && (at + seed) % 3 !== 0);
    return {
      old: old.map((task) => ({ ...task, deps: kept(task) })),
      tasks: all.filter((task, at) => !stays(task, at)),
      edges: old.flatMap((task) =>
        task.deps.filter((dep) => !kept(task).includes(dep)).map((from) => ({ from, to: task.id })),
      ),
    };
  }

  test("equals compiling the grown definition", () => {
    fc.assert(
      fc.property(growth, (sample) => {
        const { old, tasks, edges } = splitOf(sample);
        fc.pre(old.length > 0);
        const definition = definitionOf([{ id: "t0", agent: "A" }]);
        const plan = compiled({ ...definition, tasks: old });
        const before = shapeOf(plan);
        const grown = addNodes(plan, { tasks, edges }, { hashOf });
        if ("violations" in grown) throw new Error(JSON.stringify(grown.violations));
        expect(shapeOf(grown)).toEqual(shapeOf(compiled(grown.definition)));
        const waits = grown.nodes.flatMap(({ index, deps }) =>
          deps.map((dep): Edge => [dep, index]),
        );
        expect(isOrderOf(grown.order, grown.nodes.length, waits)).toBe(true);
        expect(shapeOf(plan)).toEqual(before);
      }),
    );
  });

  test("is refused exactly when validating the grown definition is", () => {
    const added = fc.array(fc.tuple(fc.nat(SIZE_MAX), fc.nat(SIZE_MAX)), { maxLength: 6 });
    fc.assert(
      fc.property(acyclic, added, (tasks, extra) => {
        const plan = compiled(definitionOf(tasks));
        const edges = extra.map(([from, to]) => ({ from: `t${from}`, to: `t${to}` }));
        const grown = addNodes(plan, { edges }, { hashOf });
        const raw = tasks.map((task) => ({
          ...task,
          deps: [...task.deps, ...edges.filter(({ to }) => to === task.id).map(({ from }) => from)],
        }));
        const lost = edges.some(({ to }) => !tasks.some(({ id }) => id === to));
        const scratch = readDefinition({ name: "w", tasks: raw });
        expect("violations" in grown).toBe(lost || "violations" in scratch);
        if ("violations" in grown || "violations" in scratch) return;
        expect(shapeOf(grown)).toEqual(shapeOf(compiled(scratch.definition)));
      }),
    );
  });
});
