/**
 * Fairness between the flows of one priority. A flow is a session, or a namespace for runs without one. Each flow has a
 * start tag in virtual time; the smallest starts next and its tag grows by cost / weight (start-time fair queuing:
 * Goyal, Vin, Cheng, SIGCOMM 1996). Virtual time is that of the ideal fluid server (Demers, Keshav, Shenker 1989;
 * FQS: Greenberg, Madras, JACM 1992), measured in slots granted: it moves with every start, so an endless stream of new
 * sessions cannot hold back an old one, which the tag in service alone (the original's rule) would allow. Among equal
 * tags the ticket order decides. A level knows nothing of lanes, slots or time.
 */
import { present } from "../../base/assert.ts";
import { Heap, type HeapEntry } from "../../base/heap.ts";
import type { Instant } from "../../base/time.ts";
import type { Flow, Ticket, TicketOrder } from "./ticket.ts";

const byTag = (a: Flow, b: Flow): boolean => a.tag < b.tag;

/** All flows of one priority, in one queue. */
export class Level implements HeapEntry {
  heapIndex = -1;
  readonly priority: number;
  /** When it last gave a ticket away, or got its first one. */
  since: Instant;
  /** Tickets in it, those of parked flows included. */
  size = 0;
  readonly #before: TicketOrder;
  readonly #flows = new Map<string, Flow>();
  /** Flows that compete. */
  readonly #busy: Heap<Flow>;
  /** Flows without tickets that are ahead of virtual time: remembered, so that coming and going wins nothing. */
  readonly #idle = new Heap<Flow>(byTag);
  #virtual = 0;
  /** Weight of all busy and idle flows. */
  #weight = 0;

  constructor(priority: number, since: Instant, before: TicketOrder) {
    this.priority = priority;
    this.since = since;
    this.#before = before;
    this.#busy = new Heap((a, b) => {
      if (a.tag !== b.tag) return a.tag < b.tag;
      return before(
        present(a.head, "the head of a busy flow"),
        present(b.head, "the head of a busy flow"),
      );
    });
  }

  /** The ticket that starts next; `undefined` when every flow is parked. */
  get head(): Ticket | undefined {
    return this.#busy.peek()?.head;
  }

  push(ticket: Ticket, key: string, weight: number): void {
    const flow = this.#flows.get(key) ?? this.#open(key, weight);
    ticket.flow = flow;
    this.size++;
    if (flow.head === undefined) {
      flow.head = ticket;
      this.#compete(flow);
    } else if (this.#before(ticket, flow.head)) {
      this.#keep(flow, flow.head);
      flow.head = ticket;
      this.#busy.update(flow);
    } else {
      this.#keep(flow, ticket);
    }
  }

  /** Takes the head out and charges its flow. */
  take(): Ticket | undefined {
    const flow = this.#busy.peek();
    const ticket = flow?.head;
    if (flow === undefined || ticket === undefined) return undefined;
    this.#virtual = Math.max(this.#virtual, flow.tag);
    flow.tag += ticket.cost / flow.weight;
    this.#detach(ticket, flow);
    this.#advance(ticket.cost);
    return ticket;
  }

  /** Takes any ticket out without charging its flow. */
  remove(ticket: Ticket): void {
    const flow = present(ticket.flow, "the flow of a waiting ticket");
    this.#detach(ticket, flow);
    if (flow.head === undefined && flow.tag <= this.#virtual) this.#forget(flow);
  }

  /** Takes a busy flow out of the competition and notes it in `parking`. */
  park(flow: Flow, parking: Set<Flow>): void {
    this.#busy.remove(flow);
    this.#weigh(-flow.weight);
    flow.parkedIn = parking;
    parking.add(flow);
  }

  /** Lets a parked flow compete again; it gains nothing for the time it was parked. */
  unpark(flow: Flow): void {
    this.#leaveParking(flow);
    this.#compete(flow);
  }

  #open(key: string, weight: number): Flow {
    const flow: Flow = {
      heapIndex: -1,
      key,
      priority: this.priority,
      weight,
      tag: this.#virtual,
      head: undefined,
      rest: undefined,
      parkedIn: undefined,
    };
    this.#flows.set(key, flow);
    this.#weigh(weight);
    return flow;
  }

  #keep(flow: Flow, ticket: Ticket): void {
    flow.rest ??= new Heap(this.#before);
    flow.rest.push(ticket);
  }

  #compete(flow: Flow): void {
    this.#idle.remove(flow);
    flow.tag = Math.max(flow.tag, this.#virtual);
    this.#busy.push(flow);
  }

  #detach(ticket: Ticket, flow: Flow): void {
    this.size--;
    ticket.flow = undefined;
    if (ticket !== flow.head) {
      flow.rest?.remove(ticket);
      return;
    }
    flow.head = flow.rest?.pop();
    if (flow.head !== undefined) {
      this.#busy.update(flow);
      return;
    }
    if (flow.parkedIn === undefined) this.#busy.remove(flow);
    else this.#leaveParking(flow);
    this.#idle.push(flow);
  }

  #leaveParking(flow: Flow): void {
    flow.parkedIn?.delete(flow);
    flow.parkedIn = undefined;
    this.#weigh(flow.weight);
  }

  /** Moves virtual time by `work` slots shared among all flows; flows it passes while idle leave the share. */
  #advance(work: number): void {
    let left = work;
    for (let next = this.#idle.peek(); next !== undefined; next = this.#idle.peek()) {
      const until = Math.max(0, next.tag - this.#virtual) * this.#weight;
      if (until > left) break;
      left -= until;
      this.#virtual = Math.max(this.#virtual, next.tag);
      this.#forget(next);
    }
    if (this.#weight > 0) this.#virtual += left / this.#weight;
  }

  #forget(flow: Flow): void {
    this.#idle.remove(flow);
    this.#flows.delete(flow.key);
    this.#weigh(-flow.weight);
  }

  /** Adjusts the total weight; without flows it is exactly zero, so that rounding never survives. */
  #weigh(change: number): void {
    this.#weight += change;
    if (this.#busy.size + this.#idle.size === 0 && change < 0) this.#weight = 0;
  }
}
