/**
 * How fast the journal turns commits into bytes and back, without any store. Prints one JSON line per measurement:
 * events and run records per second, and bytes per event. Numbers are of one core; run it on an idle machine.
 */
import type { RunId } from "../src/base/ids.ts";
import type { Event, RunEvents } from "../src/core/run/message.ts";
import { CommitLog } from "../src/journal/commit-log.ts";
import { decodeUnion } from "../src/journal/decode.ts";
import { encodeUnion } from "../src/journal/encode.ts";
import { EVENT } from "../src/journal/event-table.ts";
import { ByteReader, ByteWriter } from "../src/journal/wire.ts";

const MEASURE_MS = 1_500;
const RUNS_PER_COMMIT = 500;

const accepted: Event = {
  type: "run_accepted",
  at: 1_764_000_000_123.5,
  definition: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  name: "customer_support",
  request: {
    input: { json: '{"ticket":4711,"text":"My order has not arrived, what can I do?"}' },
    namespace: "default",
    priority: 0,
    labels: { team: "blue" },
    traceId: "0af7651916cd43dd8448eb211c80319c",
  },
};
const at = 1_764_000_000_125.25;
const first: Event[] = [
  accepted,
  { type: "run_started", at },
  { type: "task_scheduled", at, task: "classify", lane: "cpu" },
  { type: "task_started", at, task: "classify", attempt: 1 },
];
const second: Event[] = [
  {
    type: "task_completed",
    at,
    task: "classify",
    attempt: 1,
    output: { json: '{"category":"delivery","confidence":0.93}' },
  },
  { type: "run_completed", at },
];
const all = [...first, ...second];

/** Calls `turn` for a while and prints how much it did per second. */
function measure(name: string, unitsPerTurn: number, turn: () => number): void {
  for (let warm = 0; warm < 20; warm++) turn();
  let turns = 0;
  let bytes = 0;
  const start = performance.now();
  while (performance.now() - start < MEASURE_MS) {
    bytes += turn();
    turns++;
  }
  const seconds = (performance.now() - start) / 1_000;
  const units = turns * unitsPerTurn;
  console.log(
    JSON.stringify({
      bench: "journal-codec",
      name,
      eventsPerSecond: Math.round(units / seconds),
      bytesPerEvent: Math.round(bytes / units),
    }),
  );
}

const REPEAT = 200;
const writer = new ByteWriter();

function encodeAll(): number {
  writer.reset();
  for (let n = 0; n < REPEAT; n++) for (const event of all) encodeUnion(writer, EVENT, event);
  return writer.length;
}

const encoded = all.map((event) => {
  writer.reset();
  encodeUnion(writer, EVENT, event);
  return writer.since(0).slice();
});

function decodeAll(): number {
  let bytes = 0;
  for (let n = 0; n < REPEAT; n++) {
    for (const one of encoded) {
      decodeUnion(new ByteReader(one), EVENT);
      bytes += one.length;
    }
  }
  return bytes;
}

let nextRun = 0;

/** Two commits as single-task runs make them: acceptance to start, then completion to the end. */
function commitRuns(log: CommitLog): number {
  const ids: RunId[] = [];
  for (let n = 0; n < RUNS_PER_COMMIT; n++) ids.push(String(nextRun++).padStart(26, "0") as RunId);
  const begin = ids.map((runId): RunEvents => ({ runId, firstSequence: 1, events: first }));
  const end = ids.map((runId): RunEvents => ({ runId, firstSequence: 5, events: second }));
  const writes = [
    ...log.encodeCommit({ runs: begin, definitions: [], accepted: [], ended: [] }),
    ...log.encodeCommit({
      runs: end,
      definitions: [],
      accepted: [],
      ended: ids.map((runId) => ({
        runId,
        namespace: "default",
        name: "customer_support",
        status: "COMPLETED",
        sessionId: undefined,
        labels: { team: "blue" },
        acceptedAt: accepted.at,
        endedAt: at,
      })),
    }),
  ];
  return writes.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0);
}

measure("encode events", REPEAT * all.length, encodeAll);
measure("decode events", REPEAT * all.length, decodeAll);
const log = new CommitLog(0);
measure("encode commits", RUNS_PER_COMMIT * all.length, () => commitRuns(log));
