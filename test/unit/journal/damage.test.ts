/**
 * Damage at rest. For every byte of every record: the journal opens and answers exactly as before, or says `DATA_LOSS`.
 * The same for records that are gone, doubled, or in each other's place.
 */
import { describe, expect, test } from "vitest";
import { keyBytes, type MemoryDisk } from "../../../src/adapters/memory-store.ts";
import { FaultError } from "../../../src/base/fault.ts";
import type { Event } from "../../../src/core/run/message.ts";
import { PREFIXES, printKey } from "../../../src/journal/keys.ts";
import { sealed } from "../../../src/journal/record.ts";
import { ByteWriter } from "../../../src/journal/wire.ts";
import {
  accepted,
  commitOf,
  eventsOf,
  openJournal,
  progress,
  readAll,
  runIdAt,
  summaryAt,
} from "../../support/journal-fixture.ts";

const END: Event = { type: "run_completed", at: 3_001 };
const LARGE: Event = {
  type: "task_checkpointed",
  at: 5,
  task: "a",
  attempt: 1,
  data: Uint8Array.of(1, 2, 3),
};

/** A journal with two open runs, a finished one, a large payload, a definition, an idempotency key and a cursor. */
async function makeDisk(): Promise<MemoryDisk> {
  const { disk, journal } = await openJournal();
  await journal.registerDefinition({
    namespace: "default",
    name: "flow",
    version: "1",
    hash: "h1",
    json: "{}",
    registeredAt: 5,
  });
  await journal.append({
    ...commitOf([eventsOf(1, 1, accepted(1), progress("one")), eventsOf(2, 1, accepted(2))]),
    definitions: [{ hash: "h2", json: '{"name":"flow"}' }],
    accepted: [
      { runId: runIdAt(1), namespace: "default", idempotency: { key: "k", fingerprint: "f" } },
      { runId: runIdAt(2), namespace: "default", idempotency: undefined },
    ],
  });
  await journal.append(commitOf([eventsOf(3, 1, accepted(3), LARGE)]));
  await journal.append(
    commitOf([eventsOf(1, 3, progress("two")), eventsOf(2, 2, END)], [summaryAt(2)]),
  );
  await journal.append(
    commitOf([eventsOf(3, 3, progress("a large one"), accepted(9, `"${"x".repeat(33_000)}"`))]),
  );
  await journal.append(commitOf([eventsOf(1, 4, progress("three"))]));
  await journal.saveCursor("bus", 2n);
  await journal.close();
  return disk;
}

/** Every answer the journal gives, or the fault with which it refuses. */
async function answers(disk: MemoryDisk): Promise<Map<string, unknown>> {
  const all = new Map<string, unknown>();
  const ask = async (question: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      all.set(question, await work());
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      all.set(question, error.fault);
    }
  };
  try {
    const { journal, found } = await openJournal(disk);
    all.set(
      "recovered",
      found.map(({ events }) => events),
    );
    for (const n of [1, 2, 3]) {
      await ask(`history ${n}`, () => readAll(journal, n));
      await ask(`load ${n}`, async () => (await journal.load(runIdAt(n)))?.events);
    }
    await ask("ended", () => journal.listEnded({ limit: 9 }));
    await ask("definition 1", () => journal.definition("h1"));
    await ask("definition 2", () => journal.definition("h2"));
    await ask("registered", () => journal.registeredDefinitions());
    await ask("idempotent", () => journal.findIdempotent("default", "k"));
    await ask("cursor", () => journal.loadCursor("bus"));
    await ask("commits", async () => (await journal.commitsAfter(undefined, 1_000))?.runs);
    await ask("head", async () => journal.head());
  } catch (error) {
    if (!(error instanceof FaultError)) throw error;
    all.set("recovered", error.fault);
  } finally {
    disk.unlock();
  }
  return all;
}

/** Answers that neither are the right ones nor `DATA_LOSS`. */
function lies(given: Map<string, unknown>, right: Map<string, unknown>): string[] {
  const found: string[] = [];
  for (const [question, answer] of given) {
    if ((answer as { code?: string } | undefined)?.code === "DATA_LOSS") continue;
    try {
      expect(answer).toEqual(right.get(question));
    } catch {
      found.push(
        `${question}: ${JSON.stringify(answer, (_, v) => (typeof v === "bigint" ? `${v}` : v))}`,
      );
    }
  }
  return found;
}

