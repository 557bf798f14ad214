/** A logger that keeps every line with its fields. */
import type { Logger } from "../../src/ports/telemetry.ts";

export interface LoggedLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly text: string;
  readonly [field: string]: unknown;
}

export class MemoryLogger implements Logger {
  readonly #all: LoggedLine[];
  readonly #fields: object;

  constructor(all: LoggedLine[] = [], fields: object = {}) {
    this.#all = all;
    this.#fields = fields;
  }

  /** Lines worth a look: everything above debug. */
  get lines(): readonly LoggedLine[] {
    return this.#all.filter(({ level }) => level !== "debug");
  }

  get all(): readonly LoggedLine[] {
    return this.#all;
  }

  debug(fields: object, text: string): void {
    this.#all.push({ ...this.#fields, ...fields, level: "debug", text });
  }

  info(fields: object, text: string): void {
    this.#all.push({ ...this.#fields, ...fields, level: "info", text });
  }

  warn(fields: object, text: string): void {
    this.#all.push({ ...this.#fields, ...fields, level: "warn", text });
  }

  error(fields: object, text: string): void {
    this.#all.push({ ...this.#fields, ...fields, level: "error", text });
  }

  child(fields: object): Logger {
    return new MemoryLogger(this.#all, { ...this.#fields, ...fields });
  }
}
