/**
 * Deletes ended runs beyond the retention rules, some time after start and then at intervals. What is deleted is the
 * journal's matter; this only says when. It never touches an open run and a failure only costs a line in the log.
 */
import type { Millis } from "../base/time.ts";
import type { Host, TimerHandle } from "../ports/host.ts";
import type { Journal, RetentionRules } from "../ports/journal.ts";
import type { Logger } from "../ports/telemetry.ts";

interface Deps {
  readonly host: Host;
  readonly journal: Pick<Journal, "retain">;
  readonly log: Logger;
}

/** What is deleted, and how long after start and after each sweep the next one begins. */
export type RetentionOptions = RetentionRules & { readonly everyMs: Millis };

export class Retention {
  readonly #options: RetentionOptions;
  readonly #deps: Deps;
  #timer: TimerHandle | undefined;
  #sweep: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: RetentionOptions, deps: Deps) {
    this.#options = options;
    this.#deps = deps;
  }

  start(): void {
    if (this.#isStopped) return;
    this.#timer = this.#deps.host.setTimer(this.#options.everyMs, () => {
      this.#sweep = this.#run().finally(() => this.start());
    });
  }

  /** Resolves when no sweep is under way; idempotent, legal before `start`. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#sweep;
  }

  async #run(): Promise<void> {
    const { host, journal, log } = this.#deps;
    try {
      const deleted = await journal.retain(this.#options, host.now());
      if (deleted > 0) log.info({ deleted }, "deleted ended runs beyond the retention rules");
    } catch (error) {
      log.warn({ error }, "retention failed; the next sweep tries again");
    }
  }
}
