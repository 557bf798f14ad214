/**
 * When the state of a long run is saved, so that a start need not fold its whole history: after so many events, and for
 * a run of more tasks than that after as many events as it has tasks, because a snapshot holds them all. Derived from
 * nothing but sequences; a snapshot too many only costs its bytes.
 */
import type { RunState } from "../core/run/state.ts";
import type { Journal } from "../ports/journal.ts";
import type { ShardOptions } from "./shard-options.ts";

export class Snapshots {
  readonly #journal: Pick<Journal, "snapshot" | "trim">;
  readonly #options: Pick<ShardOptions, "snapshotEvery" | "trimsHistory">;
  readonly #failed: (error: Error) => void;
  /** Sequence of each run's latest snapshot. */
  readonly #latest = new WeakMap<RunState, number>();

  constructor(
    journal: Pick<Journal, "snapshot" | "trim">,
    options: Pick<ShardOptions, "snapshotEvery" | "trimsHistory">,
    failed: (error: Error) => void,
  ) {
    this.#journal = journal;
    this.#options = options;
    this.#failed = failed;
  }

  /** A recovered run was just read: what a snapshot would save was needed now, and not again soon. */
  adopt(run: RunState): void {
    if (run.sequence >= this.#options.snapshotEvery) this.#latest.set(run, run.sequence);
  }

  /**
   * Saves a run whose latest events have just been appended, if it is time: at once, so that the snapshot holds them and
   * nothing more.
   */
  saveIfDue(run: RunState): void {
    const { snapshotEvery } = this.#options;
    if (run.sequence < snapshotEvery) return;
    const since = run.sequence - (this.#latest.get(run) ?? 0);
    if (since < Math.max(snapshotEvery, run.tasks.length)) return;
    this.#latest.set(run, run.sequence);
    this.#save(run).catch(this.#failed);
  }

  async #save(run: RunState): Promise<void> {
    await this.#journal.snapshot(run);
    if (this.#options.trimsHistory) await this.#journal.trim(run.id);
  }
}
