/**
 * Agents that behave as badly as real ones: slow, failing, silent, deaf to stop, ending twice, answering from inside
 * `start`, talking about attempts that are not theirs. Chance draws a behaviour per attempt. They live in the process
 * that started them and die with it; what a worker that survived would still say, the next process hears as well.
 */
import type { Prng } from "../../src/base/hash.ts";
import { jsonPayload } from "../../src/base/payload.ts";
import type { Outcome } from "../../src/core/run/message.ts";
import type {
  AgentInfo,
  AgentTransport,
  Assignment,
  AttemptListener,
  DeliveredSignal,
  StopRequest,
} from "../../src/ports/agent.ts";
import type { Host } from "../../src/ports/host.ts";
import { BEHAVIOURS, type Behaviour } from "./faults.ts";
import type { Oracles } from "./oracles.ts";

interface Flight {
  readonly assignment: Assignment;
  readonly behaviour: Behaviour;
}

/** What agents of one process share. */
export interface AgentsDeps {
  readonly host: Host;
  readonly random: Prng;
  readonly oracles: Oracles;
  /** Shares of behaviours; looked up per attempt, so that agents can become well-behaved. */
  readonly shares: () => Readonly<Record<Behaviour, number>>;
  /** Counts a misbehaviour. */
  readonly misbehaved: () => void;
}

const SILENT_MS = 20 * 60_000;

export class SimulatedAgents implements AgentTransport {
  readonly kind: string;
  /** Attempts that have not ended. */
  readonly flights = new Map<string, Flight>();
  readonly #names: readonly string[];
  readonly #deps: AgentsDeps;
  readonly #strangers: () => Iterable<string>;
  #listener: AttemptListener | undefined;
  #answers = 0;

  /** `strangers` are keys of attempts that belong to somebody else: other transports, former processes. */
  constructor(
    kind: string,
    names: readonly string[],
    strangers: () => Iterable<string>,
    deps: AgentsDeps,
  ) {
    this.kind = kind;
    this.#names = names;
    this.#strangers = strangers;
    this.#deps = deps;
  }

  async open(listener: AttemptListener): Promise<void> {
    this.#listener = listener;
  }

  agents(): readonly AgentInfo[] {
    return this.#names.map((name) => ({ name, version: "1", transport: this.kind, source: "sim" }));
  }

