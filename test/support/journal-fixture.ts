/**
 * Small journals for tests: run ids by number, short histories that mean something, and a journal on a memory disk that
 * can be closed and opened again. Timers are collected instead of running, so a test fires them when it wants.
 */
import { MemoryDisk, MemoryMark, MemoryStore } from "../../src/adapters/memory-store.ts";
import type { RunId } from "../../src/base/ids.ts";
import type { Event, RunEvents } from "../../src/core/run/message.ts";
import { StoreJournal } from "../../src/journal/journal.ts";
import type { Host, TimerHandle } from "../../src/ports/host.ts";
import type { Commit, RecoveredRun, RunSummary } from "../../src/ports/journal.ts";

/** The n-th run id; larger numbers are younger. */
export function runIdAt(n: number): RunId {
  return String(n).padStart(26, "0") as RunId;
}

/** A host whose timers wait for {@link ManualTimers.fire}. */
export class ManualTimers implements Pick<Host, "setTimer"> {
  readonly #waiting = new Set<() => void>();

  get size(): number {
    return this.#waiting.size;
  }

  setTimer(_delayMs: number, run: () => void): TimerHandle {
    this.#waiting.add(run);
    return { cancel: () => this.#waiting.delete(run) };
  }

  /** Runs every timer that is set now. */
  fire(): void {
    for (const run of [...this.#waiting]) {
      this.#waiting.delete(run);
      run();
    }
  }
}

/** A journal on a memory disk, recovered, with the runs it found. */
export interface OpenedJournal {
  readonly disk: MemoryDisk;
  readonly journal: StoreJournal;
  readonly timers: ManualTimers;
  readonly found: readonly RecoveredRun[];
}

/** Opens (again) a journal on `disk` and recovers it. */
export async function openJournal(disk = new MemoryDisk()): Promise<OpenedJournal> {
  const timers = new ManualTimers();
  const journal = new StoreJournal({
    store: new MemoryStore(disk),
    mark: new MemoryMark(disk),
    host: timers,
  });
  const found: RecoveredRun[] = [];
  await journal.recover((run) => {
    found.push(run);
  });
  return { disk, journal, timers, found };
}

/** The first event of a run. */
export function accepted(n: number, input = "{}"): Event {
  return {
    type: "run_accepted",
    at: 1_000 + n,
    definition: "d".repeat(64),
    name: "flow",
    request: {
      input: { json: input },
      namespace: "default",
      priority: 0,
      labels: { team: "blue" },
      traceId: "0af7651916cd43dd8448eb211c80319c",
    },
  };
}

/** A progress event, told apart by its note. */
export function progress(note: string): Event {
  return { type: "task_progress", at: 2_000, task: "a", attempt: 1, percent: 50, note };
}

/** A commit of these runs; runs whose first event is in it are accepted by it. */
export function commitOf(runs: readonly RunEvents[], ended: readonly RunSummary[] = []): Commit {
  const fresh = runs.filter((run) => run.firstSequence === 1);
  return {
    runs,
    definitions: [],
    accepted: fresh.map(({ runId }) => ({ runId, namespace: "default", idempotency: undefined })),
    ended,
  };
}

/** Events of the n-th run from a sequence. */
export function eventsOf(n: number, firstSequence: number, ...events: Event[]): RunEvents {
  return { runId: runIdAt(n), firstSequence, events };
}

/** Summary of the n-th run at its end. */
export function summaryAt(n: number, endedAt = 3_000 + n): RunSummary {
  return {
    runId: runIdAt(n),
    namespace: "default",
    name: "flow",
    status: "COMPLETED",
    sessionId: undefined,
    labels: { team: "blue" },
    acceptedAt: 1_000 + n,
    endedAt,
  };
}

/** All events of a run after a sequence. */
export async function readAll(journal: StoreJournal, n: number, after = 0): Promise<Event[]> {
  const events: Event[] = [];
  for await (const page of journal.history(runIdAt(n), after)) events.push(...page.events);
  return events;
}
