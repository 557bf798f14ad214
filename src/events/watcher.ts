/**
 * One reader of one run, as the hub sees it: a bounded buffer of published pages and the last sequence the reader took.
 * A reader that cannot keep up with a burst loses its buffer and reads on from the journal; one that stands still on one
 * event while much more is published is given up. The watcher never holds more than its buffer and one page, and nothing
 * that is done to it can wait.
 */
import { Deque } from "../base/deque.ts";
import { type Fault, fault } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { RunEvents } from "../core/run/message.ts";

/**
 * A reader is given up when this many buffers, in this many commits, were published while it worked on one event. One
 * alone would blame a reader for a burst: a single commit of a wide run can be larger than all its buffers.
 */
export const STALLED_AFTER_BUFFERS = 16;
export const STALLED_AFTER_PAGES = 64;

/** `following` buffers what is published, `behind` has to read the journal first, `over` gets nothing any more. */
type WatcherState = "following" | "behind" | "over";

interface BufferedPage {
  readonly page: RunEvents;
  readonly bytes: number;
}

export class Watcher {
  readonly runId: RunId;
  readonly #bufferBytes: number;
  #state: WatcherState = "behind";
  #last: number;
  #pages = new Deque<BufferedPage>();
  #bufferedBytes = 0;
  /** Whether the reader works on an event and has not asked for the next. */
  #isBusy = false;
  #publishedWhileBusy = 0;
  #pagesWhileBusy = 0;
  #isWaiting = false;
  #fault: Fault | undefined;
  #wake: () => void = () => {};

  constructor(runId: RunId, afterSequence: number, bufferBytes: number) {
    this.runId = runId;
    this.#last = afterSequence;
    this.#bufferBytes = bufferBytes;
  }

  /** Sequence of the last event the reader took. */
  get last(): number {
    return this.#last;
  }

  /** Bytes that wait to be read. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get isFollowing(): boolean {
    return this.#state === "following";
  }

  get isOver(): boolean {
    return this.#state === "over";
  }

  /** Why it is over, when that is not the reader's own wish. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** Starts buffering, before the journal is read: between the two nothing is lost. */
  follow(): void {
    if (this.#state === "behind") this.#state = "following";
  }

  /** Takes a published page of `bytes`; an empty buffer takes one page of any size. */
  offer(page: RunEvents, bytes: number): void {
    if (this.#isBusy) {
      this.#publishedWhileBusy += bytes;
      this.#pagesWhileBusy++;
    }
    if (this.#isStalled) {
      this.end(fault("WATCHER_SLOW", { runId: this.runId, lastSequence: this.#last }));
    } else if (this.#state === "following") {
      this.#buffer({ page, bytes });
    }
  }

  /** The oldest buffered page; resolves to undefined when the watcher is no longer following. */
  async next(): Promise<RunEvents | undefined> {
    while (this.#state === "following") {
      const buffered = this.#pages.shift();
      if (buffered !== undefined) {
        this.#bufferedBytes -= buffered.bytes;
        return buffered.page;
      }
      this.#isWaiting = true;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#isWaiting = false;
    }
    return undefined;
  }

  /** Whether the reader has taken everything and waits for more. */
  get isWaiting(): boolean {
    return this.#isWaiting && this.isDry;
  }

  /** Whether nothing is buffered. */
  get isDry(): boolean {
    return this.#pages.size === 0;
  }

  /** The reader took the event with this sequence. */
  took(sequence: number): void {
    this.#last = sequence;
    this.#isBusy = true;
    this.#publishedWhileBusy = 0;
    this.#pagesWhileBusy = 0;
  }

  /** The reader asks for the next event; from here on it is we who are slow. */
  asks(): void {
    this.#isBusy = false;
  }

  /** Nothing more for this reader; the first reason stays. */
  end(because?: Fault): void {
    if (this.#state === "over") return;
    this.#fault = because;
    this.#leave("over");
  }

  get #isStalled(): boolean {
    return (
      this.#pagesWhileBusy > STALLED_AFTER_PAGES &&
      this.#publishedWhileBusy > STALLED_AFTER_BUFFERS * this.#bufferBytes
    );
  }

  #buffer(buffered: BufferedPage): void {
    const full = this.#bufferedBytes + buffered.bytes > this.#bufferBytes;
    if (full && this.#pages.size > 0) return this.#leave("behind");
    this.#pages.push(buffered);
    this.#bufferedBytes += buffered.bytes;
    this.#wake();
  }

  #leave(next: WatcherState): void {
    this.#state = next;
    this.#pages = new Deque();
    this.#bufferedBytes = 0;
    this.#wake();
  }
}
