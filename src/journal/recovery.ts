/**
 * What happens before the journal is used. It reads the commits since the verified point as one unbroken chain, learns
 * from them where each open run must stand, compares that with the open index and with the runs' own records, and
 * checks the high-water mark kept outside the store. Whatever does not agree is `DATA_LOSS`, and the journal stays
 * closed; a journal of a newer format is `STORE_FORMAT`. It changes nothing but the epoch.
 */

import { present } from "../base/assert.ts";
import { keyAfter } from "../base/bytes.ts";
import { fault, refuse } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { KeyRange, OrderedStore } from "../ports/store.ts";
import type { CommitLog } from "./commit-log.ts";
import { decode } from "./decode.ts";
import {
  COMMIT,
  type CommitRecord,
  EPOCH,
  FORMAT,
  OPEN,
  VERIFIED,
  type VerifiedRecord,
} from "./index-table.ts";
import {
  commitKey,
  metaKey,
  numberOf,
  openKey,
  printKey,
  rangeOf,
  runIdAt,
  runIdOf,
  runKey,
  snapshotKey,
  trimmedKey,
} from "./keys.ts";
import { loadAhead } from "./load-ahead.ts";
import { ReadAhead } from "./read-ahead.ts";
import { type ExpectedEnd, type LoadedRun, RunReader } from "./reader.ts";
import {
  checksumOf,
  damaged,
  FIRST_LINK,
  isSameLink,
  type Link,
  linkAfter,
  readRecord,
} from "./record.ts";
import type { Message } from "./schema.ts";

/** Version of everything under src/journal; readers refuse a larger one. */
export const FORMAT_VERSION = 1;

/** Commits per page, and open runs loaded at the same time. */
const PAGE_COMMITS = 256;
const PAGE_OPEN_RUNS = 10_000;
const RUNS_AT_ONCE = 500;
/** Entries read ahead for a group of open runs; where finished ones lie in between, the rest is read one by one. */
const ENTRIES_AHEAD = 3_000;

/** What the commits since the verified point say. */
interface Tail {
  head: number;
  link: Link;
  epoch: number;
  openRuns: number;
  /** Where each run without an end stands that any of them changed. */
  readonly listed: Map<RunId, ExpectedEnd>;
  /** Those among them that were born in one of them: the open index need not know them yet. */
  readonly born: Set<RunId>;
}

/** An open run and where it must stand. */
type Ending = readonly [RunId, ExpectedEnd];

/** What was read ahead of a group of runs; `isPlain` when none of them has a snapshot or was trimmed. */
interface GroupAhead {
  readonly ahead: ReadAhead;
  readonly isPlain: boolean;
}

/** Hands out one open run; recovery waits for it. */
export type OnLoaded = (runId: RunId, run: LoadedRun) => void | Promise<void>;

/** Verifies a journal, brings `log` to its head with a new epoch, and yields its open runs. */
export class Recovery {
  readonly #store: OrderedStore;
  readonly #log: CommitLog;

  constructor(store: OrderedStore, log: CommitLog) {
    this.#store = store;
    this.#log = log;
  }

  /** `mark` is the high-water mark, undefined when there is none. */
  async run(mark: bigint | undefined, onLoaded: OnLoaded): Promise<void> {
    const epoch = (await this.#checkFormat())
      ? ((await this.#meta("epoch", EPOCH))?.epoch ?? 0)
      : 0;
    const verified = (await this.#meta("verified", VERIFIED)) ?? { commit: 0, ...FIRST_LINK };
    const tail = await this.#readTail(verified, epoch);
    if (mark !== undefined && tail.head < mark) {
      damaged(commitKey(tail.head + 1), `commits up to ${mark} had been durable`);
    }
    await this.#claim(epoch + 1);
    this.#log.resume({ head: tail.head, link: tail.link, verified, epoch: epoch + 1 });
    const found = await this.#loadOpen(tail, onLoaded);
    for (const runId of tail.listed.keys()) damaged(openKey(runId), "the open run is missing");
    if (tail.head > 0 && found !== tail.openRuns) {
      damaged(commitKey(tail.head), `${tail.openRuns} runs were open, ${found} are found`);
    }
  }

  /** Whether there is a journal of a format we read; false for an empty store. */
  async #checkFormat(): Promise<boolean> {
    const format = await this.#meta("format", FORMAT);
    if (format === undefined) {
      const everything = { from: new Uint8Array(0), to: Uint8Array.of(0xff) };
      const [stray] = await this.#store.range(everything, { limit: 1 });
      if (stray !== undefined)
        damaged(metaKey("format"), `it is missing, but ${printKey(stray.key)} is there`);
      return false;
    }
    if (format.version > FORMAT_VERSION) {
      const found = `journal format ${format.version}`;
      refuse(
        fault("STORE_FORMAT", {
          directory: "the journal",
          found,
          expected: `format ${FORMAT_VERSION}`,
        }),
      );
    }
    return true;
  }

  async #claim(epoch: number): Promise<void> {
    const format = this.#log.encodeRecord(metaKey("format"), FORMAT, { version: FORMAT_VERSION });
    const formatCopy = { key: format.key, value: format.value?.slice() };
    await this.#store.write([
      formatCopy,
      this.#log.encodeRecord(metaKey("epoch"), EPOCH, { epoch }),
    ]);
  }

