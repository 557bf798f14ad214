/**
 * Reads TypeScript as text for the architecture rules: which modules a file imports, and its code with comments and the
 * insides of literals blanked out, so that a word in a sentence is never taken for a use. It is a scanner, not a parser:
 * it knows comments, strings, templates and regular expressions, and nothing of the grammar beyond import and export.
 */

/** One import of a module by a file. */
export interface Import {
  readonly specifier: string;
  /** True when nothing of it is left at run time (`import type`, `export type … from`). */
  readonly typeOnly: boolean;
}

/** What the rules look at. */
export interface SourceFile {
  /** Path from the repository root, with slashes: `src/core/run/decide.ts`. */
  readonly path: string;
  readonly text: string;
  /** `text`, equally long, with comments and the insides of literals as spaces. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** Scans one file. */
export function sourceFile(path: string, text: string): SourceFile {
  const code = blankLiterals(text);
  return { path, text, code, imports: importsOf(text, code) };
}

/** Where a literal or comment that starts at `at` ends, exclusive; `keep` delimiters stay visible at each end. */
interface Span {
  readonly end: number;
  readonly keep: number;
}

function blankLiterals(text: string): string {
  let code = "";
  let at = 0;
  // One entry per open template substitution: the brace depth at which it closes.
  const substitutions: number[] = [];
  let depth = 0;
  while (at < text.length) {
    const char = text[at];
    if (char === "{") depth += 1;
    if (char === "}") depth -= 1;
    const resumesTemplate = char === "}" && substitutions.at(-1) === depth;
    if (resumesTemplate) substitutions.pop();
    if (char === "`" || resumesTemplate) {
      const end = templateChunkEnd(text, at + 1);
      code += visible(text, at, { end, keep: 1 });
      if (text[end - 1] === "{") {
        substitutions.push(depth);
        depth += 1;
      }
      at = end;
      continue;
    }
    const span = literalAt(text, at, code);
    code += span === undefined ? char : visible(text, at, span);
    at = span === undefined ? at + 1 : span.end;
  }
  return code;
}

function literalAt(text: string, at: number, before: string): Span | undefined {
  const pair = text.slice(at, at + 2);
  if (pair === "//") return { end: endOf(text, "\n", at) - 1, keep: 0 };
  if (pair === "/*") return { end: endOf(text, "*/", at + 2), keep: 0 };
  if (text[at] === '"' || text[at] === "'") return { end: quotedEnd(text, at), keep: 1 };
  if (text[at] === "/" && startsRegex(before)) return { end: regexEnd(text, at), keep: 1 };
  return undefined;
}

/** Where the next `mark` ends, or one past the text if there is none. */
function endOf(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from);
  return found === -1 ? text.length + 1 : found + mark.length;
}

function quotedEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== text[start] && text[at] !== "\n") {
    at += text[at] === "\\" ? 2 : 1;
  }
  return Math.min(at + 1, text.length);
}

/** The end of template text: after its closing backtick, or after the `${` that interrupts it. */
function templateChunkEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && text[at] !== "`") {
    if (text[at] === "$" && text[at + 1] === "{") return at + 2;
    at += text[at] === "\\" ? 2 : 1;
  }
  return Math.min(at + 1, text.length);
}

function regexEnd(text: string, start: number): number {
  let inClass = false;
  let at = start + 1;
  while (at < text.length && text[at] !== "\n" && (inClass || text[at] !== "/")) {
    if (text[at] === "[") inClass = true;
    if (text[at] === "]") inClass = false;
    at += text[at] === "\\" ? 2 : 1;
  }
  return Math.min(at + 1, text.length);
}

/** A slash divides after a value and opens a regular expression after anything else. */
function startsRegex(before: string): boolean {
  const code = before.slice(-80).trimEnd();
  if (/\b(?:return|typeof|case|of|in|do|else|void|yield|await)$/.test(code)) return true;
  return code === "" || /[^\w$)\]}"'`]$/.test(code);
}

function visible(text: string, start: number, { end, keep }: Span): string {
  const inside = text.slice(start + keep, end - keep).replace(/[^\n]/g, " ");
  return text.slice(start, start + keep) + inside + text.slice(end - keep, end);
}

/** Each form's first group ends where its specifier's opening quote is. */
const IMPORT_FORMS = [
  /((?:^|[;}\n])\s*(?:import|export)\b(?:[^;"'`(]|\{[^}]*\})*?\bfrom\s*)["']/g,
  /((?:^|[;}\n])\s*import\s*)["']/g,
  /(\bimport\s*\(\s*)["']/g,
  /(\brequire\s*\(\s*)["']/g,
  /(\bcreateRequire\s*\([^)]*\)\s*\(\s*)["']/g,
];

function importsOf(text: string, code: string): Import[] {
  const imports = IMPORT_FORMS.flatMap((form) =>
    [...code.matchAll(form)].map((match) => {
      const head = match[1] ?? "";
      const open = match.index + head.length;
      const specifier = text.slice(open + 1, code.indexOf(code[open] ?? "", open + 1));
      return { specifier, typeOnly: /^\W*(?:import|export)\s+type\b/.test(head) };
    }),
  );
  const started = startedFiles(text, code).map((specifier) => ({ specifier, typeOnly: false }));
  return [...imports, ...started].filter(({ specifier }) => specifier !== "");
}

/** Relative `.ts` paths in statements that mention `import.meta.url`: files started as a thread or a process. */
function startedFiles(text: string, code: string): string[] {
  return moduleUrlLiterals(text, code)
    .flat()
    .filter((literal) => literal.endsWith(".ts"));
}

/** The relative paths named by each statement that mentions `import.meta.url`; `./x.${extension}` names both files. */
export function moduleUrlLiterals(text: string, code: string): string[][] {
  return [...code.matchAll(/[^;]*\bimport\.meta\.url\b[^;]*/g)].map((statement) =>
    [...statement[0].matchAll(/(["'`])( *)(?:\1|\{)/g)]
      .map(({ index, 2: blank = "" }) => {
        const start = statement.index + index + 1;
        return text.slice(start, start + blank.length);
      })
      .filter((literal) => /^\.{1,2}\//.test(literal))
      .flatMap((literal) =>
        literal.endsWith(".$") ? ["ts", "js"].map((end) => literal.slice(0, -1) + end) : [literal],
      ),
  );
}
