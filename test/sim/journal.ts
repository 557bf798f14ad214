/**
 * The real journal with the oracles looking over its shoulder: they see every commit before it is written, with the
 * number of the disk batch it travels in, every commit that the store refuses, and every run that recovery hands out.
 * It changes nothing.
 */
import type { RunId } from "../../src/base/ids.ts";
import { type JournalDeps, StoreJournal } from "../../src/journal/journal.ts";
import type { Commit, RecoveredRun } from "../../src/ports/journal.ts";
import type { CountingDisk } from "./counting-disk.ts";
import type { Ledger } from "./ledger.ts";
import type { Oracles } from "./oracles.ts";

/** Who looks. */
export interface Observers {
  readonly disk: CountingDisk;
  readonly ledger: Ledger;
  readonly oracles: Oracles;
  readonly complain: (message: string) => void;
}

export class ObservedJournal extends StoreJournal {
  protected readonly deps: JournalDeps;
  protected readonly observers: Observers;
  /** Whether the store has refused a commit. */
  hasRefused = false;

  constructor(deps: JournalDeps, observers: Observers) {
    super(deps);
    this.deps = deps;
    this.observers = observers;
  }

  override append(commit: Commit): Promise<void> {
    const { disk, oracles } = this.observers;
    const batch = disk.issued + 1;
    const written = super.append(commit);
    if (disk.issued >= batch) oracles.append(commit, batch);
    written.catch(() => {
      this.hasRefused = true;
    });
    return written;
  }

  override async recover(onRun: (run: RecoveredRun) => void | Promise<void>): Promise<void> {
    const { ledger, oracles, complain } = this.observers;
    const missing = new Set<RunId>(ledger.open().map(({ id }) => id));
    await super.recover((run) => {
      missing.delete(run.runId);
      oracles.recovered(run);
      return onRun(run);
    });
    for (const runId of missing) complain(`run ${runId} is durable and was not recovered`);
  }
}
