import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { conformanceManual } from "../../support/conformance-manual.ts";

test("docs/conformance.md lists the cases", () => {
  const page = new URL("../../../docs/conformance.md", import.meta.url);
  const manual = conformanceManual();
  if (process.env.UPDATE_DOCS) writeFileSync(page, manual);
  expect(readFileSync(page, "utf8")).toBe(manual);
});
