/** What keeps a journal small and its start short: snapshots, trimming, retention, notes of positions, the mark. */
import { describe, expect, test } from "vitest";
import { MemoryDisk, MemoryStore } from "../../../src/adapters/memory-store.ts";
import type { Event } from "../../../src/core/run/message.ts";
import { StoreJournal } from "../../../src/journal/journal.ts";
import { PREFIXES } from "../../../src/journal/keys.ts";
import {
  accepted,
  commitOf,
  eventsOf,
  ManualTimers,
  openJournal,
  progress,
  readAll,
  runIdAt,
  summaryAt,
} from "../../support/journal-fixture.ts";
import { RunHarness } from "../../support/run-harness.ts";

const END: Event = { type: "run_completed", at: 3_001 };

function countOf(disk: MemoryDisk, kind: keyof typeof PREFIXES): number {
  const from = PREFIXES[kind];
  return [...disk.contents.range({ from, to: String.fromCharCode(from.charCodeAt(0) + 1) })].length;
}

/** A run with real events, as the core makes them. */
function drivenRun(turns: number): RunHarness {
  const harness = new RunHarness({ name: "flow", tasks: [{ id: "a", agent: "x" }] });
  harness.start("a");
  for (let n = 0; n < turns; n++) {
    harness.do({ type: "progress", task: "a", lease: 1, percent: n, note: `n${n}` });
  }
  return harness;
}

describe("snapshots in the journal", () => {
  async function withSnapshot(): Promise<{
    journal: StoreJournal;
    disk: MemoryDisk;
    harness: RunHarness;
  }> {
    const { journal, disk } = await openJournal();
    const harness = drivenRun(300);
    const { run, events } = harness;
    let next = 1;
    for (const event of events) {
      await journal.append(commitOf([{ runId: run.id, firstSequence: next++, events: [event] }]));
    }
    await journal.snapshot(run);
    harness.do({ type: "progress", task: "a", lease: 1, percent: 99, note: "after" });
    const last = harness.events.at(-1) as Event;
    await journal.append(commitOf([{ runId: run.id, firstSequence: next, events: [last] }]));
    return { journal, disk, harness };
  }

  test("recovery starts from the snapshot and the events after it", async () => {
    const { journal, disk, harness } = await withSnapshot();
    await journal.close();
    const { found } = await openJournal(disk);
    expect(found).toHaveLength(1);
    expect(found[0]?.snapshot?.sequence).toBe(harness.run.sequence - 1);
    expect(found[0]?.events).toEqual({
      runId: harness.run.id,
      firstSequence: harness.run.sequence,
      events: [harness.events.at(-1)],
    });
    const restored = found[0]?.snapshot?.restore(harness.run.plan);
    expect(restored?.tasks[0]?.note).toBe("n299");
  });

  test("trimmed events are CURSOR_EXPIRED, the rest can still be read, also after a restart", async () => {
    const { journal, disk, harness } = await withSnapshot();
    const { id, sequence } = harness.run;
    expect(await journal.trim(id)).toBe(true);
    expect(countOf(disk, "run")).toBe(1);
    await journal.close();
    const again = await openJournal(disk);
    const read = async (after: number): Promise<Event[]> => {
      const events: Event[] = [];
      for await (const page of again.journal.history(id, after)) events.push(...page.events);
      return events;
    };
    expect(await read(sequence - 1)).toEqual([harness.events.at(-1)]);
    await expect(read(sequence - 2)).rejects.toMatchObject({
      fault: { code: "CURSOR_EXPIRED", sequence: sequence - 2, oldest: sequence },
    });
    await expect(read(0)).rejects.toMatchObject({ fault: { code: "CURSOR_EXPIRED" } });
    expect(again.found[0]?.events.firstSequence).toBe(sequence);
    expect((await again.journal.load(id))?.snapshot?.sequence).toBe(sequence - 1);
  });

  test("events trimmed under a reader are CURSOR_EXPIRED for it, from where it was", async () => {
    const { journal, harness } = await withSnapshot();
    const { id, sequence } = harness.run;
    const reader = journal.history(id, 0);
    const read = (await reader.next()).value?.events.length ?? 0;
    expect(read).toBeLessThan(sequence - 1);
    await journal.trim(id);
    await expect(reader.next()).rejects.toMatchObject({
      fault: { code: "CURSOR_EXPIRED", sequence: read, oldest: sequence },
    });
  });

  test("a run whose events are trimmed while it is loaded is loaded from the newer snapshot", async () => {
    const disk = new MemoryDisk();
    const store = new MemoryStore(disk);
    const journal = new StoreJournal({ store, host: new ManualTimers() });
    await journal.recover(() => {});
    const { run, events } = drivenRun(20);
    for (const [at, event] of events.entries()) {
      await journal.append(commitOf([{ runId: run.id, firstSequence: at + 1, events: [event] }]));
    }
    const range = store.range.bind(store);
    store.range = async (...args) => {
      store.range = range;
      await journal.snapshot(run);
      await journal.trim(run.id);
      return range(...args);
    };
    const loaded = await journal.load(run.id);
    expect(loaded?.snapshot?.sequence).toBe(run.sequence);
    expect(loaded?.events.events).toEqual([]);
  });

  test("nothing is trimmed that a consumer has not read, or without a snapshot", async () => {
    const { journal, harness } = await withSnapshot();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    expect(await journal.trim(runIdAt(1))).toBe(false);
    await journal.saveCursor("bus", 5n);
    expect(await journal.trim(harness.run.id)).toBe(false);
    await journal.saveCursor("bus", journal.head());
    expect(await journal.trim(harness.run.id)).toBe(true);
  });

  test("the snapshot of a run with events that are not appended is a bug, of an ended run nothing", async () => {
    const { journal, harness, disk } = await withSnapshot();
    const { run } = harness;
    harness.do({ type: "progress", task: "a", lease: 1, percent: 1, note: "unknown" });
    await expect(journal.snapshot(run)).rejects.toThrow(/not appended/);
    const before = countOf(disk, "snapshot");
    await journal.snapshot({ ...run, id: runIdAt(77) });
    expect(countOf(disk, "snapshot")).toBe(before);
  });
});

