/**
 * What can be set of the writer loop, and what holds where nobody set it. Apart from the loop, because the composition
 * root and tests speak of it without knowing the loop.
 */

export interface ShardOptions {
  /** Most letters decided into one commit. */
  readonly batchMax: number;
  /** Commits in flight at once; the second is decided while the first is on its way to disk. */
  readonly inFlightMax: number;
  /**
   * Beyond so many open runs those that stand still sleep, but for tasks with fewer than so many before them in their
   * lane.
   */
  readonly awakeMost: number;
  /** A snapshot of a run is taken after this many events. */
  readonly snapshotEvery: number;
  /** Whether events behind a snapshot are deleted; watchers with an older cursor then get a gap. */
  readonly trimsHistory: boolean;
}

export const SHARD_DEFAULTS: ShardOptions = {
  batchMax: 2_000,
  inFlightMax: 2,
  awakeMost: 16_384,
  snapshotEvery: 2_000,
  trimsHistory: false,
};
