/**
 * Which idempotency keys have started which runs. Live and recent keys are in memory, older ones in the journal; both
 * are asked before a run is accepted, and the memory once more inside the writer loop, so that two equal requests in
 * flight at once still start one run.
 */
import { FaultError, fault } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import { payloadValue } from "../base/payload.ts";
import type { Idempotency } from "../core/run/message.ts";
import type { RunState } from "../core/run/state.ts";
import type { Journal } from "../ports/journal.ts";
import type { StartRun } from "./api.ts";

interface Known {
  readonly runId: RunId;
  readonly fingerprint: string;
  /** Whether the journal has it. */
  isDurable: boolean;
}

/** What makes two requests under one key equal: `definition` and the body, whatever the order of labels and keys. */
export function fingerprintText(definition: string, request: StartRun["request"]): string {
  const { input, sessionId, priority, deadlineMs, labels } = request;
  const body = [definition, sessionId, priority, deadlineMs, labels, payloadValue(input)];
  return JSON.stringify(body, keysInOrder);
}

/** For `JSON.stringify`: objects with their keys sorted, because senders may send maps in any order. */
function keysInOrder(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function nameOf(namespace: string, key: string): string {
  return `${namespace}\u0000${key}`;
}

/** Most keys in memory; the oldest go first, the journal still has them. */
const KEYS_KEPT_MAX = 100_000;

export class IdempotencyKeys {
  readonly #journal: Pick<Journal, "findIdempotent">;
  readonly #isHeld: (runId: RunId) => boolean;
  readonly #known = new Map<string, Known>();

  /** `isHeld` says whether a run is in memory, open or just ended; of any other the journal knows whether it still exists. */
  constructor(journal: Pick<Journal, "findIdempotent">, isHeld: (runId: RunId) => boolean) {
    this.#journal = journal;
    this.#isHeld = isHeld;
  }

  /** Brings a key into memory if the journal has it, and forgets it if retention has deleted its run. */
  async load(namespace: string, key: string): Promise<void> {
    const name = nameOf(namespace, key);
    const known = this.#known.get(name);
    // A run may end in the commit that accepts it: until that is durable neither memory nor journal has the run.
    if (known !== undefined && (!known.isDurable || this.#isHeld(known.runId))) return;
    const stored = await this.#journal.findIdempotent(namespace, key);
    // An equal request may have started a run meanwhile; what it noted is newer than the journal's answer.
    if (this.#known.get(name) !== known) return;
    if (stored !== undefined) this.#keep(name, { ...stored, isDurable: true });
    else this.#known.delete(name);
  }

  /** Whether this key has started a run. */
  has(namespace: string, idempotency: Idempotency | undefined): boolean {
    return idempotency !== undefined && this.#known.has(nameOf(namespace, idempotency.key));
  }

  /** The run this key started, undefined for a new key; throws `IDEMPOTENCY_CONFLICT` for another request. */
  check(namespace: string, idempotency: Idempotency | undefined): RunId | undefined {
    if (idempotency === undefined) return undefined;
    const { key, fingerprint } = idempotency;
    const known = this.#known.get(nameOf(namespace, key));
    if (known === undefined) return undefined;
    if (known.fingerprint === fingerprint) return known.runId;
    throw new FaultError(fault("IDEMPOTENCY_CONFLICT", { key, runId: known.runId }));
  }

  /** Notes the key of a new run, which is on its way to the journal, or of a recovered one. */
  remember(run: RunState, isDurable: boolean): void {
    if (run.idempotency === undefined) return;
    const { key, fingerprint } = run.idempotency;
    this.#keep(nameOf(run.request.namespace, key), { runId: run.id, fingerprint, isDurable });
  }

  /** The commit that accepted this run is durable. */
  accepted(run: RunState): void {
    if (run.idempotency === undefined) return;
    const known = this.#known.get(nameOf(run.request.namespace, run.idempotency.key));
    if (known?.runId === run.id) known.isDurable = true;
  }

  #keep(name: string, known: Known): void {
    this.#known.set(name, known);
    if (this.#known.size <= KEYS_KEPT_MAX) return;
    const oldest = this.#known.keys().next().value;
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
