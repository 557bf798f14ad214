/**
 * Measures one source file: size, comments, complexity, open notes, imports. The input is one item of the fan-out; where
 * the repository is stands in the run's input. A file that cannot be measured (gone from the working tree, binary, huge, generated)
 * is a result that says so, because trying again would not change it.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { thatFit } from "./lib/fit.mjs";
import { languageOf } from "./lib/languages.mjs";
import { scan } from "./lib/scan.mjs";

const BYTES_MAX = 1024 * 1024;
/** As many bytes as git looks at to tell a binary file. */
const SNIFF_BYTES = 8_000;

export const analyzeFile = {
  name: "AnalyzeFile",
  version: "1",
  timeoutMs: 20_000,
  async run({ details, ...file }, ctx) {
    const path = join(ctx.runInput.repository, file.path);
    const language = languageOf(file.path);
    const found = { ...file, language: language.name };
    const { size: bytes } = await stat(path).catch(missing);
    if (bytes === undefined) return { ...found, bytes: 0, problem: "not in the working tree" };
    if (bytes > BYTES_MAX) return { ...found, bytes, problem: "larger than 1 MiB" };
    const content = await readFile(path, { signal: ctx.signal });
    if (content.subarray(0, SNIFF_BYTES).includes(0)) return { ...found, bytes, problem: "binary" };
    const { generated, ...measures } = scan(content.toString("utf8"), language);
    if (generated) return { ...found, bytes, problem: "generated" };
    const todos = thatFit(measures.todos, details);
    const imports = thatFit(measures.imports, details);
    const cut = todos.length < measures.todos.length || imports.length < measures.imports.length;
    return { ...found, bytes, ...measures, todos, imports, ...(cut ? { cut } : {}) };
  },
};

function missing(error) {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return {};
  throw error;
}
