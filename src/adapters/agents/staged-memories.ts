/**
 * What one attempt wants remembered, kept until its success takes it along. Bounds and forms are checked when the agent
 * speaks, because then it can still do something about it; an attempt that fails leaves nothing behind.
 */
import { MEMORY_LIMITS } from "../../base/memory-limits.ts";
import { utf8Length } from "../../base/utf8.ts";
import type { AttemptMemory, AttemptQuestion } from "../../ports/agent.ts";
import type { RecallOptions, RememberOptions } from "../../ports/agent-context.ts";

const IMPORTANCES: ReadonlySet<unknown> = new Set(["important", "normal", "captured", "noise"]);
const LIMIT_DEFAULT = 5;
const KIND_BYTES = 128;
const METADATA_MAX = 32;
const KEY_BYTES = 256;
const VALUE_BYTES = 768;

/** Collects the writes of one attempt. */
export class StagedMemories {
  readonly #writes: AttemptMemory[] = [];
  #bytes = 0;

  /** Throws a `TypeError` or `RangeError` that says what is wrong. */
  add(content: unknown, options: RememberOptions = {}): void {
    if (typeof content !== "string" || content.trim() === "") {
      throw new TypeError("what is to be remembered is a text that is not empty");
    }
    const { kind = "note", metadata = {}, importance = "normal" } = options;
    if (!IMPORTANCES.has(importance)) throw new TypeError(`no importance: ${String(importance)}`);
    const { pairs, bytes: pairBytes } = checkedPairs(metadata);
    checkBytes("the kind", String(kind), KIND_BYTES);
    const bytes = this.#bytes + checkBytes("a text", content, MEMORY_LIMITS.writeBytes) + pairBytes;
    checkCount("texts to be remembered", this.#writes.length + 1, MEMORY_LIMITS.writes);
    checkCount("bytes to be remembered", bytes, MEMORY_LIMITS.writtenBytes);
    this.#bytes = bytes;
    this.#writes.push({ content, kind: String(kind), metadata: pairs, importance });
  }

  /** What goes with a success; undefined when there is nothing. */
  taken(): readonly AttemptMemory[] | undefined {
    return this.#writes.length === 0 ? undefined : this.#writes;
  }
}

/** A question as the engine takes it. Throws a `TypeError` or `RangeError` that says what is wrong. */
export function recallWish(text: unknown, { limit, filter }: RecallOptions = {}): AttemptQuestion {
  if (typeof text !== "string") throw new TypeError("a question to the memory is a text");
  checkBytes("a question to the memory", text, MEMORY_LIMITS.questionChars / 2);
  const most = limit ?? LIMIT_DEFAULT;
  if (!Number.isInteger(most) || most < 1 || most > MEMORY_LIMITS.entries) {
    throw new RangeError(`a limit of ${most} is not between 1 and ${MEMORY_LIMITS.entries}`);
  }
  return {
    text,
    limit: most,
    ...(filter === undefined ? {} : { filter: checkedPairs(filter).pairs }),
  };
}

/** Metadata as texts, and their bytes. */
function checkedPairs(given: object): {
  readonly pairs: { readonly [key: string]: string };
  readonly bytes: number;
} {
  const pairs = Object.entries(given).map(([key, value]) => [key, String(value)] as const);
  checkCount("pairs of metadata", pairs.length, METADATA_MAX);
  let bytes = 0;
  for (const [key, value] of pairs) {
    bytes += checkBytes("a key of metadata", key, KEY_BYTES);
    bytes += checkBytes("a value of metadata", value, VALUE_BYTES);
  }
  return { pairs: Object.fromEntries(pairs), bytes };
}

function checkBytes(what: string, text: string, max: number): number {
  const bytes = utf8Length(text);
  if (bytes <= max) return bytes;
  throw new RangeError(`${what} has ${bytes} bytes, the limit is ${max}`);
}

function checkCount(what: string, count: number, max: number): void {
  if (count > max) throw new RangeError(`${count} ${what} are too many, the limit is ${max}`);
}
