/**
 * A run that is put away: its state as one text, and the tickets its tasks have in the lanes. A million runs may wait,
 * and as objects each would hold four times as much. It knows how to become a run again, and nothing else: who sleeps
 * and when is decided by the table of live runs.
 */
import { assert, present } from "../base/assert.ts";
import type { RunId } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import type { Plan } from "../core/dag/plan.ts";
import { type Sleeper, type Ticket, ticketOf } from "../core/lane/ticket.ts";
import type { RunState } from "../core/run/state.ts";
import type { RunPacker } from "../journal/packed-run.ts";

/** What a sleeping run needs of whoever keeps it. */
export interface Bedroom {
  readonly packer: RunPacker;
  /** Takes the run back among those awake. */
  rise(run: RunState): void;
}

export class SleepingRun implements Sleeper {
  readonly id: RunId;
  readonly acceptedAt: Instant;
  readonly plan: Plan;
  readonly #packed: string;
  /** Of its tasks that have one; most have one task, and need no list. */
  readonly #tickets: Ticket | readonly Ticket[];
  readonly #bedroom: Bedroom;

  /** Takes the run's place in the lanes; the object `run` must not be used any more. */
  constructor(run: RunState, bedroom: Bedroom) {
    this.id = run.id;
    this.acceptedAt = run.acceptedAt;
    this.plan = run.plan;
    this.#packed = bedroom.packer.pack(run);
    const tickets = run.tasks.flatMap((task) => ticketOf(task) ?? []);
    for (const ticket of tickets) {
      const { standing } = ticket;
      assert(standing === "queued" || standing === "blocked", `a run sleeps while ${standing}`);
      ticket.part(this);
    }
    this.#tickets = tickets.length === 1 ? present(tickets[0], "the only ticket") : tickets;
    this.#bedroom = bedroom;
  }

  get tickets(): readonly Ticket[] {
    return "length" in this.#tickets ? this.#tickets : [this.#tickets];
  }

  /** Its state, for readers; it sleeps on. */
  peek(): RunState {
    return this.#bedroom.packer.unpack(this.id, this.plan, this.#packed);
  }

  wake(): void {
    const run = this.peek();
    for (const ticket of this.tickets) {
      ticket.rejoin(present(run.tasks[ticket.index], "the task of a ticket"));
    }
    this.#bedroom.rise(run);
  }
}
