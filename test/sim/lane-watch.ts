/**
 * Lanes as an outsider sees them: slots counted from leases in events, limits from the configuration and from what
 * operators changed since. It checks after each commit that whatever started was allowed to: slots, pause, rate, turns
 * of sessions. Within a commit events are grouped by run, so only the sums at its end are compared.
 */
import type { LanesConfig, RateLimit } from "../../src/core/lane/lane.ts";
import { isLast, type RunRecord } from "./ledger.ts";

/** A task that started in a commit. */
export interface Start {
  readonly lane: string;
  readonly at: number;
}

/** A task that entered the queue of a lane in a commit. */
export interface Newcomer {
  readonly lane: string;
  /** Retries return to their lane, full or not. */
  readonly isRetry: boolean;
}

interface Slots {
  concurrency: number;
  capacity: number;
  /** Tasks in the queue, and how many they were before the present commit. */
  queued: number;
  queuedBefore: number;
  isPaused: boolean;
  occupied: number;
  holders: number;
  readonly rate: RateLimit | undefined;
  tokens: number;
  tokensAt: number;
}

interface Turn {
  readonly id: string;
  isStarted: boolean;
  isEnded: boolean;
  tasks: number;
}

/** A little more than nothing, because instants are fractions. */
const EPSILON = 1e-6;

export class LaneWatch {
  readonly #config: LanesConfig;
  #slots = new Map<string, Slots>();
  #sessions = new Map<string, Turn[]>();
  #turns = new Map<string, Turn>();

  constructor(config: LanesConfig) {
    this.#config = config;
    this.reset();
  }

  /** A new process: the limits of the configuration, full buckets, nothing held. */
  reset(): void {
    const { global, named } = this.#config;
    this.#slots = new Map();
    this.#sessions = new Map();
    this.#turns = new Map();
    const unbounded = Number.POSITIVE_INFINITY;
    this.#add("global", global.concurrency, unbounded, global.rate);
    this.#add("default", global.concurrency, unbounded, undefined);
    for (const lane of named) this.#add(lane.name, lane.concurrency, lane.capacity, lane.rate);
  }

  #add(name: string, concurrency: number, capacity: number, rate: RateLimit | undefined): void {
    this.#slots.set(name, {
      concurrency,
      capacity,
      queued: 0,
      queuedBefore: 0,
      isPaused: false,
      occupied: 0,
      holders: 0,
      rate,
      tokens: rate?.burst ?? 0,
      tokensAt: 0,
    });
  }

  /** An operator changed a lane. */
  change(name: string, to: { concurrency?: number; capacity?: number; paused?: boolean }): void {
    const slots = this.#of(name);
    slots.capacity = to.capacity ?? slots.capacity;
    slots.concurrency = to.concurrency ?? slots.concurrency;
    slots.isPaused = to.paused ?? slots.isPaused;
  }

  #of(name: string): Slots {
    return this.#slots.get(name) ?? (this.#slots.get("default") as Slots);
  }

  /** A run was accepted. */
  accepted({ id, events }: RunRecord): void {
    const first = events[0];
    if (first?.type !== "run_accepted" || first.request.sessionId === undefined) return;
    const { namespace, sessionId } = first.request;
    const turn: Turn = { id, isStarted: false, isEnded: false, tasks: 0 };
    this.#turns.set(id, turn);
    const turns = this.#sessions.get(`${namespace}/${sessionId}`);
    if (turns === undefined) this.#sessions.set(`${namespace}/${sessionId}`, [turn]);
    else turns.push(turn);
  }

  /** Something happened to a whole run. */
  moved(runId: string, event: RunRecord["events"][number]): void {
    const turn = this.#turns.get(runId);
    if (turn === undefined) return;
    if (event.type === "run_started") turn.isStarted = true;
    if (isLast(event)) turn.isEnded = true;
  }

  /** A lease was taken (1) or given back (-1). */
  lease(runId: string, lane: string, cost: number, by: 1 | -1): void {
    for (const slots of [this.#of(lane), this.#of("global")]) {
      slots.occupied += by * cost;
      slots.holders += by;
    }
    const turn = this.#turns.get(runId);
    if (turn !== undefined) turn.tasks += by;
  }

  /** A task entered (1) or left (-1) the queue of a lane. */
  queue(lane: string, by: 1 | -1): void {
    this.#of(lane).queued += by;
  }

  /** Events of a new commit follow. */
  beginCommit(): void {
    for (const slots of this.#slots.values()) slots.queuedBefore = slots.queued;
  }

  /** After a commit: complaints about what started in it. */
  check(
    starts: readonly Start[],
    begun: readonly string[],
    newcomers: readonly Newcomer[],
  ): string[] {
    return [
      ...[...new Set(newcomers.map(({ lane }) => lane))].flatMap((lane) =>
        this.#checkQueue(lane, newcomers),
      ),
      ...starts.flatMap(({ lane, at }) => [...this.#spend(lane, at), ...this.#spend("global", at)]),
      ...[...new Set(starts.map(({ lane }) => lane)), "global"].flatMap((lane) =>
        starts.length === 0 ? [] : this.#checkSlots(lane),
      ),
      ...begun.flatMap((runId) => this.#checkTurn(runId)),
      ...(starts.length === 0 ? [] : this.#checkSessionTasks()),
    ];
  }

  #spend(name: string, at: number): string[] {
    const slots = this.#of(name);
    const { rate } = slots;
    if (rate === undefined) return [];
    const gained = ((at - slots.tokensAt) * rate.limit) / rate.perMs;
    slots.tokens = Math.min(rate.burst, slots.tokens + gained) - 1;
    slots.tokensAt = at;
    return slots.tokens < -EPSILON ? [`lane ${name} started more than its rate allows`] : [];
  }

  /** A queue grows past its capacity by retries and by nothing else. */
  #checkQueue(name: string, newcomers: readonly Newcomer[]): string[] {
    const { queued, queuedBefore, capacity } = this.#of(name);
    const retries = newcomers.filter(({ lane, isRetry }) => lane === name && isRetry).length;
    return queued > Math.max(capacity, queuedBefore) + retries
      ? [`lane ${name} has ${queued} tasks queued, of ${capacity}, ${queuedBefore} before`]
      : [];
  }

  #checkSlots(name: string): string[] {
    const { occupied, holders, concurrency, isPaused } = this.#of(name);
    if (isPaused) return [`lane ${name} is paused and a task started`];
    return occupied > concurrency && holders > 1
      ? [`lane ${name} has ${occupied} of ${concurrency} slots occupied by ${holders} tasks`]
      : [];
  }

  #checkTurn(runId: string): string[] {
    if (this.#config.session.scope !== "run") return [];
    for (const turns of this.#sessions.values()) {
      const place = turns.findIndex(({ id }) => id === runId);
      if (place === -1) continue;
      const before = turns.slice(0, place).find(({ isEnded }) => !isEnded);
      if (before !== undefined) return [`run ${runId} began before ${before.id} of its session`];
    }
    return [];
  }

  #checkSessionTasks(): string[] {
    const { scope, concurrency } = this.#config.session;
    if (scope !== "task") return [];
    return [...this.#sessions].flatMap(([key, turns]) => {
      const tasks = turns.reduce((sum, turn) => sum + turn.tasks, 0);
      return tasks > concurrency ? [`session ${key} runs ${tasks} of ${concurrency} tasks`] : [];
    });
  }

  /** Slots that are taken, all lanes together. */
  get occupied(): number {
    return this.#of("global").occupied;
  }
}