describe("retention", () => {
  /** Runs 1…count, finished in order, the first ones oldest; plus an open one. */
  async function withEnded(count: number): Promise<{ journal: StoreJournal; disk: MemoryDisk }> {
    const { journal, disk } = await openJournal();
    for (let n = 1; n <= count; n++) {
      const large = accepted(n, `"${"x".repeat(n === 1 ? 40_000 : 10)}"`);
      await journal.append({
        ...commitOf([eventsOf(n, 1, large)]),
        accepted: [
          {
            runId: runIdAt(n),
            namespace: "default",
            idempotency: { key: `key ${n}`, fingerprint: "f" },
          },
        ],
      });
      await journal.append(commitOf([eventsOf(n, 2, END)], [summaryAt(n)]));
    }
    await journal.append(commitOf([eventsOf(900, 1, accepted(900))]));
    return { journal, disk };
  }

  const kept = async (journal: StoreJournal): Promise<number[]> =>
    (await journal.listEnded({ limit: 100 })).map((run) => Number(run.runId)).reverse();

  test("by count: the oldest go, with everything that was theirs", async () => {
    const { journal, disk } = await withEnded(10);
    expect(countOf(disk, "blob")).toBe(1);
    expect(await journal.retain({ maxCount: 4 }, 10_000)).toBe(6);
    expect(await kept(journal)).toEqual([7, 8, 9, 10]);
    expect(countOf(disk, "run")).toBe(4 * 2 + 1);
    expect(countOf(disk, "blob")).toBe(0);
    expect(countOf(disk, "idempotency")).toBe(4);
    expect(countOf(disk, "keyOfRun")).toBe(4);
    expect(await journal.load(runIdAt(3))).toBeUndefined();
    expect(await readAll(journal, 3)).toEqual([]);
    expect(await journal.findIdempotent("default", "key 3")).toBeUndefined();
    expect(await journal.findIdempotent("default", "key 8")).toEqual({
      runId: runIdAt(8),
      fingerprint: "f",
    });
    expect(await journal.retain({ maxCount: 4 }, 10_000)).toBe(0);
  });

  test("a run deleted under a reader is CURSOR_EXPIRED for it, and unknown to who loads it", async () => {
    const { journal, disk } = await openJournal();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    for (let at = 2; at < 400; at++)
      await journal.append(commitOf([eventsOf(1, at, progress(`${at}`))]));
    await journal.append(commitOf([eventsOf(1, 400, END)], [summaryAt(1)]));
    const reader = journal.history(runIdAt(1), 0);
    await reader.next();
    expect(await journal.retain({ maxCount: 0 }, 0)).toBe(1);
    await expect(reader.next()).rejects.toMatchObject({ fault: { code: "CURSOR_EXPIRED" } });
    expect(await journal.load(runIdAt(1))).toBeUndefined();
    expect(countOf(disk, "run")).toBe(0);
  });

  test("counts go on where they were when runs end in between", async () => {
    const { journal } = await withEnded(5);
    expect(await journal.retain({ maxCount: 5 }, 10_000)).toBe(0);
    await journal.append(commitOf([eventsOf(900, 2, END)], [summaryAt(900)]));
    expect(await journal.retain({ maxCount: 5 }, 10_000)).toBe(1);
    expect(await kept(journal)).toEqual([2, 3, 4, 5, 900]);
  });

  test("by age, counted from the end of the run", async () => {
    const { journal } = await withEnded(10);
    // Run n ended at 3,000 + n.
    expect(await journal.retain({ maxAgeMs: 1_000 }, 4_005)).toBe(4);
    expect(await kept(journal)).toEqual([5, 6, 7, 8, 9, 10]);
  });

  test("by age: a run that was accepted early and ended late stays", async () => {
    const { journal } = await openJournal();
    for (const [n, endedAt] of [
      [1, 9_000],
      [2, 3_000],
    ] as const) {
      await journal.append(commitOf([eventsOf(n, 1, accepted(n), END)], [summaryAt(n, endedAt)]));
    }
    expect(await journal.retain({ maxAgeMs: 1_000 }, 9_500)).toBe(1);
    expect(await kept(journal)).toEqual([1]);
  });

  test("by bytes, large payloads included", async () => {
    const { journal } = await withEnded(10);
    expect(await journal.retain({ maxBytes: 40_000 }, 10_000)).toBe(1);
    expect(await kept(journal)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });

  test("what a consumer has not read is kept, until the consumer is dropped", async () => {
    const { journal } = await withEnded(10);
    await journal.saveCursor("bus", 8n);
    expect(await journal.retain({ maxCount: 0 }, 10_000)).toBe(4);
    expect(await kept(journal)).toEqual([5, 6, 7, 8, 9, 10]);
    await journal.dropCursor("bus");
    expect(await journal.retain({ maxCount: 0 }, 10_000)).toBe(6);
  });

  test("nothing happens without rules, and the journal recovers after deletions", async () => {
    const { journal, disk } = await withEnded(10);
    expect(await journal.retain({}, 1e15)).toBe(0);
    expect(await journal.retain({ maxCount: 2 }, 10_000)).toBe(8);
    await journal.close();
    const again = await openJournal(disk);
    expect(again.found.map(({ runId }) => runId)).toEqual([runIdAt(900)]);
    expect(await kept(again.journal)).toEqual([9, 10]);
  });
});

describe("reading everything", () => {
  test("commits come in order, in pages, and only durable ones", async () => {
    const { journal } = await openJournal();
    expect(await journal.commitsAfter(undefined, 10)).toBeUndefined();
    for (let n = 1; n <= 7; n++)
      await journal.append(commitOf([eventsOf(n, 1, accepted(n), progress("x"))]));
    await journal.append(
      commitOf([
        eventsOf(1, 3, progress("y")),
        eventsOf(2, 3, progress("z")),
        eventsOf(8, 1, accepted(8)),
      ]),
    );
    const pending = journal.append(commitOf([eventsOf(1, 4, progress("later"))]));
    const seen: string[] = [];
    let cursor: bigint | undefined;
    for (;;) {
      const page = await journal.commitsAfter(cursor, 4);
      if (page === undefined) break;
      expect(page.runs.length).toBeLessThanOrEqual(4);
      seen.push(...page.runs.map((run) => `${Number(run.runId)}@${run.firstSequence}`));
      cursor = page.cursor;
    }
    expect(seen.slice(0, 10)).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7].map((n) => `${n}@1`),
      "1@3",
      "2@3",
      "8@1",
    ]);
    await pending;
    expect((await journal.commitsAfter(8n, 100))?.runs).toEqual([
      eventsOf(1, 4, progress("later")),
    ]);
  });

  test("a commit larger than the limit is not cut", async () => {
    const { journal } = await openJournal();
    await journal.append(commitOf([1, 2, 3].map((n) => eventsOf(n, 1, accepted(n)))));
    const page = await journal.commitsAfter(undefined, 1);
    expect(page?.runs).toHaveLength(3);
    expect(page?.cursor).toBe(1n);
  });

  test("cursors are kept per consumer, across restarts", async () => {
    const { journal, disk } = await openJournal();
    expect(await journal.loadCursor("nats")).toBeUndefined();
    await journal.saveCursor("nats", 12n);
    await journal.saveCursor("other", 3n);
    await journal.close();
    const again = await openJournal(disk);
    expect(await again.journal.loadCursor("nats")).toBe(12n);
    expect(await again.journal.loadCursor("other")).toBe(3n);
  });

  test("runs that retention deleted are left out of old commits", async () => {
    const { journal } = await openJournal();
    await journal.append(
      commitOf([eventsOf(1, 1, accepted(1), END), eventsOf(2, 1, accepted(2))], [summaryAt(1)]),
    );
    await journal.retain({ maxCount: 0 }, 1e9);
    expect((await journal.commitsAfter(undefined, 10))?.runs).toEqual([
      eventsOf(2, 1, accepted(2)),
    ]);
  });
});

