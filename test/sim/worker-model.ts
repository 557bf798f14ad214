/**
 * A worker of the simulation: the six handlers of the protocol and nothing else, on virtual time. It may stand still for a
 * while (and then go on as if nothing had happened), send results twice, and answer late. It remembers results until
 * their verdict, and that is what is looked at in the end.
 */
import type { Prng } from "../../src/base/hash.ts";
import type { Instant, Millis } from "../../src/base/time.ts";
import type { Assignment } from "../../src/ports/agent.ts";
import type { VerdictOutcome, WorkerSession, WorkerWelcome } from "../../src/ports/worker.ts";
import type { Schedule } from "./time.ts";
import { Stream } from "./worker-network.ts";

const SILENCE_MS: Millis = 15_000;

/** What a worker needs of its world. */
export interface WorkerSurroundings {
  readonly schedule: Schedule;
  readonly random: Prng;
  /** Longest delay of a message, now. */
  readonly delayMs: () => Millis;
  /** Knocks at the daemon at the far end of a stream; answers through `worker.welcomed`, or with a cut. */
  readonly knock: (worker: WorkerModel, stream: Stream) => void;
  readonly onVerdict: (worker: WorkerModel, lease: string, outcome: VerdictOutcome) => void;
}

export class WorkerModel {
  readonly instance: string;
  readonly running = new Set<string>();
  readonly results = new Set<string>();
  readonly #around: WorkerSurroundings;
  capacity: number;
  token = "";
  stream: Stream | undefined;
  #session: WorkerSession | undefined;
  #isDead = false;
  #frozenUntil: Instant = 0;
  #heardAt: Instant = 0;
  #failures = 0;

  constructor(instance: string, capacity: number, around: WorkerSurroundings) {
    this.instance = instance;
    this.capacity = capacity;
    this.#around = around;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Leases that it would list. */
  get held(): readonly string[] {
    return [...this.running, ...this.results];
  }

  dial(): void {
    if (this.#isDead || (this.stream !== undefined && !this.stream.isBroken)) return;
    const { schedule, random, knock, delayMs } = this.#around;
    const stream = new Stream(schedule, random, delayMs());
    this.stream = stream;
    this.#session = undefined;
    this.#heardAt = schedule.now;
    stream.onWorkerEnd = () => this.#ended(stream);
    knock(this, stream);
    this.#watch(stream);
  }

  /** Nothing heard for long means that the stream is dead, whatever the network says. */
  #watch(stream: Stream): void {
    const { schedule } = this.#around;
    schedule.setTimer(SILENCE_MS, () => {
      if (this.stream !== stream || this.#isDead) return;
      if (schedule.now - this.#heardAt >= SILENCE_MS) this.#ended(stream);
      else this.#watch(stream);
    });
  }

  #ended(stream: Stream): void {
    if (this.stream !== stream || this.#isDead) return;
    // Whoever leaves a stream ends it; over a dead connection that takes its time.
    stream.cut(40_000);
    this.stream = undefined;
    this.#session = undefined;
    const mostMs = Math.min(5_000, 100 * 2 ** this.#failures++);
    this.#around.schedule.setTimer(Math.floor(this.#around.random() * mostMs), () => this.dial());
  }

  /** Does something now, or when it is no longer frozen. */
  act(stream: Stream | undefined, what: () => void): void {
    const { schedule } = this.#around;
    const waitMs = this.#frozenUntil - schedule.now;
    if (waitMs > 0) schedule.setTimer(waitMs, () => this.act(stream, what));
    else if (!this.#isDead && (stream === undefined || this.stream === stream)) what();
  }

  freeze(forMs: Millis): void {
    this.#frozenUntil = this.#around.schedule.now + forMs;
  }

  kill(): void {
    this.#isDead = true;
    this.stream?.cut(1_000);
  }

  /** Says something on the current stream. */
  say(words: (session: WorkerSession) => void): void {
    const { stream } = this;
    const session = this.#session;
    if (stream === undefined || session === undefined) return;
    stream.toEngine.send(() => words(session));
  }

  // Six handlers; the world calls them through the stream.

  welcomed(session: WorkerSession, { resumeToken, dropped }: WorkerWelcome): void {
    this.#session = session;
    this.#failures = 0;
    this.token = resumeToken;
    this.#hear();
    for (const lease of dropped) this.running.delete(lease);
    for (const lease of this.results) this.#report(lease);
  }

  assigned({ key }: Assignment, durationMs: Millis): void {
    this.#hear();
    this.say((session) => session.ack(key));
    if (this.running.has(key) || this.results.has(key)) return;
    this.running.add(key);
    this.#around.schedule.setTimer(durationMs, () => this.act(undefined, () => this.#end(key)));
  }

  probed(nonce: number): void {
    this.#hear();
    const { held } = this;
    this.say((session) => session.beat(nonce, held));
  }

  dropped(lease: string): void {
    this.#hear();
    this.running.delete(lease);
  }

  judged(lease: string, outcome: VerdictOutcome): void {
    this.#hear();
    this.#around.onVerdict(this, lease, outcome);
    this.results.delete(lease);
  }

  #end(lease: string): void {
    if (!this.running.delete(lease)) return;
    this.results.add(lease);
    this.#report(lease);
    if (this.#around.random() < 0.2) this.#report(lease);
  }

  #report(lease: string): void {
    const output = { json: JSON.stringify(lease) };
    this.say((session) => session.complete(lease, output, []));
  }

  #hear(): void {
    this.#heardAt = this.#around.schedule.now;
  }
}
