/**
 * The threads of one generation of plugin code: as many as configured, each with every module, an attempt going to the
 * least loaded one. A thread that ends is replaced at once, and more slowly the more often that happens; a file that
 * ends its thread while it is being loaded is left out. When newer code has taken over, the pool starts nothing and
 * fades out with its last attempt. Which agents it serves in the end, and when it is superseded, is decided above.
 */
import type { Millis } from "../../base/time.ts";
import type {
  Assignment,
  AttemptListener,
  AttemptOutcome,
  DeliveredSignal,
  StopRequest,
} from "../../ports/agent.ts";
import type { Host, TimerHandle } from "../../ports/host.ts";
import type { Logger } from "../../ports/telemetry.ts";
import type { LoadDuplicate, LoadedAgent, LoadProblem } from "./plugin-protocol.ts";
import {
  type LoadReport,
  PluginWorker,
  type WorkerEnd,
  type WorkerEvents,
  type WorkerOptions,
} from "./plugin-worker.ts";

export interface PoolOptions extends WorkerOptions {
  readonly threads: number;
}

export interface PoolDeps {
  readonly host: Host;
  readonly log: Logger;
  readonly listener: AttemptListener;
  /** The pool runs no thread any more and will start none. */
  readonly onEmpty: (pool: PluginPool) => void;
}

/** What the first thread found. */
export interface PoolReport {
  readonly agents: readonly LoadedAgent[];
  readonly problems: readonly LoadProblem[];
  readonly duplicates: readonly LoadDuplicate[];
}

/** A thread that served this long was not part of a crash loop. */
const SOUND_MS: Millis = 10_000;
const RESTART_MIN_MS: Millis = 50;
const RESTART_MAX_MS: Millis = 10_000;

export class PluginPool implements WorkerEvents {
  readonly #options: PoolOptions;
  readonly #deps: PoolDeps;
  readonly #workers = new Set<PluginWorker>();
  /** Attempts that came while no thread could take them, in order. */
  readonly #waiting = new Map<string, Assignment>();
  readonly #restarts = new Set<TimerHandle>();
  readonly #excluded = new Map<string, string>();
  #names: ReadonlySet<string> = new Set();
  #crashes = 0;
  #superseded = false;
  #resolveLoad: ((report: PoolReport) => void) | undefined;

