/**
 * Workers as the engine sees them, whatever carries their messages: who they are, what they are told, what they say.
 * The rules (credit, acknowledgement, probes, leases, grace, verdicts, drain) live behind {@link WorkerDoor} in the
 * runtime; a surface only translates between these calls and its wire. Plain data, synchronous calls.
 */
import type { Json, Payload } from "../base/payload.ts";
import type { Instant, Millis } from "../base/time.ts";
import type { Deed } from "../core/run/message.ts";
import type { MemoryWrite } from "../core/run/recall.ts";
import type { FailureClass, Reason } from "../core/run/status.ts";
import type {
  Assignment,
  AttemptListener,
  AttemptQuestion,
  DeliveredSignal,
  RecallAnswer,
} from "./agent.ts";

/** An agent that a worker serves. */
export interface ServedAgent {
  readonly name: string;
  /** Semantic version; `0.0.0` when the worker gave none. */
  readonly version: string;
  readonly inputSchema?: Json;
  /** Slots of the worker that an attempt takes, and of which class. */
  readonly slotCost: number;
  readonly slotClass: string;
  /** Longest attempt, where the task names none. */
  readonly timeoutMs?: Millis;
}

/** Slots by class, in all. */
export type Slots = { readonly [slotClass: string]: number };

/** Who comes to the door. */
export interface WorkerHello {
  readonly name: string;
  readonly instance: string;
  readonly surface: WorkerSurface;
  readonly labels: { readonly [label: string]: string };
  readonly agents: readonly ServedAgent[];
  readonly capacity: Slots;
  /** Whether signals may be sent to it. */
  readonly takesSignals: boolean;
  /** Of an instance that was here before. */
  readonly resume?: { readonly token: string; readonly leases: readonly string[] };
}

export type WorkerSurface = "session" | "poll";

/** The times that both sides live by. */
export interface WorkerTimes {
  readonly probeMs: Millis;
  /** A worker that hears nothing for this long redials. */
  readonly silenceMs: Millis;
  readonly ackMs: Millis;
  readonly leaseMs: Millis;
  readonly graceMs: Millis;
  /** A polling instance that does not call for this long is gone. */
  readonly pollMs: Millis;
  /** How long a task waits for the instance that last had its affinity key. */
  readonly affinityMs: Millis;
}

/** The answer to a hello. */
export interface WorkerWelcome {
  readonly sessionId: string;
  readonly epoch: number;
  readonly resumeToken: string;
  readonly times: WorkerTimes;
  /** Leases of `resume` that go on, and those that do not. */
  readonly kept: readonly string[];
  readonly dropped: readonly string[];
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
}

/** What became of an end that a worker reported. */
export type VerdictOutcome = "COMMITTED" | "DUPLICATE" | "FENCED" | "LATE_STORED" | "REFUSED";

/** Engine → worker. `lease` is the id of a lease. Calls after the link is closed do nothing. */
export interface WorkerLink {
  /** False when it is too large to be sent. */
  assign(assignment: Assignment, version: string): boolean;
  probe(nonce: number): void;
  signal(lease: string, signal: DeliveredSignal): void;
  cancel(lease: string, reason: Reason, graceMs: Millis): void;
  drop(lease: string): void;
  verdict(lease: string, outcome: VerdictOutcome, message: string): void;
  goAway(reason: string, reconnectAfterMs: Millis): void;
  /** Another stream of the instance took its place. */
  close(): void;
}

/** How an attempt failed, as its worker says. */
export interface WorkerFailure {
  readonly failure: FailureClass;
  readonly message: string;
  readonly retryAfterMs?: Millis;
}

