/**
 * The event bus inside this process: subscribers name a subject pattern and are called, in order, with what matches.
 * It is the default, needs nothing and never fails; a subscriber that throws is logged and costs the others nothing.
 * Patterns are those of NATS, so that a subscriber can move to the real one: `*` stands for one segment and `>` at the
 * end for one or more.
 */
import type { BusMessage, EventBus } from "../ports/bus.ts";
import type { Logger } from "../ports/telemetry.ts";

export type BusListener = (message: BusMessage) => void;

interface Subscription {
  readonly pattern: readonly string[];
  readonly listener: BusListener;
}

/** Publishes to subscribers in this process. */
export class LocalBus implements EventBus {
  readonly kind = "local";
  readonly #log: Logger;
  readonly #subscriptions = new Set<Subscription>();
  #state: "new" | "open" | "closed" = "new";

  constructor(deps: { readonly log: Logger }) {
    this.#log = deps.log;
  }

  /** Calls `listener` for every message whose subject matches; the answer ends the subscription. */
  subscribe(pattern: string, listener: BusListener): () => void {
    const subscription = { pattern: pattern.split("."), listener };
    this.#subscriptions.add(subscription);
    return () => {
      this.#subscriptions.delete(subscription);
    };
  }

  async open(): Promise<void> {
    if (this.#state === "closed") throw new Error("the bus is closed");
    this.#state = "open";
  }

  async publish(messages: readonly BusMessage[]): Promise<void> {
    if (this.#state !== "open") throw new Error("the bus is not open");
    for (const message of messages) this.#deliver(message);
  }

  async close(): Promise<void> {
    this.#state = "closed";
    this.#subscriptions.clear();
  }

  #deliver(message: BusMessage): void {
    const subject = message.subject.split(".");
    for (const { pattern, listener } of this.#subscriptions) {
      if (!matches(pattern, subject)) continue;
      try {
        listener(message);
      } catch (error) {
        this.#log.error({ error, subject: message.subject }, "a bus subscriber failed");
      }
    }
  }
}

/** NATS subject matching (docs.nats.io, "Subject-Based Messaging"). */
function matches(pattern: readonly string[], subject: readonly string[]): boolean {
  if (pattern.at(-1) === ">") {
    const fixed = pattern.slice(0, -1);
    return subject.length > fixed.length && matches(fixed, subject.slice(0, fixed.length));
  }
  return (
    pattern.length === subject.length &&
    pattern.every((segment, at) => segment === "*" || segment === subject[at])
  );
}
