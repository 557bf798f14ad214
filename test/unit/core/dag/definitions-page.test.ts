/** docs/definitions.md: its tables are the schema, its examples are valid, its claims hold. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readDefinitionText } from "../../../../src/adapters/definition-file.ts";
import { compileExpression } from "../../../../src/core/dag/expression.ts";
import { compileTemplate } from "../../../../src/core/dag/template.ts";
import { readDefinition } from "../../../../src/core/dag/validate.ts";
import { withTables } from "../../../support/definitions-manual.ts";

const PAGE = join(import.meta.dirname, "../../../../docs/definitions.md");
const page = readFileSync(PAGE, "utf8");

/** The lines of a section of the page. */
const section = (title: string) => page.split(`\n## ${title}\n`)[1]?.split("\n## ")[0] ?? "";

test("the tables are what the validator reads", () => {
  const printed = withTables(page);
  if (process.env.UPDATE_DOCS === "1") writeFileSync(PAGE, printed);
  expect(printed).toBe(readFileSync(PAGE, "utf8"));
  expect(printed.match(/<!-- end -->/g)).toHaveLength(4);
});

describe("the examples are valid", () => {
  const examples = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text as string);

  test.each(examples)("%#", (text) => {
    const parsed = readDefinitionText(text, { fileName: "example.yaml" });
    expect(parsed).not.toHaveProperty("violations");
    if ("value" in parsed) expect(readDefinition(parsed.value)).toHaveProperty("definition");
  });

  test("there are some", () => {
    expect(examples.length).toBeGreaterThanOrEqual(3);
  });
});

test("every template on the page compiles", () => {
  const templates = [...section("Templates").matchAll(/\{\{.*?[^"]\}\}/g)].map(([text]) => text);
  expect(templates.length).toBeGreaterThan(8);
  for (const template of templates) expect(compileTemplate(template).problems).toEqual([]);
});

test("every function on the page is offered, and no other", () => {
  const offered =
    "size contains startsWith endsWith int uint double string bool type dyn timestamp duration";
  for (const name of offered.split(" ")) {
    expect(section("Conditions and lists")).toContain(name);
    expect(compileExpression(`${name}(input)`)).not.toHaveProperty("problem");
  }
  for (const name of ["matches", "getFullYear", "getSeconds", "bytes", "charAt", "split"]) {
    expect(compileExpression(`input.${name}()`)).toHaveProperty("problem");
  }
});
