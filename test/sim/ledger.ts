/**
 * The truth about what was decided and what of it is on the disk, kept outside the engine. Every commit is noted when
 * the journal gets it, with the number of the disk batch that carries it; the disk says which batches are durable. A
 * crash takes back the commits that are not. Everything the oracles know about the past, they know from here.
 */
import type { DiskChange } from "../../src/adapters/memory-store.ts";
import type { RunId } from "../../src/base/ids.ts";
import { type Payload, payloadText } from "../../src/base/payload.ts";
import { compile, parseCanonical } from "../../src/core/dag/compile.ts";
import type { Plan } from "../../src/core/dag/plan.ts";
import { newRun } from "../../src/core/run/birth.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import type { Event } from "../../src/core/run/message.ts";
import type { RunState } from "../../src/core/run/state.ts";
import type { Commit } from "../../src/ports/journal.ts";

/** What is known about one run. */
export interface RunRecord {
  readonly id: RunId;
  readonly plan: Plan;
  readonly namespace: string;
  /** What only this run's payloads contain; empty when its input has none. */
  readonly mark: string;
  /** Everything decided; the first `durable` of them are on the disk. */
  readonly events: Event[];
  durable: number;
  /** What retention has done about it: a deletion on its way may still be lost in a crash. */
  fate: "kept" | "deleting" | "deleted";
  /** Whether the beginning of its history may be gone. */
  isTrimmed: boolean;
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

const MARK = /<w\d+>/g;

/** Every watermark in a payload. */
export function marksIn(payload: Payload): readonly string[] {
  return payloadText(payload).match(MARK) ?? [];
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
  #deleting: { readonly batch: number; readonly record: RunRecord }[] = [];
  /** Runs without an end, durable or not. */
  readonly #live = new Set<RunRecord>();
  events = 0;
  lost = 0;
  deleted = 0;

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
      if (isLast(events.at(-1))) this.#live.delete(record);
      this.events += events.length;
    }
    for (const { runId, namespace, idempotency } of commit.accepted) {
      if (idempotency === undefined) continue;
      const key = `${namespace}/${idempotency.key}`;
      const known = this.keys.get(key);
      if (known !== undefined && this.runs.get(known)?.fate !== "deleted") {
        complain(`key ${key} started ${known} and ${runId}`);
      }
      this.keys.set(key, runId);
    }
    this.#pending.push({ batch, commit });
  }

  #born(id: RunId, first: Event | undefined): RunRecord | undefined {
    if (first?.type !== "run_accepted") return undefined;
    const plan = this.#plans.get(first.definition);
    if (plan === undefined) return undefined;
    const { namespace, input } = first.request;
    const record: RunRecord = {
      id,
      plan,
      namespace,
      mark: marksIn(input)[0] ?? "",
      events: [],
      durable: 0,
      fate: "kept",
      isTrimmed: false,
    };
    this.runs.set(id, record);
    this.#live.add(record);
    return record;
  }

  /** What a batch on its way changes besides appending: summaries of ended runs that go, histories that are cut. */
  issued(batch: number, changes: readonly DiskChange[]): RunRecord[] {
    const deleting: RunRecord[] = [];
    for (const change of changes) {
      if (change.kind === "delete_range") continue;
      const record = this.runs.get(change.key.slice(1) as RunId);
      if (record === undefined) continue;
      if (change.kind === "put" && change.key.startsWith("t")) record.isTrimmed = true;
      if (change.kind === "delete" && change.key.startsWith("e")) {
        record.fate = "deleting";
        this.#deleting.push({ batch, record });
        deleting.push(record);
      }
    }
    return deleting;
  }

  /** A disk batch is durable; returns the commits that became so with it. */
  durable(batch: number): Commit[] {
    const done = this.#pending.filter((pending) => pending.batch === batch);
    if (done.length > 0) this.#pending = this.#pending.filter((one) => one.batch !== batch);
    for (const { commit } of done) this.#keep(commit);
    for (const { record } of this.#deleting.filter((one) => one.batch === batch)) {
      record.fate = "deleted";
      this.deleted++;
    }
    this.#deleting = this.#deleting.filter((one) => one.batch !== batch);
    return done.map(({ commit }) => commit);
  }

  #keep(commit: Commit): void {
    for (const { runId, events } of commit.runs) {
      const record = this.runs.get(runId);
      if (record !== undefined) record.durable += events.length;
      for (const event of events) {
        if (event.type !== "task_started") continue;
        this.started.add(`${runId}/${event.task}/${event.attempt}`);
      }
    }
  }

  /** A crash: what is not durable never happened. */
  crash(): void {
    for (const { commit } of this.#pending) {
      this.lost++;
      for (const { runId, namespace, idempotency } of commit.accepted) {
        const key = `${namespace}/${idempotency?.key}`;
        if (this.keys.get(key) === runId) this.keys.delete(key);
      }
      for (const { runId } of commit.runs) {
        const record = this.runs.get(runId);
        if (record === undefined) continue;
        record.events.length = record.durable;
        this.#live.add(record);
        if (record.durable > 0) continue;
        this.runs.delete(runId);
        this.#live.delete(record);
      }
    }
    this.#pending = [];
    for (const { record } of this.#deleting) record.fate = "kept";
    this.#deleting = [];
  }

  /** How many runs have no end, durable or not. */
  get live(): number {
    return this.#live.size;
  }

  /** Runs whose durable history has no end. */
  open(): RunRecord[] {
    return [...this.runs.values()].filter(
      ({ events, durable }) => durable > 0 && !isLast(events[durable - 1]),
    );
  }

  /** Runs whose end is durable and whose deletion is not. */
  ended(): RunRecord[] {
    return [...this.runs.values()].filter(
      ({ events, durable, fate }) => fate !== "deleted" && isLast(events[durable - 1]),
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
