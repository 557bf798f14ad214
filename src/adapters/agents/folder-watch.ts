/**
 * Tells that something in a set of folders may have changed. It knows nothing of what: file systems report one save as
 * several events, in any order, so events are only gathered and whoever listens looks for itself. Losing an event costs
 * a reload, never correctness.
 */
import { type FSWatcher, watch } from "node:fs";
import type { Millis } from "../../base/time.ts";
import type { Host, TimerHandle } from "../../ports/host.ts";

export class FolderWatch {
  readonly #host: Host;
  readonly #gatherMs: Millis;
  readonly #onChange: () => void;
  readonly #watchers = new Map<string, FSWatcher>();
  #timer: TimerHandle | undefined;
  #closed = false;

  /** @param gatherMs how long after the first event of several `onChange` is called */
  constructor(host: Host, gatherMs: Millis, onChange: () => void) {
    this.#host = host;
    this.#gatherMs = gatherMs;
    this.#onChange = onChange;
  }

  /** Watches exactly these folders from now on; one that cannot be watched is left out. */
  watch(folders: readonly string[]): void {
    if (this.#closed) return;
    const wanted = new Set(folders);
    for (const folder of [...this.#watchers.keys()]) {
      if (!wanted.has(folder)) this.#drop(folder);
    }
    for (const folder of wanted) {
      if (!this.#watchers.has(folder)) this.#add(folder);
    }
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const folder of [...this.#watchers.keys()]) this.#drop(folder);
  }

  #add(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#gather());
      watcher.on("error", () => this.#drop(folder));
      this.#watchers.set(folder, watcher);
    } catch {
      // It was deleted, or the system has no watches left: the folder above still tells of it.
    }
  }

  #drop(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }

  #gather(): void {
    if (this.#closed) return;
    this.#timer ??= this.#host.setTimer(this.#gatherMs, () => {
      this.#timer = undefined;
      this.#onChange();
    });
  }
}
