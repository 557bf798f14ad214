/**
 * Planted defects of the disk, the store and the journal, each a part wrapped so that it breaks one promise now and
 * then. Only a test switches one on.
 */
import { type DiskChange, MemoryStore } from "../../src/adapters/memory-store.ts";
import type { RunId } from "../../src/base/ids.ts";
import type { Event, RunEvents } from "../../src/core/run/message.ts";
import type { Commit, RecoveredRun, RegisteredDefinition } from "../../src/ports/journal.ts";
import type { Write } from "../../src/ports/store.ts";
import { CountingDisk } from "./counting-disk.ts";
import { everyNth } from "./every-nth.ts";
import { ObservedJournal } from "./journal.ts";

export class LyingDisk extends CountingDisk {
  override sync(batch: readonly DiskChange[]): Promise<void> {
    super.sync(batch).catch(() => {});
    return Promise.resolve();
  }
}

export class LeakyDisk extends CountingDisk {
  readonly #isLost = everyNth(50);

  protected override keep(batch: readonly DiskChange[]): void {
    if (!this.#isLost()) super.keep(batch);
  }
}

/** Keeps a batch without its last change. */
export class TearingDisk extends CountingDisk {
  readonly #isTorn = everyNth(20);

  protected override keep(batch: readonly DiskChange[]): void {
    super.keep(this.#isTorn() ? batch.slice(0, -1) : batch);
  }
}

/** Writes snapshots at once, past everything that waits to be synced. */
export class HastyDisk extends CountingDisk {
  override sync(batch: readonly DiskChange[]): Promise<void> {
    if (batch.every(({ kind }) => kind === "put") && batch.length === 1) {
      const [change] = batch;
      if (change?.kind === "put" && change.key.startsWith("s")) this.keep(batch);
    }
    return super.sync(batch);
  }
}

/** Tries a failed write again, as if a second fsync told about the first. */
export class StubbornStore extends MemoryStore {
  readonly #again: MemoryStore["write"];

  constructor(...[disk]: ConstructorParameters<typeof MemoryStore>) {
    super(disk);
    this.#again = async () => disk?.sync([]);
  }

  override write(batch: readonly Write[]): Promise<void> {
    return super.write(batch).catch(() => this.#again(batch));
  }
}

export class KeylessJournal extends ObservedJournal {
  override findIdempotent(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

export class ForgetfulJournal extends ObservedJournal {
  readonly #isForgotten = everyNth(5);

  override recover(onRun: (run: RecoveredRun) => void | Promise<void>): Promise<void> {
    return super.recover((run) => (this.#isForgotten() ? undefined : onRun(run)));
  }
}

export class NamelessJournal extends ObservedJournal {
  override registeredDefinitions(): Promise<readonly RegisteredDefinition[]> {
    return Promise.resolve([]);
  }
}

/** Trims on the word of a snapshot that is still on its way. */
export class TrimmingJournal extends ObservedJournal {
  override snapshot(): Promise<void> {
    return Promise.resolve();
  }

  override async trim(runId: RunId): Promise<boolean> {
    await this.deps.store.deleteRange(keysOf("r", runId));
    return true;
  }
}

/** Takes every twentieth open run for an ended one that is too old. */
export class GreedyJournal extends ObservedJournal {
  override async retain(...args: Parameters<ObservedJournal["retain"]>): Promise<number> {
    const [open] = this.observers.ledger.open();
    if (open !== undefined) {
      for (const kind of ["r", "o"]) await this.deps.store.deleteRange(keysOf(kind, open.id));
    }
    return super.retain(...args);
  }
}

/** Says that the bus has everything, whatever it has. */
export class HastyCursorJournal extends ObservedJournal {
  override saveCursor(consumer: string): Promise<void> {
    return super.saveCursor(consumer, this.head());
  }
}

/** Lets the effects of a commit go before it is durable, when all it does is start tasks. */
export class EagerJournal extends ObservedJournal {
  override append(commit: Commit): Promise<void> {
    const written = super.append(commit);
    const isStart = commit.runs.every(({ events }) =>
      events.some((e) => e.type === "task_started"),
    );
    if (!isStart) return written;
    written.catch(() => {});
    return Promise.resolve();
  }
}

/** A journal that gets other events than were decided. */
abstract class AlteringJournal extends ObservedJournal {
  readonly #isAltered = everyNth(9);

  override append(commit: Commit): Promise<void> {
    const runs = commit.runs.map((run) => {
      const events = this.alter(run.events);
      return events === run.events || !this.#isAltered() ? run : { ...run, events };
    });
    return super.append({ ...commit, runs });
  }

  /** The same array where there is nothing to alter. */
  protected abstract alter(events: RunEvents["events"]): RunEvents["events"];
}

/** Ends a run before the last of its tasks. */
export class DisorderlyJournal extends AlteringJournal {
  protected override alter(events: RunEvents["events"]): RunEvents["events"] {
    const [before, last] = events.slice(-2);
    const isEnd = last?.type.startsWith("run_") === true && before?.type.startsWith("task_");
    return isEnd ? [...events.slice(0, -2), last, before as Event] : events;
  }
}

/** Commits a result twice. */
export class DoublingJournal extends AlteringJournal {
  protected override alter(events: RunEvents["events"]): RunEvents["events"] {
    const result = events.find(({ type }) => type === "task_completed");
    return result === undefined ? events : [...events, result];
  }
}

function keysOf(
  kind: string,
  runId: RunId,
): { readonly from: Uint8Array; readonly to: Uint8Array } {
  const from = new TextEncoder().encode(`${kind}${runId}`);
  return { from, to: Uint8Array.of(...from, 0xff) };
}
