/**
 * Markdown from data that anybody may have written: file names and comments of a stranger's repository must not be able
 * to break a table or to smuggle in formatting. Every value passes one of these functions on its way into a page.
 */

/** Control characters as escapes, so that a value stays on its line. */
function oneLine(text) {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replace(/[\u0000-\u001f\u007f\u2028\u2029]/g, (char) =>
    JSON.stringify(char).slice(1, -1),
  );
}

/** A value in code style, whatever it holds: the fence is longer than any run of backticks inside. */
export function code(text) {
  const shown = oneLine(text).replaceAll("|", "\\|");
  const runs = shown.match(/`+/g) ?? [];
  const fence = "`".repeat(1 + Math.max(0, ...runs.map((run) => run.length)));
  return runs.length === 0 ? `${fence}${shown}${fence}` : `${fence} ${shown} ${fence}`;
}

/** A value as plain text. */
export function plain(text) {
  return oneLine(text).replace(/[\\`*_{}[\]<>#|~&]/g, "\\$&");
}

/** A number with thin groups: 1 234 567. */
export function count(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, " ");
}

/** `3 files`, `1 file`. */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/**
 * A table. A heading that ends in `>` is a column of numbers, set to the right. Cells are Markdown already.
 */
export function table(headings, rows) {
  const titles = headings.map((heading) => heading.replace(/>$/, ""));
  const rules = headings.map((heading) => (heading.endsWith(">") ? "---:" : "---"));
  return [titles, rules, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
