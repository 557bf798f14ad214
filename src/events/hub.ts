/**
 * Committed events on their way to whoever watches a run. A watcher first reads the run's history from the journal and
 * then follows live, without a gap or a repetition at the seam: buffering starts before the history is read. The hub
 * may assume that events are published in order and only when durable. It never waits for a watcher: one that falls
 * behind its buffer goes back to the journal, one that stands still is cut off with the sequence to watch on from, and
 * a run nobody watches costs one look into a map.
 */
import { assert } from "../base/assert.ts";
import { type Fault, FaultError } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { Event, RunEvents } from "../core/run/message.ts";
import { weigh } from "../core/run/weight.ts";
import type { Journal } from "../ports/journal.ts";
import type { Metrics } from "../ports/telemetry.ts";
import { isLastEvent } from "./last-event.ts";
import { Watcher } from "./watcher.ts";

export interface EventHubOptions {
  /** Most bytes of events that wait for one watcher. Default 64 KiB. */
  readonly bufferBytes?: number;
}

export interface EventHubDeps {
  readonly journal: Pick<Journal, "history">;
  readonly metrics: Metrics;
}

/** One event with its place in its run. */
export interface SequencedEvent {
  readonly sequence: number;
  readonly event: Event;
}

/** Where a run stands. */
export interface RunHead {
  readonly sequence: number;
  readonly ended: boolean;
}

const BUFFER_BYTES = 64 * 1024;

/** The meeting point of the writer loop and the watchers. */
export class EventHub {
  readonly #bufferBytes: number;
  readonly #deps: EventHubDeps;
  readonly #watchers = new Map<RunId, Set<Watcher>>();
  #count = 0;
  #stopped: Fault | undefined;
  #onCaughtUp: (() => void) | undefined;

  constructor(options: EventHubOptions, deps: EventHubDeps) {
    this.#bufferBytes = options.bufferBytes ?? BUFFER_BYTES;
    this.#deps = deps;
    deps.metrics.gauge("goclaw_watchers", () => [{ labels: {}, value: this.#count }]);
  }

  /** Watchers that are reading or waiting. */
  get watchers(): number {
    return this.#count;
  }

  /** Bytes of events that wait for the watcher with the most; bounded by the buffer, or by one page. */
  get largestBuffer(): number {
    let largest = 0;
    for (const watchers of this.#watchers.values()) {
      for (const { bufferedBytes } of watchers) largest = Math.max(largest, bufferedBytes);
    }
    return largest;
  }

  /** Tells a run's watchers what was committed: once per commit and run, in order, after the commit. Never throws. */
  publish(events: RunEvents): void {
    const watchers = this.#watchers.get(events.runId);
    if (watchers === undefined) return;
    const bytes = weigh(events.events);
    for (const watcher of watchers) {
      watcher.offer(events, bytes);
      if (!watcher.isOver) continue;
      this.#deps.metrics.watcherCutOff();
      this.#detach(watcher);
    }
  }

  /**
   * The events of a run after a sequence, each once and in order: history, then live. Ends after the run's terminal
   * event, on abort, and when a run that has ended (or that `head` does not know) has no events left. Throws
   * `WATCHER_SLOW` with the last sequence the reader took when it stands still, what `journal.history` throws
   * (`CURSOR_EXPIRED`), and the fault given to {@link stop}. `head` tells where the run stands; it may lag behind.
   */
  async *watch(
    runId: RunId,
    afterSequence: number,
    head: () => RunHead | undefined,
    abort?: AbortSignal,
  ): AsyncGenerator<SequencedEvent, void, undefined> {
    const watcher = new Watcher(runId, afterSequence, this.#bufferBytes);
    const leave = (): void => {
      watcher.end();
      this.#detach(watcher);
    };
    abort?.addEventListener("abort", leave);
    try {
      if (abort?.aborted) return;
      this.#attach(watcher);
      for await (const page of this.#pages(watcher, head)) {
        for (const item of itemsAfter(page, watcher)) {
          yield item;
          watcher.asks();
          if (isLastEvent(item.event)) return;
          if (watcher.isOver) break;
        }
        if (watcher.isOver) break;
      }
      if (watcher.fault !== undefined) throw new FaultError(watcher.fault);
    } finally {
      abort?.removeEventListener("abort", leave);
      this.#detach(watcher);
    }
  }

  /** Resolves when every watcher has taken everything published so far, or `giveUp` resolves. */
  async caughtUp(giveUp: Promise<void>): Promise<void> {
    if (this.#isCaughtUp) return;
    const done = new Promise<void>((resolve) => {
      this.#onCaughtUp = resolve;
    });
    await Promise.race([done, giveUp]);
    this.#onCaughtUp = undefined;
  }

  get #isCaughtUp(): boolean {
    for (const watchers of this.#watchers.values()) {
      for (const watcher of watchers) if (!watcher.isWaiting) return false;
    }
    return true;
  }

  #tellCaughtUp(): void {
    if (this.#onCaughtUp !== undefined && this.#isCaughtUp) this.#onCaughtUp();
  }

  /** Ends every watch, now and from now on, with a fault: the engine drains, or its store has failed. Idempotent. */
  stop(because: Fault): void {
    this.#stopped ??= because;
    for (const watchers of this.#watchers.values()) {
      for (const watcher of watchers) {
        watcher.end(this.#stopped);
        this.#detach(watcher);
      }
    }
  }

  /** Reads the journal to its end, follows until the buffer runs over, and so on until the watcher is over. */
  async *#pages(
    watcher: Watcher,
    head: () => RunHead | undefined,
  ): AsyncGenerator<RunEvents, void, undefined> {
    while (!watcher.isOver) {
      watcher.follow();
      yield* this.#deps.journal.history(watcher.runId, watcher.last);
      while (watcher.isFollowing) {
        if (watcher.isDry && (head()?.ended ?? true)) return;
        const next = watcher.next();
        this.#tellCaughtUp();
        const page = await next;
        if (page !== undefined) yield page;
      }
    }
  }

  #attach(watcher: Watcher): void {
    if (this.#stopped !== undefined) {
      watcher.end(this.#stopped);
      return;
    }
    const watchers = this.#watchers.get(watcher.runId);
    if (watchers === undefined) this.#watchers.set(watcher.runId, new Set([watcher]));
    else watchers.add(watcher);
    this.#count++;
  }

  #detach(watcher: Watcher): void {
    const watchers = this.#watchers.get(watcher.runId);
    if (watchers === undefined || !watchers.delete(watcher)) return;
    this.#count--;
    if (watchers.size === 0) this.#watchers.delete(watcher.runId);
    this.#tellCaughtUp();
  }
}

/** The events of a page that the reader has not taken yet, noted as taken one by one. */
function* itemsAfter(
  page: RunEvents,
  watcher: Watcher,
): Generator<SequencedEvent, void, undefined> {
  const { firstSequence, events } = page;
  assert(firstSequence <= watcher.last + 1, `run ${page.runId} has a gap before ${firstSequence}`);
  for (let at = Math.max(0, watcher.last + 1 - firstSequence); at < events.length; at++) {
    const event = events[at];
    if (event === undefined) return;
    watcher.took(firstSequence + at);
    yield { sequence: firstSequence + at, event };
  }
}
