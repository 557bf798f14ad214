/** The journal's port, on the in-memory store. */
import { describe, expect, test } from "vitest";
import { MemoryDisk } from "../../../src/adapters/memory-store.ts";
import type { Event } from "../../../src/core/run/message.ts";
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

describe("append and read", () => {
  test("a run's events come back in order, across commits", async () => {
    const { journal } = await openJournal();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1), progress("a"))]));
    await journal.append(commitOf([eventsOf(1, 3, progress("b")), eventsOf(2, 1, accepted(2))]));
    expect(await readAll(journal, 1)).toEqual([accepted(1), progress("a"), progress("b")]);
    expect(await readAll(journal, 1, 1)).toEqual([progress("a"), progress("b")]);
    expect(await readAll(journal, 1, 2)).toEqual([progress("b")]);
    expect(await readAll(journal, 1, 3)).toEqual([]);
    expect(await readAll(journal, 2)).toEqual([accepted(2)]);
    expect(await readAll(journal, 3)).toEqual([]);
    expect(journal.head()).toBe(2n);
  });

  test("appends may be made before earlier ones resolve, and keep their order", async () => {
    const { journal } = await openJournal();
    const appends = [journal.append(commitOf([eventsOf(1, 1, accepted(1))]))];
    for (let n = 2; n <= 50; n++) {
      appends.push(journal.append(commitOf([eventsOf(1, n, progress(`${n}`))])));
    }
    await Promise.all(appends);
    const notes = (await readAll(journal, 1)).map((event) => ("note" in event ? event.note : ""));
    expect(notes).toEqual(["", ...Array.from({ length: 49 }, (_, at) => `${at + 2}`)]);
    expect(journal.head()).toBe(50n);
  });

  test("long histories are read in pages that join without a gap", async () => {
    const { journal } = await openJournal();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    for (let n = 2; n <= 600; n += 2) {
      await journal.append(commitOf([eventsOf(1, n, progress(`${n}`), progress(`${n + 1}`))]));
    }
    const pages: number[] = [];
    let next = 4;
    for await (const page of journal.history(runIdAt(1), 3)) {
      expect(page.firstSequence).toBe(next);
      next += page.events.length;
      pages.push(page.events.length);
    }
    expect(next).toBe(602);
    expect(pages.length).toBeGreaterThan(1);
  });

  test("pages of large records are short, so that a reader that stands still holds little", async () => {
    const { journal } = await openJournal();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    const note = "x".repeat(20_000);
    for (let at = 2; at <= 60; at++)
      await journal.append(commitOf([eventsOf(1, at, progress(note))]));
    const lengths: number[] = [];
    for await (const { events } of journal.history(runIdAt(1), 0)) lengths.push(events.length);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(60);
    expect(Math.max(...lengths) * note.length).toBeLessThan(200_000);
  });

  test("an event out of order is a bug", async () => {
    const { journal } = await openJournal();
    await journal.append(commitOf([eventsOf(1, 1, accepted(1))]));
    expect(() => journal.append(commitOf([eventsOf(1, 3, progress("x"))]))).toThrow(/out of order/);
  });

  test("large payloads of both kinds come back", async () => {
    const { journal, disk } = await openJournal();
    const text = JSON.stringify("ü".repeat(40_000));
    const bytes = new Uint8Array(100_000).map((_, at) => at % 251);
    const output: Event = {
      type: "task_completed",
      at: 2,
      task: "a",
      attempt: 1,
      output: { mediaType: "image/png", bytes },
    };
    await journal.append(commitOf([eventsOf(1, 1, accepted(1, text), output)]));
    expect(await readAll(journal, 1)).toEqual([accepted(1, text), output]);
    const blobs = [...disk.contents.range({ from: "b", to: "c" })].map(([, value]) => value.length);
    expect(blobs).toEqual([80_002, 100_000]);
  });
});

describe("recovery", () => {
  test("open runs come back whole, oldest first; finished ones stay in the list", async () => {
    const { journal, disk } = await openJournal();
    await journal.append(
      commitOf([1, 2, 3].map((n) => eventsOf(n, 1, accepted(n), progress(`${n}`)))),
    );
    await journal.append(commitOf([eventsOf(2, 3, END)], [summaryAt(2)]));
    await journal.append(commitOf([eventsOf(3, 3, progress("more"))]));
    await journal.close();

    const again = await openJournal(disk);
    expect(again.found).toEqual([
      {
        runId: runIdAt(1),
        snapshot: undefined,
        events: eventsOf(1, 1, accepted(1), progress("1")),
      },
      {
        runId: runIdAt(3),
        snapshot: undefined,
        events: eventsOf(3, 1, accepted(3), progress("3"), progress("more")),
      },
    ]);
    expect(again.journal.head()).toBe(3n);
    expect(await again.journal.listEnded({ limit: 10 })).toEqual([summaryAt(2)]);
    await again.journal.append(commitOf([eventsOf(1, 3, progress("after"))]));
    expect(await readAll(again.journal, 1)).toHaveLength(3);
  });

  test("many restarts later nothing is lost and every start has its own epoch", async () => {
    const disk = new MemoryDisk();
    for (let start = 1; start <= 12; start++) {
      const { journal, found } = await openJournal(disk);
      expect(found.map((run) => run.events.events.length)).toEqual(start === 1 ? [] : [start - 1]);
      await journal.append(
        commitOf([eventsOf(1, start, start === 1 ? accepted(1) : progress(`${start}`))]),
      );
      await journal.close();
    }
    const { journal } = await openJournal(disk);
    expect(await readAll(journal, 1)).toHaveLength(12);
  });
});
