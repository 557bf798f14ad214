/**
 * What a command of `goclaw` is, as data: its words, options, help and action. Each command lives in one file under
 * `commands/`; `program.ts` turns them into a parser and docs/cli.md is printed from that. An action returns the exit
 * code or throws; it never ends the process.
 */
import type { Cli } from "./terminal.ts";

/** One option. */
export interface OptionSpec {
  /** As commander writes them: `-n, --limit <count>`. */
  readonly flags: string;
  readonly doc: string;
  /** May be given several times; the value is a list. */
  readonly repeatable?: true;
  readonly choices?: readonly string[];
  /** Converts the text; throws `UsageError` when it cannot. */
  readonly parse?: (text: string) => unknown;
  readonly default?: string;
}

/** One positional argument: `<file>`, `[task]`, `<file...>`. */
export interface ArgumentSpec {
  readonly term: string;
  readonly doc: string;
}

/** Values of positional arguments in order; an absent optional one is undefined, a variadic one takes the rest. */
export type Arguments = readonly (string | undefined)[];

/** A command, or a family of commands when `commands` is set. */
export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  /** More help, below the summary. */
  readonly details?: string;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  /** Lines of examples, without `$`. */
  readonly examples?: readonly string[];
  readonly commands?: readonly CommandSpec[];
  /** The member of a family that runs when none is named. */
  readonly isDefault?: true;
  readonly action?: (cli: Cli, args: Arguments, options: object) => Promise<number>;
}

/**
 * Declares a command whose options have the shape `Options`. The parser builds exactly what `options` describes, so
 * this is the one place where its loose record becomes a typed one.
 */
export function command<Options extends object>(
  spec: Omit<CommandSpec, "action" | "commands"> & {
    readonly action: (cli: Cli, args: Arguments, options: Options) => Promise<number>;
  },
): CommandSpec {
  return { ...spec, action: (cli, args, options) => spec.action(cli, args, options as Options) };
}

/** Options that several commands share. */
export const JSON_OPTION: OptionSpec = { flags: "--json", doc: "print protobuf JSON" };
export const SERVER_OPTION: OptionSpec = {
  flags: "--server <url>",
  doc: "daemon to talk to (default: $GOCLAW_SERVER, else http://127.0.0.1:7420)",
};
export const CONFIG_OPTION: OptionSpec = {
  flags: "--config <file>",
  doc: "configuration file (default: $GOCLAW_CONFIG, else goclaw.yaml if there is one)",
};
export const DATA_OPTION: OptionSpec = { flags: "--data <dir>", doc: "data directory" };
export const AGENTS_OPTION: OptionSpec = {
  flags: "--agents <dir>",
  doc: "directory of plugin agents; may be repeated",
  repeatable: true,
};