const wasNoticed = (given: Map<string, unknown>): boolean =>
  [...given.values()].some(
    (answer) => (answer as { code?: string } | undefined)?.code === "DATA_LOSS",
  );

function entriesOf(disk: MemoryDisk): [key: string, value: Uint8Array][] {
  return [...disk.contents.range({ from: "", to: "\uffff" })].map(([key, value]) => [key, value]);
}

const nameOf = (key: string): string => printKey(keyBytes(key));

describe("flipped bits", () => {
  test("no byte of any record can change without being noticed", async () => {
    const disk = await makeDisk();
    const right = await answers(disk);
    expect(wasNoticed(right)).toBe(false);
    const problems: string[] = [];
    const unnoticed = new Set<string>();
    for (const [key, value] of entriesOf(disk)) {
      // One large payload has 33,002 bytes that are all alike; a sample of them will do.
      const step = value.length > 10_000 ? 997 : 1;
      for (let at = 0; at < value.length; at += step) {
        const flipped = value.slice();
        flipped[at] = (flipped[at] as number) ^ (1 << (at & 7));
        disk.contents.set(key, flipped);
        const given = await answers(disk);
        problems.push(...lies(given, right).map((lie) => `${nameOf(key)} byte ${at}: ${lie}`));
        if (!wasNoticed(given)) unnoticed.add(nameOf(key));
      }
      disk.contents.set(key, value);
    }
    expect(problems).toEqual([]);
    // Only retention reads a run's own idempotency key.
    expect([...unnoticed]).toEqual([`keyOfRun/${runIdAt(1)}`]);
  });

  test("nor can a record be cut short", async () => {
    const disk = await makeDisk();
    const right = await answers(disk);
    for (const [key, value] of entriesOf(disk)) {
      for (const length of [0, 7, 8, value.length - 1]) {
        disk.contents.set(key, value.slice(0, length));
        const given = await answers(disk);
        expect([nameOf(key), ...lies(given, right)]).toEqual([nameOf(key)]);
      }
      disk.contents.set(key, value);
    }
  });
});

