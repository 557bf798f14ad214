/**
 * The runs that have not ended, by id. Where there are many, the small ones that stand still and will do so for a while
 * sleep, because waiting is what most of a million runs do. Asking for a run wakes it, so the writer loop sees no
 * difference; between turns it says which runs came to rest. They sleep at once and not later, so that what they were
 * made of dies young and leaves no holes among what stays. A run of a commit under way stays awake, since effects and
 * watchers still look at its object.
 */
import type { RunId } from "../base/ids.ts";
import { type Ticket, ticketOf } from "../core/lane/ticket.ts";
import type { RunState } from "../core/run/state.ts";
import { isStill } from "../core/run/still.ts";
import { RunPacker } from "../journal/packed-run.ts";
import type { LaneAudit } from "../lanes/audit.ts";
import type { LaneManager } from "../lanes/lane-manager.ts";
import { type Bedroom, SleepingRun } from "./sleeping-run.ts";

/** What the table needs to know about the rest of the engine. */
interface Surroundings {
  /** Whether a task with this ticket may start before long. */
  readonly isSoon: (ticket: Ticket) => boolean;
  /** Whether a commit under way has events of this run. */
  readonly isUnderWay: (id: RunId) => boolean;
}

export class LiveRuns implements Bedroom {
  readonly packer = new RunPacker();
  readonly #runs = new Map<RunId, RunState | SleepingRun>();
  /** Woken since the last turn. */
  #woken: RunState[] = [];
  readonly #awakeMost: number;
  readonly #around: Surroundings;

  /** Up to `awakeMost` runs nobody sleeps. */
  constructor(awakeMost: number, around: Surroundings) {
    this.#awakeMost = awakeMost;
    this.#around = around;
  }

  get size(): number {
    return this.#runs.size;
  }

  has(id: RunId): boolean {
    return this.#runs.has(id);
  }

  ids(): IterableIterator<RunId> {
    return this.#runs.keys();
  }

  /** The run, awake. */
  get(id: RunId): RunState | undefined {
    const found = this.#runs.get(id);
    if (!(found instanceof SleepingRun)) return found;
    found.wake();
    return this.awake(id);
  }

  /** The run if it is awake: whoever holds a lease is. */
  awake(id: RunId): RunState | undefined {
    const found = this.#runs.get(id);
    return found instanceof SleepingRun ? undefined : found;
  }

  /** The run as it is, for reading only: whoever sleeps sleeps on. */
  peek(id: RunId): RunState | undefined {
    const found = this.#runs.get(id);
    return found instanceof SleepingRun ? found.peek() : found;
  }

  add(run: RunState): void {
    this.#runs.set(run.id, run);
  }

  delete(id: RunId): boolean {
    return this.#runs.delete(id);
  }

  rise(run: RunState): void {
    this.#runs.set(run.id, run);
    this.#woken.push(run);
  }

  /** Between turns: these runs and those woken since may sleep. */
  settle(changes: Iterable<{ readonly run: RunState }>): void {
    const woken = this.#woken;
    if (woken.length > 0) this.#woken = [];
    if (this.#runs.size <= this.#awakeMost) return;
    for (const { run } of changes) this.#rest(run);
    for (const run of woken) this.#rest(run);
  }

  /** Compares the lanes with the runs, and of those that sleep with their tickets. */
  audit(lanes: LaneManager): LaneAudit {
    return lanes.audit(this.#awake(), this.#ticketsAsleep());
  }

  *#awake(): Iterable<RunState> {
    for (const run of this.#runs.values()) if (!(run instanceof SleepingRun)) yield run;
  }

  *#ticketsAsleep(): Iterable<Ticket> {
    for (const run of this.#runs.values()) if (run instanceof SleepingRun) yield* run.tickets;
  }

  #rest(run: RunState): void {
    if (!isStill(run) || this.awake(run.id) !== run) return;
    const { isSoon, isUnderWay } = this.#around;
    for (const task of run.tasks) {
      const ticket = ticketOf(task);
      if (ticket !== undefined && isSoon(ticket)) return;
    }
    if (!isUnderWay(run.id)) this.#runs.set(run.id, new SleepingRun(run, this));
  }
}
