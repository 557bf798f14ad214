/**
 * Histories for tests that carry events without caring what they say. A history is one run from its acceptance to its
 * end with progress in between; `FakeJournal` keeps such histories in memory, in commits, the way the real journal
 * shows them to the event hub and the bus bridge.
 */
import { assert } from "../../src/base/assert.ts";
import { fault, refuse } from "../../src/base/fault.ts";
import type { RunId } from "../../src/base/ids.ts";
import type { Event, RunEvents } from "../../src/core/run/message.ts";
import type { CommitPage, Journal } from "../../src/ports/journal.ts";

/** A valid run id for each number. */
export function runIdOf(index: number): RunId {
  return `01J${String(index).padStart(23, "0")}` as RunId;
}

/** A whole run of `length` ≥ 2 events: accepted, progress, completed. Notes have `noteChars` characters. */
export function historyOf(
  length: number,
  options: { namespace?: string; noteChars?: number } = {},
): Event[] {
  const { namespace = "default", noteChars = 0 } = options;
  const accepted: Event = {
    type: "run_accepted",
    at: 0,
    definition: "d0",
    name: "workflow",
    request: {
      namespace,
      input: { json: "{}" },
      priority: 0,
      labels: {},
      traceId: "0".repeat(32),
    },
  };
  const progress = Array.from(
    { length: length - 2 },
    (_, at): Event => ({
      type: "task_progress",
      at,
      task: "a",
      attempt: 1,
      percent: at,
      note: "n".repeat(noteChars),
    }),
  );
  return [accepted, ...progress, { type: "run_completed", at: length }];
}

/** Commits in memory, at once durable. Each commit has its number as cursor. */
export class FakeJournal
  implements Pick<Journal, "history" | "commitsAfter" | "head" | "loadCursor" | "saveCursor">
{
  readonly commits: (readonly RunEvents[])[] = [];
  readonly cursors = new Map<string, bigint>();
  /** Events a page of history holds at most. */
  pageEvents = 100;
  /** Awaited between reading and answering, as a storage thread would; tests put their delays and failures here. */
  pause: (call: "history" | "commitsAfter" | "loadCursor" | "saveCursor") => Promise<void> =
    async () => {};
  #dropped = 0;
  readonly #events = new Map<RunId, Event[]>();

  /** Appends one commit; returns its pages, for whoever has to be told. */
  commit(...runs: { runId: RunId; events: readonly Event[] }[]): readonly RunEvents[] {
    const pages = runs.map(({ runId, events }) => {
      const history = this.#events.get(runId) ?? [];
      this.#events.set(runId, history);
      history.push(...events);
      return { runId, firstSequence: history.length - events.length + 1, events };
    });
    this.commits.push(pages);
    return pages;
  }

  /** Deletes commits up to this one, as retention does. */
  dropUntil(commit: number): void {
    this.#dropped = commit;
  }

  /** Events a run has so far. */
  eventsOf(runId: RunId): readonly Event[] {
    return this.#events.get(runId) ?? [];
  }

  async *history(runId: RunId, afterSequence: number): AsyncGenerator<RunEvents> {
    for (let at = afterSequence; ; ) {
      const events = this.eventsOf(runId).slice(at, at + this.pageEvents);
      await this.pause("history");
      if (events.length === 0) return;
      yield { runId, firstSequence: at + 1, events };
      at += events.length;
    }
  }

  async commitsAfter(cursor: bigint | undefined, limit: number): Promise<CommitPage | undefined> {
    assert(limit > 0, "a page needs room");
    const from = Number(cursor ?? this.#dropped);
    if (from < this.#dropped) {
      refuse(
        fault("CURSOR_EXPIRED", { runId: "(all)", sequence: from, oldest: this.#dropped + 1 }),
      );
    }
    const runs = this.commits.slice(from, from + limit);
    await this.pause("commitsAfter");
    if (runs.length === 0) return undefined;
    return { runs: runs.flat(), cursor: BigInt(from + runs.length) };
  }

  head(): bigint {
    return BigInt(this.commits.length);
  }

  async loadCursor(consumer: string): Promise<bigint | undefined> {
    await this.pause("loadCursor");
    return this.cursors.get(consumer);
  }

  async saveCursor(consumer: string, cursor: bigint): Promise<void> {
    await this.pause("saveCursor");
    this.cursors.set(consumer, cursor);
  }
}
