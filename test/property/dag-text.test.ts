/** Whatever a stranger sends, reading it ends with an answer: nothing throws, nothing is silently accepted. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readDefinitionText } from "../../src/adapters/definition-file.ts";
import type { Json } from "../../src/base/payload.ts";
import { canonicalJson, compile } from "../../src/core/dag/compile.ts";
import { compileExpression } from "../../src/core/dag/expression.ts";
import { compileTemplate } from "../../src/core/dag/template.ts";
import { readDefinition } from "../../src/core/dag/validate.ts";

const json = fc.jsonValue({ maxDepth: 5 }) as fc.Arbitrary<Json>;
const name = fc.constantFrom("input", "a", "a-b", "a.b", "item", "run", "x");
const scope = fc
  .dictionary(name, json)
  .map((values) => (key: string) => (Object.hasOwn(values, key) ? values[key] : undefined));

/** Text made of the pieces that templates are made of. */
const templateText = fc
  .array(
    fc.oneof(
      fc.constantFrom("{{", "}}", "{", "}", " ", ".", "[0]", '["x"]', "'", '"', "tasks", "-", "|"),
      name,
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => pieces.join(""));

/** Text made of the pieces that conditions are made of. */
const expressionText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        ":",
        "?",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "==",
        "<",
        "&&",
        "||",
        " in ",
      ),
      fc.constantFrom(
        "1",
        "2.5",
        "true",
        "null",
        "'t'",
        '"',
        "x",
        "size(",
        "has(",
        ".map(x, ",
        ".all(x, ",
        "tasks",
        "[0]",
        ".x",
      ),
      name,
    ),
    { maxLength: 14 },
  )
  .map((pieces) => pieces.join(""));

describe("templates", () => {
  test("compile or say why, and fill or say why", () => {
    fc.assert(
      fc.property(templateText, json, scope, (text, around, values) => {
        const { template, problems } = compileTemplate({ text, around: { deep: [around] } });
        expect(template === undefined).toBe(problems.length > 0);
        if (template === undefined) return;
        const filled = template.render(values);
        expect(Object.keys(filled)).toHaveLength(1);
        if ("value" in filled) expect(() => JSON.stringify(filled.value)).not.toThrow();
        else expect(filled.problem).toMatch(/^\{\{ .*\}\}: ./s);
      }),
    );
  });

  test("a lone path gives the value itself, a path in text its print", () => {
    fc.assert(
      fc.property(json, (value) => {
        const lone = compileTemplate("{{ input }}").template?.render(() => value);
        const inside = compileTemplate("<{{ input }}>").template?.render(() => value);
        expect(lone).toEqual({ value });
        expect(inside).toEqual({
          value: `<${typeof value === "string" ? value : JSON.stringify(value)}>`,
        });
      }),
    );
  });

  test("text without braces is itself", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        fc.pre(!text.includes("{{"));
        expect(compileTemplate(text).template?.render(() => undefined)).toEqual({ value: text });
      }),
    );
  });
});

describe("expressions", () => {
  test("compile or say why, and evaluate or say why", () => {
    fc.assert(
      fc.property(expressionText, scope, (source, values) => {
        const compiled = compileExpression(source);
        if ("problem" in compiled) {
          expect(compiled.problem).not.toBe("");
          return;
        }
        const result = compiled.evaluate(values);
        expect(Object.keys(result)).toHaveLength(1);
        if ("value" in result) expect(() => JSON.stringify(result.value)).not.toThrow();
        else expect(result.problem).not.toBe("");
      }),
      { numRuns: 400 },
    );
  });

  test("JSON goes in and comes out unchanged", () => {
    const identity = compileExpression("input");
    const wrapped = compileExpression("[input, {'k': input}]");
    if ("problem" in identity || "problem" in wrapped) throw new Error("these compile");
    fc.assert(
      fc.property(json, (value) => {
        expect(identity.evaluate(() => value)).toEqual({ value });
        expect(wrapped.evaluate(() => value)).toEqual({ value: [value, { k: value }] });
      }),
    );
  });

  test("numbers of data compare, add and index as JavaScript does", () => {
    const whole = fc.integer({ min: -1_000, max: 1_000 });
    fc.assert(
      fc.property(whole, whole, (a, b) => {
        const evaluate = (source: string) => {
          const compiled = compileExpression(source);
          return "problem" in compiled ? compiled : compiled.evaluate(() => a);
        };
        const literal = b < 0 ? `(${b})` : String(b);
        expect(evaluate(`input == ${literal}`)).toEqual({ value: a === b });
        expect(evaluate(`input < ${literal}`)).toEqual({ value: a < b });
        expect(evaluate(`input + ${literal}`)).toEqual({ value: a + b });
        expect(evaluate(`${literal} - input`)).toEqual({ value: b - a });
        expect(evaluate(`input * ${literal} in [${a * b}]`)).toEqual({ value: true });
      }),
    );
  });
});

