/**
 * Journals of released formats. Each file under test/golden/journals is a whole store, one `key value` per line in
 * hexadecimal, made of the sample commits. It must be readable for ever; and what the program writes today must be the
 * newest of them, byte for byte, so that nobody changes the format without knowing. After a deliberate change
 * add a file, with GOCLAW_WRITE_JOURNAL=<path> in the environment of this test.
 */
import { readFile, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { keyBytes, keyText, MemoryDisk } from "../../src/adapters/memory-store.ts";
import { compile } from "../../src/core/dag/compile.ts";
import { newRun } from "../../src/core/run/birth.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import type { Event } from "../../src/core/run/message.ts";
import type { RunState } from "../../src/core/run/state.ts";
import { EVENT_TYPES } from "../support/events.ts";
import {
  accepted,
  commitOf,
  eventsOf,
  openJournal,
  readAll,
  runIdAt,
} from "../support/journal-fixture.ts";
import { definitionOf } from "../support/run-harness.ts";
import { SAMPLE_COMMITS, SAMPLE_EVENTS } from "../support/sample-commits.ts";

const NEWEST = new URL("../golden/journals/format-1.txt", import.meta.url);
const DEFINITION = {
  namespace: "default",
  name: "customer_support",
  version: "1.0",
  hash: "abc",
  json: "{}",
  registeredAt: 7,
};

const PROGRESS = {
  type: "task_progress",
  at: 6,
  task: "a",
  attempt: 1,
  percent: 40,
  note: "on it",
} as const;
const RUN_EVENTS: readonly Event[] = [
  accepted(4),
  { type: "run_started", at: 2 },
  { type: "task_scheduled", at: 3, task: "a", lane: "cpu" },
  { type: "task_started", at: 4, task: "a", attempt: 1 },
  PROGRESS,
];

/** The run that has a snapshot, in the state of its latest event. */
function sampleRun(): RunState {
  const definition = definitionOf({ name: "flow", tasks: [{ id: "a", agent: "x" }] });
  const plan = compile(definition, { hash: "0".repeat(64) });
  const [first, ...rest] = RUN_EVENTS;
  if (first?.type !== "run_accepted") throw new Error("the first event accepts the run");
  const run = newRun(runIdAt(4), plan, first);
  for (const event of rest) evolve(run, event);
  return run;
}

/** The sample journal as the program writes it today. */
async function writeSample(): Promise<string> {
  const { disk, journal } = await openJournal();
  for (const commit of SAMPLE_COMMITS) await journal.append(commit);
  await journal.registerDefinition(DEFINITION);
  await journal.append(commitOf([eventsOf(4, 1, ...RUN_EVENTS)]));
  await journal.snapshot(sampleRun());
  await journal.saveCursor("nats", 3n);
  await journal.close();
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  return [...disk.contents.range({ from: "", to: "\uffff" })]
    .map(([key, value]) => `${hex(keyBytes(key))} ${hex(value)}\n`)
    .join("");
}

function diskOf(text: string): MemoryDisk {
  const disk = new MemoryDisk();
  for (const line of text.trimEnd().split("\n")) {
    const [key = "", value = ""] = line
      .split(" ")
      .map((part) => Uint8Array.from(Buffer.from(part, "hex")));
    disk.contents.set(keyText(key as Uint8Array), value as Uint8Array);
  }
  return disk;
}

describe.each([["format 1", NEWEST]])("a journal of %s", (_, file) => {
  test("is read as it was written", async () => {
    const { journal, found } = await openJournal(diskOf(await readFile(file, "utf8")));
    expect(found.map((run) => run.runId)).toEqual([runIdAt(1), runIdAt(3), runIdAt(4)]);
    const expected = new Map<number, Event[]>();
    for (const { runs } of SAMPLE_COMMITS) {
      for (const { runId, events } of runs) {
        const n = Number(runId);
        expected.set(n, [...(expected.get(n) ?? []), ...events]);
      }
    }
    for (const [n, events] of expected) expect(await readAll(journal, n)).toEqual(events);
    expect(await journal.listEnded({ limit: 9 })).toEqual(
      SAMPLE_COMMITS.flatMap(({ ended }) => ended),
    );
    expect(await journal.findIdempotent("default", "order-4711")).toEqual({
      runId: runIdAt(1),
      fingerprint: "ffee",
    });
    expect(await journal.definition("abc")).toBe("{}");
    expect(await journal.registeredDefinitions()).toEqual([DEFINITION]);
    expect(await journal.loadCursor("nats")).toBe(3n);
    const restored = found[2]?.snapshot?.restore(sampleRun().plan);
    expect(restored).toEqual(sampleRun());
    expect(found[2]?.events.events).toEqual([]);
  });
});

test("the sample has every event type", () => {
  expect(new Set(SAMPLE_EVENTS.map(({ type }) => type))).toEqual(new Set(EVENT_TYPES));
});

test("the format of today is the newest golden one", async () => {
  const today = await writeSample();
  const target = process.env.GOCLAW_WRITE_JOURNAL;
  if (target !== undefined) await writeFile(target, today, { flag: "wx" });
  expect(today).toBe(await readFile(NEWEST, "utf8"));
});
