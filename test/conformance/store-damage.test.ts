/**
 * Damage in the files of the disk stores. Both engines were seen to re-open with a silent hole or a shorter history
 * after one flipped bit; the journal above them must answer as before or say that data is lost, never less in silence.
 */
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileMark } from "../../src/adapters/file-mark.ts";
import { LevelStore } from "../../src/adapters/level-store.ts";
import { RocksStore } from "../../src/adapters/rocks-store.ts";
import { FaultError } from "../../src/base/fault.ts";
import { type Prng, prng } from "../../src/base/hash.ts";
import type { Event } from "../../src/core/run/message.ts";
import { StoreJournal } from "../../src/journal/journal.ts";
import type { OrderedStore } from "../../src/ports/store.ts";
import {
  accepted,
  commitOf,
  eventsOf,
  ManualTimers,
  progress,
  readAll,
  runIdAt,
  summaryAt,
} from "../support/journal-fixture.ts";

const ENGINES = {
  rocksdb: (path: string): Promise<OrderedStore> => RocksStore.open(path),
  leveldb: (path: string): Promise<OrderedStore> => LevelStore.open(path),
} as const;

const RUNS = 8;
const TRIALS = 10;
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "goclaw-damage-"));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

type Open = (path: string) => Promise<OrderedStore>;

/** Opens the journal in a directory, hands it over, and closes it whatever happens. */
async function withJournal<T>(
  open: Open,
  data: string,
  use: (journal: StoreJournal) => Promise<T>,
): Promise<T> {
  const store = await open(join(data, "store"));
  const mark = await FileMark.open(join(data, "MARK")).catch(async (error: unknown) => {
    await store.close();
    throw error;
  });
  const journal = new StoreJournal({ store, mark, host: new ManualTimers() });
  try {
    return await use(journal);
  } finally {
    await journal.close().catch(() => {});
  }
}

async function fill(open: Open, data: string): Promise<void> {
  await withJournal(open, data, async (journal) => {
    await journal.recover(() => {});
    for (let n = 1; n <= RUNS; n++) await journal.append(commitOf([eventsOf(n, 1, accepted(n))]));
    for (let at = 2; at < 12; at++) {
      for (let n = 1; n <= RUNS; n++) {
        const note = `${n} ${at} ${"abcdefgh".repeat(40)}`;
        await journal.append(commitOf([eventsOf(n, at, progress(note))]));
      }
    }
    const end: Event = { type: "run_completed", at: 9 };
    await journal.append(commitOf([eventsOf(1, 12, end)], [summaryAt(1)]));
  });
}

/** Everything the journal answers, as text; throws what the journal throws. */
function everything(open: Open, data: string): Promise<string> {
  return withJournal(open, data, async (journal) => {
    const answers: unknown[] = [];
    await journal.recover(({ events }) => {
      answers.push(events);
    });
    for (let n = 1; n <= RUNS; n++) {
      answers.push(await readAll(journal, n), (await journal.load(runIdAt(n)))?.events);
    }
    answers.push((await journal.commitsAfter(undefined, 1_000_000))?.runs, `${journal.head()}`);
    return JSON.stringify(answers);
  });
}

/** Flips a bit of a file, or cuts the file short; larger files are hit more often. Returns what was done. */
async function hurt(data: string, random: Prng): Promise<string> {
  const names = (await readdir(data, { recursive: true })).filter(
    (name) => !/LOCK|LOG$/.test(name),
  );
  const files: { path: string; size: number }[] = [];
  for (const name of names) {
    const { size } = await stat(join(data, name));
    const isFile = !(await stat(join(data, name))).isDirectory();
    if (isFile && size > 0) files.push({ path: join(data, name), size });
  }
  const total = files.reduce((sum, { size }) => sum + size, 0);
  let at = Math.floor(random() * total);
  const file = files.find(({ size }) => {
    if (at < size) return true;
    at -= size;
    return false;
  });
  if (file === undefined) throw new Error("there are no files");
  const bytes = await readFile(file.path);
  const isCut = random() < 0.3;
  if (!isCut) bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random() * 8));
  await writeFile(file.path, isCut ? bytes.subarray(0, at) : bytes);
  return `${isCut ? "cut" : "flipped"} ${file.path.slice(data.length)} at ${at} of ${file.size}`;
}

describe.each(Object.entries(ENGINES))("%s", (_, open) => {
  test("a flipped bit or a lost tail is named, or changes nothing", async () => {
    const original = join(directory, "original");
    await fill(open, original);
    const right = await everything(open, original);
    const random = prng(2_026);
    let named = 0;
    for (let trial = 0; trial < TRIALS; trial++) {
      const copy = join(directory, `copy-${trial}`);
      await cp(original, copy, { recursive: true });
      const what = await hurt(copy, random);
      try {
        expect([what, await everything(open, copy)]).toEqual([what, right]);
      } catch (error) {
        if (!(error instanceof FaultError)) throw error;
        expect(error.fault.code, `${what}: ${error.message}`).toBe("DATA_LOSS");
        named++;
      }
    }
    expect(named).toBeGreaterThan(TRIALS / 2);
  }, 90_000);
});
