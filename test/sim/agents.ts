/**
 * Agents that behave as badly as real ones: slow, failing, silent, deaf to stop, ending twice, answering from inside
 * `start`, talking about attempts that are not theirs, saying what no agent should. Chance draws a behaviour per
 * attempt, and it is the same whatever else the plan of the simulation says about other attempts. They live in the
 * process that started them and die with it; what a worker that survived would still say, the next process hears as well.
 */
import { hashText, type Prng, prng } from "../../src/base/hash.ts";
import { type Json, jsonPayload } from "../../src/base/payload.ts";
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
import { marksIn } from "./ledger.ts";
import type { Oracles } from "./oracles.ts";

interface Flight {
  readonly assignment: Assignment;
  readonly behaviour: Behaviour;
  readonly random: Prng;
  readonly mark: string;
}

/** What agents of one process share. */
export interface AgentsDeps {
  readonly host: Host;
  readonly seed: number;
  readonly oracles: Oracles;
  /** Shares of behaviours for an attempt; looked up each time, so that agents can become well-behaved. */
  readonly shares: (attempt: string) => Readonly<Record<Behaviour, number>>;
  /** Counts a misbehaviour of an attempt. */
  readonly misbehaved: (attempt: string) => void;
  /** Largest output or checkpoint that is allowed. */
  readonly payloadBytes: number;
}

const SILENT_MS = 20 * 60_000;

