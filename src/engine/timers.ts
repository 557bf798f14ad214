/**
 * Durable deadlines on one heap over one host timer. A timer is named by run, task, kind and signal; arming it again
 * moves it. What fires is only a command: whether it still means anything is decided by the core, so a timer that
 * outlived its cause is harmless. Nothing here is stored: due times follow from journaled events. Nothing fires before
 * the engine has opened them, because a start sets them while it still reads.
 */
import { Heap, type HeapEntry } from "../base/heap.ts";
import type { RunId, TaskId } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import type { TimerKind } from "../core/run/message.ts";
import type { Host, TimerHandle } from "../ports/host.ts";

/** What a timer says when it is due. */
export interface Alarm {
  readonly runId: RunId;
  readonly timer: TimerKind;
  readonly task: TaskId | undefined;
  readonly lease: number | undefined;
  readonly signal: string | undefined;
}

interface Entry extends HeapEntry {
  readonly alarm: Alarm;
  readonly name: string;
  readonly order: number;
  dueAt: Instant;
}

/** All timers of the engine. */
export class Timers {
  readonly #host: Host;
  readonly #fire: (alarm: Alarm) => void;
  readonly #heap = new Heap<Entry>(
    (a, b) => a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order),
  );
  readonly #byRun = new Map<RunId, Map<string, Entry>>();
  #handle: TimerHandle | undefined;
  #handleDueAt = Number.POSITIVE_INFINITY;
  #order = 0;
  #isOpen = false;

  constructor(host: Host, fire: (alarm: Alarm) => void) {
    this.#host = host;
    this.#fire = fire;
  }

  /** Timers that are set. */
  get size(): number {
    return this.#heap.size;
  }

  /** From now on timers fire. */
  open(): void {
    this.#isOpen = true;
    this.#schedule();
  }

  /** Sets or moves a timer. */
  arm(alarm: Alarm, dueAt: Instant): void {
    const name = `${alarm.task ?? ""}/${alarm.timer}/${alarm.signal ?? ""}`;
    let ofRun = this.#byRun.get(alarm.runId);
    if (ofRun === undefined) {
      ofRun = new Map();
      this.#byRun.set(alarm.runId, ofRun);
    }
    const old = ofRun.get(name);
    if (old !== undefined) this.#heap.remove(old);
    const entry: Entry = { alarm, name, order: this.#order++, dueAt, heapIndex: -1 };
    ofRun.set(name, entry);
    this.#heap.push(entry);
    this.#schedule();
  }

  /** Clears the timers of one task, or of the whole run. */
  disarm(runId: RunId, task?: TaskId): void {
    const ofRun = this.#byRun.get(runId);
    if (ofRun === undefined) return;
    for (const entry of ofRun.values()) {
      if (task !== undefined && entry.alarm.task !== task) continue;
      this.#heap.remove(entry);
      ofRun.delete(entry.name);
    }
    if (ofRun.size === 0) this.#byRun.delete(runId);
  }

  /** Clears everything; nothing fires afterwards. */
  stop(): void {
    this.#handle?.cancel();
    this.#handle = undefined;
    this.#handleDueAt = Number.POSITIVE_INFINITY;
    this.#byRun.clear();
    while (this.#heap.pop() !== undefined) {}
  }

  #schedule(): void {
    const next = this.#heap.peek();
    if (!this.#isOpen || next === undefined || next.dueAt >= this.#handleDueAt) return;
    this.#handle?.cancel();
    this.#handleDueAt = next.dueAt;
    this.#handle = this.#host.setTimer(Math.max(0, next.dueAt - this.#host.now()), () =>
      this.#wake(),
    );
  }

  #wake(): void {
    this.#handle = undefined;
    this.#handleDueAt = Number.POSITIVE_INFINITY;
    const now = this.#host.now();
    for (
      let top = this.#heap.peek();
      top !== undefined && top.dueAt <= now;
      top = this.#heap.peek()
    ) {
      this.#heap.pop();
      this.#forget(top);
      this.#fire(top.alarm);
    }
    this.#schedule();
  }

  #forget(entry: Entry): void {
    const ofRun = this.#byRun.get(entry.alarm.runId);
    ofRun?.delete(entry.name);
    if (ofRun?.size === 0) this.#byRun.delete(entry.alarm.runId);
  }
}
