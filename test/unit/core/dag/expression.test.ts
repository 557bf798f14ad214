/** Conditions and lists: what they may say, what they answer, and what stops them. */
import { describe, expect, test } from "vitest";
import type { Json } from "../../../../src/base/payload.ts";
import { compileExpression, type Expression } from "../../../../src/core/dag/expression.ts";

const DATA: { readonly [name: string]: Json } = {
  input: {
    n: 3,
    price: 2.5,
    text: "müller",
    flag: true,
    nothing: null,
    items: [1, 2, 3],
    files: [
      { path: "a.ts", size: 3 },
      { path: "b.ts", size: 9 },
    ],
    deep: { list: [[1], [2, 3]] },
    constructor: "own",
  },
  classify: { category: "billing", score: 4 },
  "a-b": { x: 1 },
  "a.b": { x: 2 },
  a: { b: { x: 9 } },
  list: { x: 5 },
  run: { id: "r1" },
  many: Array.from({ length: 10_000 }, (_, at) => ({ at, name: `file ${at}` })),
};

const scope = (name: string) => (Object.hasOwn(DATA, name) ? DATA[name] : undefined);

function compiled(source: string): Expression {
  const expression = compileExpression(source);
  if ("problem" in expression) throw new Error(`${source}: ${expression.problem}`);
  return expression;
}

function refusal(source: string): string {
  const expression = compileExpression(source);
  return "problem" in expression ? expression.problem : "accepted";
}

describe("values", () => {
  test.each<[string, Json]>([
    // JSON numbers against literals with and without a point.
    ["classify.score > 3", true],
    ["classify.score >= 4.0", true],
    ["size(input.items) == 3", true],
    ["input.n + 1", 4],
    ["1 - input.n", -2],
    ["input.price * 2", 5],
    ["input.n / 2", 1.5],
    ["7 / 2", 3],
    ["input.n % 2", 1],
    ["10 % input.n == 1", true],
    ["input.n in [1, 2, 3]", true],
    ["input.items[0]", 1],
    ["input.items[input.n - 1]", 3],
    ["{1: 'one', 3: 'three'}[input.n]", "three"],
    ["string(input.n)", "3"],
    ["int('42') + input.n", 45],
    ["type(input.n) == double", true],
    // Text, presence, null.
    ['classify.category == "billing"', true],
    ['input.text.startsWith("mü") && input.text.contains("ll") && input.text.endsWith("er")', true],
    ["size(input.text)", 6],
    ["has(input.n)", true],
    ["has(input.missing)", false],
    ["has(input.nothing)", false],
    ["input.nothing == null", true],
    ['"nothing" in input', true],
    ['"missing" in input', false],
    ["input.constructor", "own"],
    // Logic, and errors that do not matter to it.
    ["true || input.missing.x", true],
    ["input.missing.x && false", false],
    ["input.flag ? 'yes' : 'no'", "yes"],
    // Lists and maps.
    ["input.items + [4]", [1, 2, 3, 4]],
    ["input.items == [1, 2, 3]", true],
    ["input.deep == {'list': [[1], [2, 3]]}", true],
    ["input.deep == {'list': [[1], [2, 4]]}", false],
    ["input.files.filter(f, f.size > 5).map(f, f.path)", ["b.ts"]],
    ["input.files.map(f, f.size > 5, f.path)", ["b.ts"]],
    [
      "input.files.map(f, [1, 2].map(k, k * f.size))",
      [
        [3, 6],
        [9, 18],
      ],
    ],
    ["input.items.all(i, i > 0) && input.items.exists(i, i == 2)", true],
    ["input.items.exists_one(i, i > 2)", true],
    ["[1, 2].map(input, input * 2)", [2, 4]],
    ["{'a': [input.n, null], 'b': {'c': true}}", { a: [3, null], b: { c: true } }],
    ["input", DATA.input as Json],
    // Time is compared, never read.
    ['duration("90m") > duration("1h")', true],
    ['timestamp("2024-01-01T00:00:00Z") < timestamp("2025-01-01T00:00:00Z")', true],
  ])("%s is %j", (source, value) => {
    expect(compiled(source).evaluate(scope)).toEqual({ value });
  });

  test("a list may be as long as a run has tasks", () => {
    const names = compiled("many.filter(m, m.at % 2 == 0).map(m, m.name)").evaluate(scope);
    expect(names).toEqual({ value: Array.from({ length: 5_000 }, (_, at) => `file ${at * 2}`) });
  });

  test("`__proto__` in data stays an own key", () => {
    const tricky = JSON.parse('{"__proto__": {"admin": true}}') as Json;
    const result = compiled("input").evaluate(() => tricky);
    expect(JSON.stringify(result)).toBe('{"value":{"__proto__":{"admin":true}}}');
    expect(compiled("has(input.admin)").evaluate(() => tricky)).toEqual({ value: false });
    expect(compiled("has(input.toString)").evaluate(() => ({}))).toEqual({ value: false });
  });

  test("data may nest deeper than the stack", () => {
    const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) as Json;
    expect(compiled("size(input)").evaluate(() => deep)).toEqual({ value: 1 });
    expect(compiled("input == input").evaluate(() => deep)).toEqual({ value: true });
  });
});

