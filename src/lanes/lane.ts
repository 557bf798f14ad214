/**
 * One named lane at work: its gate, its queue, and the tasks that wait outside because the queue is full. Both places
 * keep the same fair order, so a flood outside a lane delays a newcomer no more than a flood inside it. Room that is
 * offered to a task outside is kept for it; newcomers get room only when nobody waits outside.
 */
import type { Instant } from "../base/time.ts";
import { FairQueue, type WeightOf } from "../core/lane/fair-queue.ts";
import type { LaneConfig, LaneStatus, Overflow } from "../core/lane/lane.ts";
import type { Ticket } from "../core/lane/ticket.ts";
import { Gate } from "./gate.ts";

/** A live named lane. */
export class Lane {
  readonly name: string;
  readonly gate: Gate;
  readonly queue: FairQueue;
  readonly outside: FairQueue;
  capacity: number;
  overflow: Overflow;
  /** Queued tasks that nobody could run now, by what is missing. */
  readonly #aside = new Map<string, FairQueue>();
  readonly #asideOf: () => FairQueue;
  /** Tasks that left the outside and have not entered yet; room is kept for them. */
  offered = 0;
  /** Newcomers let in although the queue was full: each may cost the oldest queued task its place. */
  #excess = 0;

  constructor(config: LaneConfig, agingMs: number, weightOf: WeightOf) {
    this.name = config.name;
    this.gate = new Gate(config.concurrency, config.rate);
    this.queue = new FairQueue(agingMs, weightOf);
    this.outside = new FairQueue(agingMs, weightOf);
    this.#asideOf = () => new FairQueue(agingMs, weightOf);
    this.capacity = config.capacity;
    this.overflow = config.overflow;
  }

  /** Tasks that are queued, those set aside included. */
  get queued(): number {
    let queued = this.queue.size;
    for (const aside of this.#aside.values()) queued += aside.size;
    return queued;
  }

  /** The queued task that arrived first. */
  get oldest(): Ticket | undefined {
    let { oldest } = this.queue;
    for (const aside of this.#aside.values()) {
      const since = aside.oldest?.task.since ?? Number.POSITIVE_INFINITY;
      if (oldest === undefined || since < oldest.task.since) oldest = aside.oldest;
    }
    return oldest;
  }

  /** Takes a ticket that waits for its turn out of its way, because nobody could run it. */
  setAside(ticket: Ticket, need: string, at: Instant): void {
    this.queue.remove(ticket);
    let aside = this.#aside.get(need);
    if (aside === undefined) {
      aside = this.#asideOf();
      this.#aside.set(need, aside);
    }
    ticket.need = need;
    aside.push(ticket, at);
  }

  /**
   * Lets up to `limit` tickets that miss this compete again, in the order in which they would have started. Answers how
   * many are left.
   */
  bringBack(need: string, limit: number, at: Instant): number {
    const aside = this.#aside.get(need);
    if (aside === undefined) return 0;
    for (let left = limit; left > 0; left--) {
      const ticket = aside.take(at);
      if (ticket === undefined) break;
      ticket.need = undefined;
      this.queue.push(ticket, at);
    }
    if (aside.size === 0) this.#aside.delete(need);
    return aside.size;
  }

  /** Takes out a queued ticket, set aside or not. */
  remove(ticket: Ticket): void {
    const { need } = ticket;
    const aside = need === undefined ? undefined : this.#aside.get(need);
    ticket.need = undefined;
    if (need === undefined || aside === undefined) return this.queue.remove(ticket);
    aside.remove(ticket);
    if (aside.size === 0) this.#aside.delete(need);
  }

  /** How many more tasks fit into the queue. */
  get room(): number {
    return Math.max(0, this.capacity - this.queued - this.offered);
  }

  /** Whether a newcomer may enter without overflow. */
  get hasRoomForNewcomers(): boolean {
    return this.outside.size === 0 && this.room > 0;
  }

  /** Whether no task is in it, before it or holds one of its slots. */
  get isEmpty(): boolean {
    return this.queued + this.outside.size + this.offered + this.gate.occupied === 0;
  }

  /** Adds a ticket to the queue. Retries come back to a full lane without costing anybody a place. */
  enter(ticket: Ticket, at: Instant): void {
    const overflows = this.overflow.kind === "drop" && this.overflow.which === "oldest";
    if (overflows && ticket.task.attempt === 0 && this.room === 0) this.#excess++;
    this.queue.push(ticket, at);
  }

  /** The oldest tickets that lose their place to newcomers (`drop: oldest`), taken out of the queue; at most `limit`. */
  evict(limit: number): Ticket[] {
    const owed = Math.min(this.#excess, Math.max(0, this.queued - this.capacity));
    const evicted: Ticket[] = [];
    for (let oldest = this.oldest; oldest !== undefined; oldest = this.oldest) {
      if (evicted.length === Math.min(owed, limit)) break;
      this.remove(oldest);
      evicted.push(oldest);
    }
    this.#excess = owed - evicted.length;
    return evicted;
  }

  /** New settings; who holds a slot or waits stays. */
  adopt(config: LaneConfig): void {
    this.gate.concurrency = config.concurrency;
    this.gate.changeRate(config.rate);
    this.capacity = config.capacity;
    this.overflow = config.overflow;
  }

  /** The lane as operators see it; `now` is the latest instant known. */
  status(now: Instant): LaneStatus {
    const { gate, queued } = this;
    const isRated = queued > 0 && gate.opensAt > now;
    return {
      name: this.name,
      kind: "named",
      concurrency: gate.concurrency,
      capacity: this.capacity,
      overflow: this.overflow,
      rate: gate.rate,
      paused: gate.paused,
      occupied: gate.occupied,
      queued,
      blocked: this.outside.size + this.offered,
      oldestSince: this.oldest?.task.since,
      opensAt: isRated ? gate.opensAt : undefined,
    };
  }
}
