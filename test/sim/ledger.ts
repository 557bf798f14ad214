/**
 * The truth about what was decided and what of it is on the disk, kept outside the engine. Every commit is noted when
 * the journal gets it, with the number of the disk batch that carries it; the disk says which batches are durable. A
 * crash takes back the commits that are not. Everything the oracles know about the past, they know from here.
 */
import type { DiskChange } from "../../src/adapters/memory-store.ts";
import type { RunId } from "../../src/base/ids.ts";
import { compile, parseCanonical } from "../../src/core/dag/compile.ts";
import type { Plan } from "../../src/core/dag/plan.ts";
import { newRun } from "../../src/core/run/birth.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import type { Event } from "../../src/core/run/message.ts";
import type { RunState } from "../../src/core/run/state.ts";
import type { Commit } from "../../src/ports/journal.ts";
import { type DiskOptions, SimulatedDisk } from "./disk.ts";

/** A simulated disk that counts what it is given and what it keeps. */
export class CountingDisk extends SimulatedDisk {
  /** Batches handed over and batches durable, since the beginning; equal after a crash. */
  issued = 0;
  applied = 0;
  readonly #onApplied: (applied: number) => void;

  constructor(options: DiskOptions, onApplied: (applied: number) => void) {
    super(options);
    this.#onApplied = onApplied;
  }

  override sync(batch: readonly DiskChange[]): Promise<void> {
    this.issued++;
    return super.sync(batch);
  }

  protected override apply(batch: readonly DiskChange[]): void {
    super.apply(batch);
    this.applied++;
    this.#onApplied(this.applied);
  }
}

/** What is known about one run. */
export interface RunRecord {
  readonly id: RunId;
  readonly plan: Plan;
  /** Everything decided; the first `durable` of them are on the disk. */
  readonly events: Event[];
  durable: number;
}

interface PendingCommit {
  readonly batch: number;
  readonly commit: Commit;
}

const TERMINAL: ReadonlySet<string> = new Set(["run_completed", "run_failed", "run_cancelled"]);

/** Whether an event is the last of its run. */
export function isLast(event: Event | undefined): boolean {
  return event !== undefined && TERMINAL.has(event.type);
}

/** The commits of a whole simulation. */
export class Ledger {
  readonly runs = new Map<RunId, RunRecord>();
  /** Idempotency keys to the runs they started. */
  readonly keys = new Map<string, RunId>();
  /** Attempts whose start is durable: `run/task/attempt`. */
  readonly started = new Set<string>();
  readonly #plans = new Map<string, Plan>();
  #pending: PendingCommit[] = [];
  events = 0;
  lost = 0;

  /** Notes a commit on its way in a batch; complains when its key had started another run. */
  append(commit: Commit, batch: number, complain: (message: string) => void): void {
    for (const { hash, json } of commit.definitions) {
      if (!this.#plans.has(hash)) this.#plans.set(hash, compile(parseCanonical(json), { hash }));
    }
    for (const { runId, firstSequence, events } of commit.runs) {
      const record = this.runs.get(runId) ?? this.#born(runId, events[0]);
      if (record === undefined) {
        complain(`run ${runId} begins with ${events[0]?.type}`);
        continue;
      }
      if (firstSequence !== record.events.length + 1) {
        complain(
          `run ${runId}: sequence ${firstSequence} follows ${record.events.length} in the journal`,
        );
      }
      record.events.push(...events);
      this.events += events.length;
    }
    for (const { runId, namespace, idempotency } of commit.accepted) {
      if (idempotency === undefined) continue;
      const key = `${namespace}/${idempotency.key}`;
      const known = this.keys.get(key);
      if (known !== undefined) complain(`key ${key} started ${known} and ${runId}`);
      this.keys.set(key, runId);
    }
    this.#pending.push({ batch, commit });
  }

  #born(id: RunId, first: Event | undefined): RunRecord | undefined {
    if (first?.type !== "run_accepted") return undefined;
    const plan = this.#plans.get(first.definition);
    if (plan === undefined) return undefined;
    const record: RunRecord = { id, plan, events: [], durable: 0 };
    this.runs.set(id, record);
    return record;
  }

  /** Everything up to this disk batch is durable; returns the commits that became so. */
  durable(applied: number): Commit[] {
    const done: Commit[] = [];
    while (this.#pending[0] !== undefined && this.#pending[0].batch <= applied) {
      const { commit } = this.#pending.shift() as PendingCommit;
      for (const { runId, events } of commit.runs) {
        const record = this.runs.get(runId);
        if (record !== undefined) record.durable += events.length;
        for (const event of events) {
          if (event.type !== "task_started") continue;
          this.started.add(`${runId}/${event.task}/${event.attempt}`);
        }
      }
      done.push(commit);
    }
    return done;
  }

  /** A crash: what is not durable never happened. Returns the runs it touched. */
  crash(): RunRecord[] {
    const touched = new Set<RunRecord>();
    for (const { commit } of this.#pending) {
      this.lost++;
      for (const { runId, namespace, idempotency } of commit.accepted) {
        const key = `${namespace}/${idempotency?.key}`;
        if (this.keys.get(key) === runId) this.keys.delete(key);
      }
      for (const { runId } of commit.runs) {
        const record = this.runs.get(runId);
        if (record === undefined) continue;
        touched.add(record);
        record.events.length = record.durable;
        if (record.durable === 0) this.runs.delete(runId);
      }
    }
    this.#pending = [];
    return [...touched];
  }

  /** How many runs have no end, durable or not. */
  get live(): number {
    let live = 0;
    for (const { events } of this.runs.values()) if (!isLast(events.at(-1))) live++;
    return live;
  }

  /** Runs whose durable history has no end. */
  open(): RunRecord[] {
    return [...this.runs.values()].filter(
      ({ events, durable }) => durable > 0 && !isLast(events[durable - 1]),
    );
  }

  /** The state that the first `count` events of a run fold into. */
  fold({ id, plan, events }: RunRecord, count: number): RunState {
    const first = events[0];
    if (first?.type !== "run_accepted") throw new Error(`run ${id} has no beginning`);
    const run = newRun(id, plan, first);
    for (const event of events.slice(1, count)) evolve(run, event);
    return run;
  }
}
