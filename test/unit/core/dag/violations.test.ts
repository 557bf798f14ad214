/** How problems are located, ordered and printed. */
import { describe, expect, test } from "vitest";
import { fieldText, formatViolations, Violations } from "../../../../src/core/dag/violations.ts";

test.each<[(string | number)[], string]>([
  [[], ""],
  [["name"], "name"],
  [["tasks", 2, "deps", 0], "tasks[2].deps[0]"],
  [["labels", "a b"], 'labels["a b"]'],
  [["labels", "1"], 'labels["1"]'],
  [["x", 'quote"d'], 'x["quote\\"d"]'],
  [["k".repeat(100)], `["${"k".repeat(64)}..."]`],
])("the path %j is %s", (path, text) => {
  expect(fieldText(path)).toBe(text);
});

test("problems are printed like those of a compiler", () => {
  expect(
    formatViolations("w.yaml", [
      {
        field: "tasks[0].id",
        message: '"a b" is not a name',
        remedy: "Use letters.",
        line: 3,
        column: 7,
      },
      { field: "", message: "there is nothing in it", remedy: "Write it." },
      { field: "x", message: "did you mean y?", remedy: "Correct it." },
    ]),
  ).toBe(
    'w.yaml:3:7 tasks[0].id: "a b" is not a name. Use letters.\n' +
      "w.yaml: there is nothing in it. Write it.\n" +
      "w.yaml x: did you mean y? Correct it.",
  );
});

describe("the list", () => {
  const place = (key: string) => ({ key, parent: undefined });

  test("follows the text where positions are known, else the order of discovery", () => {
    const known = new Violations(([key]) => ({ line: Number(key), column: 1 }));
    const unknown = new Violations();
    for (const found of [known, unknown])
      for (const key of ["3", "1", "2"]) found.add(place(key), key, "");
    expect(known.list().map(({ message }) => message)).toEqual(["1", "2", "3"]);
    expect(unknown.list().map(({ message }) => message)).toEqual(["3", "1", "2"]);
  });

  test("guesses the nearest name, if there is one", () => {
    const found = new Violations();
    const names = new Set(["intake", "classify"]);
    expect(found.guess("intke", names, "No.")).toBe('Did you mean "intake"?');
    expect(found.guess("zebra", names, "No.")).toBe("No.");
    expect(found.guess("x".repeat(129), names, "No.")).toBe("No.");
  });
});
