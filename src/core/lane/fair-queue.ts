/**
 * The order in which waiting tasks leave a lane: the best priority first, then fair shares between sessions
 * (`level.ts`), then the ticket order. A priority that is passed over gains one step per ageing interval until it gets
 * its turn, so nothing starves; because ageing counts from a priority's last turn and not from a task's arrival, a
 * flood of old tasks cannot outrank newcomers of its own priority. Every operation is O(log n); nothing is ever sorted
 * again, because no key changes while time passes.
 */
import { present } from "../../base/assert.ts";
import { Heap } from "../../base/heap.ts";
import type { Instant, Millis } from "../../base/time.ts";
import type { TaskState } from "../run/state.ts";
import { Level } from "./level.ts";
import { type Flow, type Ticket, type TicketOrder, ticketOrder } from "./ticket.ts";

/** The weight of a session of this namespace; 1 is the common one. */
export type WeightOf = (namespace: string) => number;

/** Tickets waiting for one lane. */
export class FairQueue {
  readonly #before: TicketOrder;
  readonly #weightOf: WeightOf;
  readonly #levels = new Map<number, Level>();
  /** Levels with a ticket that may start. */
  readonly #ranking: Heap<Level>;
  #size = 0;
  #oldest: Ticket | undefined;
  #newest: Ticket | undefined;

  constructor(agingMs: Millis, weightOf: WeightOf) {
    this.#before = ticketOrder(agingMs);
    this.#weightOf = weightOf;
    const due = (level: Level): Instant => level.since - level.priority * agingMs;
    this.#ranking = new Heap((a, b) =>
      due(a) !== due(b) ? due(a) < due(b) : a.priority > b.priority,
    );
  }

  /** Tickets in it, parked ones included. */
  get size(): number {
    return this.#size;
  }

  /** The ticket that arrived first, whatever its turn. */
  get oldest(): Ticket | undefined {
    return this.#oldest;
  }

  /** The ticket that starts next, parked ones excepted. */
  peek(): Ticket | undefined {
    return this.#ranking.peek()?.head;
  }

  /** Adds a ticket that is in no queue; `at` is the latest instant known. */
  push(ticket: Ticket, at: Instant): void {
    const { request } = ticket.task.run;
    const priority = priorityOf(ticket.task);
    let level = this.#levels.get(priority);
    if (level === undefined) {
      level = new Level(priority, at, this.#before);
      this.#levels.set(priority, level);
    }
    level.push(ticket, flowKey(ticket.task), this.#weightOf(request.namespace));
    this.#link(ticket);
    this.#rank(level);
  }

  /** Takes out what {@link peek} shows and charges its session for it. */
  take(at: Instant): Ticket | undefined {
    const level = this.#ranking.peek();
    const ticket = level?.take();
    if (level === undefined || ticket === undefined) return undefined;
    level.since = at;
    this.#unlink(ticket);
    this.#rank(level);
    return ticket;
  }

  /** Takes out any ticket that is in this queue. */
  remove(ticket: Ticket): void {
    const level = this.#levelOf(present(ticket.flow, "the flow of a waiting ticket"));
    level.remove(ticket);
    this.#unlink(ticket);
    this.#rank(level);
  }

  /** Sets the session of the ticket that {@link peek} shows aside, until {@link unpark}. */
  park(ticket: Ticket, parking: Set<Flow>): void {
    const flow = present(ticket.flow, "the flow of a waiting ticket");
    const level = this.#levelOf(flow);
    level.park(flow, parking);
    this.#rank(level);
  }

  /** Lets a parked flow compete again. */
  unpark(flow: Flow): void {
    const level = this.#levelOf(flow);
    level.unpark(flow);
    this.#rank(level);
  }

  #levelOf(flow: Flow): Level {
    return present(this.#levels.get(flow.priority), "the level of a flow with tickets");
  }

  /** Puts the level where it belongs after it changed. */
  #rank(level: Level): void {
    if (level.head === undefined) this.#ranking.remove(level);
    else if (level.heapIndex === -1) this.#ranking.push(level);
    else this.#ranking.update(level);
    if (level.size === 0) this.#levels.delete(level.priority);
  }

  #link(ticket: Ticket): void {
    this.#size++;
    ticket.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = ticket;
    else this.#newest.newer = ticket;
    this.#newest = ticket;
  }

  #unlink(ticket: Ticket): void {
    this.#size--;
    const { older, newer } = ticket;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    ticket.older = undefined;
    ticket.newer = undefined;
  }
}

/** What a task competes with: its own priority plus its run's. */
export function priorityOf(task: TaskState): number {
  return task.node.task.priority + task.run.request.priority;
}

/** The flow of a task: its session, or its namespace for runs without one. Names hold no `/`, so they never clash. */
export function flowKey(task: TaskState): string {
  const { namespace, sessionId } = task.run.request;
  return sessionId === undefined ? namespace : `${namespace}/${sessionId}`;
}
