/**
 * The corpus of malformed definitions: what a user sees for each is a file next to it. `UPDATE_GOLDEN=1` writes those
 * files anew; read the difference before committing it.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readDefinitionText } from "../../../../src/adapters/definition-file.ts";
import { readDefinition } from "../../../../src/core/dag/validate.ts";
import { formatViolations } from "../../../../src/core/dag/violations.ts";

const FOLDER = join(import.meta.dirname, "../../../golden/definitions");
const NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".yaml"))
  .sort();

/** What `goclaw validate` prints for a file; empty when it is valid. */
function complaints(fileName: string): string {
  const text = readFileSync(join(FOLDER, fileName), "utf8");
  const read = readDefinitionText(text, { fileName });
  const checked = "violations" in read ? read : readDefinition(read.value, read);
  return "violations" in checked ? `${formatViolations(fileName, checked.violations)}\n` : "";
}

describe("malformed definitions", () => {
  test("there are enough of them", () => {
    expect(NAMES.length).toBeGreaterThanOrEqual(60);
  });

  test.each(NAMES)("%s", (name) => {
    const golden = join(FOLDER, name.replace(/\.yaml$/, ".txt"));
    const printed = complaints(name);
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(golden, printed);
    expect(printed).toBe(readFileSync(golden, "utf8"));
    expect(printed, "a malformed definition passed").not.toBe("");
    for (const line of printed.trimEnd().split("\n")) {
      expect(line).toMatch(/^[a-z-]+\.yaml(:\d+:\d+)?( [^:]+)?: .+[.?] .+[.?]$/);
    }
  });
});
