/** Templates: what a path means, what text becomes, where filling stops. */
import { describe, expect, test } from "vitest";
import type { Json } from "../../../../src/base/payload.ts";
import { DEFINITION_LIMITS } from "../../../../src/core/dag/definition.ts";
import { compileTemplate, type Template } from "../../../../src/core/dag/template.ts";

const DATA: { readonly [name: string]: Json } = {
  input: { x: 1, text: "hi", list: [1, { y: [true, null] }], nothing: null, "a key": "spaced" },
  fetch: { pages: [{ url: "u0" }, { url: "u1" }] },
  "fetch-1": "dashed",
  "a.b": { c: "dotted" },
  a: { b: { c: "nested" } },
  "7": "seven",
  item: "the item",
  run: { id: "r1" },
};

const scope = (name: string) => (Object.hasOwn(DATA, name) ? DATA[name] : undefined);

function compiled(mapping: Json): Template {
  const { template, problems } = compileTemplate(mapping);
  if (template === undefined) throw new Error(JSON.stringify(problems));
  return template;
}

const problems = (mapping: Json) => compileTemplate(mapping).problems;

describe("filling", () => {
  test.each<[string, Json]>([
    ["{{ input.x }}", 1],
    ["{{input.x}}", 1],
    ["{{ input }}", DATA.input as Json],
    ["{{ input.nothing }}", null],
    ["{{ input.list[1].y[0] }}", true],
    ['{{ input["a key"] }}', "spaced"],
    ["{{ input['a key'] }}", "spaced"],
    ["{{ fetch.pages[1].url }}", "u1"],
    ["{{ fetch-1 }}", "dashed"],
    ["{{ tasks.fetch-1 }}", "dashed"],
    ['{{ tasks["a.b"].c }}', "dotted"],
    ["{{ a.b.c }}", "nested"],
    ["{{ 7 }}", "seven"],
    ["{{ item }}", "the item"],
    // Inside text everything is printed.
    ["n={{ input.x }}", "n=1"],
    ["{{ input.text }}, {{ run.id }}!", "hi, r1!"],
    ["{{ input.x }}{{ input.x }}", "11"],
    [" {{ input.x }}", " 1"],
    ["{{ input.list }}?", '[1,{"y":[true,null]}]?'],
    ["{{ input.nothing }} {{ input.list[1].y[0] }}", "null true"],
    // Literal braces.
    ['{{ "{{" }} input.x }}', "{{ input.x }}"],
    ["{{ '{{' }}", "{{"],
    ['{{ "" }}', ""],
    ["}} { x }", "}} { x }"],
    ['{{ "}}" }}', "}}"],
  ])("%j becomes %j", (text, value) => {
    expect(compiled(text).render(scope)).toEqual({ value });
  });

  test("a mapping keeps its shape; keys are literal", () => {
    const mapping = {
      "{{ input.x }}": "{{ input.x }}",
      list: ["{{ item }}", 2, null, { deep: "see {{ run.id }}" }],
      constant: { a: [1, "b"] },
      empty: {},
      none: [],
    };
    expect(compiled(mapping).render(scope)).toEqual({
      value: {
        "{{ input.x }}": 1,
        list: ["the item", 2, null, { deep: "see r1" }],
        constant: { a: [1, "b"] },
        empty: {},
        none: [],
      },
    });
  });

  test("results are not templates again", () => {
    const value = "{{ input.secret }}";
    expect(compiled("{{ input }}").render(() => value)).toEqual({ value });
    expect(compiled("> {{ input }}").render(() => value)).toEqual({ value: `> ${value}` });
  });

  test("a mapping without templates is passed on as it is", () => {
    const mapping = { a: [1, { b: "text" }], c: null };
    const filled = compiled(mapping).render(scope);
    expect("value" in filled && filled.value).toBe(mapping);
  });

  test("names are those of tasks and roots, each once", () => {
    const mapping = [
      "{{ a.b }} {{ input.x }}",
      { k: '{{ tasks["a.b"] }}' },
      "{{ input.y }}",
      '{{ "x" }}',
    ];
    expect(compiled(mapping).names).toEqual(["a", "input", "a.b"]);
    expect(compileTemplate(mapping).uses).toEqual([
      { name: "a", path: [0] },
      { name: "input", path: [0] },
      { name: "a.b", path: [1, "k"] },
    ]);
  });
});

