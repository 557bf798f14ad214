/**
 * The grammar of templates. `{{ path }}` reads a value, `{{ "text" }}` stands for the text itself (so `{{ "{{" }}` is how
 * to write two braces), everything else is literal. A path is a name followed by `.field`, `[0]` or `["key"]`; names and
 * fields are letters, digits, `_` and `-`. A task whose id has a dot is `tasks["a.b"]`, and `tasks.x` is the task `x`.
 */

/** What a template reads: a task or root by name, then keys into its value. */
export interface Path {
  /** As written, for messages. */
  readonly source: string;
  /** `input`, `run`, `item` or a task's id. */
  readonly name: string;
  readonly keys: readonly (string | number)[];
}

/** Literal text, or a value to be put in. */
export type Piece = string | Path;

/** Longest path accepted, in characters. */
const PATH_MAX = 1_024;

const NAME = /[A-Za-z0-9_-]+/y;
const KEY = /\.([A-Za-z0-9_-]+)|\[(\d{1,9})\]|\["([^"]*)"\]|\['([^']*)'\]/y;
const QUOTED = /^(?:"([^"]*)"|'([^']*)')$/;

/** Splits a text into literals and paths. The problem, if any, is a sentence naming the template at fault. */
export function parsePieces(
  text: string,
): { readonly pieces: readonly Piece[] } | { readonly problem: string } {
  const pieces: Piece[] = [];
  let at = 0;
  for (;;) {
    const open = text.indexOf("{{", at);
    if (open === -1) break;
    if (open > at) pieces.push(text.slice(at, open));
    const close = closing(text, open + 2);
    if (close === -1) return { problem: `"${excerpt(text.slice(open))}" is not closed with "}}"` };
    const piece = parseInside(text.slice(open + 2, close).trim());
    if (typeof piece !== "string" && "problem" in piece) return piece;
    pieces.push(piece);
    at = close + 2;
  }
  if (at < text.length) pieces.push(text.slice(at));
  return { pieces };
}

/** Where the template that begins before `from` ends: the next `}}` outside quotes, or -1. */
function closing(text: string, from: number): number {
  let quote = "";
  for (let at = from; at < text.length; at++) {
    const char = text.charAt(at);
    if (quote !== "") {
      if (char === quote) quote = "";
    } else if (char === '"' || char === "'") {
      quote = char;
    } else if (char === "}" && text.charAt(at + 1) === "}") {
      return at;
    }
  }
  return -1;
}

function parseInside(source: string): Piece | { readonly problem: string } {
  const quoted = QUOTED.exec(source);
  if (quoted) return quoted[1] ?? quoted[2] ?? "";
  if (source === "") return { problem: "{{ }} names nothing" };
  if (source.length > PATH_MAX)
    return { problem: `{{ ${excerpt(source)} }} is longer than ${PATH_MAX} characters` };
  const steps = parseSteps(source);
  if (typeof steps === "number") {
    return {
      problem: `{{ ${excerpt(source)} }} is not a path: unexpected "${source.charAt(steps)}" at ${steps + 1}`,
    };
  }
  const [name, ...keys] = steps;
  if (name !== "tasks") return { source, name: String(name), keys };
  const [taskId, ...taskKeys] = keys;
  if (typeof taskId !== "string") return { problem: `{{ ${source} }} does not say which task` };
  return { source, name: taskId, keys: taskKeys };
}

/** The name and keys of a path, or the offset of the character that does not belong. */
function parseSteps(source: string): readonly (string | number)[] | number {
  NAME.lastIndex = 0;
  const name = NAME.exec(source);
  if (name === null) return 0;
  const steps: (string | number)[] = [name[0]];
  let at = name[0].length;
  while (at < source.length) {
    KEY.lastIndex = at;
    const key = KEY.exec(source);
    if (key === null) return at;
    steps.push(key[2] === undefined ? (key[1] ?? key[3] ?? key[4] ?? "") : Number(key[2]));
    at += key[0].length;
  }
  return steps;
}

function excerpt(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}
