/**
 * Everything that can be observed of a simulation, in order, as one running hash: two runs of a seed are the same run
 * exactly when their hashes are equal. The latest lines are kept, because they are what somebody wants to read when an
 * oracle complains.
 */
import { hashText, mix32 } from "../../src/base/hash.ts";

const KEPT = 60;

/** The observables of one simulation. */
export class Trace {
  #high = 0x811c9dc5;
  #low = 0x2c1b3c6d;
  #lines = 0;
  readonly #kept: string[] = [];

  /** Notes one observable. */
  note(line: string): void {
    this.#high = hashText(line, this.#high);
    this.#low = mix32(this.#low ^ this.#high);
    this.#lines++;
    this.#kept.push(line);
    if (this.#kept.length > 2 * KEPT) this.#kept.splice(0, KEPT);
  }

  get lines(): number {
    return this.#lines;
  }

  /** 16 hex digits. */
  get hash(): string {
    return [this.#high, this.#low].map((word) => word.toString(16).padStart(8, "0")).join("");
  }

  /** The latest lines. */
  get tail(): readonly string[] {
    return this.#kept.slice(-KEPT);
  }
}
