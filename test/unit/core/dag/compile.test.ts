/** Plans: edges by index, weights, canonical text, and growing one. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { BugError } from "../../../../src/base/assert.ts";
import type { Json } from "../../../../src/base/payload.ts";
import {
  type Addition,
  addNodes,
  canonicalJson,
  compile,
  parseCanonical,
} from "../../../../src/core/dag/compile.ts";
import { DEFINITION_LIMITS, type Definition } from "../../../../src/core/dag/definition.ts";
import type { Plan, PlanNode } from "../../../../src/core/dag/plan.ts";
import { readDefinition } from "../../../../src/core/dag/validate.ts";

const hashOf = (text: string) => createHash("sha256").update(text).digest("hex");

function definitionOf(tasks: Json, rest: { readonly [key: string]: Json } = {}): Definition {
  const read = readDefinition({ name: "w", ...rest, tasks });
  if ("violations" in read) throw new Error(JSON.stringify(read.violations));
  return read.definition;
}

function planOf(tasks: Json, rest: { readonly [key: string]: Json } = {}): Plan {
  const definition = definitionOf(tasks, rest);
  return compile(definition, { hash: hashOf(canonicalJson(definition)) });
}

const task = (id: string, deps: string[] = [], rest: { readonly [key: string]: Json } = {}) => ({
  id,
  agent: "A",
  deps,
  ...rest,
});

const nodeOf = (plan: Plan, id: string) => plan.nodes[plan.indexOf.get(id) as number] as PlanNode;

describe("compile", () => {
  test("dependencies keep their order, dependents ascend", () => {
    const plan = planOf([
      task("z"),
      task("b", ["z"]),
      task("a", ["z"]),
      task("end", ["a", "z", "b"]),
    ]);
    expect(nodeOf(plan, "end").deps).toEqual([2, 0, 1]);
    expect(nodeOf(plan, "z").dependents).toEqual([1, 2, 3]);
    expect([...plan.order]).toEqual([0, 1, 2, 3]);
    expect(plan.sinks).toEqual([3]);
  });

  test("a fallback waits for the task it guards and is no sink", () => {
    const plan = planOf([
      task("f", ["x"]),
      task("x"),
      task("a", [], { on_error: { fallback: "f" } }),
      task("b", ["a"]),
    ]);
    const [f, x, a, b] = plan.nodes;
    expect(f).toMatchObject({ deps: [1, 2], guards: 2 });
    expect(a).toMatchObject({ dependents: [0, 3], fallback: 0 });
    expect(a).not.toHaveProperty("guards");
    expect(x).not.toHaveProperty("fallback");
    expect(b?.deps).toEqual([2]);
    expect(plan.sinks).toEqual([3]);
    // b comes after f, because it waits for f when a fails.
    expect(plan.order.indexOf(3)).toBeGreaterThan(plan.order.indexOf(0));
  });

  test("a fallback that names its task as a dependency has one edge to it", () => {
    const plan = planOf([task("a", [], { on_error: "fallback: f" }), task("f", ["a"])]);
    expect(plan.nodes[1]).toMatchObject({ deps: [0], guards: 0 });
    expect(plan.nodes[0]?.dependents).toEqual([1]);
    expect(plan.sinks).toEqual([0]);
  });

  test("weights: expected duration, else timeout, else one", () => {
    const definition = definitionOf([
      { id: "a", agent: "Known", timeout: "10s" },
      { id: "b", agent: "Other", deps: ["a"], timeout: "2s" },
      { id: "c", agent: "Other", deps: ["a"] },
    ]);
    const expectedMs = (agent: string) => (agent === "Known" ? 300 : undefined);
    const weights = (plan: Plan) => plan.nodes.map(({ remainingMs }) => remainingMs);
    expect(weights(compile(definition, { hash: "h" }))).toEqual([12_000, 2_000, 1]);
    expect(weights(compile(definition, { hash: "h", expectedMs }))).toEqual([2_300, 2_000, 1]);
  });

  test("a fallback weighs nothing", () => {
    const plan = planOf([
      task("a", [], { timeout: "1s", on_error: { fallback: "f" } }),
      task("f", [], { timeout: "50s" }),
      task("b", ["a"], { timeout: "3s" }),
    ]);
    expect(plan.nodes.map(({ remainingMs }) => remainingMs)).toEqual([4_000, 0, 3_000]);
  });

  test("templates and conditions come compiled", () => {
    const plan = planOf(
      [task("a", [], { when: "input.x > 1", for_each: "input.list", input: { x: "{{ item }}" } })],
      { output: "{{ a }}" },
    );
    const [node] = plan.nodes;
    const scope = (name: string): Json | undefined =>
      ({ input: { x: 2, list: [7] }, item: 7, a: "out" })[name];
    expect(node?.when?.evaluate(scope)).toEqual({ value: true });
    expect(node?.forEach?.evaluate(scope)).toEqual({ value: [7] });
    expect(node?.input?.render(scope)).toEqual({ value: { x: 7 } });
    expect(plan.output?.render(scope)).toEqual({ value: "out" });
  });

  test("what was not validated is a bug", () => {
    const definition = definitionOf([task("a"), task("b", ["a"])]);
    const broken = (change: object): Definition => ({
      ...definition,
      tasks: definition.tasks.map((each) => (each.id === "a" ? { ...each, ...change } : each)),
    });
    for (const change of [{ deps: ["b"] }, { deps: ["x"] }, { when: "a b" }, { input: "{{" }]) {
      expect(() => compile(broken(change), { hash: "h" })).toThrow(BugError);
    }
  });
});

describe("canonical text", () => {
  test("does not depend on how the author ordered or spelled fields", () => {
    const a = definitionOf([
      { id: "a", agent: "A", for_each: "input", retry: { jitter: 0, backoff: "1s" } },
    ]);
    const b = definitionOf([
      { retry: { backoff: "1s", jitter: 0 }, forEach: "input", agent: "A", id: "a" },
    ]);
    expect(canonicalJson(b)).toBe(canonicalJson(a));
    expect(Object.keys(JSON.parse(canonicalJson(a)) as object)).toEqual([
      "failFast",
      "name",
      "tasks",
      "version",
    ]);
  });

  test("keeps the order inside input and output, which shows in payloads", () => {
    const definition = definitionOf([task("a", [], { input: { z: 1, a: { y: 2, b: 3 } } })], {
      output: { z: 1, a: 2 },
    });
    const text = canonicalJson(definition);
    expect(text).toContain('"input":{"z":1,"a":{"y":2,"b":3}}');
    expect(text).toContain('"output":{"z":1,"a":2}');
    expect(canonicalJson(parseCanonical(text))).toBe(text);
    expect(parseCanonical(text)).toEqual(definition);
  });
});

describe("growing a plan", () => {
  const base = () =>
    planOf([
      task("a"),
      task("b", ["a"], { on_error: { fallback: "f" }, when: "a.ok" }),
      task("c", ["b"]),
      task("f"),
    ]);
  const fresh = (...tasks: Json[]) => {
    const placeholders = ["a", "b", "c", "f"].map((id) => task(id));
    return definitionOf([...placeholders, ...tasks]).tasks.slice(4);
  };

  function grown(plan: Plan, addition: Addition): Plan {
    const result = addNodes(plan, addition, { hashOf });
    if ("violations" in result) throw new Error(JSON.stringify(result.violations));
    return result;
  }

  const refused = (addition: Addition) => {
    const result = addNodes(base(), addition, { hashOf });
    return "violations" in result ? result.violations.map((v) => `${v.field}: ${v.message}`) : [];
  };

  test("adds tasks before, after and beside old ones", () => {
    const plan = base();
    const result = grown(plan, {
      tasks: fresh(task("x", ["c"]), task("y"), task("z", ["x", "y"])),
      edges: [{ from: "y", to: "a" }],
    });
    expect(nodeOf(result, "a").deps).toEqual([5]);
    expect(nodeOf(result, "y").dependents).toEqual([0, 6]);
    expect(result.sinks).toEqual([6]);
    expect(result.hash).toBe(hashOf(canonicalJson(result.definition)));
    expect(plan.nodes[0]?.deps, "the old plan is as it was").toEqual([]);
  });

  test("nodes that did not change are the same objects", () => {
    const plan = base();
    const result = grown(plan, { tasks: fresh(task("x", ["a"])) });
    const kept = plan.nodes.map((node, index) => node === result.nodes[index]);
    expect(kept).toEqual([false, true, true, true]);
    expect(nodeOf(result, "a").dependents).toEqual([1, 4]);
  });

  test.each<[string, Addition, string]>([
    [
      "a taken id",
      { tasks: fresh(task("x")).map((t) => ({ ...t, id: "a" })) },
      'tasks[0].id: the id "a" is already taken by tasks[0]',
    ],
    [
      "an unknown dependency",
      { tasks: fresh(task("x")).map((t) => ({ ...t, deps: ["bb"] })) },
      'tasks[0].deps[0]: no task is called "bb"',
    ],
    [
      "an edge to nowhere",
      { edges: [{ from: "a", to: "q" }] },
      'edges[0].to: no task is called "q"',
    ],
    [
      "an edge from nowhere",
      { edges: [{ from: "q", to: "a" }] },
      'plan.tasks[0].deps[0]: no task is called "q"',
    ],
    [
      "an edge that is there",
      { edges: [{ from: "a", to: "b" }] },
      'plan.tasks[1].deps[1]: "a" is named twice',
    ],
    [
      "an edge to itself",
      { edges: [{ from: "a", to: "a" }] },
      'plan.tasks[0].deps[0]: "a" depends on itself',
    ],
    [
      "a cycle",
      { edges: [{ from: "c", to: "a" }] },
      "plan.tasks[0].deps[0]: tasks wait for each other: a → b → c → a",
    ],
    [
      "a cycle through new tasks",
      { tasks: fresh(task("x", ["c"])), edges: [{ from: "x", to: "a" }] },
      "plan.tasks[0].deps[0]: tasks wait for each other: a → b → c → x → a",
    ],
    [
      "a cycle through a fallback",
      { edges: [{ from: "c", to: "f" }] },
      "plan.tasks[1].on_error: tasks wait for each other: c → f → c",
    ],
    [
      "a second guard",
      {
        tasks: fresh(task("x")).map((t) => ({
          ...t,
          onError: { kind: "fallback" as const, taskId: "f" },
        })),
      },
      'tasks[0].on_error: "f" is already the fallback of "b"',
    ],
    [
      "a name that is no ancestor",
      { tasks: fresh(task("x")).map((t) => ({ ...t, when: "c.ok" })) },
      'tasks[0].when: "c" is not an ancestor of "x", so its output may not be there',
    ],
    [
      "a bad template",
      { tasks: fresh(task("x")).map((t) => ({ ...t, input: ["{{ "] })) },
      'tasks[0].input[0]: "{{ " is not closed with "}}"',
    ],
  ])("refuses %s", (_, addition, message) => {
    expect(refused(addition)).toEqual([message]);
  });

  test("refuses more tasks than a run may have", () => {
    const [one] = fresh(task("x"));
    const many = Array.from({ length: DEFINITION_LIMITS.tasks }, (_, at) => ({
      ...(one as Definition["tasks"][number]),
      id: `n${at}`,
    }));
    const { tasks } = DEFINITION_LIMITS;
    expect(refused({ tasks: many })).toEqual([
      `tasks: ${tasks + 4} tasks exceed the limit of ${tasks}`,
    ]);
  });
});
