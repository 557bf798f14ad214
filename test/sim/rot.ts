/**
 * Bits that flip at rest. A copy of the disk gets one flipped bit or one value cut short, a journal is opened on the
 * copy, and everything that matters is read from it: each answer must be the truth of the ledger or the typed
 * `DATA_LOSS`; any other error and any other answer is silence where there should be none. The real disk stays whole.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type DiskChange,
  keyBytes,
  MemoryDisk,
  MemoryMark,
  MemoryStore,
} from "../../src/adapters/memory-store.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { FaultError } from "../../src/base/fault.ts";
import type { Prng } from "../../src/base/hash.ts";
import type { RunId } from "../../src/base/ids.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import type { Event } from "../../src/core/run/message.ts";
import { StoreJournal } from "../../src/journal/journal.ts";
import type { RecoveredRun } from "../../src/ports/journal.ts";
import type { Ledger, RunRecord } from "./ledger.ts";
import { snapshotOf } from "./oracles.ts";

/** Kinds of records that only their checksum protects: summaries of ended runs, idempotency keys. */
const UNCHAINED = /^[ei]/;
/** Histories read of each rotten copy, besides the one that was hit. */
const RUNS_READ = 12;
/** A run id has so many characters; keys of runs have it behind one letter. */
const RUN_ID_LENGTH = 26;

/** What a reading needs. */
export interface Rot {
  readonly disk: MemoryDisk;
  readonly ledger: Ledger;
  readonly random: Prng;
  readonly complain: (message: string) => void;
  /** Stands for a reader that does not look at checksums: every one of them is right. */
  readonly isSealedAgain: boolean;
}

/** Rots a copy, reads it, and says what was hit and how it was noticed. */
export async function checkRot(rot: Rot): Promise<string> {
  const copy = new MemoryDisk();
  const changes = copyOf(rot.disk);
  const { hit, key } = damage(changes, rot);
  await copy.sync(changes);
  copy.mark = rot.disk.mark;
  const reading = new Reading(rot, copy, hit);
  try {
    await reading.readAll(key.slice(1, 1 + RUN_ID_LENGTH) as RunId);
  } catch (error) {
    if (isRefusal(error)) return `${hit}: refused`;
    rot.complain(`rot: ${hit}: ${error instanceof Error ? error.stack : String(error)}`);
  }
  return `${hit}: ${reading.refusals > 0 ? "refused" : "harmless"}`;
}

type Put = Extract<DiskChange, { kind: "put" }>;

function copyOf(disk: MemoryDisk): Put[] {
  const changes: Put[] = [];
  for (const [key, value] of disk.contents.range({ from: "", to: "\uffff" })) {
    changes.push({ kind: "put", key, value });
  }
  return changes;
}

/** Damages one of the values. */
function damage(changes: Put[], { random, isSealedAgain }: Rot): { hit: string; key: string } {
  const choice = isSealedAgain ? changes.filter(({ key }) => UNCHAINED.test(key)) : changes;
  const victim = choice[Math.floor(random() * choice.length)];
  const at = victim === undefined ? 0 : changes.indexOf(victim);
  if (victim === undefined) return { hit: "nothing", key: "" };
  const { key, value } = victim;
  const isCut = random() < 0.2;
  const place = Math.floor(random() * value.length * 8);
  const rotten = isCut ? value.slice(0, place >> 3) : value.slice();
  if (!isCut) rotten[place >> 3] = (rotten[place >> 3] ?? 0) ^ (1 << (place & 7));
  if (isSealedAgain && rotten.length >= 8) seal(key, rotten);
  changes[at] = { kind: "put", key, value: rotten };
  const how = isCut ? `cut to ${place >> 3} bytes` : `bit ${place} flipped`;
  return { hit: `${key.replace(/[^ -~]/g, "·")} (${value.length} bytes) ${how}`, key };
}

/** Length and checksum as they would have to be. */
function seal(key: string, value: Uint8Array): void {
  const view = new DataView(value.buffer, value.byteOffset);
  view.setUint32(4, value.length - 8, true);
  view.setUint32(0, crc32c(value, 4, value.length, crc32c(keyBytes(key))), true);
}

function isRefusal(error: unknown): boolean {
  return error instanceof FaultError && error.fault.code === "DATA_LOSS";
}

/** One reading of a copy. */
class Reading {
  readonly #rot: Rot;
  readonly #journal: StoreJournal;
  readonly #hit: string;
  refusals = 0;

