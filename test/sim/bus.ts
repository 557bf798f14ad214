/**
 * An event bus that is away, slow, or takes messages and loses its answer. It outlives every process, as the real one
 * does, and notes what it has accepted: each event for the first time in the order of its run, repetitions allowed, and
 * nothing that is not durable. A connection is what one process has of it.
 */
import type { RunId } from "../../src/base/ids.ts";
import type { BusMessage, EventBus } from "../../src/ports/bus.ts";
import type { Ledger } from "./ledger.ts";
import type { Trace } from "./trace.ts";

/** What the bus stands on. */
export interface BusDeps {
  readonly ledger: Ledger;
  readonly trace: Trace;
  readonly complain: (message: string) => void;
  readonly now: () => number;
  readonly sleep: (delayMs: number) => Promise<void>;
}

/** The bus itself. */
export class SimulatedBus {
  readonly #deps: BusDeps;
  /** Last sequence accepted, by run. */
  readonly #accepted = new Map<RunId, number>();
  #downUntil = 0;
  #slowMs = 0;
  #lostAcks = 0;
  /** Messages accepted, and how many of them again. */
  messages = 0;
  repeated = 0;

  constructor(deps: BusDeps) {
    this.#deps = deps;
  }

  /** Away for this long. */
  goDown(forMs: number): void {
    this.#downUntil = this.#deps.now() + forMs;
  }

  /** The next answer takes this long. */
  slowDown(delayMs: number): void {
    this.#slowMs = delayMs;
  }

  /** The next messages are accepted and the answer is lost. */
  loseAck(): void {
    this.#lostAcks++;
  }

  /** From now on it is always there. */
  heal(): void {
    this.#downUntil = 0;
    this.#slowMs = 0;
    this.#lostAcks = 0;
  }

  /** Up to which event it has this run. */
  acceptedOf(runId: RunId): number {
    return this.#accepted.get(runId) ?? 0;
  }

  /** What a new process sees of it. */
  connect(): EventBus {
    let isOpen = false;
    let isClosed = false;
    return {
      kind: "sim",
      open: async () => {
        this.#checkUp();
        if (isClosed) throw new Error("the connection is closed");
        isOpen = true;
      },
      publish: async (messages) => {
        if (!isOpen) throw new Error("the connection is not open");
        await this.publish(messages);
      },
      close: async () => {
        isOpen = false;
        isClosed = true;
      },
    };
  }

  /** Accepts messages or fails as a bus does; a prefix may have got through. */
  async publish(messages: readonly BusMessage[]): Promise<void> {
    const slowMs = this.#slowMs;
    this.#slowMs = 0;
    if (slowMs > 0) await this.#deps.sleep(slowMs);
    this.#checkUp();
    const isLost = this.#lostAcks > 0;
    const through = isLost ? messages.slice(0, 1 + (this.#lostAcks % messages.length)) : messages;
    for (const message of through) this.#accept(message);
    if (!isLost) return;
    this.#lostAcks--;
    throw new Error("the answer of the bus was lost");
  }

  #checkUp(): void {
    if (this.#deps.now() < this.#downUntil) throw new Error("the bus is down");
  }

  #accept({ id, subject }: BusMessage): void {
    const { ledger, trace, complain } = this.#deps;
    const [runId, place] = id.split("/") as [RunId, string];
    const sequence = Number(place);
    const last = this.acceptedOf(runId);
    this.messages++;
    if (sequence <= last) {
      this.repeated++;
      return;
    }
    trace.note(`bus ${runId.slice(-4)} ${sequence}`);
    if (sequence !== last + 1) complain(`bus: event ${sequence} of run ${runId} follows ${last}`);
    this.#accepted.set(runId, sequence);
    const record = ledger.runs.get(runId);
    if (record === undefined) return complain(`bus: run ${runId} is nowhere`);
    if (sequence > record.durable) complain(`bus: event ${id} is not durable`);
    const namespace = subject.split(".")[2];
    if (namespace !== record.namespace && record.fate === "kept") {
      complain(`bus: run ${runId} was published in the namespace ${namespace}`);
    }
  }
}
