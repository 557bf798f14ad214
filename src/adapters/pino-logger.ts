/**
 * The log: pino behind the `Logger` port, the only file that knows pino. Lines are JSON on standard error, or one
 * readable line each when a terminal watches. Writing is asynchronous and bounded: a reader of standard error that
 * stands still costs lines, which are counted and admitted later, and never holds up the engine. What is buffered at
 * the end of the process is written then.
 */
import { isatty } from "node:tty";
import { type Logger as Pino, pino, stdSerializers, stdTimeFunctions } from "pino";
import type { Logger } from "../ports/telemetry.ts";
import { prettyLine } from "./log-line.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

export interface LogOptions {
  /** Least severe level written. */
  readonly level: LogLevel;
  /** Other levels for single modules: loggers made by `child({ module })`. */
  readonly modules?: { readonly [module: string]: LogLevel };
  /** `auto` is pretty in a terminal and JSON elsewhere. */
  readonly format: "auto" | "json" | "pretty";
}

/** Where lines go; each ends with a line feed. */
export interface LogTarget {
  write(line: string): void;
}

/** The root of all loggers of a process. */
export interface Log extends Logger {
  /** Writes out what is buffered, synchronously; for the last moment of a process. */
  flush(): void;
}

const STANDARD_ERROR = 2;

/** Most characters buffered while standard error takes nothing. */
const BUFFER_MAX_CHARS = 8 * 1024 * 1024;

/** Opens the log of the process on standard error. */
export function openLog(options: LogOptions): Log {
  const terminal = isatty(STANDARD_ERROR);
  const pretty = options.format === "pretty" || (options.format === "auto" && terminal);
  const destination = pino.destination({
    dest: STANDARD_ERROR,
    sync: false,
    maxLength: BUFFER_MAX_CHARS,
  });
  const target: LogTarget = pretty
    ? { write: (line) => destination.write(prettyLine(line, terminal)) }
    : destination;
  const logger = createLogger(options, target);
  // A full disk or a closed pipe under standard error is no reason to stop the daemon.
  destination.on("error", () => {});
  let dropped = 0;
  destination.on("drop", () => {
    dropped++;
  });
  destination.on("drain", () => {
    if (dropped === 0) return;
    const lines = dropped;
    dropped = 0;
    logger.warn(
      { module: "log", lines },
      "log lines were dropped, standard error is read too slowly",
    );
  });
  return Object.assign(logger, { flush: () => destination.flushSync() });
}

/** A logger that writes JSON lines to a target of the caller's. */
export function createLogger(options: Omit<LogOptions, "format">, target: LogTarget): Logger {
  const root = pino(
    {
      level: options.level,
      base: null,
      errorKey: "error",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.err },
    },
    target,
  );
  return new PinoLogger(root, new Map(Object.entries(options.modules ?? {})));
}

class PinoLogger implements Logger {
  readonly #pino: Pino;
  readonly #modules: ReadonlyMap<string, LogLevel>;

  constructor(logger: Pino, modules: ReadonlyMap<string, LogLevel>) {
    this.#pino = logger;
    this.#modules = modules;
  }

  debug(fields: object, message: string): void {
    this.#pino.debug(fields, message);
  }

  info(fields: object, message: string): void {
    this.#pino.info(fields, message);
  }

  warn(fields: object, message: string): void {
    this.#pino.warn(fields, message);
  }

  error(fields: object, message: string): void {
    this.#pino.error(fields, message);
  }

  child(fields: { readonly module?: string }): Logger {
    const level = this.#modules.get(fields.module ?? "");
    return new PinoLogger(
      this.#pino.child(fields, level === undefined ? {} : { level }),
      this.#modules,
    );
  }
}
