/**
 * Runs what a page shows. A `console` block is a shell session: lines that start with `$ ` are typed, the lines below each
 * are what it printed. Sessions run in a scratch directory that looks like the checkout, against a port and a data
 * directory of their own, and are compared after ids, times and dates are blanked; `…` in the page stands for any text.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A fenced block of a Markdown page. */
export interface Block {
  /** First word after the fence: `console`, `ts`, … */
  readonly language: string;
  /** The words after the language. */
  readonly flags: readonly string[];
  readonly text: string;
  readonly line: number;
}

/** A typed command and the lines the page shows below it. */
export interface Shown {
  readonly command: string;
  readonly output: readonly string[];
}

/** What a command really did. */
export interface Ran {
  readonly output: readonly string[];
  readonly exitCode: number;
}

/** The fenced blocks of a page, in order. */
export function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```([\w-]*)[ \t]*([^\n]*)\n([\s\S]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? "",
    flags: (match[2] ?? "").split(/\s+/).filter((flag) => flag !== ""),
    text: match[3] ?? "",
    line: page.slice(0, match.index).split("\n").length,
  }));
}

/** The commands of a `console` block. A command goes on over lines that end in a backslash. */
export function commandsOf(text: string): Shown[] {
  const shown: { command: string; output: string[] }[] = [];
  for (const line of text.trimEnd().split("\n")) {
    const last = shown.at(-1);
    if (line.startsWith("$ ")) shown.push({ command: line.slice(2), output: [] });
    else if (last?.command.endsWith("\\") && last.output.length === 0) last.command += `\n${line}`;
    else last?.output.push(line);
  }
  return shown;
}

const VOLATILE: readonly (readonly [RegExp, string])[] = [
  [/\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b/g, "<id>"],
  [/\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?)?/g, "<date>"],
  [/\b\d+(?:\.\d+)?\s?(?:ms|µs|s|min)\b/g, "<time>"],
  // A column is as wide as its widest cell, which may be one of the above.
  [/(?<=\S) {2,}/g, "  "],
];

const blanked = (line: string) =>
  VOLATILE.reduce((text, [pattern, word]) => text.replace(pattern, word), line.trimEnd());

/** True when `actual` is what `shown` says. A line that is only `…` stands for any number of lines. */
export function matches(shown: readonly string[], actual: readonly string[]): boolean {
  const pattern = shown
    .map(blanked)
    .map((line) => line.split("…").map(escapeRegex))
    .map((parts) =>
      parts.join("") === "" && parts.length === 2 ? "(?:.*\\n)*" : `${parts.join(".*")}\\n`,
    )
    .join("");
  return new RegExp(`^${pattern}$`).test(actual.map((line) => `${blanked(line)}\n`).join(""));
}

const escapeRegex = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

const MARK = "\u0001ran";

/**
 * Runs the commands of one block in one bash, in order. A command that ends in `&` stays in the background until the
 * session ends, and its output is not compared.
 */
export function runSession(root: string, commands: readonly Shown[], port: number): Ran[] {
  const directory = mkdtempSync(join(tmpdir(), "goclaw-session-"));
  try {
    for (const entry of readdirSync(root).filter((name) => name !== ".git")) {
      symlinkSync(join(root, entry), join(directory, entry));
    }
    const { stdout } = spawnSync("bash", ["-c", script(commands, port)], {
      cwd: directory,
      env: {
        ...process.env,
        GOCLAW_DATA: join(directory, "goclaw-data"),
        GOCLAW_LISTEN: `127.0.0.1:${port}`,
      },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 110_000,
    });
    return ranOf(stdout.replaceAll(`127.0.0.1:${port}`, "127.0.0.1:7420"));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function script(commands: readonly Shown[], port: number): string {
  const lines = commands.map(({ command }) => {
    const text = command.replaceAll("127.0.0.1:7420", `127.0.0.1:${port}`);
    const run = text.endsWith("&") ? `${text.slice(0, -1)} >/dev/null 2>&1 &` : `{ ${text}\n} 2>&1`;
    return `${run}\nprintf '%s %s\\n' '${MARK}' $?`;
  });
  return ["trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT", ...lines].join("\n");
}

function ranOf(stdout: string): Ran[] {
  const ran: Ran[] = [];
  let output: string[] = [];
  for (const line of stdout.split("\n")) {
    const mark = line.indexOf(MARK);
    if (mark === -1) {
      output.push(line);
      continue;
    }
    if (mark > 0) output.push(line.slice(0, mark));
    ran.push({ output, exitCode: Number(line.slice(mark + MARK.length)) });
    output = [];
  }
  return ran;
}