describe("small indexes", () => {
  test("definitions by hash and by name", async () => {
    const { journal, disk } = await openJournal();
    const definition = {
      namespace: "a/b",
      name: "flow",
      version: "",
      hash: "abc",
      json: '{"x":"é"}',
      registeredAt: 7,
    };
    await journal.registerDefinition(definition);
    await journal.registerDefinition({ ...definition, version: "2" });
    await journal.registerDefinition({ ...definition, registeredAt: 8 });
    await journal.close();
    const again = await openJournal(disk);
    expect(await again.journal.definition("abc")).toBe('{"x":"é"}');
    expect(await again.journal.definition("abd")).toBeUndefined();
    expect(await again.journal.registeredDefinitions()).toEqual([
      { ...definition, registeredAt: 8 },
      { ...definition, version: "2" },
    ]);
  });

  test("keys made of user text cannot imitate each other", async () => {
    const { journal } = await openJournal();
    const idempotency = (key: string) => ({ key, fingerprint: key });
    await journal.append({
      ...commitOf([eventsOf(1, 1, accepted(1)), eventsOf(2, 1, accepted(2))]),
      accepted: [
        { runId: runIdAt(1), namespace: "a", idempotency: idempotency("b\u0000c") },
        { runId: runIdAt(2), namespace: "a\u0000b", idempotency: idempotency("c") },
      ],
    });
    expect((await journal.findIdempotent("a", "b\u0000c"))?.runId).toBe(runIdAt(1));
    expect((await journal.findIdempotent("a\u0000b", "c"))?.runId).toBe(runIdAt(2));
    expect(await journal.findIdempotent("a", "b")).toBeUndefined();
  });

  test("ended runs are listed newest first, in pages", async () => {
    const { journal } = await openJournal();
    for (let n = 1; n <= 5; n++) {
      await journal.append(commitOf([eventsOf(n, 1, accepted(n), END)], [summaryAt(n)]));
    }
    expect(await journal.listEnded({ limit: 2 })).toEqual([summaryAt(5), summaryAt(4)]);
    expect(await journal.listEnded({ limit: 2, before: runIdAt(4) })).toEqual([
      summaryAt(3),
      summaryAt(2),
    ]);
    expect(await journal.listEnded({ limit: 2, before: runIdAt(1) })).toEqual([]);
  });
});

