import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { cliManual } from "../../support/cli-manual.ts";
import { FakeCli } from "../../support/fake-cli.ts";

test("docs/cli.md is what the parser prints", () => {
  const page = new URL("../../../docs/cli.md", import.meta.url);
  const manual = cliManual(new FakeCli({ columns: 100 }));
  if (process.env.UPDATE_DOCS) writeFileSync(page, manual);
  expect(readFileSync(page, "utf8")).toBe(manual);
});
