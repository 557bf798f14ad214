/** Text to values: what YAML and JSON may hold here, where things stand, and what a hostile text costs. */
import { describe, expect, test } from "vitest";
import { FILE_LIMITS, readDefinitionText } from "../../../src/adapters/definition-file.ts";
import type { Json } from "../../../src/base/payload.ts";
import { DEFINITION_LIMITS } from "../../../src/core/dag/definition.ts";

const read = (text: string, fileName = "w.yaml") => readDefinitionText(text, { fileName });

function parsedValue(text: string, fileName?: string): Json {
  const result = read(text, fileName);
  if ("violations" in result) throw new Error(JSON.stringify(result.violations));
  return result.value;
}

function problems(text: string, fileName?: string): string[] {
  const result = read(text, fileName);
  if (!("violations" in result)) return [];
  return result.violations.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

test("the limits are those of definitions", () => {
  expect(FILE_LIMITS).toEqual({
    bytes: DEFINITION_LIMITS.fileBytes,
    depth: DEFINITION_LIMITS.jsonDepth,
  });
});

describe("values", () => {
  test.each<[string, Json]>([
    ["", null],
    ["# only a comment\n", null],
    [
      "a: 1\nb: [x, 'y', \"z\"]\nc: { d: null, e: }\n",
      { a: 1, b: ["x", "y", "z"], c: { d: null, e: null } },
    ],
    // YAML 1.2: these words are text.
    [
      "a: yes\nb: on\nc: NO\nd: 2024-01-01\ne: 1_000\nf: 0755",
      { a: "yes", b: "on", c: "NO", d: "2024-01-01", e: "1_000", f: 755 },
    ],
    ["a: 0x1F\nb: 0o17\nc: 1.5e3\nd: -0.5", { a: 31, b: 15, c: 1500, d: -0.5 }],
    ["a: !!str 1.4\nb: !!int 7", { a: "1.4", b: 7 }],
    [
      "a: |\n  line one\n  line two\nb: >\n  folded\n  text\n",
      { a: "line one\nline two\n", b: "folded text\n" },
    ],
    ["\uFEFFa: 1\r\nb: 2\r\n", { a: 1, b: 2 }],
    ["---\na: 1\n...\n", { a: 1 }],
    ["%YAML 1.2\n---\na: 1\n", { a: 1 }],
    ['"a b": 1\n? c\n: 2\n', { "a b": 1, c: 2 }],
    ["- a\n-\n  - b\n", ["a", ["b"]]],
    ["just text", "just text"],
  ])("%j", (text, value) => {
    expect(parsedValue(text)).toEqual(value);
  });

  test.each([
    '{"a": [1, 2.5e3, "\\u00e9\\ud83d\\ude00\\/\\n"], "b": {"c": null}}',
    '{\n\t"a": [\n\t\ttrue\n\t]\n}',
    "[]",
    "7",
  ])("JSON means what JSON.parse says: %s", (text) => {
    expect(parsedValue(text, "w.json")).toEqual(JSON.parse(text));
    expect(parsedValue(text)).toEqual(JSON.parse(text));
  });

  test("`__proto__` is an own key, for the validator to refuse", () => {
    const value = parsedValue('{"__proto__": {"admin": true}}') as { admin?: boolean };
    expect(Object.keys(value)).toEqual(["__proto__"]);
    expect(value.admin).toBeUndefined();
  });
});

describe("refused", () => {
  test.each<[string, string[]]>([
    ["a: &x 1\nb: *x\n", ["1:7 the anchor &x is not allowed", "2:4 the alias *x is not allowed"]],
    [
      "a: !foo 1\nb: !!binary aGk=\n",
      ["1:9 the tag !foo is not allowed", "2:13 the tag tag:yaml.org,2002:binary is not allowed"],
    ],
    ["a: 1\n---\nb: 2\n", ["2:1 the file holds more than one document"]],
    ["a: 1\nb: 2\na: 3\n", ['3:1 the key "a" appears twice']],
    ['{"a": {"b": 1, "b": 2}}', ['1:16 the key "b" appears twice']],
    [
      "1: a\ntrue: b\nnull: c\n",
      ["1:1 the key 1 is not text", "2:1 the key true is not text", "3:1 the key null is not text"],
    ],
    ["[a]: 1\n", ["1:1 a key is not text"]],
    [
      "a: .nan\nb: -.inf\n",
      ["1:4 NaN is not a number of JSON", "2:4 -Infinity is not a number of JSON"],
    ],
    [
      "a: [1, 2\n",
      ["2:1 Flow sequence in block collection must be sufficiently indented and end with a ]"],
    ],
    ["a:\n\t- b\n", ["2:1 Tabs are not allowed as indentation"]],
    ["a: b: c\n", ["1:4 Nested mappings are not allowed in compact mappings"]],
    ["a: }\n", ['1:4 Unexpected flow-map-end token in YAML stream: "}"']],
  ])("%j", (text, expected) => {
    expect(problems(text)).toEqual(expected);
  });

  test("YAML in a file that claims to be JSON", () => {
    expect(problems("a: 1", "w.json")).toEqual([expect.stringContaining("1:1 this is not JSON: ")]);
    expect(problems('{"a": 1,\n "b": 2,\n}', "w.json")).toEqual([
      expect.stringContaining("3:1 this is not JSON: "),
    ]);
    expect(problems('{"a": 1,\n "b": 2,\n}', "w.yaml")).toEqual([]);
  });

  test("more text than allowed, counted in bytes", () => {
    const most = `a: ${"é".repeat((FILE_LIMITS.bytes - 4) / 2)}`;
    expect(problems(`${most}x`)).toEqual([]);
    expect(problems(`${most}xx`)).toEqual([
      expect.stringContaining("1048577 bytes, at most 1048576 are allowed"),
    ]);
  });

  test("no more problems than anyone reads", () => {
    const text = Array.from({ length: 100 }, (_, at) => `${at}: x`).join("\n");
    expect(problems(text)).toHaveLength(20);
  });
});

describe("depth", () => {
  const { depth } = FILE_LIMITS;

  test.each<[string, (levels: number) => string]>([
    ["flow lists", (levels) => "[".repeat(levels) + "]".repeat(levels)],
    ["flow maps", (levels) => `${"{a: ".repeat(levels - 1)}{}${"}".repeat(levels - 1)}`],
    [
      "brackets that text hides",
      (levels) => `["]", ${"[".repeat(levels - 1)}${"]".repeat(levels - 1)}]`,
    ],
    ["block lists", (levels) => `${"- ".repeat(levels)}x`],
    [
      "block maps",
      (levels) => Array.from({ length: levels }, (_, at) => `${" ".repeat(at)}k:`).join("\n"),
    ],
  ])("%s", (_, nested) => {
    expect(problems(nested(depth))).toEqual([]);
    expect(problems(nested(depth + 1))).toEqual([
      expect.stringContaining("nest deeper than 64 levels"),
    ]);
  });

  test.each(["[", "{", "- ", "? ", '{"a":', "[[{"])(
    "half a megabyte of %j is refused at its beginning",
    (piece) => {
      const [problem] = problems(piece.repeat(500_000 / piece.length));
      expect(problem).toContain("nest deeper than 64 levels");
      expect(Number(problem?.split(":")[1]?.split(" ")[0])).toBeLessThan(500);
    },
  );

  test("brackets inside text do not count", () => {
    expect(
      parsedValue(`a: "${"[".repeat(200)}"\nb: '${"{".repeat(200)}'\nc: x${"[".repeat(200)}\n`),
    ).toHaveProperty("c");
  });
});

describe("positions", () => {
  const result = read(
    "name: x\ntasks:\n  - {id: a, deps: [b, c]}\n  - id: b\n    input:\n      k: v\n",
  );
  const position = "position" in result ? result.position : () => undefined;

  test.each<[(string | number)[], number, number]>([
    [[], 1, 1],
    [["name"], 1, 1],
    [["tasks"], 2, 1],
    [["tasks", 0], 3, 5],
    [["tasks", 0, "id"], 3, 6],
    [["tasks", 0, "deps", 1], 3, 23],
    [["tasks", 1, "input", "k"], 6, 7],
    // What does not exist stands where its nearest parent does.
    [["tasks", 1, "nope", "z"], 4, 5],
    [["tasks", 9], 2, 1],
    [["name", "x"], 1, 1],
  ])("%j is at %i:%i", (path, line, column) => {
    expect(position(path)).toEqual({ line, column });
  });

  test("an empty text has none", () => {
    const empty = read("");
    expect("position" in empty && empty.position([])).toBeUndefined();
  });
});
