/**
 * A task's place in the lanes: one small object for its whole way from "blocked outside" to "holds a slot", kept in
 * `task.place`. It holds only what queues need to order, find and remove it in O(log n); everything else is read from
 * the task, because a million of them may wait. While a task's run is asleep the ticket stands in its queue alone and
 * wakes the run when somebody asks for the task. Nothing here is journaled: tickets are rebuilt from task states.
 */
import { present } from "../../base/assert.ts";
import type { Heap, HeapEntry } from "../../base/heap.ts";
import type { RunId } from "../../base/ids.ts";
import type { Instant, Millis } from "../../base/time.ts";
import type { PlanNode } from "../dag/plan.ts";
import type { RunState, TaskState } from "../run/state.ts";

/**
 * Where a ticket stands. `blocked`: outside a full lane. `offered`: room is kept for it. `queued`: in the lane.
 * `granted`: slots are taken, its start is not yet decided. `held`: its task holds a lease.
 */
export type Standing = "blocked" | "offered" | "queued" | "granted" | "held";

/** The waiting tickets of one session (or namespace) and one priority, in one queue; see `level.ts`. */
export interface Flow extends HeapEntry {
  readonly key: string;
  readonly priority: number;
  readonly weight: number;
  /** Virtual time at which its next ticket is due. */
  tag: number;
  /** The ticket that starts first; most sessions have no other, so the heap for the rest is made late. */
  head: Ticket | undefined;
  rest: Heap<Ticket> | undefined;
  /** Set while its session has no room: then it waits there and does not compete. */
  parkedIn: Set<Flow> | undefined;
}

/** A run that is asleep, as its tickets know it. */
export interface Sleeper {
  readonly id: RunId;
  readonly acceptedAt: Instant;
  /** Brings the run back: afterwards each of its tickets has its task. */
  wake(): void;
}

/** One task on its way through a lane. */
export class Ticket implements HeapEntry {
  readonly node: PlanNode;
  /** Index of the task in its run. */
  readonly index: number;
  /** All tickets of a run have the same. */
  run: RunState | Sleeper;
  #task: TaskState | undefined;
  standing: Standing;
  /** Name of the lane it is in or waits for. */
  lane: string;
  heapIndex = -1;
  /** The flow it waits in, while it is in a queue. */
  flow: Flow | undefined = undefined;
  /** What it waits for beside its turn; set while it is set aside. */
  need: string | undefined = undefined;
  /** Its neighbours in order of arrival, while it is in a queue. */
  older: Ticket | undefined = undefined;
  newer: Ticket | undefined = undefined;

  constructor(task: TaskState, standing: Standing, lane: string) {
    this.node = task.node;
    this.index = task.index;
    this.run = task.run;
    this.#task = task;
    this.standing = standing;
    this.lane = lane;
  }

  /** Its task; wakes the run if that is asleep. */
  get task(): TaskState {
    if (this.#task === undefined) (this.run as Sleeper).wake();
    return present(this.#task, "the task of a ticket");
  }

  /** The run goes to sleep, and takes the task with it. */
  part(run: Sleeper): void {
    this.run = run;
    this.#task = undefined;
  }

  /** The run is awake again: this is its task. */
  rejoin(task: TaskState): void {
    this.run = task.run;
    this.#task = task;
    task.place = this;
  }

  /** Slots it takes in its named lane and in the global one. */
  get cost(): number {
    return this.node.task.cost;
  }
}

/** The ticket of a task, if it has one. */
export function ticketOf(task: TaskState): Ticket | undefined {
  return task.place instanceof Ticket ? task.place : undefined;
}

/** Whether `a` starts before `b`. */
export type TicketOrder = (a: Ticket, b: Ticket) => boolean;

/**
 * The order inside one flow: runs of an earlier ageing interval first, then the longest remaining path, then the
 * older run, then the position in its run. The interval comes first so that newer runs with longer paths cannot pass
 * a task for ever; it is a property of the run, so the order of two tickets never changes while they wait.
 */
export function ticketOrder(agingMs: Millis): TicketOrder {
  return (a, b) => {
    if (a.run !== b.run) {
      const intervals =
        Math.floor(a.run.acceptedAt / agingMs) - Math.floor(b.run.acceptedAt / agingMs);
      if (intervals !== 0) return intervals < 0;
    }
    const longer = a.node.remainingMs - b.node.remainingMs;
    if (longer !== 0) return longer > 0;
    if (a.run === b.run) return a.index < b.index;
    if (a.run.acceptedAt !== b.run.acceptedAt) return a.run.acceptedAt < b.run.acceptedAt;
    return a.run.id < b.run.id;
  };
}