describe("names", () => {
  test.each<[string, string[]]>([
    ["1 + 1", []],
    ["classify.score > input.n", ["classify", "input"]],
    ["tasks.classify.score", ["classify"]],
    ['tasks["a-b"].x + tasks["a.b"].x', ["a-b", "a.b"]],
    ["input.items.map(i, i + classify.score)", ["classify", "input"]],
    ["input.items.map(x, input.items.map(y, x + y))", ["input"]],
    ["input.items.exists(tasks, tasks > 1)", ["input"]],
    ["[1].map(x, x) == [x]", ["x"]],
    ["tasks.list.x + tasks.list.x", ["list"]],
    ["type(input) == map", ["input"]],
  ])("%s reads %j", (source, names) => {
    expect([...compiled(source).names].sort()).toEqual(names);
  });

  test("an id with a dot is not a field of another task", () => {
    expect(compiled('tasks["a.b"].x').evaluate(scope)).toEqual({ value: 2 });
    expect(compiled('a.b.x + tasks["a.b"].x').evaluate(scope)).toEqual({ value: 11 });
    expect(compiled('tasks["a"].b.x + tasks["a.b"].x').evaluate(scope)).toEqual({ value: 11 });
  });

  test("each name is asked for once, even if it is not needed", () => {
    const asked: string[] = [];
    compiled("input.n > 1 || classify.score > input.n").evaluate((name) => {
      asked.push(name);
      return scope(name);
    });
    expect(asked.sort()).toEqual(["classify", "input"]);
  });

  test("an unknown name is a problem naming it", () => {
    expect(compiled("nope.x == 1").evaluate(scope)).toEqual({
      problem: '"nope" is not known here',
    });
  });
});

describe("refused when compiled", () => {
  test.each([
    ["", "empty"],
    ["  ", "empty"],
    ["input.x ==", 'unexpected "="'],
    ["a b", 'unexpected "b" at character 3'],
    ["a &&\n b c", 'unexpected "c" at line 2, character 4'],
    ["[1, 2", "ends too early"],
    ['"text', 'unexpected """'],
    ['input.text.matches("a+")', "matches() is not offered"],
    ['input.text.contans("a")', "did you mean contains()?"],
    ["now()", "no function now()"],
    ["input.getFullYear()", "no function getFullYear()"],
    ["input.items.map(1, 2)", "map() cannot be used like this"],
    ["has(input)", "has() cannot be used like this"],
    ["Person{name: 'x'}", 'no type "Person"'],
    ["list.x", "tasks.list"],
    ["string['x']", "tasks.string"],
    ["tasks", '"tasks" must be followed'],
    ["tasks[input.text]", '"tasks" must be followed'],
    ["size(tasks)", '"tasks" must be followed'],
    ["has(tasks.x)", '"tasks" must be followed'],
    ["in", "reserved"],
  ])("%j: %s", (source, problem) => {
    expect(refusal(source)).toContain(problem);
  });

  test("what is too long or nests too deeply for the parser", () => {
    expect(refusal(`"${"x".repeat(4_096)}"`)).toContain("4098 characters");
    expect(refusal(`${"(".repeat(65)}1${")".repeat(65)}`)).toContain("deeper than 64");
    expect(refusal(`${"true ? 1 : ".repeat(65)}2`)).toContain("deeper than 64");
    expect(refusal(Array(300).fill("1").join(" + "))).toContain("deeper than 250");
    expect(refusal(`${"(".repeat(64)}1${")".repeat(64)}`)).toBe("accepted");
    expect(refusal(Array(200).fill("1").join(" + "))).toBe("accepted");
  });
});

describe("problems when evaluated", () => {
  test.each([
    ["input.missing", "missing"],
    ["input.n.x", "x"],
    ["input.items[3]", "index 3 is outside the list"],
    ["input.items[-1]", "outside the list"],
    ["input.text + 1", "no matching overload"],
    ["input.text > 1", "no matching overload"],
    ["1 / 0", "divide by zero"],
    ["input.n % 0", "modulus by zero"],
    ["input.n / 0", "Infinity is not a number"],
    ["9007199254740993", "too large for an exact number"],
    ["9223372036854775807 + 1", "overflow"],
    ["{1: 2}", "map key that is not text"],
    ["type(1)", "JSON does not have"],
    ['b"bytes"', "JSON does not have"],
    ['timestamp("2024-01-01T00:00:00Z")', "JSON does not have"],
    ["int('x')", ""],
    ["input.flag && 1", "expected bool"],
  ])("%s: %s", (source, problem) => {
    const result = compiled(source).evaluate(scope);
    expect("problem" in result ? result.problem : "a value").toContain(problem);
    expect(result).not.toHaveProperty("value");
  });
});

describe("work is bounded", () => {
  const problem = "the evaluation takes more than 250000 steps";

  test.each([
    "many.map(x, many.exists(y, y.at == -1))",
    "many.all(x, many.all(y, many.all(z, true)))",
    "many.all(x, many == many)",
    "many.all(x, x in many)",
    "many.map(x, many + many)",
  ])("%s", (source) => {
    expect(compiled(source).evaluate(scope)).toEqual({ problem });
  });

  test("an exhausted part is a problem even where CEL would forgive an error", () => {
    expect(compiled("many.all(x, many == many) || true").evaluate(scope)).toEqual({ problem });
  });

  test("text counts by its length", () => {
    const text = "x".repeat(2_000_000);
    const source = "[1, 2, 3].map(i, size(input)) == []";
    expect(compiled(source).evaluate(() => text)).toEqual({ problem });
    expect(compiled("size(input)").evaluate(() => text)).toEqual({ value: 2_000_000 });
  });

  test("an exhausted evaluation leaves nothing behind for the next", () => {
    compiled("many.all(x, many == many)").evaluate(scope);
    expect(compiled("many.all(x, x.at >= 0)").evaluate(scope)).toEqual({ value: true });
  });
});
