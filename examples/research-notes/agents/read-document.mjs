/** Reads one document and remembers what each of its sections says first. */
import { readFileSync } from "node:fs";
import { sectionsOf } from "./lib/sections.mjs";

/** Sections of a document that are worth a memory of their own; one attempt may leave a hundred. */
const FINDINGS_MAX = 50;

export const readDocument = {
  name: "ReadDocument",
  version: "1",
  run({ name, path }, ctx) {
    const sections = sectionsOf(readFileSync(path, "utf8")).slice(0, FINDINGS_MAX);
    for (const { heading, text } of sections) {
      ctx.memory.remember(`${heading}: ${text}`, { kind: "finding", metadata: { document: name } });
    }
    ctx.progress(100, `${sections.length} findings`);
    return { name, findings: sections.length };
  },
};
