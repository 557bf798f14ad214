/**
 * Tells code, comments and texts of a source file apart with one pass over its characters, and measures what the report
 * shows. It may assume nothing about the file: what does not fit the language's table (a quote in a regular
 * expression) costs accuracy within a line or so, never an error. Linear in the length of the file.
 */

const MARKERS = /\b(TODO|FIXME|HACK|XXX)\b/;
/** How generators mark what nobody is to edit, and how far from the beginning of a file. */
const GENERATED = /@generated\b|\bcode generated\b.*\bdo not edit\b/i;
const GENERATED_WITHIN = 1_000;
const NOTE_MAX = 100;
const NOTES_MAX = 20;
const IMPORTS_MAX = 100;

/**
 * Splits a text into two of the same length, line by line: `code` without comments and texts, `bare` without comments,
 * `comments` with nothing else. What is left out is blank.
 */
function separate(text, language) {
  const parts = { code: [], bare: [], comments: [] };
  const put = (char, isCode, isComment) => {
    const blank = char === "\n" ? "\n" : " ";
    parts.code.push(isCode ? char : blank);
    parts.bare.push(isComment ? blank : char);
    parts.comments.push(isComment ? char : blank);
  };
  let at = 0;
  const putUntil = (end, isComment) => {
    for (; at < end; at++) put(text[at], false, isComment);
  };
  while (at < text.length) {
    const comment = commentEnd(text, at, language);
    const quote =
      comment === undefined
        ? language.quotes.find((each) => text.startsWith(each.open, at))
        : undefined;
    if (comment !== undefined) putUntil(comment, true);
    else if (quote !== undefined) putUntil(quoteEnd(text, at, quote), false);
    else put(text[at++], true, false);
  }
  return {
    code: parts.code.join(""),
    bare: parts.bare.join(""),
    comments: parts.comments.join(""),
  };
}

/** Where the comment that begins here ends, or undefined. */
function commentEnd(text, at, { blockComments, lineComments, commentAfterSpace }) {
  const block = blockComments.find(([open]) => text.startsWith(open, at));
  if (block !== undefined) {
    const close = text.indexOf(block[1], at + block[0].length);
    return close === -1 ? text.length : close + block[1].length;
  }
  if (!lineComments.some((open) => text.startsWith(open, at))) return undefined;
  if (commentAfterSpace && at > 0 && !/\s/.test(text[at - 1])) return undefined;
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end;
}

/** Where the text that begins here ends; a text of one line ends with it at the latest. */
function quoteEnd(text, start, { open, close, escapedBy, multiline }) {
  let at = start + open.length;
  while (at < text.length) {
    if (escapedBy !== "" && text[at] === escapedBy) at += 2;
    else if (text.startsWith(close, at)) return at + close.length;
    else if (!multiline && text[at] === "\n") return at;
    else at++;
  }
  return text.length;
}

/** Number of lines as `wc -l` counts them, plus one for a last line without a line feed. */
export function countLines(text) {
  if (text === "") return 0;
  const feeds = text.split("\n").length - 1;
  return text.endsWith("\n") ? feeds : feeds + 1;
}

/**
 * Measures a source file.
 *
 * - `generated`: whether a comment at the beginning says that a program wrote it.
 * - `complexity`: 1 + branching words and operators outside comments and texts, in the spirit of McCabe's number.
 * - `todos`: comments with TODO, FIXME, HACK or XXX; `todoCount` counts the lines, the list is capped.
 * - `imports`: distinct specifiers as written, in order, capped.
 */
export function scan(text, language) {
  const { code, bare, comments } = separate(text, language);
  const commentLines = comments.split("\n");
  const bareLines = bare.split("\n");
  const todos = commentLines.flatMap((line, index) => note(line, index + 1));
  return {
    generated: GENERATED.test(comments.slice(0, GENERATED_WITHIN)),
    lines: countLines(text),
    code: bareLines.filter((line) => line.trim() !== "").length,
    comments: commentLines.filter((line, at) => line.trim() !== "" && bareLines[at].trim() === "")
      .length,
    complexity: 1 + [...code.matchAll(language.branches)].length,
    todoCount: todos.length,
    todos: todos.slice(0, NOTES_MAX),
    imports: importsOf(bare, code, language),
  };
}

function note(line, number) {
  const found = MARKERS.exec(line);
  if (found === null) return [];
  const text = line
    .slice(found.index)
    .replace(/\s*(?:\*\/|-->)\s*$/, "")
    .trim();
  return [{ line: number, marker: found[1], text: text.slice(0, NOTE_MAX) }];
}

/** An import statement that stands inside a text is none: where it begins there is no code. */
function importsOf(bare, code, { imports }) {
  if (imports === undefined) return [];
  const found = new Set();
  for (const match of bare.matchAll(imports)) {
    const keyword = match.index + match[0].search(/\S/);
    const specifier = match.slice(1).find((group) => group !== undefined);
    const isQuotedAlone = match[0].trimStart().startsWith('"');
    if (isQuotedAlone || code[keyword] !== " ") found.add(specifier);
    if (found.size === IMPORTS_MAX) break;
  }
  return [...found];
}
