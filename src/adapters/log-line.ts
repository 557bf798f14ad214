/**
 * How a log line looks to a person at a terminal: time, level, module, sentence, then the other fields as `key=value`.
 * It reads the JSON that the log wrote, so both formats always say the same. Values come from agents and clients, so no
 * control character leaves here unescaped: a hostile one could otherwise rewrite the terminal.
 */

const COLOURS: Readonly<Record<string, number>> = { debug: 90, info: 32, warn: 33, error: 31 };

/** Fields with a place of their own in the line. */
const PLACED = new Set(["time", "level", "module", "msg", "error"]);

/**
 * Formats one JSON log line, line feed included. A line that is not JSON is passed on with its control characters
 * escaped.
 */
export function prettyLine(json: string, colours: boolean): string {
  const line = parse(json);
  if (line === undefined) return `${escapeControls(json.trimEnd())}\n`;
  const level = String(line.level);
  const paint = (text: string, code: number): string =>
    colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  const head = [
    paint(String(line.time).slice(11, 23), 90),
    paint(level.toUpperCase().padEnd(5), COLOURS[level] ?? 0),
    ...(line.module === undefined ? [] : [paint(escapeControls(String(line.module)), 36)]),
    escapeControls(String(line.msg ?? "")),
  ];
  const fields = Object.entries(line)
    .filter(([name]) => !PLACED.has(name))
    .map(([name, value]) => `${paint(`${escapeControls(name)}=`, 90)}${fieldText(value)}`);
  return `${[...head, ...fields].join(" ")}${errorText(line.error)}\n`;
}

function parse(json: string): Record<string, unknown> | undefined {
  try {
    const line: unknown = JSON.parse(json);
    return typeof line === "object" && line !== null
      ? (line as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

/** Bare words stay bare; everything else is JSON. */
function fieldText(value: unknown): string {
  if (typeof value === "string" && /^[^\s"'=\p{Cc}]+$/u.test(value)) return value;
  return escapeControls(JSON.stringify(value) ?? "");
}

/** The stack below the line where there is one, else the value as a field. */
function errorText(error: unknown): string {
  if (error === undefined) return "";
  const { stack, message } = (error ?? {}) as { stack?: unknown; message?: unknown };
  if (typeof stack !== "string" || stack === "") return ` error=${fieldText(message ?? error)}`;
  return stack
    .split("\n")
    .map((row) => `\n    ${escapeControls(row.trim())}`)
    .join("");
}

/** C0, DEL and C1 as `\xNN`. */
function escapeControls(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
