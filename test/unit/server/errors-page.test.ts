import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { FAULTS } from "../../../src/base/fault.ts";
import { errorsPage } from "../../support/errors-page.ts";

const PAGE = new URL("../../../docs/errors.md", import.meta.url);

it("docs/errors.md is printed from the registry", () => {
  if (process.env.UPDATE_DOCS) writeFileSync(PAGE, errorsPage());
  const page = existsSync(PAGE) ? readFileSync(PAGE, "utf8") : "";
  expect(page, "run UPDATE_DOCS=1 make unit").toBe(errorsPage());
});

it("describes every fault once", () => {
  const described = [...errorsPage().matchAll(/^### ([A-Z_]+)$/gm)].map(([, code]) => code);
  expect(described.sort()).toEqual(Object.keys(FAULTS).sort());
});

it("orders codes alphabetically inside each group", () => {
  for (const group of errorsPage().split(/^## /m).slice(1)) {
    const codes = [...group.matchAll(/^### ([A-Z_]+)$/gm)].map(([, code]) => code);
    expect(codes).toEqual([...codes].sort());
  }
});
