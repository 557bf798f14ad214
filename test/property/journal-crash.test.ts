/**
 * The journal on a disk that delays syncs, fails them, and forgets unsynced batches in a crash. Whatever happens: what
 * was acknowledged is there after recovery, in order and once, and what is there was appended: an exact prefix.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type MemoryDisk, MemoryMark, MemoryStore } from "../../src/adapters/memory-store.ts";
import { FaultError } from "../../src/base/fault.ts";
import { type Prng, prng } from "../../src/base/hash.ts";
import type { Event } from "../../src/core/run/message.ts";
import { StoreJournal } from "../../src/journal/journal.ts";
import { SimulatedDisk } from "../sim/disk.ts";
import {
  accepted,
  commitOf,
  ManualTimers,
  progress,
  runIdAt,
  summaryAt,
} from "../support/journal-fixture.ts";

const RUNS = 6;

/** What a client of the journal knows about one run. */
interface Expected {
  appended: Event[];
  acknowledged: number;
  isEnded: boolean;
}

class World {
  readonly random: Prng;
  readonly timers = new ManualTimers();
  readonly disk: SimulatedDisk;
  readonly expected = new Map<number, Expected>();
  journal: StoreJournal;
  crashes = 0;
  lost = 0;
  failures = 0;

  constructor(seed: number) {
    this.random = prng(seed);
    this.disk = new SimulatedDisk({ host: this.timers, syncMs: () => 1 });
    this.journal = this.#newJournal();
  }

  #newJournal(): StoreJournal {
    const { disk, timers } = this;
    return new StoreJournal({
      store: new MemoryStore(disk),
      mark: new MemoryMark(disk),
      host: timers,
    });
  }

  /** Lets syncs complete until `work` is done. */
  async settle<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    done.catch(() => {});
    while (!isDone) {
      this.timers.fire();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return done;
  }

  pick(count: number): number {
    return Math.floor(this.random() * count);
  }

  /** Appends a commit of one or two runs; the answer is noted when it comes. */
  append(): void {
    const runs = [...new Set([this.pick(RUNS), this.pick(RUNS)])].filter(
      (n) => !this.expected.get(n)?.isEnded,
    );
    if (runs.length === 0) return;
    const ending = this.random() < 0.1 ? runs.at(-1) : undefined;
    const changes = runs.map((n) => {
      const known = this.expected.get(n) ?? { appended: [], acknowledged: 0, isEnded: false };
      this.expected.set(n, known);
      const firstSequence = known.appended.length + 1;
      const events = [
        firstSequence === 1 ? accepted(n) : progress(`${n}/${firstSequence}/${this.random()}`),
      ];
      if (n === ending) events.push({ type: "run_completed", at: 9 });
      known.appended.push(...events);
      known.isEnded = n === ending;
      return { n, known, run: { runId: runIdAt(n), firstSequence, events } };
    });
    const commit = commitOf(
      changes.map(({ run }) => run),
      ending === undefined ? [] : [summaryAt(ending)],
    );
    this.journal.append(commit).then(
      () => {
        for (const { known, run } of changes) {
          known.acknowledged = Math.max(
            known.acknowledged,
            run.firstSequence + run.events.length - 1,
          );
        }
      },
      (error: unknown) => {
        if (!(error instanceof FaultError)) throw error;
        this.failures++;
      },
    );
  }

  /** The process dies; the next one recovers and compares. */
  async crash(): Promise<void> {
    this.lost += this.disk.crash(this.random).lost;
    this.crashes++;
    this.journal = this.#newJournal();
    const open = new Set<number>();
    await this.settle(
      this.journal.recover((run) => {
        open.add(Number(run.runId));
      }),
    );
    for (let n = 0; n < RUNS; n++) await this.#compare(n, open.has(n));
  }

  async #compare(n: number, isOpen: boolean): Promise<void> {
    const known = this.expected.get(n);
    const events: Event[] = [];
    for await (const page of this.journal.history(runIdAt(n), 0)) events.push(...page.events);
    expect(events).toEqual(known?.appended.slice(0, events.length) ?? []);
    expect(events.length).toBeGreaterThanOrEqual(known?.acknowledged ?? 0);
    const isEnded = events.at(-1)?.type === "run_completed";
    expect(isOpen).toBe(events.length > 0 && !isEnded);
    if (events.length === 0) this.expected.delete(n);
    else this.expected.set(n, { appended: events, acknowledged: events.length, isEnded });
  }
}

test("recovery finds an exact prefix that holds everything acknowledged", async () => {
  const seen = { crashes: 0, lost: 0, failures: 0 };
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const world = new World(seed);
      await world.settle(world.journal.recover(() => {}));
      for (let step = 0; step < 80; step++) {
        const dice = world.random();
        if (dice < 0.7) world.append();
        else if (dice < 0.88) {
          world.timers.fire();
          await new Promise((resolve) => setImmediate(resolve));
        } else if (dice < 0.92) world.disk.failNextSync("EIO");
        else await world.crash();
      }
      await world.crash();
      seen.crashes += world.crashes;
      seen.lost += world.lost;
      seen.failures += world.failures;
    }),
    { numRuns: 60, seed: 7 },
  );
  expect(seen.crashes).toBeGreaterThan(200);
  expect(seen.lost).toBeGreaterThan(200);
  expect(seen.failures).toBeGreaterThan(200);
});

/** Flips one bit of one value. */
function rot({ contents }: MemoryDisk, random: Prng): void {
  const all = [...contents.range({ from: "", to: "\uffff", limit: Number.MAX_SAFE_INTEGER })];
  const [key, value] = all[Math.floor(random() * all.length)] as [string, Uint8Array];
  const rotten = value.slice();
  const bit = Math.floor(random() * rotten.length * 8);
  rotten[bit >> 3] = (rotten[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  contents.set(key, rotten);
}

test("a value that rots is answered with DATA_LOSS or not at all", async () => {
  let noticed = 0;
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const world = new World(seed);
      await world.settle(world.journal.recover(() => {}));
      for (let n = 0; n < 20; n++) {
        world.append();
        await world.settle(new Promise((resolve) => setImmediate(resolve)));
      }
      await world.settle(world.journal.close());
      rot(world.disk, world.random);
      try {
        await world.crash();
      } catch (error) {
        expect(error).toMatchObject({ fault: { code: "DATA_LOSS" } });
        noticed++;
      }
    }),
    { numRuns: 100, seed: 11 },
  );
  expect(noticed).toBeGreaterThan(50);
});
