/**
 * Virtual time. One schedule holds every timer of the simulated world: those of the engine, of its agents, of the disk
 * and of the clients. Time jumps from one timer to the next; equal instants keep the order in which they were set. A
 * simulated host is what one process sees of it: its clock may be skewed, its timers fire late but never early, and they
 * die with the process.
 */
import { createHash } from "node:crypto";
import { Deque } from "../../src/base/deque.ts";
import type { Prng } from "../../src/base/hash.ts";
import { Heap, type HeapEntry } from "../../src/base/heap.ts";
import type { RunId } from "../../src/base/ids.ts";
import type { Instant, Millis } from "../../src/base/time.ts";
import type { Host, TimerHandle } from "../../src/ports/host.ts";

interface Entry extends HeapEntry {
  readonly dueAt: Instant;
  readonly order: number;
  readonly run: () => void;
}

/** Where every simulation begins: fixed, so that printed instants mean something. */
const BEGINNING: Instant = 1_800_000_000_000;

/** All timers of the world, and the time. */
export class Schedule {
  readonly #timers = new Heap<Entry>(
    (a, b) => a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order),
  );
  readonly #deferred = new Deque<() => void>();
  #now = BEGINNING;
  #order = 0;

  get now(): Instant {
    return this.#now;
  }

  get elapsedMs(): Millis {
    return this.#now - BEGINNING;
  }

  setTimer(delayMs: Millis, run: () => void): TimerHandle {
    const dueAt = this.#now + Math.max(0, delayMs);
    const entry: Entry = { dueAt, order: this.#order++, run, heapIndex: -1 };
    this.#timers.push(entry);
    return { cancel: () => void this.#timers.remove(entry) };
  }

  defer(run: () => void): void {
    this.#deferred.push(run);
  }

  /** How long until something happens by itself; undefined when nothing will. */
  get idleMs(): Millis | undefined {
    if (this.#deferred.size > 0) return 0;
    const next = this.#timers.peek();
    return next && Math.max(0, next.dueAt - this.#now);
  }

  /** Time goes on and nothing happens: what came due meanwhile happens afterwards, late. */
  pause(forMs: Millis): void {
    this.#now += forMs;
  }

  /** Runs what comes next: deferred work before any timer. False when there is nothing. */
  runNext(): boolean {
    const deferred = this.#deferred.shift();
    if (deferred !== undefined) {
      deferred();
      return true;
    }
    const timer = this.#timers.pop();
    if (timer === undefined) return false;
    this.#now = Math.max(this.#now, timer.dueAt);
    timer.run();
    return true;
  }
}

/** What chance decides about a host. */
export interface HostOptions {
  readonly schedule: Schedule;
  readonly random: Prng;
  /** How far the wall clock is from the true time, now; a process looks once, when it starts. */
  readonly wallSkewMs: () => Millis;
  /** How late timers may fire. */
  readonly lateMs: Millis;
  /** Numbers of run ids, from 0, for all processes of a world. */
  readonly nextId: () => number;
}

/** The world as one simulated process sees it. */
export class SimulatedHost implements Host {
  readonly #options: HostOptions;
  readonly #timers = new Set<TimerHandle>();
  readonly #skewMs: Millis;
  #isAlive = true;
  #aheadMs: Millis = 0;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#skewMs = options.wallSkewMs();
  }

  now(): Instant {
    return this.#options.schedule.now + this.#skewMs + this.#aheadMs;
  }

  notBefore(instant: Instant): void {
    this.#aheadMs += Math.max(0, instant - this.now());
  }

  elapsedMs(): Millis {
    return this.#options.schedule.elapsedMs;
  }

  setTimer(delayMs: Millis, run: () => void): TimerHandle {
    const { schedule, random, lateMs } = this.#options;
    const late = lateMs === 0 ? 0 : Math.floor(random() * lateMs);
    const timer = schedule.setTimer(delayMs + late, () => {
      this.#timers.delete(handle);
      if (this.#isAlive) run();
    });
    const handle: TimerHandle = {
      cancel: () => {
        this.#timers.delete(handle);
        timer.cancel();
      },
    };
    this.#timers.add(handle);
    return handle;
  }

  defer(run: () => void): void {
    this.#options.schedule.defer(() => {
      if (this.#isAlive) run();
    });
  }

  random(): number {
    return this.#options.random();
  }

  /** A ULID of this clock; the random part counts, so that ids of one millisecond sort by creation. */
  newRunId(): RunId {
    return `${base32(Math.floor(this.now()), 10)}${base32(this.#options.nextId(), 16)}` as RunId;
  }

  randomHex(bytes: number): string {
    let text = "";
    for (let left = bytes; left > 0; left--) {
      text += Math.floor(this.random() * 256)
        .toString(16)
        .padStart(2, "0");
    }
    return text;
  }

  sha256(data: string | Uint8Array): string {
    return createHash("sha256").update(data).digest("hex");
  }

  /** Timers that are set. */
  get timers(): number {
    return this.#timers.size;
  }

  /** The process is gone: nothing it has set or deferred happens. */
  kill(): void {
    this.#isAlive = false;
    for (const timer of [...this.#timers]) timer.cancel();
  }
}

const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

function base32(value: number, length: number): string {
  let text = "";
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32)) {
    text = DIGITS.charAt(rest % 32) + text;
  }
  return text;
}
