/**
 * What attempts write while they run, for whoever watches: the latest 256 KiB of each task, in memory only. A writer is
 * never held up and a watcher is never waited for: what falls out of the ring is gone, and offsets show the gap. Rings
 * outlive their tasks for a while, so that who comes a moment late still sees the end.
 */
import { Deque } from "../base/deque.ts";
import type { RunId, TaskId } from "../base/ids.ts";

export interface OutputLimits {
  /** Of one task. Default 256 KiB. */
  readonly ringBytes: number;
  /** Of all tasks; the ring that was written first gives way. Default 64 MiB. */
  readonly totalBytes: number;
}

const LIMITS: OutputLimits = { ringBytes: 256 * 1024, totalBytes: 64 * 1024 * 1024 };

/** A piece of output and where it stands in that of its attempt. */
export interface OutputChunk {
  readonly attempt: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

interface Ring {
  readonly chunks: Deque<OutputChunk>;
  /** Number of the first chunk that is kept. */
  first: number;
  bytes: number;
  attempt: number;
  /** Where the next piece of the attempt stands. */
  end: number;
}

/** Output of all tasks. */
export class OutputRings {
  readonly #limits: OutputLimits;
  readonly #rings = new Map<string, Ring>();
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #watched = new Map<string, { isOver: boolean }>();
  #bytes = 0;

  constructor(limits: Partial<OutputLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Adds a piece; one of an earlier attempt than the latest, or from before what is known, is dropped. */
  write(runId: RunId, taskId: TaskId, attempt: number, data: Uint8Array, offset?: number): void {
    const key = keyOf(runId, taskId);
    const ring = this.#ringOf(key, attempt);
    if (attempt < ring.attempt || data.length === 0) return;
    if (attempt > ring.attempt) {
      ring.attempt = attempt;
      ring.end = 0;
    }
    const at = offset ?? ring.end;
    if (at < ring.end) return;
    ring.end = at + data.length;
    const kept =
      data.length > this.#limits.ringBytes ? data.subarray(-this.#limits.ringBytes) : data;
    ring.chunks.push({ attempt, offset: ring.end - kept.length, data: kept });
    this.#grow(ring, kept.length);
    while (ring.bytes > this.#limits.ringBytes) this.#dropFirst(ring);
    this.#trim(key);
    this.#tell(key);
  }

  /** The task will write no more. */
  end(runId: RunId, taskId: TaskId): void {
    if (this.#watchers.size === 0) return;
    const key = keyOf(runId, taskId);
    const watched = this.#watched.get(key);
    if (watched !== undefined) watched.isOver = true;
    this.#tell(key);
  }

  /** What is kept, then what follows, until the task ends or `abort`. `isOver` says whether it has ended already. */
  async *watch(
    runId: RunId,
    taskId: TaskId,
    isOver: () => boolean,
    abort?: AbortSignal,
  ): AsyncGenerator<OutputChunk> {
    const key = keyOf(runId, taskId);
    const state = this.#watched.get(key) ?? { isOver: false };
    this.#watched.set(key, state);
    let wake: () => void = () => {};
    const listener = (): void => wake();
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers.add(listener));
    abort?.addEventListener("abort", listener);
    if (isOver()) state.isOver = true;
    try {
      for (let next = 0; !abort?.aborted; ) {
        const ring = this.#rings.get(key);
        next = Math.max(next, ring?.first ?? 0);
        const chunk = ring?.chunks.at(next - ring.first);
        if (chunk !== undefined) {
          next++;
          yield chunk;
        } else if (state.isOver) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      abort?.removeEventListener("abort", listener);
      watchers.delete(listener);
      if (watchers.size === 0) {
        this.#watchers.delete(key);
        this.#watched.delete(key);
      }
    }
  }

  #ringOf(key: string, attempt: number): Ring {
    let ring = this.#rings.get(key);
    if (ring === undefined) {
      ring = { chunks: new Deque(), first: 0, bytes: 0, attempt, end: 0 };
      this.#rings.set(key, ring);
    }
    return ring;
  }

  #grow(ring: Ring, bytes: number): void {
    ring.bytes += bytes;
    this.#bytes += bytes;
  }

  #dropFirst(ring: Ring): void {
    const chunk = ring.chunks.shift();
    if (chunk === undefined) return;
    ring.first++;
    this.#grow(ring, -chunk.data.length);
  }

  /** Makes room at the cost of the rings that were begun first. */
  #trim(keep: string): void {
    for (const [key, ring] of this.#rings) {
      if (this.#bytes <= this.#limits.totalBytes) return;
      if (key === keep) continue;
      this.#rings.delete(key);
      this.#bytes -= ring.bytes;
    }
  }

  #tell(key: string): void {
    for (const wake of this.#watchers.get(key) ?? []) wake();
  }
}

function keyOf(runId: RunId, taskId: TaskId): string {
  return `${runId}/${taskId}`;
}