/** Worker → engine, for one open session. After `closed` every call does nothing. */
export interface WorkerSession {
  readonly welcome: WorkerWelcome;
  /** False once it is closed, or another link of the instance took its place. */
  readonly isOpen: boolean;
  capacity(slots: Slots): void;
  /** How many attempts a polling instance can take right now. */
  wants(attempts: number): void;
  ack(lease: string): void;
  beat(nonce: number, leases: readonly string[]): void;
  /** A sign of life of one lease, with whatever it says. */
  progress(lease: string, news: WorkerNews): void;
  output(lease: string, offset: number, data: Uint8Array): void;
  receipt(lease: string, signal: string, receipt: "delivered" | "admitted"): void;
  /** `memories` is what the attempt wants remembered. */
  complete(
    lease: string,
    output: Payload,
    deeds: readonly Deed[],
    memories?: readonly MemoryWrite[],
  ): void;
  fail(lease: string, failure: WorkerFailure, deeds: readonly Deed[]): void;
  /** An end that cannot be kept, whatever it was meant to be: the attempt fails, and the verdict says why. */
  reject(lease: string, message: string): void;
  drain(leaving: boolean): void;
  /** The stream ended. */
  closed(): void;
}

export interface WorkerNews {
  readonly percent?: number;
  readonly note?: string;
  readonly checkpoint?: Uint8Array;
  readonly deeds?: readonly Deed[];
}

/** Where workers come in. */
export interface WorkerDoor {
  /** Rejects a hello by throwing `WORKER_INSTANCE_TAKEN` or `ENGINE_DRAINING`. The link is not called before it returns. */
  open(hello: WorkerHello, link: WorkerLink): WorkerSession;
  /** Asks the memory for an attempt of the instance. Never rejects: what is not answered has a note. */
  recall(instance: string, lease: string, wish: AttemptQuestion): Promise<RecallAnswer>;
  /** Who is connected, or was a moment ago. */
  workers(): readonly WorkerStatus[];
}

export type WorkerState = "READY" | "SILENT" | "DRAINING" | "AWAY";

/** A worker as operators see it. */
export interface WorkerStatus {
  readonly instance: string;
  readonly name: string;
  readonly surface: WorkerSurface;
  readonly state: WorkerState;
  readonly labels: { readonly [label: string]: string };
  readonly agents: readonly ServedAgent[];
  readonly capacity: Slots;
  readonly taken: Slots;
  /** Ids of the leases it holds. */
  readonly leases: readonly string[];
  readonly connectedAt: Instant;
  readonly answeredAt: Instant;
}

/** What is said to an instance that polls, when it calls. */
export interface Directives {
  readonly assigns: { readonly assignment: Assignment; readonly version: string }[];
  readonly signals: { readonly lease: string; readonly signal: DeliveredSignal }[];
  readonly cancels: { readonly lease: string; readonly reason: Reason; readonly graceMs: Millis }[];
  readonly drops: string[];
  goAway: { readonly reason: string; readonly reconnectAfterMs: Millis } | undefined;
}

export interface Judged {
  readonly lease: string;
  readonly outcome: VerdictOutcome;
  readonly message: string;
}

export interface PollWish {
  readonly tasks: number;
  readonly waitMs: Millis;
}

/** A call of an instance that polls, except for work. */
export interface PollVisit {
  readonly session: WorkerSession;
  /** Resolves with the verdict on a lease that is about to be reported. */
  judged(lease: string): Promise<Judged>;
  /** Takes what has gathered for it; assignments, unless they are wanted, stay for its next poll. */
  take(withAssigns: boolean): Directives;
}

/** Where workers that poll come in. */
export interface WorkerDesk {
  /** Waits for work and whatever else there is for the instance. Rejects with what the door throws. */
  poll(hello: WorkerHello, wish: PollWish, abort: AbortSignal): Promise<Directives>;
  /** The instance of a call that asks for no work; after a restart it is known by its leases alone. */
  visit(instance: string): PollVisit;
}

/** An end for a lease that the runtime does not know (any more). */
export interface LateReport {
  readonly lease: string;
  readonly worker: string;
  /** Of a success. */
  readonly output: Payload | undefined;
}

/** What workers make the engine hear beside what every attempt can say. */
export interface WorkerListener extends AttemptListener {
  deeds(key: string, deeds: readonly Deed[]): void;
  /** Judges an end by what the journal knows; `settled` is called when the answer is durable. */
  late(report: LateReport, settled: (outcome: VerdictOutcome, message: string) => void): void;
}