/** Texts without end. */
const ENDLESS = "blah ".repeat(5_000);

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
    this.#deps.oracles.dispatched(assignment);
    const flight = this.#newFlight(assignment);
    const { behaviour } = flight;
    if (behaviour === "throw") throw new Error("the agent cannot be started");
    this.flights.set(key, flight);
    for (const { signal } of assignment.signals) this.#receive(flight, signal);
    if (behaviour === "eager") return this.#end(key, this.#result(flight));
    if (behaviour === "lie") this.#lie(flight);
    if (behaviour === "garbage") this.#talkGarbage(flight);
    if (behaviour === "oversize") this.#saveTooMuch(flight);
    this.#chatter(flight);
    this.#later(durationMs(flight), key, () => this.#end(key, this.#outcome(flight)));
  }

  /** What an attempt does hangs on its run's watermark, its task and its number alone. */
  #newFlight(assignment: Assignment): Flight {
    const { taskId, attempt, runInput } = assignment;
    const mark = marksIn(runInput)[0] ?? "";
    const name = `${mark}/${taskId}/${attempt}`;
    const random = prng(hashText(name, this.#deps.seed));
    const behaviour = drawBehaviour(random, this.#deps.shares(name));
    if (behaviour !== "answer") this.#deps.misbehaved(name);
    return { assignment, behaviour, random, mark };
  }

  signal(key: string, { signal }: DeliveredSignal): void {
    const flight = this.flights.get(key);
    if (flight !== undefined) this.#receive(flight, signal);
  }

  stop(key: string, { graceMs }: StopRequest): void {
    const flight = this.flights.get(key);
    if (flight === undefined || flight.behaviour === "deaf") return;
    this.#later(upTo(flight, graceMs), key, () => {
      const dice = flight.random();
      if (dice < 0.6) this.#end(key, { kind: "stopped" });
      else if (dice < 0.8) this.#end(key, this.#result(flight));
      else this.#end(key, { kind: "failure", failure: "cancelled", message: "stopped" });
    });
  }

  async close(): Promise<void> {
    for (const key of [...this.flights.keys()]) {
      this.#end(key, { kind: "lost", reason: "WORKER_LOST", message: "closed" });
    }
  }

  /** Runs unless the attempt is over or the process dead. */
  #later(delayMs: number, key: string, run: () => void): void {
    const flight = this.flights.get(key);
    this.#deps.host.setTimer(delayMs, () => {
      if (flight !== undefined && this.flights.get(key) === flight) run();
    });
  }

  #end(key: string, outcome: Outcome): void {
    const flight = this.flights.get(key);
    this.flights.delete(key);
    this.#deps.oracles.ended(key, outcome);
    this.#listener?.finish(key, outcome);
    if (flight?.behaviour !== "duplicate") return;
    const again = this.#result(flight);
    const repeat = (): void => this.#listener?.finish(key, again);
    if (flight.random() < 0.5) repeat();
    else this.#deps.host.setTimer(upTo(flight, 100), repeat);
  }

  #outcome(flight: Flight): Outcome {
    switch (flight.behaviour) {
      case "fail":
        return { kind: "failure", failure: "retryable", message: "it did not work" };
      case "refuse":
        return { kind: "failure", failure: "terminal", message: "it never will" };
      case "throttle":
        return throttled("too fast", upTo(flight, 2_000));
      case "garbage":
        return flight.random() < 0.5
          ? throttled(ENDLESS, [-5_000, Number.NaN, 0.25][upTo(flight, 2)] ?? 0)
          : this.#result(flight, { "": [null, "\u0000\ud800"], constructor: 1e308 });
      case "oversize":
        return this.#result(flight, { much: "x".repeat(this.#deps.payloadBytes) });
      default:
        return this.#result(flight);
    }
  }

  /** No two results are equal, and each carries the watermark of its run. */
  #result(flight: Flight, more: { readonly [key: string]: Json } = {}): Outcome {
    const list = Array.from({ length: upTo(flight, 3) }, (_, at) => at);
    const nonce = `${this.kind}-${this.#answers++}-${this.#deps.host.randomHex(4)}`;
    const { mark, assignment } = flight;
    const output = { task: assignment.taskId, v: upTo(flight, 9), list, nonce, mark, ...more };
    return { kind: "success", output: jsonPayload(output) };
  }

  #receive(flight: Flight, signal: string): void {
    const { key } = flight.assignment;
    this.#later(upTo(flight, 50), key, () => this.#listener?.receipt(key, signal, "delivered"));
    if (flight.random() < 0.7) {
      this.#later(upTo(flight, 300), key, () => this.#listener?.receipt(key, signal, "admitted"));
    }
  }

  #chatter(flight: Flight): void {
    if (flight.behaviour === "silent") return;
    const { key, heartbeatTimeoutMs } = flight.assignment;
    if (flight.random() < 0.3) {
      this.#later(upTo(flight, 200), key, () =>
        this.#listener?.progress(key, upTo(flight, 100), "on it"),
      );
    }
    if (flight.random() < 0.2) {
      const data = new Uint8Array([upTo(flight, 255)]);
      this.#later(upTo(flight, 200), key, () => this.#listener?.checkpoint(key, data));
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
  #lie(flight: Flight): void {
    const { key } = flight.assignment;
    const cut = key.lastIndexOf("/") + 1;
    const attempt = Number(key.slice(cut));
    const forged = [attempt - 1, attempt + 1].map((n) => `${key.slice(0, cut)}${n}`);
    for (const stranger of [...forged, ...[...this.#strangers()].slice(0, 4)]) {
      this.#deps.host.setTimer(upTo(flight, 100), () => {
        if (this.flights.has(stranger)) return;
        const output = jsonPayload({ lie: stranger });
        this.#listener?.progress(stranger, 99, "a lie");
        this.#listener?.receipt(stranger, "nothing", "admitted");
        this.#listener?.finish(stranger, { kind: "success", output });
      });
    }
  }

  #talkGarbage(flight: Flight): void {
    const { key } = flight.assignment;
    const percent = [Number.NaN, -1, 1e9, Number.POSITIVE_INFINITY][upTo(flight, 3)] ?? 0;
    this.#later(upTo(flight, 50), key, () => {
      this.#listener?.progress(key, percent, ENDLESS);
      this.#listener?.receipt(key, "no such signal", "admitted");
      this.#listener?.log(key, "error", ENDLESS);
    });
  }

  #saveTooMuch(flight: Flight): void {
    const { key } = flight.assignment;
    const data = new Uint8Array(this.#deps.payloadBytes + 1);
    this.#later(upTo(flight, 50), key, () => this.#listener?.checkpoint(key, data));
  }
}

function throttled(message: string, retryAfterMs: number): Outcome {
  return { kind: "failure", failure: "throttled", message, retryAfterMs };
}

function upTo({ random }: { readonly random: Prng }, ms: number): number {
  return Math.floor(random() * (ms + 1));
}

function drawBehaviour(random: Prng, shares: Readonly<Record<Behaviour, number>>): Behaviour {
  let left = random() * BEHAVIOURS.reduce((sum, name) => sum + shares[name], 0);
  for (const name of BEHAVIOURS) {
    left -= shares[name];
    if (left < 0) return name;
  }
  return "answer";
}

function durationMs(flight: Flight): number {
  if (flight.behaviour === "silent") return SILENT_MS;
  if (flight.behaviour === "deaf") return upTo(flight, 30_000);
  const dice = flight.random();
  return upTo(flight, dice < 0.5 ? 5 : dice < 0.9 ? 200 : 3_000);
}