  constructor(rot: Rot, copy: MemoryDisk, hit: string) {
    this.#rot = rot;
    this.#hit = hit;
    this.#journal = new StoreJournal({
      store: new MemoryStore(copy),
      mark: new MemoryMark(copy),
      host: { setTimer: () => ({ cancel: () => {} }) },
    });
  }

  async readAll(hitRun: RunId): Promise<void> {
    const { ledger, random } = this.#rot;
    const open = new Set(ledger.open().map(({ id }) => id));
    await this.#journal.recover((run) => {
      open.delete(run.runId);
      this.#compareRun(ledger.runs.get(run.runId), run);
    });
    for (const runId of open) this.#differs(`the open run ${runId} is not recovered`);
    const ended = ledger.ended().filter(({ fate }) => fate === "kept");
    const from = Math.floor(random() * ended.length);
    const some = ended.filter(
      ({ id }, at) => id === hitRun || (at >= from && at < from + RUNS_READ),
    );
    for (const record of some) await this.#guard(() => this.#readEnded(record));
    await this.#guard(() => this.#readKeys());
    await this.#guard(() => this.#readList(ended.length));
    await this.#guard(async () => void (await this.#journal.registeredDefinitions()));
    await this.#guard(async () => void (await this.#journal.loadCursor("sim")));
    await this.#journal.close();
  }

  /** A refusal is an answer. */
  async #guard(read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.refusals++;
    }
  }

  #differs(what: string): void {
    this.#rot.complain(`rot: ${this.#hit} went unnoticed: ${what}`);
  }

  #compareRun(record: RunRecord | undefined, { runId, snapshot, events }: RecoveredRun): void {
    if (record === undefined) return this.#differs(`run ${runId} is another`);
    const from = snapshot?.sequence ?? 0;
    const expected = record.events.slice(from, record.durable);
    if (!isDeepStrictEqual(expected, [...events.events])) {
      return this.#differs(`run ${runId} has another history after ${from}`);
    }
    if (snapshot === undefined) return;
    const run = snapshot.restore(record.plan);
    for (const event of events.events) evolve(run, event);
    const truth = this.#rot.ledger.fold(record, record.durable);
    if (!isDeepStrictEqual(words(snapshotOf(truth)), words(snapshotOf(run)))) {
      this.#differs(`run ${runId} has another state`);
    }
  }

  async #readEnded(record: RunRecord): Promise<void> {
    const { id, events, durable, isTrimmed } = record;
    const loaded = await this.#journal.load(id);
    if (loaded === undefined) return this.#differs(`run ${id} is gone`);
    this.#compareRun(record, loaded);
    if (isTrimmed) return;
    const found: Event[] = [];
    for await (const page of this.#journal.history(id, 0)) found.push(...page.events);
    if (!isDeepStrictEqual(found, events.slice(0, durable)))
      this.#differs(`run ${id} has another history`);
  }

  async #readKeys(): Promise<void> {
    const { keys, runs } = this.#rot.ledger;
    for (const [name, runId] of [...keys].slice(-RUNS_READ)) {
      const record = runs.get(runId);
      if (record === undefined || record.durable === 0 || record.fate !== "kept") continue;
      const [namespace, key] = name.split("/") as [string, string];
      const found = await this.#journal.findIdempotent(namespace, key);
      if (found?.runId !== runId) this.#differs(`key ${name} belongs to ${found?.runId}`);
    }
  }

  async #readList(count: number): Promise<void> {
    const listed = await this.#journal.listEnded({ limit: 10_000 });
    for (const { runId, namespace, name } of listed) {
      const record = this.#rot.ledger.runs.get(runId);
      const isTrue = record?.namespace === namespace && record.plan.definition.name === name;
      if (!isTrue) this.#differs(`run ${runId} is listed as ${namespace}/${name}`);
    }
    const isDeleting = [...this.#rot.ledger.runs.values()].some(({ fate }) => fate === "deleting");
    if (!isDeleting && listed.length !== count) {
      this.#differs(`${listed.length} of ${count} ended runs are listed`);
    }
  }
}

/** A state without fields that are undefined, which a snapshot does not write. */
function words(state: object): unknown {
  return JSON.parse(
    JSON.stringify(state, (_key, value: unknown) =>
      value instanceof Uint8Array ? [...value] : value,
    ),
  );
}
