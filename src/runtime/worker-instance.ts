/**
 * One worker process as the pool knows it: whether it may get work, its slots, its leases, and the link to it while it
 * is connected. States change only by the table below; what a change means for leases is the pool's matter. It counts
 * slots from the leases themselves, so nothing can leak.
 */
import type { Instant, Millis } from "../base/time.ts";
import type { Reason } from "../core/run/status.ts";
import type { DeliveredSignal } from "../ports/agent.ts";
import type { TimerHandle } from "../ports/host.ts";
import type {
  ServedAgent,
  Slots,
  VerdictOutcome,
  WorkerHello,
  WorkerLink,
  WorkerState,
  WorkerStatus,
  WorkerSurface,
} from "../ports/worker.ts";

export type InstanceState = WorkerState | "GONE";
export type InstanceInput = "opened" | "answered" | "missed" | "drained" | "closed" | "expired";

/**
 * - READY: gets work. SILENT: does not answer, gets none until it does. DRAINING: asked for none.
 * - AWAY: its link is closed, its leases are kept for the grace. GONE: forgotten.
 */
export const INSTANCE_TABLE: {
  readonly [S in InstanceState]: { readonly [I in InstanceInput]?: InstanceState };
} = {
  READY: { missed: "SILENT", drained: "DRAINING", closed: "AWAY", expired: "GONE" },
  SILENT: { answered: "READY", drained: "DRAINING", closed: "AWAY", expired: "GONE" },
  DRAINING: { opened: "READY", closed: "GONE", expired: "GONE" },
  AWAY: { opened: "READY", expired: "GONE" },
  GONE: {},
};

/** Where a lease stands: given but not acknowledged, running, ended but not judged. */
export type LeasePhase = "OFFERED" | "HELD" | "REPORTED";

/** One attempt out at a worker. Its id is the attempt's key. */
export interface WorkerLease {
  readonly id: string;
  readonly instance: WorkerInstance;
  /** Name of its agent. */
  readonly agent: string;
  slotClass: string;
  cost: number;
  phase: LeasePhase;
  offeredAt: Instant;
  /** When it was last acknowledged, listed in a beat or named. */
  renewedAt: Instant;
  /** Given before a restart of the daemon: losing it is not the task's fault. */
  isAdopted: boolean;
  /** Signals that are not admitted, in their order. */
  signals: DeliveredSignal[];
  /** Set while it is told to stop. */
  stop:
    | { readonly timer: TimerHandle; readonly dueAt: Instant; readonly reason: Reason }
    | undefined;
}

/** Probes without an answer, one after the other, after which an instance is silent. */
const PROBES_MISSED_MAX = 3;

/** Verdicts remembered per instance, for ends that are sent again. */
const VERDICTS_KEPT = 512;

export class WorkerInstance {
  readonly id: string;
  state: InstanceState = "AWAY";
  name = "";
  surface: WorkerSurface = "session";
  labels: { readonly [label: string]: string } = {};
  agents: readonly ServedAgent[] = [];
  takesSignals = false;
  link: WorkerLink | undefined;
  token = "";
  epoch = 0;
  connectedAt: Instant = 0;
  answeredAt: Instant = 0;
  /** The last probe, and how many in a row had no answer (the last one counts before it had its time). */
  nonce = 0;
  unanswered = 0;
  /** Most attempts it may get now beside its slots; bounded only while it polls. */
  wanted = Number.POSITIVE_INFINITY;
  readonly leases = new Map<string, WorkerLease>();
  /** Leases that are not acknowledged, oldest first. */
  readonly offered = new Set<WorkerLease>();
  /** Timers of the instance, by what they are for. */
  readonly timers = new Map<"probe" | "ack" | "lease" | "grace", TimerHandle>();
  readonly #capacity = new Map<string, number>();
  readonly #taken = new Map<string, number>();
  readonly #verdicts = new Map<string, VerdictOutcome>();

  constructor(id: string) {
    this.id = id;
  }

  /** Makes the move; false when the table has none. */
  move(input: InstanceInput): boolean {
    const next = INSTANCE_TABLE[this.state][input];
    if (next !== undefined) this.state = next;
    return next !== undefined;
  }

  /** Whether it does not answer, whatever its state. */
  get isSilent(): boolean {
    return this.unanswered > PROBES_MISSED_MAX;
  }

  /** Takes over what a hello says. */
  introduce(hello: WorkerHello): void {
    this.name = hello.name === "" ? hello.instance : hello.name;
    this.surface = hello.surface;
    this.labels = hello.labels;
    this.takesSignals = hello.takesSignals;
    this.wanted = hello.surface === "poll" ? 0 : Number.POSITIVE_INFINITY;
    this.setCapacity(hello.capacity);
  }

  setCapacity(slots: Slots): void {
    this.#capacity.clear();
    for (const [slotClass, count] of Object.entries(slots)) this.#capacity.set(slotClass, count);
  }

  /** How many more attempts of an agent fit. */
  roomFor({ slotClass, slotCost }: ServedAgent): number {
    if (this.state !== "READY" || this.wanted <= 0) return 0;
    const free = (this.#capacity.get(slotClass) ?? 0) - (this.#taken.get(slotClass) ?? 0);
    return Math.max(0, Math.min(Math.floor(free / slotCost), this.wanted));
  }

  take(slotClass: string, cost: number): void {
    this.#taken.set(slotClass, (this.#taken.get(slotClass) ?? 0) + cost);
  }

  giveBack(slotClass: string, cost: number): void {
    const left = (this.#taken.get(slotClass) ?? 0) - cost;
    if (left > 0) this.#taken.set(slotClass, left);
    else this.#taken.delete(slotClass);
  }

  /** Sets a timer anew; the one it had for this is void. */
  arm(what: "probe" | "ack" | "lease" | "grace", timer: TimerHandle | undefined): void {
    this.timers.get(what)?.cancel();
    if (timer === undefined) this.timers.delete(what);
    else this.timers.set(what, timer);
  }

  disarmAll(): void {
    for (const timer of this.timers.values()) timer.cancel();
    this.timers.clear();
  }

  remember(lease: string, verdict: VerdictOutcome): void {
    this.#verdicts.set(lease, verdict);
    if (this.#verdicts.size <= VERDICTS_KEPT) return;
    const oldest = this.#verdicts.keys().next().value;
    if (oldest !== undefined) this.#verdicts.delete(oldest);
  }

  /** The verdict on an end that this instance has sent before. */
  verdictOn(lease: string): VerdictOutcome | undefined {
    return this.#verdicts.get(lease);
  }

  status(): WorkerStatus | undefined {
    if (this.state === "GONE") return undefined;
    return {
      instance: this.id,
      name: this.name,
      surface: this.surface,
      state: this.state,
      labels: this.labels,
      agents: this.agents,
      capacity: Object.fromEntries(this.#capacity),
      taken: Object.fromEntries(this.#taken),
      leases: [...this.leases.keys()],
      connectedAt: this.connectedAt,
      answeredAt: this.answeredAt,
    };
  }
}

/** When the oldest of `leases` runs out; undefined when there is none. */
export function firstExpiry(leases: Iterable<WorkerLease>, ttlMs: Millis): Instant | undefined {
  let oldest = Number.POSITIVE_INFINITY;
  for (const { renewedAt } of leases) oldest = Math.min(oldest, renewedAt);
  return oldest === Number.POSITIVE_INFINITY ? undefined : oldest + ttlMs;
}
