/**
 * Reading the journal in the order it was committed, for consumers that want everything: the event bus. It follows the
 * commit log and fetches the run records each commit lists, checking that they are the ones that were committed. Runs
 * that retention has deleted meanwhile are left out; anything else that is missing is `DATA_LOSS`.
 */
import { fault, refuse } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { RunEvents } from "../core/run/message.ts";
import type { CommitPage } from "../ports/journal.ts";
import type { OrderedStore } from "../ports/store.ts";
import { decode } from "./decode.ts";
import { COMMIT, type CommitRecord } from "./index-table.ts";
import { commitKey, endedKey, numberOf, runIdAt, runKey } from "./keys.ts";
import type { RunReader } from "./reader.ts";
import { damaged, readRecord } from "./record.ts";

/** Most commits read at once. */
const PAGE_COMMITS = 256;

/** Reads commits from a store. */
export class CommitReader {
  readonly #store: OrderedStore;
  readonly #reader: RunReader;
  readonly #isOpen: (runId: RunId) => boolean;

  /** `isOpen` says whether a run has no end yet. */
  constructor(store: OrderedStore, reader: RunReader, isOpen: (runId: RunId) => boolean) {
    this.#store = store;
    this.#reader = reader;
    this.#isOpen = isOpen;
  }

  /**
   * Commits after `cursor` up to `last`, at least one and then as many as keep the page within `limit` run records.
   * Undefined when there is none yet. Throws `CURSOR_EXPIRED` when the next one is deleted already.
   */
  async after(
    cursor: bigint | undefined,
    limit: number,
    last: number,
  ): Promise<CommitPage | undefined> {
    const from = cursor === undefined ? 0 : Number(cursor);
    if (from >= last) return undefined;
    const range = { from: commitKey(from + 1), to: commitKey(last + 1) };
    const entries = await this.#store.range(range, { limit: PAGE_COMMITS });
    let next = entries[0] === undefined ? from + 1 : numberOf(entries[0].key);
    if (cursor !== undefined && next !== from + 1) expired(from, next);
    const runs: Promise<RunEvents | undefined>[] = [];
    for (const { key, value } of entries) {
      if (numberOf(key) !== next) damaged(commitKey(next), "the commit is missing");
      const commit = readRecord(key, value, (reader) => decode(reader, COMMIT));
      if (runs.length > 0 && runs.length + commit.crcs.length > limit) break;
      for (const at of commit.crcs.keys()) runs.push(this.#record(commit, at));
      next++;
    }
    if (entries.length === 0) damaged(commitKey(next), "the commit is missing");
    const found = (await Promise.all(runs)).filter((run) => run !== undefined);
    return { runs: found, cursor: BigInt(next - 1) };
  }

  async #record(commit: CommitRecord, at: number): Promise<RunEvents | undefined> {
    const runId = runIdAt(commit.runIds, at);
    const firstSequence = commit.firstSequences[at] ?? 0;
    const record = await this.#reader.record(runId, firstSequence);
    const key = runKey(runId, firstSequence);
    if (record === undefined) {
      if (await this.#isDeleted(runId, firstSequence)) return undefined;
      return damaged(key, "the record is missing");
    }
    if (record.header.crc !== commit.crcs[at])
      damaged(key, "it is not the record that was committed");
    return { runId, firstSequence, events: record.events };
  }

  async #isDeleted(runId: RunId, sequence: number): Promise<boolean> {
    const trimmed = await this.#reader.trimmed(runId);
    if (trimmed !== undefined) return sequence <= trimmed.sequence;
    if (this.#isOpen(runId)) return false;
    return (await this.#store.get(endedKey(runId))) === undefined;
  }
}

function expired(sequence: number, oldest: number): never {
  return refuse(fault("CURSOR_EXPIRED", { runId: "(all)", sequence, oldest }));
}