  start(assignment: Assignment): void {
    const { key } = assignment;
    const { oracles } = this.#deps;
    oracles.dispatched(key);
    const behaviour = this.#behaviour();
    if (behaviour !== "answer") this.#deps.misbehaved();
    if (behaviour === "throw") throw new Error("the agent cannot be started");
    this.flights.set(key, { assignment, behaviour });
    for (const { signal } of assignment.signals) this.#receive(key, signal);
    if (behaviour === "eager") return this.#end(key, this.#result(assignment));
    if (behaviour === "lie") this.#lie(key);
    this.#chatter(assignment, behaviour);
    this.#later(this.#durationMs(behaviour), key, () =>
      this.#end(key, this.#outcome(assignment, behaviour)),
    );
  }

  signal(key: string, { signal }: DeliveredSignal): void {
    if (this.flights.has(key)) this.#receive(key, signal);
  }

  stop(key: string, { graceMs }: StopRequest): void {
    const flight = this.flights.get(key);
    if (flight === undefined || flight.behaviour === "deaf") return;
    this.#later(this.#upTo(graceMs), key, () => {
      const dice = this.#deps.random();
      if (dice < 0.6) this.#end(key, { kind: "stopped" });
      else if (dice < 0.8) this.#end(key, this.#result(flight.assignment));
      else this.#end(key, { kind: "failure", failure: "cancelled", message: "stopped" });
    });
  }

  async close(): Promise<void> {
    for (const key of [...this.flights.keys()]) {
      this.#end(key, { kind: "lost", reason: "WORKER_LOST", message: "closed" });
    }
  }

  #behaviour(): Behaviour {
    const shares = this.#deps.shares();
    let left = this.#deps.random() * BEHAVIOURS.reduce((sum, name) => sum + shares[name], 0);
    for (const name of BEHAVIOURS) {
      left -= shares[name];
      if (left < 0) return name;
    }
    return "answer";
  }

  #upTo(ms: number): number {
    return Math.floor(this.#deps.random() * (ms + 1));
  }

  #durationMs(behaviour: Behaviour): number {
    if (behaviour === "silent") return SILENT_MS;
    if (behaviour === "deaf") return this.#upTo(30_000);
    const dice = this.#deps.random();
    return this.#upTo(dice < 0.5 ? 5 : dice < 0.9 ? 200 : 3_000);
  }

  /** Runs unless the attempt is over or the process dead. */
  #later(delayMs: number, key: string, run: () => void): void {
    this.#deps.host.setTimer(delayMs, () => {
      if (this.flights.has(key)) run();
    });
  }

  #end(key: string, outcome: Outcome): void {
    const flight = this.flights.get(key);
    this.flights.delete(key);
    this.#deps.oracles.ended(key, outcome);
    this.#listener?.finish(key, outcome);
    if (flight?.behaviour !== "duplicate") return;
    const again = this.#result(flight.assignment);
    const repeat = (): void => this.#listener?.finish(key, again);
    if (this.#deps.random() < 0.5) repeat();
    else this.#deps.host.setTimer(this.#upTo(100), repeat);
  }

  #outcome(assignment: Assignment, behaviour: Behaviour): Outcome {
    switch (behaviour) {
      case "fail":
        return { kind: "failure", failure: "retryable", message: "it did not work" };
      case "refuse":
        return { kind: "failure", failure: "terminal", message: "it never will" };
      case "throttle":
        return {
          kind: "failure",
          failure: "throttled",
          message: "too fast",
          retryAfterMs: this.#upTo(2_000),
        };
      default:
        return this.#result(assignment);
    }
  }

  /** No two results are equal. */
  #result({ taskId }: Assignment): Outcome {
    const v = this.#upTo(9);
    const list = Array.from({ length: this.#upTo(3) }, (_, at) => at);
    const nonce = `${this.kind}-${this.#answers++}-${this.#deps.host.randomHex(4)}`;
    return { kind: "success", output: jsonPayload({ task: taskId, v, list, nonce }) };
  }

  #receive(key: string, signal: string): void {
    this.#later(this.#upTo(50), key, () => this.#listener?.receipt(key, signal, "delivered"));
    if (this.#deps.random() < 0.7) {
      this.#later(this.#upTo(300), key, () => this.#listener?.receipt(key, signal, "admitted"));
    }
  }

  #chatter({ key, heartbeatTimeoutMs }: Assignment, behaviour: Behaviour): void {
    if (behaviour === "silent") return;
    if (this.#deps.random() < 0.3) {
      this.#later(this.#upTo(200), key, () =>
        this.#listener?.progress(key, this.#upTo(100), "on it"),
      );
    }
    if (this.#deps.random() < 0.2) {
      const data = new Uint8Array([this.#upTo(255)]);
      this.#later(this.#upTo(200), key, () => this.#listener?.checkpoint(key, data));
    }
    if (heartbeatTimeoutMs !== undefined) this.#beat(key, heartbeatTimeoutMs / 3);
  }

  #beat(key: string, everyMs: number): void {
    this.#later(everyMs, key, () => {
      this.#listener?.beat(key);
      this.#beat(key, everyMs);
    });
  }

  /** Ends, progress and receipts of attempts that are somebody else's or never were. */
  #lie(key: string): void {
    const cut = key.lastIndexOf("/") + 1;
    const attempt = Number(key.slice(cut));
    const forged = [attempt - 1, attempt + 1].map((n) => `${key.slice(0, cut)}${n}`);
    for (const stranger of [...forged, ...[...this.#strangers()].slice(0, 4)]) {
      this.#deps.host.setTimer(this.#upTo(100), () => {
        if (this.flights.has(stranger)) return;
        const output = jsonPayload({ lie: stranger });
        this.#listener?.progress(stranger, 99, "a lie");
        this.#listener?.receipt(stranger, "nothing", "admitted");
        this.#listener?.finish(stranger, { kind: "success", output });
      });
    }
  }
}
