/**
 * Text on a terminal: width, colours, tables, durations. All functions are pure. Text that came from agents or clients
 * passes {@link printable} first, because a terminal obeys escape sequences whoever wrote them.
 */
import type { Millis } from "../base/time.ts";

/** What a piece of text means; the palette decides how that looks. */
export type Tone = "plain" | "strong" | "faint" | "good" | "bad" | "warn" | "busy";

const SGR: Readonly<Record<Exclude<Tone, "plain">, string>> = {
  strong: "1",
  faint: "2",
  good: "32",
  bad: "31",
  warn: "33",
  busy: "36",
};

/** Applies tones, or leaves text alone where colour is unwanted. */
export type Paint = (tone: Tone, text: string) => string;

/** A {@link Paint} with or without ANSI colours. */
export function painter(colour: boolean): Paint {
  return (tone, text) =>
    colour && tone !== "plain" && text !== "" ? `\u001b[${SGR[tone]}m${text}\u001b[0m` : text;
}

/** One line without control characters: escape sequences lose their power, line breaks become spaces. */
export function printable(text: string): string {
  return text.replace(/[\r\n\t]+/g, " ").replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "");
}

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const NO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;

/** Columns a printable text takes: two for East Asian wide characters and emoji, none for combining marks. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += columnsOf(character);
  return width;
}

function columnsOf(character: string): number {
  if (character <= "\u007e") return 1;
  return NO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}

/** `text` cut to at most `width` columns, the last an ellipsis when something is missing. */
export function clip(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  let columns = 0;
  for (const character of text) {
    columns += columnsOf(character);
    if (columns > width - 1) break;
    kept += character;
  }
  return width > 0 ? `${kept}…` : "";
}

/** `text` filled with spaces to `width` columns. */
export function pad(text: string, width: number, side: "left" | "right" = "left"): string {
  const space = " ".repeat(Math.max(0, width - widthOf(text)));
  return side === "left" ? text + space : space + text;
}

/** A duration in about four characters: `12ms`, `3.4s`, `2m05s`, `3h07m`, `2d04h`. */
export function briefDuration(durationMs: Millis): string {
  const ms = Math.max(0, durationMs);
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)}s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1_440)}d${two(Math.floor((minutes % 1_440) / 60))}h`;
}

function two(count: number): string {
  return String(count).padStart(2, "0");
}

/** A bar of `width` columns, filled by `share` (0…1) in eighths. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8);
  const full = "█".repeat(Math.floor(eighths / 8));
  const part = " ▏▎▍▌▋▊▉".charAt(eighths % 8).trim();
  return pad(full + part, width);
}

/** `1 task`, `2 tasks`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** A cell: text, or text with a tone. */
export type Cell = string | { readonly text: string; readonly tone: Tone };

/** A column of a table. */
export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** Lines of a table with a header; columns are as wide as their widest cell, the last one is never padded. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
): readonly string[] {
  const textOf = (cell: Cell | undefined): string =>
    printable(typeof cell === "string" ? cell : (cell?.text ?? ""));
  const widths = columns.map((column, at) =>
    Math.max(widthOf(column.title), ...rows.map((row) => widthOf(textOf(row[at])))),
  );
  const line = (cells: readonly Cell[]): string =>
    columns
      .map((column, at) => {
        const cell = cells[at];
        const text = textOf(cell);
        const last = at === columns.length - 1 && column.align !== "right";
        const padded = last
          ? text
          : pad(text, widths[at] ?? 0, column.align === "right" ? "right" : "left");
        return paint(typeof cell === "object" ? cell.tone : "plain", padded);
      })
      .join("  ")
      .trimEnd();
  const header = line(columns.map(({ title }) => ({ text: title, tone: "faint" as const })));
  return [header, ...rows.map(line)];
}