  constructor(options: PoolOptions, deps: PoolDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Starts the first thread and resolves when it has loaded; the others follow. */
  load(): Promise<PoolReport> {
    return new Promise((resolve) => {
      this.#resolveLoad = resolve;
      this.#startWorker();
    });
  }

  has(key: string): boolean {
    return this.#waiting.has(key) || this.#workerOf(key) !== undefined;
  }

  start(assignment: Assignment): void {
    const worker = this.#leastLoaded(assignment.agent);
    if (worker !== undefined) return worker.start(assignment);
    if (this.#isServed(assignment.agent)) {
      this.#waiting.set(assignment.key, assignment);
      return;
    }
    this.#finishLater(assignment.key, {
      kind: "failure",
      failure: "retryable",
      message: `no plugin thread serves agent "${assignment.agent}" at the moment`,
    });
  }

  signal(key: string, signal: DeliveredSignal): void {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) return this.#workerOf(key)?.signal(key, signal);
    this.#waiting.set(key, { ...waiting, signals: [...waiting.signals, signal] });
  }

  stop(key: string, request: StopRequest): void {
    if (this.#waiting.delete(key)) return this.#finishLater(key, { kind: "stopped" });
    this.#workerOf(key)?.stop(key, request);
  }

  /** Newer code has taken over all agents but those in `kept`. Returns attempts that should run there instead. */
  supersede(kept: ReadonlySet<string>): readonly Assignment[] {
    this.#superseded = true;
    this.#cancelRestarts();
    const moved = [...this.#waiting.values()].filter(({ agent }) => !kept.has(agent));
    for (const { key } of moved) this.#waiting.delete(key);
    if (kept.size === 0) for (const worker of [...this.#workers]) worker.retire();
    this.#tellEmpty();
    return moved;
  }

  /** Ends all threads; what runs in them is lost. */
  async close(cause: string): Promise<void> {
    this.#superseded = true;
    this.#cancelRestarts();
    this.#loseWaiting(cause);
    this.#tellLoaded({ agents: [], problems: [], duplicates: [] });
    await Promise.all([...this.#workers].map((worker) => worker.close(cause)));
  }

  loaded(_worker: PluginWorker, report: LoadReport): void {
    this.#names = new Set([...this.#names, ...report.agents.map(({ name }) => name)]);
    this.#tellLoaded(report);
    if (!this.#superseded) this.#fill();
    this.#startWaiting();
  }

  available(): void {
    this.#startWaiting();
  }

  retiring(): void {
    this.#limitRetiring();
    if (!this.#superseded) this.#fill();
  }

  gone(worker: PluginWorker, end: WorkerEnd): void {
    this.#workers.delete(worker);
    if (!end.wanted && !this.#superseded) this.#replace(end);
    this.#tellEmpty();
  }

  #replace(end: WorkerEnd): void {
    this.#deps.log.warn({ cause: end.cause, file: end.loading }, "a plugin thread ended");
    if (end.loading !== undefined) {
      this.#excluded.set(end.loading, `it ${end.cause}`);
      return this.#startWorker();
    }
    this.#crashes = end.servedMs >= SOUND_MS ? 1 : this.#crashes + 1;
    if (this.#resolveLoad !== undefined) {
      // Not even an empty thread starts: that will not get better by itself.
      return this.#tellLoaded({ agents: [], problems: this.#allFailed(end.cause), duplicates: [] });
    }
    const delayMs = restartDelayMs(this.#crashes);
    if (delayMs === 0) return this.#fill();
    const timer = this.#deps.host.setTimer(delayMs, () => {
      this.#restarts.delete(timer);
      this.#fill();
    });
    this.#restarts.add(timer);
  }

  #allFailed(cause: string): readonly LoadProblem[] {
    return this.#options.files.map((file) => ({ file, detail: `its thread ${cause}` }));
  }

  #tellLoaded(report: PoolReport): void {
    const excluded = [...this.#excluded].map(([file, detail]) => ({ file, detail }));
    this.#resolveLoad?.({ ...report, problems: [...report.problems, ...excluded] });
    this.#resolveLoad = undefined;
  }

  #startWorker(): void {
    const files = this.#options.files.filter((file) => !this.#excluded.has(file));
    const { host, log, listener } = this.#deps;
    this.#workers.add(new PluginWorker({ ...this.#options, files }, { host, log, listener }, this));
  }

  /** Starts what is missing, leaving out those that a restart timer will bring. */
  #fill(): void {
    const present = this.#active().length + this.#restarts.size;
    for (let n = present; n < this.#options.threads; n++) {
      this.#startWorker();
    }
  }

  /** Attempts that nobody can stop must not pile up threads: beyond twice the pool the oldest goes. */
  #limitRetiring(): void {
    const retiring = [...this.#workers].filter(({ phase }) => phase === "retiring");
    if (retiring.length <= 2 * this.#options.threads) return;
    void retiring[0]?.close("made room for others");
  }

  #leastLoaded(agent: string): PluginWorker | undefined {
    let best: PluginWorker | undefined;
    for (const worker of this.#workers) {
      if (worker.serves(agent) && (best === undefined || worker.load < best.load)) best = worker;
    }
    return best;
  }

  /** Whether a thread that takes the agent's attempts is there or will be. */
  #isServed(agent: string): boolean {
    if (!this.#names.has(agent)) return false;
    const isMissingOne = !this.#superseded && this.#active().length < this.#options.threads;
    return isMissingOne || [...this.#workers].some((worker) => worker.mayServe(agent));
  }

  #active(): readonly PluginWorker[] {
    return [...this.#workers].filter(({ phase }) => phase === "loading" || phase === "ready");
  }

  #startWaiting(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const assignment of waiting) this.start(assignment);
  }

  #workerOf(key: string): PluginWorker | undefined {
    for (const worker of this.#workers) if (worker.has(key)) return worker;
    return undefined;
  }

  #loseWaiting(message: string): void {
    const waiting = [...this.#waiting.keys()];
    this.#waiting.clear();
    for (const key of waiting) {
      this.#deps.listener.finish(key, { kind: "lost", reason: "WORKER_LOST", message });
    }
  }

  #cancelRestarts(): void {
    for (const timer of this.#restarts) timer.cancel();
    this.#restarts.clear();
  }

  #finishLater(key: string, outcome: AttemptOutcome): void {
    this.#deps.host.defer(() => this.#deps.listener.finish(key, outcome));
  }

  #tellEmpty(): void {
    if (!this.#superseded || this.#workers.size > 0) return;
    this.#loseWaiting("the thread of the agent ended");
    this.#deps.onEmpty(this);
  }
}

/** 0 for the first, then doubling. */
function restartDelayMs(crashes: number): Millis {
  return crashes <= 1 ? 0 : Math.min(RESTART_MIN_MS * 2 ** (crashes - 2), RESTART_MAX_MS);
}
