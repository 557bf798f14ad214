/**
 * A small journal with one of everything, made step by step, and everything that can be read back from it as one text.
 * The text after each number of steps, taken from a healthy journal in memory, says what an exact prefix is.
 */
import { MemoryDisk, MemoryMark, MemoryStore } from "../../src/adapters/memory-store.ts";
import { openStore } from "../../src/adapters/open-store.ts";
import { FaultError } from "../../src/base/fault.ts";
import type { RunId } from "../../src/base/ids.ts";
import type { Event } from "../../src/core/run/message.ts";
import { StoreJournal } from "../../src/journal/journal.ts";
import type { Mark, OrderedStore } from "../../src/ports/store.ts";
import {
  accepted,
  commitOf,
  eventsOf,
  ManualTimers,
  progress,
  runIdAt,
  summaryAt,
} from "../support/journal-fixture.ts";
import { RunHarness } from "../support/run-harness.ts";

export type DamagedEngine = "rocksdb" | "leveldb";

const RUNS = 8;
const TURNS = 10;
const END: Event = { type: "run_completed", at: 9 };
const HASH = "d".repeat(64);

type Step = (journal: StoreJournal) => Promise<unknown>;

/** What a store and its mark are opened from. */
interface Place {
  open(): Promise<{ readonly store: OrderedStore; readonly mark: Mark }>;
}

/** The steps, one durable write each. They carry state, so every journal needs a list of its own. */
export function stepsOfImage(): readonly Step[] {
  const steps: Step[] = [];
  const commit = (...args: Parameters<typeof commitOf>): void => {
    steps.push((journal) => journal.append(commitOf(...args)));
  };
  steps.push((journal) =>
    journal.registerDefinition({
      namespace: "default",
      name: "flow",
      version: "1",
      hash: HASH,
      json: '{"name":"flow"}',
      registeredAt: 5,
    }),
  );
  for (let n = 1; n <= RUNS; n++) {
    const birth = commitOf([eventsOf(n, 1, accepted(n, `"${"i".repeat(n === 2 ? 40_000 : 20)}"`))]);
    const [run] = birth.accepted;
    const idempotency = { key: `key ${n}`, fingerprint: "f" };
    steps.push((journal) =>
      journal.append({ ...birth, accepted: run === undefined ? [] : [{ ...run, idempotency }] }),
    );
  }
  steps.push(...compactedRun());
  for (let at = 2; at < TURNS; at++) {
    for (let n = 1; n <= RUNS; n++) {
      commit([eventsOf(n, at, progress(`${n} ${at} ${"abcdefgh".repeat(30)}`))]);
    }
    if (at === TURNS / 2) steps.push((journal) => journal.saveCursor("bus", 30n));
  }
  for (const n of [1, 2, 3]) commit([eventsOf(n, TURNS, END)], [summaryAt(n)]);
  steps.push((journal) => journal.saveCursor("bus", journal.head()));
  steps.push((journal) => journal.retain({ maxCount: 2 }, 0));
  commit([eventsOf(4, TURNS, progress("the last"))]);
  return steps;
}

/** A run with a snapshot, behind which its history is trimmed, and events after it. */
function compactedRun(): readonly Step[] {
  const harness = new RunHarness({ name: "flow", tasks: [{ id: "a", agent: "x" }] });
  harness.start("a");
  for (let n = 0; n < 20; n++) {
    harness.do({ type: "progress", task: "a", lease: 1, percent: n, note: `n${n}` });
  }
  const { run } = harness;
  const events = [...harness.events];
  const append =
    (firstSequence: number, some: readonly Event[]): Step =>
    (journal) =>
      journal.append(commitOf([{ runId: run.id, firstSequence, events: some }]));
  return [
    append(1, events),
    (journal) => journal.snapshot(run),
    (journal) => journal.trim(run.id),
    append(events.length + 1, [progress("behind the snapshot")]),
  ];
}

/** A data directory with this engine, format and mark included. */
export function placeOf(directory: string, engine: DamagedEngine): Place {
  return { open: () => openStore(directory, { engine }, async () => "") };
}

/**
 * Makes an image. It is opened several times, so that it has sorted files as well as a log. `leave` gets the directory
 * as it is when the last step is durable: with the mark behind, as after a crash, where `isCrash` is set.
 */
export async function makeImage(
  directory: string,
  engine: DamagedEngine,
  isCrash: boolean,
  leave: () => Promise<void>,
): Promise<void> {
  const steps = stepsOfImage();
  const part = Math.ceil(steps.length / 3);
  for (let from = 0; from < steps.length; from += part) {
    const { store, mark } = await placeOf(directory, engine).open();
    const timers = new ManualTimers();
    const journal = new StoreJournal({ store, mark, host: timers });
    await journal.recover(() => {});
    for (const step of steps.slice(from, from + part)) await step(journal);
    const isLast = from + part >= steps.length;
    if (isLast && isCrash) await leave();
    await journal.close();
    if (isLast && !isCrash) await leave();
  }
}

/** Everything a healthy journal answers after each number of steps, as far as the mark of an image demands it. */
export async function legalAnswers(isCrash: boolean): Promise<ReadonlySet<string>> {
  const count = stepsOfImage().length;
  const part = Math.ceil(count / 3);
  const least = isCrash ? part * 2 : count;
  const legal = new Set<string>();
  for (let taken = least; taken <= count; taken++) {
    const disk = new MemoryDisk();
    const place = {
      open: async () => ({ store: new MemoryStore(disk), mark: new MemoryMark(disk) }),
    };
    const { store, mark } = await place.open();
    const journal = new StoreJournal({ store, mark, host: new ManualTimers() });
    await journal.recover(() => {});
    for (const step of stepsOfImage().slice(0, taken)) await step(journal);
    await journal.close();
    legal.add(await everything(place));
  }
  return legal;
}

/** Everything the journal answers, as text. Rejects with what the journal rejects with. */
export async function everything(place: Place): Promise<string> {
  const { store, mark } = await place.open();
  const journal = new StoreJournal({ store, mark, host: new ManualTimers() });
  try {
    const answers: unknown[] = [];
    await journal.recover(({ runId, snapshot, events }) => {
      answers.push([runId, snapshot?.sequence, events]);
    });
    for (let n = 1; n <= RUNS; n++) {
      const id = runIdAt(n);
      answers.push(await historyOf(journal, id), (await journal.load(id))?.events);
      answers.push(await journal.findIdempotent("default", `key ${n}`));
    }
    const compacted = new RunHarness({ name: "flow", tasks: [{ id: "a", agent: "x" }] }).run.id;
    answers.push(await historyOf(journal, compacted), (await journal.load(compacted))?.events);
    answers.push(await journal.definition(HASH), await journal.registeredDefinitions());
    answers.push(await journal.listEnded({ limit: 100 }));
    answers.push(`${await journal.loadCursor("bus")}`, `${journal.head()}`);
    answers.push((await journal.commitsAfter(undefined, 1_000_000))?.runs);
    return JSON.stringify(answers);
  } finally {
    await journal.close().catch(() => {});
  }
}

async function historyOf(journal: StoreJournal, runId: RunId): Promise<unknown> {
  const events: Event[] = [];
  try {
    for await (const page of journal.history(runId, 0)) events.push(...page.events);
    return events;
  } catch (error) {
    if (error instanceof FaultError && error.fault.code === "CURSOR_EXPIRED") return error.fault;
    throw error;
  }
}
