/**
 * Journals as files: the disk of a finished scenario in hex, with what its runs were when it was recorded. Files are
 * written once and never again, because a journal of an old daemon must be readable by every later one. A new scenario
 * is recorded by `RECORD_JOURNALS=1 vitest run test/golden-journals.test.ts`.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { MemoryDisk, MemoryMark, MemoryStore } from "../../src/adapters/memory-store.ts";
import type { RunId } from "../../src/base/ids.ts";
import { compile, parseCanonical } from "../../src/core/dag/compile.ts";
import type { LanesConfig } from "../../src/core/lane/lane.ts";
import { runOutput } from "../../src/core/run/binding.ts";
import { newRun } from "../../src/core/run/birth.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import type { Event } from "../../src/core/run/message.ts";
import type { RunState, TaskState } from "../../src/core/run/state.ts";
import { StoreJournal } from "../../src/journal/journal.ts";
import { EngineBench } from "./engine-bench.ts";
import { VirtualHost } from "./virtual-host.ts";

const FOLDER = new URL("../golden/journals/", import.meta.url);

/** One run as it was. */
export interface RecordedRun {
  readonly events: readonly unknown[];
  readonly state: object;
}

/** The contents of a file. */
export interface RecordedJournal {
  readonly about: string;
  readonly agents: readonly string[];
  /** Keys and values in hex, in the order of the keys. */
  readonly records: Readonly<Record<string, string>>;
  readonly runs: Readonly<Record<string, RecordedRun>>;
}

/** Lanes that recorded definitions may name. */
export const RECORDED_LANES: LanesConfig = {
  global: { concurrency: 100 },
  named: ["io", "cpu"].map((name) => ({
    name,
    concurrency: 4,
    capacity: 100,
    overflow: { kind: "block" },
  })),
  session: { scope: "run", concurrency: 1 },
};

const pathOf = (name: string): URL => new URL(`${name}.json`, FOLDER);

/** Whether a journal of this name was recorded. */
export function isRecorded(name: string): boolean {
  return existsSync(pathOf(name));
}

export function readRecorded(name: string): RecordedJournal {
  return JSON.parse(readFileSync(pathOf(name), "utf8")) as RecordedJournal;
}

/** The disk a journal was recorded from. */
export function diskOf({ records }: RecordedJournal): MemoryDisk {
  const disk = new MemoryDisk();
  for (const [key, value] of Object.entries(records)) {
    disk.contents.set(
      Buffer.from(key, "hex").toString("latin1"),
      Uint8Array.from(Buffer.from(value, "hex")),
    );
  }
  return disk;
}

/** Opens the journal on a disk, as a daemon that starts does; the open runs it yields are named. */
export async function openRecorded(
  disk: MemoryDisk,
): Promise<{ journal: StoreJournal; open: RunId[] }> {
  const open: RunId[] = [];
  const journal = new StoreJournal({
    store: new MemoryStore(disk),
    mark: new MemoryMark(disk),
    host: new VirtualHost(),
  });
  await journal.recover(({ runId }) => void open.push(runId));
  return { journal, open };
}

/** What a journal says about one run today. */
export async function readRun(journal: StoreJournal, runId: RunId): Promise<RecordedRun> {
  const events: Event[] = [];
  for await (const page of journal.history(runId, 0)) events.push(...page.events);
  return { events: plain(events) as unknown[], state: stateOf(await restore(journal, runId)) };
}

async function restore(journal: StoreJournal, runId: RunId): Promise<RunState> {
  const stored = await journal.load(runId);
  if (stored === undefined) throw new Error(`run ${runId} is not in the journal`);
  const { snapshot, events } = stored;
  const [first] = events.events;
  const hash = snapshot?.definition ?? (first?.type === "run_accepted" ? first.definition : "");
  const plan = compile(parseCanonical((await journal.definition(hash)) ?? ""), { hash });
  if (snapshot === undefined && first?.type === "run_accepted") {
    const run = newRun(runId, plan, first);
    for (const event of events.events.slice(1)) evolve(run, event);
    return run;
  }
  if (snapshot === undefined) throw new Error(`run ${runId} has no beginning`);
  const run = snapshot.restore(plan);
  for (const event of events.events) evolve(run, event);
  return run;
}

/** What users can see of a run; internal estimates may change with the code. */
function stateOf(run: RunState): object {
  const { status, sequence, acceptedAt, startedAt, endedAt, open, leases, ending } = run;
  const output = status === "COMPLETED" ? runOutput(run) : undefined;
  return plain({
    status,
    sequence,
    acceptedAt,
    startedAt,
    endedAt,
    open,
    leases,
    ending,
    output,
    request: run.request,
    tasks: run.tasks.map(taskOf),
  }) as object;
}

function taskOf(task: TaskState): object {
  const { node: _node, run: _run, place: _place, ...rest } = task;
  return rest;
}

/** JSON of a value, bytes in hex. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, inner: unknown) =>
      inner instanceof Uint8Array ? { hex: Buffer.from(inner).toString("hex") } : inner,
    ),
  );
}

/** Writes a journal down, once. */
export async function record(
  name: string,
  about: string,
  agents: readonly string[],
  scenario: (bench: EngineBench) => Promise<EngineBench>,
): Promise<void> {
  const bench = await scenario(await new EngineBench({ agents, lanes: RECORDED_LANES }).start());
  const records: Record<string, string> = {};
  for (const [key, value] of bench.disk.contents.range({ from: "", to: "\uffff" })) {
    records[Buffer.from(key, "latin1").toString("hex")] = Buffer.from(value).toString("hex");
  }
  const page = await bench.wait(bench.engine.listRuns({ pageSize: 100 }));
  const runs: Record<string, RecordedRun> = {};
  for (const { runId } of page.runs) runs[runId] = await readRun(bench.journal, runId);
  const recorded: RecordedJournal = { about, agents, records, runs };
  writeFileSync(pathOf(name), `${JSON.stringify(recorded, null, 1)}\n`);
}