  async #meta<T>(what: "format" | "epoch" | "verified", table: Message<T>): Promise<T | undefined> {
    const key = metaKey(what);
    const value = await this.#store.get(key);
    return value && readRecord(key, value, (reader) => decode(reader, table));
  }

  async #readTail(verified: VerifiedRecord, epoch: number): Promise<Tail> {
    const tail: Tail = {
      head: verified.commit,
      link: verified,
      epoch: 0,
      openRuns: 0,
      listed: new Map(),
      born: new Set(),
    };
    const { to } = rangeOf("commit");
    for (;;) {
      const from = commitKey(tail.head + 1);
      const page = await this.#store.range({ from, to }, { limit: PAGE_COMMITS });
      for (const { key, value } of page) this.#addCommit(tail, key, value, epoch);
      if (page.length < PAGE_COMMITS) break;
    }
    // The verified point trails the head by design, so there is always a commit after it.
    if (verified.commit > 0 && tail.head === verified.commit) {
      damaged(commitKey(tail.head + 1), "the commit is missing");
    }
    return tail;
  }

  #addCommit(tail: Tail, key: Uint8Array, value: Uint8Array, epoch: number): void {
    const next = tail.head + 1;
    if (numberOf(key) !== next) damaged(commitKey(next), "the commit is missing");
    const commit = readRecord(key, value, (reader) => decode(reader, COMMIT));
    if (!isSameLink(commit, tail.link)) damaged(key, "it does not continue the commit before");
    if (commit.epoch < tail.epoch || commit.epoch > epoch)
      damaged(key, `its epoch is ${commit.epoch}`);
    if (commit.partition !== this.#log.partition)
      damaged(key, `its partition is ${commit.partition}`);
    tail.head = next;
    tail.link = linkAfter(tail.link, checksumOf(value), next);
    tail.epoch = commit.epoch;
    tail.openRuns = commit.openRuns;
    addListed(tail, commit);
  }

  /** The runs of the open index, then those born since; each part oldest first. Returns how many there are. */
  async #loadOpen(tail: Tail, onLoaded: OnLoaded): Promise<number> {
    let found = 0;
    for (let range: KeyRange = rangeOf("open"); ; ) {
      const page = await this.#store.range(range, { limit: PAGE_OPEN_RUNS });
      const ends = page.map(({ key, value }) => this.#noted(tail, key, value));
      await this.#loadAll(ends, true, onLoaded);
      found += page.length;
      const last = page.at(-1);
      if (last === undefined || page.length < PAGE_OPEN_RUNS) break;
      range = { from: keyAfter(last.key), to: range.to };
    }
    const born = [...tail.listed].filter(([runId]) => tail.born.has(runId));
    for (const [runId] of born) tail.listed.delete(runId);
    await this.#loadAll(
      born.sort(([a], [b]) => (a < b ? -1 : 1)),
      false,
      onLoaded,
    );
    return found + born.length;
  }

  /** Where the run of an entry of the open index stands by now. */
  #noted(tail: Tail, key: Uint8Array, value: Uint8Array): Ending {
    const runId = runIdOf(key);
    const noted = readRecord(key, value, (reader) => decode(reader, OPEN));
    const end = tail.listed.get(runId) ?? { sequence: noted.sequence, link: noted };
    tail.listed.delete(runId);
    if (end.sequence === 0) damaged(key, "no commit has events of this run");
    if (end.sequence < noted.sequence) damaged(key, "it stands past the last commit");
    return [runId, end];
  }

  /** What lies between the first and the last of these runs, which are in order. */
  async #readAhead(group: readonly Ending[]): Promise<GroupAhead> {
    const [first] = group[0] as Ending;
    const [last] = group.at(-1) as Ending;
    const records = { from: runKey(first, 0), to: runKey(last, Number.MAX_SAFE_INTEGER) };
    const snapshots = { from: snapshotKey(first), to: keyAfter(snapshotKey(last)) };
    const trimmed = { from: trimmedKey(first), to: keyAfter(trimmedKey(last)) };
    const ahead = await ReadAhead.of(this.#store, [records, snapshots, trimmed], ENTRIES_AHEAD);
    return { ahead, isPlain: ahead.lacks(snapshots) && ahead.lacks(trimmed) };
  }

  /** Reads the next group while it works on one. */
  async #loadAll(ends: readonly Ending[], isNoted: boolean, onLoaded: OnLoaded): Promise<void> {
    const groups: (readonly Ending[])[] = [];
    for (let at = 0; at < ends.length; at += RUNS_AT_ONCE) {
      groups.push(ends.slice(at, at + RUNS_AT_ONCE));
    }
    let reading = groups[0] && this.#readAhead(groups[0]);
    for (const [place, group] of groups.entries()) {
      const found = present(await reading, "what was read ahead");
      const next = groups[place + 1];
      reading = next && this.#readAhead(next);
      // Whatever fails there is told when its turn comes; a failure here comes first.
      reading?.catch(() => {});
      await this.#loadGroup(group, found, isNoted, onLoaded);
    }
  }

  async #loadGroup(
    group: readonly Ending[],
    { ahead, isPlain }: GroupAhead,
    isNoted: boolean,
    onLoaded: OnLoaded,
  ): Promise<void> {
    const reader = new RunReader(ahead);
    for (const [runId, end] of group) {
      const plain = isPlain ? loadAhead(ahead, runId, end) : undefined;
      const run = plain ?? (await reader.load(runId, end, true));
      this.#log.adopt(runId, run.position, isNoted);
      const taken = onLoaded(runId, run);
      if (taken !== undefined) await taken;
    }
  }
}

function addListed({ listed, born }: Tail, commit: CommitRecord): void {
  const { runIds, firstSequences, counts, crcs } = commit;
  for (const [at, firstSequence] of firstSequences.entries()) {
    const runId = runIdAt(runIds, at);
    const sequence = firstSequence + (counts[at] ?? 0) - 1;
    listed.set(runId, { sequence, crc: crcs[at] });
    if (firstSequence === 1) born.add(runId);
  }
  for (const at of commit.ended) {
    const runId = runIdAt(runIds, at);
    listed.delete(runId);
    born.delete(runId);
  }
}
