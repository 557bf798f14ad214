/**
 * Everything the command line touches outside itself: streams, clock, signals, files and the parts that main plugs in.
 * Commands get one `Cli` and nothing ambient, so that tests run them in the same process with captured output. Only
 * `src/command-line.ts` makes a real one.
 */
import type { Transport } from "@connectrpc/connect";
import type { Json } from "../base/payload.ts";
import type { Instant, Millis } from "../base/time.ts";
import type { LocalDefinitions } from "./definition-view.ts";

/** Where output goes and what it may look like. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Standard output is a terminal somebody watches. */
  readonly interactive: boolean;
  readonly colour: boolean;
  /** Size of the terminal now; it may change. */
  readonly columns: number;
  readonly rows: number;
  /** All of standard input. */
  readInput(): Promise<string>;
}

/** Time as the command line needs it: for durations on screen and for redrawing. */
export interface Clock {
  now(): Instant;
  setTimer(delayMs: Millis, run: () => void): { cancel(): void };
}

/** Signals that ask the process to end. */
export type StopSignal = "SIGINT" | "SIGTERM";

/** Files, by paths relative to the working directory. */
export interface Files {
  readText(path: string): Promise<string>;
  exists(path: string): Promise<boolean>;
  /** Files in a folder and below, by their paths inside it, sorted; the path itself when it is a file. */
  list(path: string): Promise<readonly string[]>;
  /** Creates the file and its directories; refuses to overwrite. */
  create(path: string, text: string): Promise<void>;
  resolve(...parts: readonly string[]): string;
  dirname(path: string): string;
}

/** Flags that select and override configuration. */
export interface ConfigOptions {
  readonly config?: string;
  readonly listen?: string;
  readonly data?: string;
  readonly agents?: readonly string[];
  readonly insecure?: boolean;
}

/** A program that is up. */
export interface Daemon {
  /** Base address of the server: `http://127.0.0.1:7420`. */
  readonly address: string;
  /** Lines a person should see at start: warnings about the store, the open address. */
  readonly notices: readonly string[];
  /** Resolves with the reason when the store failed and nothing can be acknowledged any more. */
  readonly failed: Promise<Error>;
  /** Stops admission, waits for running attempts as configured, closes everything. */
  stop(): Promise<void>;
}

/** What main plugs into the command line. */
export interface Cli {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly files: Files;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: { readonly goclaw: string; readonly node: string };
  loadDefinitions(): Promise<LocalDefinitions>;
  /** Calls `listener` on each signal until the returned function is called. */
  onStopSignal(listener: (signal: StopSignal) => void): () => void;
  /** A transport to a daemon; nothing is sent yet. */
  connect(server: string): Promise<Transport>;
  /** Starts the daemon of `goclaw serve`; `baseDir` is where default files are looked for. */
  serve(options: ConfigOptions, baseDir: string): Promise<Daemon>;
  /** Starts an engine for one run in this process, in memory unless a data directory is named. */
  embed(options: ConfigOptions, baseDir: string): Promise<Daemon>;
  /** Ends the process at once. */
  exit(code: number): never;
}

/** Parses JSON given by a user; `what` names it in the error. Throws {@link UsageError}. */
export function parseJson(text: string, what: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${what} is not JSON: ${detail}`, { cause: error });
  }
}

/** A command was called in a way that cannot work; exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Exit codes of every command. */
export const EXIT = {
  ok: 0,
  /** The run failed or was cancelled, or the daemon refused. */
  failed: 1,
  /** Wrong usage, invalid definition, configuration or request. */
  usage: 2,
  /** No daemon answers. */
  unreachable: 3,
  /** The store failed, or the program is wrong. */
  software: 70,
  /** Ended by a second Ctrl-C. */
  interrupted: 130,
  /** Ended by a second SIGTERM. */
  terminated: 143,
} as const;