describe("a short start", () => {
  test("positions are noted in the background, so that old commits need not be read or kept", async () => {
    const { journal, disk } = await openJournal();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1)), eventsOf(2, 1, accepted(2))]));
    for (let n = 2; n <= 32_000; n++)
      await journal.append(commitOf([eventsOf(2, n, progress("p"))]));
    expect(countOf(disk, "commit")).toBe(32_000);
    await journal.retain({}, 1e9);
    const left = countOf(disk, "commit");
    expect(left).toBeGreaterThanOrEqual(10_000);
    expect(left).toBeLessThan(25_000);
    await journal.close();

    const again = await openJournal(disk);
    expect(again.found.map((run) => run.events.events.length)).toEqual([1, 32_000]);
    await again.journal.append(commitOf([eventsOf(1, 2, progress("still in order"))]));
    await expect(again.journal.commitsAfter(3n, 10)).rejects.toMatchObject({
      fault: { code: "CURSOR_EXPIRED" },
    });

    // The quiet run is in no commit that is left, and yet its end cannot get lost.
    await again.journal.close();
    const lost = [...disk.contents.range({ from: `r${runIdAt(1)}`, to: `r${runIdAt(2)}` })].at(-1);
    disk.contents.delete(lost?.[0] ?? "");
    await expect(openJournal(disk)).rejects.toMatchObject({ fault: { code: "DATA_LOSS" } });
  });
});

