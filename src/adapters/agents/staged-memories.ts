/**
 * What one attempt wants remembered, kept until its success takes it along. Bounds and forms are checked when the agent
 * speaks, because then it can still do something about it; an attempt that fails leaves nothing behind.
 */
import { MEMORY_LIMITS } from "../../base/memory-limits.ts";
import type { AttemptMemory, AttemptQuestion } from "../../ports/agent.ts";
import type { RecallOptions, RememberOptions } from "../../ports/agent-context.ts";

const IMPORTANCES: ReadonlySet<unknown> = new Set(["important", "normal", "captured", "noise"]);
const LIMIT_DEFAULT = 5;
const KIND_CHARS = 42;
const METADATA_MAX = 32;
/** Characters of a key and its value; a character may be three bytes. */
const PAIR_CHARS = 340;

/** Collects the writes of one attempt. */
export class StagedMemories {
  readonly #writes: AttemptMemory[] = [];
  #chars = 0;

  /** Throws a `TypeError` or `RangeError` that says what is wrong. */
  add(content: unknown, options: RememberOptions = {}): void {
    if (typeof content !== "string" || content.trim() === "") {
      throw new TypeError("what is to be remembered is a text that is not empty");
    }
    const { kind = "note", metadata = {}, importance = "normal" } = options;
    if (!IMPORTANCES.has(importance)) throw new TypeError(`no importance: ${String(importance)}`);
    checkLength("the kind", String(kind), KIND_CHARS);
    checkLength("what is to be remembered", content, MEMORY_LIMITS.writeChars);
    checkCount("texts to be remembered", this.#writes.length + 1, MEMORY_LIMITS.writes);
    this.#chars += content.length;
    checkCount("characters to be remembered", this.#chars, MEMORY_LIMITS.writtenChars);
    this.#writes.push({
      content,
      kind: String(kind),
      metadata: checkedPairs(metadata),
      importance,
    });
  }

  /** What goes with a success; undefined when there is nothing. */
  taken(): readonly AttemptMemory[] | undefined {
    return this.#writes.length === 0 ? undefined : this.#writes;
  }
}

/** A question as the engine takes it. Throws a `TypeError` or `RangeError` that says what is wrong. */
export function recallWish(text: unknown, { limit, filter }: RecallOptions = {}): AttemptQuestion {
  if (typeof text !== "string") throw new TypeError("a question to the memory is a text");
  checkLength("a question to the memory", text, MEMORY_LIMITS.questionChars / 2);
  const most = limit ?? LIMIT_DEFAULT;
  if (!Number.isInteger(most) || most < 1 || most > MEMORY_LIMITS.entries) {
    throw new RangeError(`a limit of ${most} is not between 1 and ${MEMORY_LIMITS.entries}`);
  }
  return {
    text,
    limit: most,
    ...(filter === undefined ? {} : { filter: checkedPairs(filter) }),
  };
}

function checkedPairs(pairs: object): { readonly [key: string]: string } {
  const entries = Object.entries(pairs).map(([key, value]) => [key, String(value)] as const);
  checkCount("pairs of metadata", entries.length, METADATA_MAX);
  for (const [key, value] of entries) checkLength("a pair of metadata", key + value, PAIR_CHARS);
  return Object.fromEntries(entries);
}

function checkLength(what: string, text: string, max: number): void {
  if (text.length <= max) return;
  throw new RangeError(`${what} has ${text.length} characters, the limit is ${max}`);
}

function checkCount(what: string, count: number, max: number): void {
  if (count > max) throw new RangeError(`${count} ${what} are too many, the limit is ${max}`);
}
