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
  /** Tasks that left the outside and have not entered yet; room is kept for them. */
  offered = 0;
  /** Newcomers let in although the queue was full: each may cost the oldest queued task its place. */
  #excess = 0;

  constructor(config: LaneConfig, agingMs: number, weightOf: WeightOf) {
    this.name = config.name;
    this.gate = new Gate(config.concurrency, config.rate);
    this.queue = new FairQueue(agingMs, weightOf);
    this.outside = new FairQueue(agingMs, weightOf);
    this.capacity = config.capacity;
    this.overflow = config.overflow;
  }

  /** How many more tasks fit into the queue. */
  get room(): number {
    return Math.max(0, this.capacity - this.queue.size - this.offered);
  }

  /** Whether a newcomer may enter without overflow. */
  get hasRoomForNewcomers(): boolean {
    return this.outside.size === 0 && this.room > 0;
  }

  /** Whether no task is in it, before it or holds one of its slots. */
  get isEmpty(): boolean {
    return this.queue.size + this.outside.size + this.offered + this.gate.occupied === 0;
  }

  /** Adds a ticket to the queue. Retries come back to a full lane without costing anybody a place. */
  enter(ticket: Ticket, at: Instant): void {
    const overflows = this.overflow.kind === "drop" && this.overflow.which === "oldest";
    if (overflows && ticket.task.attempt === 0 && this.room === 0) this.#excess++;
    this.queue.push(ticket, at);
  }

  /** The oldest tickets that lose their place to newcomers (`drop: oldest`), taken out of the queue; at most `limit`. */
  evict(limit: number): Ticket[] {
    const owed = Math.min(this.#excess, Math.max(0, this.queue.size - this.capacity));
    const evicted: Ticket[] = [];
    for (let oldest = this.queue.oldest; oldest !== undefined; oldest = this.queue.oldest) {
      if (evicted.length === Math.min(owed, limit)) break;
      this.queue.remove(oldest);
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
    const { gate, queue } = this;
    const isRated = queue.size > 0 && gate.opensAt > now;
    return {
      name: this.name,
      kind: "named",
      concurrency: gate.concurrency,
      capacity: this.capacity,
      overflow: this.overflow,
      rate: gate.rate,
      paused: gate.paused,
      occupied: gate.occupied,
      queued: queue.size,
      blocked: this.outside.size + this.offered,
      oldestSince: queue.oldest?.task.since,
      opensAt: isRated ? gate.opensAt : undefined,
    };
  }
}