describe("the mark", () => {
  test("follows the head after a while, without an idle timer", async () => {
    const { journal, disk, timers } = await openJournal();
    expect(timers.size).toBe(0);
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    await journal.append(commitOf([eventsOf(1, 2, progress("x"))]));
    expect([disk.mark, timers.size]).toEqual([undefined, 1]);
    timers.fire();
    await Promise.resolve();
    expect([disk.mark, timers.size]).toEqual([2n, 0]);
  });

  test("is saved by closing, and closing leaves no timer", async () => {
    const { journal, disk, timers } = await openJournal();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    await journal.close();
    expect([disk.mark, timers.size]).toEqual([1n, 0]);
    await journal.close();
  });

  class NoMark extends MemoryDisk {
    override syncMark(): Promise<void> {
      return Promise.reject(new Error("EIO"));
    }
  }

  test("a mark that cannot be saved stops the journal", async () => {
    const { journal, timers } = await openJournal(new NoMark());
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    timers.fire();
    await Promise.resolve();
    await expect(journal.append(commitOf([eventsOf(1, 2, progress("x"))]))).rejects.toMatchObject({
      fault: { code: "STORE_FAILED", detail: "EIO" },
    });
  });

  test("closing frees the store even when the mark cannot be saved", async () => {
    const { journal, disk } = await openJournal(new NoMark());
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    await expect(journal.close()).rejects.toThrow("EIO");
    expect(disk.lock()).toBeDefined();
  });
});

describe("after a failed write", () => {
  test("nothing is accepted or read any more, and everything says why", async () => {
    class Full extends MemoryDisk {
      isFull = false;
      override sync(batch: Parameters<MemoryDisk["sync"]>[0]): Promise<void> {
        return this.isFull ? Promise.reject(new Error("ENOSPC")) : super.sync(batch);
      }
    }
    const full = new Full();
    const { journal } = await openJournal(full);
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    full.isFull = true;
    const refused = { fault: { code: "STORE_FAILED", detail: "ENOSPC" } };
    const appends = [2, 3].map((n) => journal.append(commitOf([eventsOf(1, n, progress("x"))])));
    for (const append of appends) await expect(append).rejects.toMatchObject(refused);
    full.isFull = false;
    await expect(journal.append(commitOf([eventsOf(1, 4, END)]))).rejects.toMatchObject(refused);
    await expect(journal.saveCursor("bus", 1n)).rejects.toMatchObject(refused);
    await expect(readAll(journal, 1)).rejects.toMatchObject(refused);
    expect(journal.head()).toBe(1n);
    await journal.close();
    const { found } = await openJournal(full);
    expect(found.map((run) => run.events.events)).toEqual([[accepted(1)]]);
  });
});