describe("paths that lead nowhere", () => {
  test.each([
    ["{{ nope.x }}", '{{ nope.x }}: "nope" is not known here'],
    ["{{ input.y }}", '{{ input.y }}: the object has no field "y"'],
    ["{{ input.list[9] }}", "{{ input.list[9] }}: a list of 2 has no item [9]"],
    ["{{ input.list.length }}", 'a list of 2 has no field "length"'],
    ["{{ input.text.length }}", 'a string has no field "length"'],
    ["{{ input.text[0] }}", "a string has no item [0]"],
    ["{{ input[0] }}", "the object has no item [0]"],
    ["{{ input.nothing.x }}", 'null has no field "x"'],
    ["{{ input.toString }}", 'has no field "toString"'],
    ["{{ input.__proto__ }}", 'has no field "__proto__"'],
    ["{{ input.constructor.name }}", 'has no field "constructor"'],
  ])("%s: %s", (text, problem) => {
    const filled = compiled(text).render(scope);
    expect("problem" in filled && filled.problem).toContain(problem);
  });
});

describe("refused when compiled", () => {
  test.each([
    ["{{ input.x", "is not closed"],
    ["a {{ b {{ c }}", "is not a path"],
    ["{{ }}", "names nothing"],
    ["{{ input..x }}", 'unexpected "." at 6'],
    ["{{ .x }}", 'unexpected "." at 1'],
    ["{{ input. }}", 'unexpected "." at 6'],
    ["{{ input.x + 1 }}", 'unexpected " " at 8'],
    ["{{ input.x() }}", 'unexpected "(" at 8'],
    ["{{ input.x | upper }}", 'unexpected " "'],
    ["{{ input[-1] }}", 'unexpected "["'],
    ["{{ input[1.5] }}", 'unexpected "["'],
    ["{{ input[x] }}", 'unexpected "["'],
    ["{{ input['x }}", "is not closed"],
    ["{{ tasks }}", "does not say which task"],
    ["{{ tasks[0] }}", "does not say which task"],
    ["{{ größe }}", 'unexpected "ö"'],
    [`{{ ${"x".repeat(1_025)} }}`, "longer than 1024"],
  ])("%j: %s", (text, problem) => {
    expect(problems(text)).toEqual([{ problem: expect.stringContaining(problem), path: [] }]);
  });

  test("every problem is found, with its place", () => {
    expect(problems({ a: ["fine", "{{ x"], b: { c: "{{ }}" } })).toEqual([
      { problem: expect.stringContaining("is not closed"), path: ["a", 1] },
      { problem: expect.stringContaining("names nothing"), path: ["b", "c"] },
    ]);
  });

  test("keys that could touch a prototype", () => {
    const mapping = JSON.parse('{"a": {"__proto__": 1, "constructor": 2, "prototype": 3}}') as Json;
    expect(problems(mapping).map(({ path }) => path)).toEqual([["a"], ["a"], ["a"]]);
  });
});

describe("limits", () => {
  const big = "x".repeat(1024 * 1024);

  test("the filled mapping may not exceed its cap", () => {
    const once = compiled({ a: "{{ input }}" });
    const thrice = compiled({ a: "{{ input }}", b: "{{ input }}", c: "{{ input }}" });
    expect(once.render(() => big)).toEqual({ value: { a: big } });
    const problem = `{{ input }}: the filled mapping exceeds ${DEFINITION_LIMITS.templateOutputBytes} bytes`;
    expect(thrice.render(() => big)).toEqual({ problem });
    expect(compiled("{{ input }} {{ input }} {{ input }}").render(() => big)).toEqual({ problem });
    const list = Array.from({ length: 400_000 }, () => [1]);
    expect(compiled("{{ input }}").render(() => list)).toEqual({ problem });
  });

  test("every filling has the whole cap", () => {
    const template = compiled("{{ input }}!");
    for (let round = 0; round < 5; round++)
      expect(template.render(() => big)).toHaveProperty("value");
  });

  test("values that nest too deeply are refused, not printed", () => {
    const deep = JSON.parse(`${"[".repeat(100_000)}${"]".repeat(100_000)}`) as Json;
    const problem = "{{ input }}: the value nests deeper than 64 levels";
    expect(compiled("{{ input }}").render(() => deep)).toEqual({ problem });
    expect(compiled("> {{ input }}").render(() => deep)).toEqual({ problem });
  });

  test("mappings may nest deeper than the stack", () => {
    const deep = JSON.parse(`${"[".repeat(50_000)}"{{ input }}"${"]".repeat(50_000)}`) as Json;
    let value = compiled(deep).render(() => 7) as { value: Json };
    let depth = 0;
    for (; Array.isArray(value.value); depth++) value = { value: value.value[0] as Json };
    expect([depth, value.value]).toEqual([50_000, 7]);
  });
});
