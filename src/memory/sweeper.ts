/**
 * Forgetting: entries that grew weak fall dormant, those whose grace or time to live is over are deleted. It reads the
 * list of what is due and nothing else, so a sweep of a million entries of which none is due costs one look-up. Each
 * page of work is one atomic step; a sweep that is interrupted is continued by the next.
 */
import type { Instant, Millis } from "../base/time.ts";
import type { ForgettingRules } from "../core/memory/forgetting.ts";
import { dueAt, fateOf } from "../core/memory/forgetting.ts";
import type { StrengthModel } from "../core/memory/strength.ts";
import type { Host, TimerHandle } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import type { MemoryBook } from "./book.ts";
import type { ChangeSet } from "./change-set.ts";
import type { DueEntry } from "./entry-store.ts";
import type { StoredEntry } from "./records.ts";

export interface SweeperOptions {
  readonly rules: ForgettingRules;
  readonly everyMs: Millis;
  /** Due entries handled in one step. Default 2,000. */
  readonly pageEntries?: number;
}

export interface SweeperDeps {
  readonly book: MemoryBook;
  readonly host: Host;
  readonly model: StrengthModel;
  readonly log: Logger;
  /** Makes an empty change set. */
  readonly changeSet: () => ChangeSet;
  /** Told after each step what became of how many. */
  readonly onForgotten: (forgotten: Swept) => void;
}

/** What a sweep did. */
export interface Swept {
  readonly dormant: number;
  readonly deleted: number;
}

const PAGE = 2_000;

/** Sweeps every so often until stopped. */
export class Sweeper {
  readonly #options: SweeperOptions;
  readonly #deps: SweeperDeps;
  #timer: TimerHandle | undefined;
  #running: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  constructor(options: SweeperOptions, deps: SweeperDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    if (this.#isStopped) return;
    this.#timer = this.#deps.host.setTimer(this.#options.everyMs, () => {
      this.#running = this.#sweepAndLog().finally(() => this.start());
    });
  }

  /** Waits for the step under way. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#running;
  }

  /** Handles everything due now. */
  async sweep(): Promise<Swept> {
    const { host, book } = this.#deps;
    const { pageEntries = PAGE } = this.#options;
    const now = host.now();
    let total: Swept = { dormant: 0, deleted: 0 };
    let last: DueEntry | undefined;
    while (!this.#isStopped) {
      const due = await book.store.due(now, pageEntries, last);
      if (due.length === 0) break;
      last = due.at(-1);
      const swept = await this.#step(due, now);
      this.#deps.onForgotten(swept);
      total = { dormant: total.dormant + swept.dormant, deleted: total.deleted + swept.deleted };
    }
    return total;
  }

  async #sweepAndLog(): Promise<void> {
    try {
      const swept = await this.sweep();
      if (swept.dormant + swept.deleted > 0)
        this.#deps.log.info({ ...swept }, "memories forgotten");
    } catch (error) {
      this.#deps.log.error({ error }, "forgetting failed; it is tried again");
    }
  }

  /** Looks at due entries afresh, while nobody may change their sessions. */
  async #step(due: readonly DueEntry[], now: Instant): Promise<Swept> {
    const { book } = this.#deps;
    const changes = this.#deps.changeSet();
    const sessions = due.map(({ sessionId }) => sessionId);
    return book.change(sessions, changes, async () => {
      const found = await Promise.all(due.map(({ sessionId, id }) => book.find(sessionId, id)));
      let dormant = 0;
      let deleted = 0;
      for (const [at, { key }] of due.entries()) {
        const stored = found[at];
        // The key of an entry that is gone, or that was given a later one: a session that was erased leaves such.
        if (stored === undefined || isAnother(stored, key)) {
          changes.set(key, undefined);
          continue;
        }
        const fate = fateOf(stored.entry, now, this.#options.rules, this.#deps.model);
        if (fate === "delete") deleted++;
        if (fate === "sleep") dormant++;
        changes.change(stored, fate === "delete" ? undefined : this.#after(stored, fate, now));
      }
      return { dormant, deleted };
    });
  }

  #after(stored: StoredEntry, fate: "sleep" | "keep", now: Instant): StoredEntry {
    const entry = fate === "sleep" ? { ...stored.entry, dormantAt: Math.floor(now) } : stored.entry;
    const due = dueAt(entry, this.#options.rules, this.#deps.model);
    // Never at once again: an entry that is kept although its key was due got other rules in the meantime.
    const dueLater = due === undefined ? undefined : Math.max(Math.floor(due), Math.floor(now) + 1);
    return { ...stored, entry, dueAt: dueLater };
  }
}

/** Whether a key of the due list is not the one its entry has now. */
function isAnother(stored: StoredEntry, key: Uint8Array): boolean {
  if (stored.dueAt === undefined) return true;
  const view = new DataView(key.buffer, key.byteOffset + 1, 8);
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4) !== stored.dueAt;
}