/** Values shaped like definitions, with anything where something is expected. */
const almostDefinition = fc.record(
  {
    name: fc.oneof(fc.constant("w"), json),
    tasks: fc.oneof(
      json,
      fc.array(
        fc.record(
          {
            id: fc.oneof(fc.constantFrom("a", "b", "c"), json),
            agent: fc.oneof(fc.constant("A"), json),
            deps: fc.oneof(fc.array(fc.constantFrom("a", "b", "c", "d")), json),
            when: fc.oneof(expressionText, json),
            for_each: fc.oneof(fc.constant("input.list"), json),
            input: fc.oneof(templateText, json),
            timeout: fc.oneof(fc.constantFrom("1s", "0s", "x"), json),
            retry: fc.oneof(fc.record({ max_attempts: json, backoff: json }), json),
            on_error: fc.oneof(
              fc.constantFrom("fail", "fallback: b"),
              fc.record({ fallback: fc.constantFrom("a", "b") }),
              json,
            ),
            memory: json,
            labels: json,
            unknown: json,
          },
          { requiredKeys: ["id", "agent"] },
        ),
        { maxLength: 5 },
      ),
    ),
    output: json,
    labels: json,
  },
  { requiredKeys: ["name", "tasks"] },
) as fc.Arbitrary<Json>;

describe("definitions", () => {
  test("are read or refused with reasons; what is read compiles", () => {
    fc.assert(
      fc.property(fc.oneof(json, almostDefinition), (source) => {
        const read = readDefinition(source);
        if ("violations" in read) {
          expect(read.violations.length).toBeGreaterThan(0);
          for (const { message, remedy } of read.violations) {
            expect(message).not.toBe("");
            expect(remedy).toMatch(/[.?]$/);
          }
          return;
        }
        const plan = compile(read.definition, { hash: canonicalJson(read.definition) });
        expect(plan.nodes).toHaveLength(read.definition.tasks.length);
      }),
      { numRuns: 500 },
    );
  });

  test("texts are read or refused", () => {
    const line = fc.constantFrom(
      "a: 1",
      "- x",
      "  b: [1, 2]",
      "{",
      "}",
      "|",
      ">",
      "&x",
      "*x",
      "!t",
      "---",
      "? k",
      '"',
      "'",
      "#",
      "\t",
      "%",
      "...",
      "{{ }}",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(line).map((lines) => lines.join("\n")),
      json.map((value) => JSON.stringify(value)),
    );
    fc.assert(
      fc.property(text, fc.constantFrom("w.yaml", "w.json"), (source, fileName) => {
        const read = readDefinitionText(source, { fileName });
        if ("violations" in read) {
          expect(read.violations.length).toBeGreaterThan(0);
          return;
        }
        expect(() => JSON.stringify(read.value)).not.toThrow();
        read.position(["a", 0, "b"]);
      }),
      { numRuns: 500 },
    );
  });

  test("JSON text means what JSON.parse says", () => {
    fc.assert(
      fc.property(json, fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const read = readDefinitionText(text, { fileName: "w.json" });
        expect(read).toHaveProperty("value");
        if ("value" in read) expect(read.value).toEqual(JSON.parse(text));
      }),
    );
  });
});