describe("missing and misplaced records", () => {
  test("every lost run record is noticed, and at start if its run is open", async () => {
    const disk = await makeDisk();
    for (const [key, value] of entriesOf(disk)) {
      if (!key.startsWith(PREFIXES.run)) continue;
      disk.contents.delete(key);
      const given = await answers(disk);
      expect(wasNoticed(given)).toBe(true);
      const isOpen = !key.includes(runIdAt(2));
      expect((given.get("recovered") as { code?: string }).code === "DATA_LOSS").toBe(isOpen);
      disk.contents.set(key, value);
    }
  });

  test("a lost entry of the open index is noticed once recovery depends on it", async () => {
    const { disk, journal } = await openJournal();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1)), eventsOf(2, 1, accepted(2))]));
    // Positions are noted twice before the commits that bore the runs need not be read any more.
    for (let sequence = 2; sequence <= 20_002; sequence++) {
      await journal.append(commitOf([eventsOf(1, sequence, progress("."))]));
    }
    await journal.close();
    for (const [key, value] of entriesOf(disk)) {
      if (!key.startsWith(PREFIXES.open)) continue;
      disk.contents.delete(key);
      const given = await answers(disk);
      expect((given.get("recovered") as { code?: string }).code).toBe("DATA_LOSS");
      disk.contents.set(key, value);
    }
    expect(entriesOf(disk).filter(([key]) => key.startsWith(PREFIXES.open))).toHaveLength(2);
  });

  test.each(["commit", "meta", "blob"] as const)(
    "every lost %s record is noticed at start",
    async (kind) => {
      const disk = await makeDisk();
      let lost = 0;
      for (const [key, value] of entriesOf(disk)) {
        if (!key.startsWith(PREFIXES[kind]) || key.includes("verified")) continue;
        disk.contents.delete(key);
        const given = await answers(disk);
        expect([nameOf(key), (given.get("recovered") as { code?: string }).code]).toEqual([
          nameOf(key),
          "DATA_LOSS",
        ]);
        disk.contents.set(key, value);
        lost++;
      }
      expect(lost).toBeGreaterThan(0);
    },
  );

  test("a finished run that is in no index is noticed when it is asked for", async () => {
    const disk = await makeDisk();
    for (const [key] of entriesOf(disk)) {
      if (key.startsWith(PREFIXES.ended)) disk.contents.delete(key);
    }
    const given = await answers(disk);
    const where = `ended/${runIdAt(2)}`;
    expect(given.get("history 2")).toMatchObject({ code: "DATA_LOSS", where });
    expect(given.get("load 2")).toMatchObject({ code: "DATA_LOSS", where });
  });

  test("the name of the lost key is in the fault", async () => {
    const disk = await makeDisk();
    const commit = entriesOf(disk).find(([key]) => nameOf(key) === "commit/3");
    disk.contents.delete(commit?.[0] ?? "");
    const given = await answers(disk);
    expect(given.get("recovered")).toEqual({
      code: "DATA_LOSS",
      where: "commit/3",
      detail: "the commit is missing",
    });
  });

  test("records of one kind that change places are noticed", async () => {
    const disk = await makeDisk();
    const right = await answers(disk);
    const runs = entriesOf(disk).filter(([key]) => key.startsWith(PREFIXES.run));
    for (const [keyA, valueA] of runs) {
      for (const [keyB, valueB] of runs) {
        if (keyA === keyB) continue;
        disk.contents.set(keyA, valueB);
        disk.contents.set(keyB, valueA);
        const given = await answers(disk);
        expect(lies(given, right)).toEqual([]);
        expect(wasNoticed(given)).toBe(true);
        disk.contents.set(keyA, valueA);
        disk.contents.set(keyB, valueB);
      }
    }
  });

  test("a truncated tail is noticed by the mark", async () => {
    const disk = await makeDisk();
    expect(disk.mark).toBe(6n);
    const last = entriesOf(disk)
      .filter(([key]) => key.startsWith(PREFIXES.commit))
      .at(-1);
    disk.contents.delete(last?.[0] ?? "");
    const given = await answers(disk);
    expect(given.get("recovered")).toEqual({
      code: "DATA_LOSS",
      where: "commit/6",
      detail: "commits up to 6 had been durable",
    });
  });

  test("an emptied store is noticed by the mark", async () => {
    const disk = await makeDisk();
    for (const [key] of entriesOf(disk)) disk.contents.delete(key);
    const given = await answers(disk);
    expect(given.get("recovered")).toMatchObject({ code: "DATA_LOSS", where: "commit/1" });
  });

  test("events that are in no commit are noticed", async () => {
    const disk = await makeDisk();
    const other = await openJournal(disk);
    await other.journal.append(commitOf([eventsOf(1, 5, progress("extra"))]));
    const extra = entriesOf(disk).find(([key]) => nameOf(key) === `run/${runIdAt(1)}/5`);
    await other.journal.close();
    const fresh = await makeDisk();
    fresh.contents.set(extra?.[0] ?? "", extra?.[1] ?? new Uint8Array());
    const given = await answers(fresh);
    expect(given.get("recovered")).toMatchObject({
      code: "DATA_LOSS",
      detail: "events are in no commit",
    });
  });

  test("a journal of a newer format is refused as such", async () => {
    const disk = await makeDisk();
    const { journal } = await openJournal(disk);
    await journal.close();
    const format = entriesOf(disk).find(([key]) => nameOf(key) === "meta/format");
    expect(format?.[1].at(-1)).toBe(1);
    const writer = new ByteWriter();
    const key = keyBytes(format?.[0] ?? "");
    const newer = sealed(writer, key, () => writer.raw(Uint8Array.of(8, 2))).slice();
    disk.contents.set(format?.[0] ?? "", newer);
    const given = await answers(disk);
    expect(given.get("recovered")).toMatchObject({
      code: "STORE_FORMAT",
      found: "journal format 2",
    });
  });
});
