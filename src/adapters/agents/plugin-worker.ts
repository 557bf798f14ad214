/**
 * One plugin thread as the engine's thread sees it: which attempts are in it, what it was asked, and what its end means
 * for each of them. It kills a thread only for a reason: the attempt that must stop holds the event loop, is alone in
 * there, or the thread has been silent too long. Of the attempts that were in a thread that ended, the one that did it
 * fails and the innocent ones are lost, so that they are tried again.
 */
import { Worker } from "node:worker_threads";
import { unreachable } from "../../base/assert.ts";
import type { Instant, Millis } from "../../base/time.ts";
import type {
  Assignment,
  AttemptListener,
  AttemptOutcome,
  DeliveredSignal,
  StopRequest,
} from "../../ports/agent.ts";
import type { Host, TimerHandle } from "../../ports/host.ts";
import type { Logger } from "../../ports/telemetry.ts";
import {
  SHARED,
  type ThreadCommand,
  type ThreadData,
  type ThreadReport,
} from "./plugin-protocol.ts";
import { type Packed, packCommands, unpackReports } from "./plugin-text.ts";

export interface WorkerOptions {
  readonly files: readonly string[];
  /** Limit of the JavaScript heap; buffers are outside of it. */
  readonly memoryMb: number;
  /** Time for loading all files. */
  readonly loadTimeoutMs: Millis;
  /** How long a thread with other attempts in it may hold its event loop after a stop demanded an answer. */
  readonly blockedMs: Millis;
}

export interface WorkerDeps {
  readonly host: Host;
  readonly log: Logger;
  readonly listener: AttemptListener;
}

export type LoadReport = Extract<ThreadReport, { type: "loaded" }>;

/** What happens to the thread; attempts are reported to the listener. */
export interface WorkerEvents {
  loaded(worker: PluginWorker, report: LoadReport): void;
  /** It answers again. */
  available(worker: PluginWorker): void;
  /** It left an attempt behind that does not listen, and takes no new ones; it ends when the others have. */
  retiring(worker: PluginWorker): void;
  gone(worker: PluginWorker, end: WorkerEnd): void;
}

export interface WorkerEnd {
  readonly cause: string;
  /** Whether the engine's side ended it without anybody's fault. */
  readonly wanted: boolean;
  /** The file that was being loaded. */
  readonly loading: string | undefined;
  /** Time since it was ready; 0 when it never was. */
  readonly servedMs: Millis;
}

type Phase = "loading" | "ready" | "retiring" | "ending";

interface Entry {
  readonly key: string;
  readonly ticket: number;
  stopping: boolean;
  force: TimerHandle | undefined;
  forceAt: Instant;
}

/** How an ending thread is explained. */
interface Ending {
  readonly cause: string;
  readonly wanted: boolean;
  readonly culprit: "named" | "current" | "current-or-alone" | "none";
  readonly key?: string | undefined;
}

/** A thread that runs answers at once; one that does not is blocked. Within the second a stop may be late. */
const ANSWER_MS: Millis = 400;

const ENTRY = new URL(
  import.meta.url.endsWith(".ts") ? "./plugin-thread.ts" : "./plugin-thread.js",
  import.meta.url,
);

export class PluginWorker {
  readonly #options: WorkerOptions;
  readonly #deps: WorkerDeps;
  readonly #events: WorkerEvents;
  readonly #worker: Worker;
  readonly #memory: Int32Array;
  readonly #entries = new Map<string, Entry>();
  readonly #gone: Promise<void>;
  #names: ReadonlySet<string> = new Set();
  #phase: Phase = "loading";
  /** It owed an answer and did not give it. */
  #silent = false;
  #commands: ThreadCommand[] = [];
  #tickets = 0;
  #readyMs: Millis | undefined;
  /** Loading, or an answer that is due. */
  #patience: TimerHandle | undefined;
  #ending: Ending | undefined;

  constructor(options: WorkerOptions, deps: WorkerDeps, events: WorkerEvents) {
    this.#options = options;
    this.#deps = deps;
    this.#events = events;
    const shared = new SharedArrayBuffer(SHARED.length * Int32Array.BYTES_PER_ELEMENT);
    this.#memory = new Int32Array(shared);
    const workerData: ThreadData = { files: options.files, shared };
    this.#worker = new Worker(ENTRY, {
      name: "goclaw-agents",
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: options.memoryMb },
      stdout: true,
      stderr: true,
    });
    this.#gone = this.#listen();
    const { loadTimeoutMs } = options;
    this.#patience = deps.host.setTimer(loadTimeoutMs, () =>
      this.#kill({
        cause: `did not load within ${loadTimeoutMs} ms`,
        wanted: false,
        culprit: "none",
      }),
    );
  }

  /** Attempts in it. */
  get load(): number {
    return this.#entries.size;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Whether it takes attempts of this agent now. */
  serves(agent: string): boolean {
    return this.#phase === "ready" && !this.#silent && this.#names.has(agent);
  }

  /** Whether it will take attempts of this agent when it has loaded or answers again. */
  mayServe(agent: string): boolean {
    return this.#phase === "loading" || (this.#phase === "ready" && this.#names.has(agent));
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  start(assignment: Assignment): void {
    const { key } = assignment;
    this.#tickets++;
    const ticket = this.#tickets;
    const forceAt = Number.POSITIVE_INFINITY;
    this.#entries.set(key, { key, ticket, stopping: false, force: undefined, forceAt });
    this.#send({ type: "start", ticket, assignment: compact(assignment) });
  }

  signal(key: string, signal: DeliveredSignal): void {
    this.#send({ type: "signal", key, signal });
  }

  stop(key: string, { reason, graceMs }: StopRequest): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    if (!entry.stopping) this.#send({ type: "stop", key, reason });
    entry.stopping = true;
    const { host } = this.#deps;
    const forceAt = host.now() + graceMs;
    if (forceAt >= entry.forceAt) return;
    entry.forceAt = forceAt;
    entry.force?.cancel();
    entry.force = host.setTimer(graceMs, () => this.#demand(entry));
  }

  /** Takes no new attempts and ends when the last one has. */
  retire(): void {
    if (this.#phase === "ending") return;
    this.#phase = "retiring";
    if (!this.#silent) this.#patience?.cancel();
    this.#endIfIdle();
  }

  /** Ends it now; attempts in it are lost. */
  async close(cause: string): Promise<void> {
    this.#kill({ cause, wanted: true, culprit: "none" });
    await this.#gone;
  }

  #listen(): Promise<void> {
    const worker = this.#worker;
    const { log } = this.#deps;
    worker.on("message", (message: Packed<ThreadReport>) => {
      for (const one of unpackReports(message)) this.#hear(one);
    });
    worker.on("error", (error) => {
      this.#ending ??= endingOf(error, this.#options.memoryMb);
    });
    for (const stream of [worker.stdout, worker.stderr]) {
      stream.on("data", (chunk) => log.info({ thread: worker.threadId }, String(chunk).trimEnd()));
    }
    return new Promise((resolve) => {
      worker.on("exit", (code) => {
        this.#ended(code);
        resolve();
      });
    });
  }

  /** All commands of this turn go out in one message. */
  #send(command: ThreadCommand): void {
    if (this.#commands.length === 0) this.#deps.host.defer(() => this.#flush());
    this.#commands.push(command);
  }

  #flush(): void {
    const commands = this.#commands;
    this.#commands = [];
    this.#worker.postMessage(packCommands(commands));
  }

  #hear(report: ThreadReport): void {
    if (this.#silent) this.#trust();
    if (report.type === "loaded") return this.#loaded(report);
    if (report.type === "dying") {
      const { cause, key } = report;
      const culprit = key === undefined ? "current-or-alone" : "named";
      this.#ending ??= { cause, wanted: false, culprit, key };
      return;
    }
    if (report.type === "print") {
      return this.#deps.log[report.level]({ thread: this.#worker.threadId }, report.text);
    }
    if (report.type === "abandoned") return this.#abandoned(report.key);
    // A report for an attempt that was given up is nobody's.
    if (this.#entries.has(report.key)) this.#pass(report);
  }

  #pass(report: Exclude<ThreadReport, { type: "loaded" | "dying" | "print" | "abandoned" }>): void {
    const { listener } = this.#deps;
    const { key } = report;
    switch (report.type) {
      case "output":
        return listener.output(key, report.data, report.offset);
      case "progress":
        return listener.progress(key, report.percent, report.note);
      case "checkpoint":
        return listener.checkpoint(key, report.data);
      case "beat":
        return listener.beat(key);
      case "log":
        return listener.log(key, report.level, report.text);
      case "receipt":
        return listener.receipt(key, report.signal, report.receipt);
      case "recall": {
        const { question, wish } = report;
        return listener.recall(key, wish, (answer) =>
          this.#send({ type: "recalled", key, question, answer }),
        );
      }
      case "finish":
        this.#finish(key, report.outcome);
        return this.#endIfIdle();
      default:
        return unreachable(report);
    }
  }

  #finish(key: string, outcome: AttemptOutcome): void {
    this.#entries.get(key)?.force?.cancel();
    if (this.#entries.delete(key)) this.#deps.listener.finish(key, outcome);
  }

  #loaded(report: LoadReport): void {
    this.#readyMs = this.#deps.host.elapsedMs();
    if (this.#phase !== "loading") return;
    this.#patience?.cancel();
    this.#names = new Set(report.agents.map(({ name }) => name));
    this.#phase = "ready";
    this.#events.loaded(this, report);
  }

  /** The grace of an attempt is over: the thread has to say so, or it is blocked. */
  #demand(entry: Entry): void {
    this.#send({ type: "abandon", key: entry.key });
    entry.force = this.#deps.host.setTimer(ANSWER_MS, () => this.#unanswered(entry));
  }

  /** The agent's code may still run in there, so the thread is replaced as soon as nobody else needs it. */
  #abandoned(key: string): void {
    this.#finish(key, { kind: "stopped" });
    const wasReady = this.#phase === "ready";
    this.retire();
    if (wasReady) this.#events.retiring(this);
  }

  #unanswered(entry: Entry): void {
    const isCulprit = Atomics.load(this.#memory, SHARED.current) === entry.ticket;
    this.#finish(entry.key, { kind: "stopped" });
    if (isCulprit || this.#entries.size === 0) return this.#killBlocked();
    if (this.#silent) return;
    this.#silent = true;
    this.#patience = this.#deps.host.setTimer(
      Math.max(this.#options.blockedMs - ANSWER_MS, 0),
      () => this.#killBlocked(),
    );
  }

  #killBlocked(): void {
    this.#kill({ cause: "blocked its thread", wanted: false, culprit: "current" });
  }

  /** It was only busy. The attempt it was asked about comes back as abandoned, which retires it. */
  #trust(): void {
    this.#patience?.cancel();
    this.#silent = false;
    this.#events.available(this);
  }

  #endIfIdle(): void {
    if (this.#phase === "retiring" && this.#entries.size === 0) {
      this.#kill({ cause: "is no longer needed", wanted: true, culprit: "none" });
    }
  }

  #kill(ending: Ending): void {
    this.#ending ??= ending;
    this.#phase = "ending";
    this.#patience?.cancel();
    void this.#worker.terminate();
  }

  #ended(code: number): void {
    const wasReady = this.#readyMs !== undefined;
    this.#phase = "ending";
    this.#patience?.cancel();
    const ending: Ending = this.#ending ?? {
      cause: `ended with code ${code}`,
      wanted: false,
      culprit: "current-or-alone",
    };
    const culprit = this.#culprit(ending);
    const others =
      ending.wanted || culprit === undefined
        ? ending.cause
        : `another attempt in it ${ending.cause}`;
    for (const entry of [...this.#entries.values()]) {
      this.#finish(entry.key, outcomeOf(entry, entry === culprit, ending.cause, others));
    }
    const file = this.#options.files[Atomics.load(this.#memory, SHARED.loading) - 1];
    const servedMs = wasReady ? this.#deps.host.elapsedMs() - (this.#readyMs ?? 0) : 0;
    const loading = wasReady ? undefined : file;
    this.#events.gone(this, { cause: ending.cause, wanted: ending.wanted, loading, servedMs });
  }

  /** The attempt that ended the thread, where that can be known. */
  #culprit(ending: Ending): Entry | undefined {
    if (ending.culprit === "none") return undefined;
    if (ending.culprit === "named") return this.#entries.get(ending.key ?? "");
    const ticket = Atomics.load(this.#memory, SHARED.current);
    const entries = [...this.#entries.values()];
    if (ticket !== 0) return entries.find((entry) => entry.ticket === ticket);
    return ending.culprit === "current-or-alone" && entries.length === 1 ? entries[0] : undefined;
  }
}

function outcomeOf(
  entry: Entry,
  isCulprit: boolean,
  cause: string,
  others: string,
): AttemptOutcome {
  if (entry.stopping) return { kind: "stopped" };
  if (isCulprit) return { kind: "failure", failure: "retryable", message: `the agent ${cause}` };
  return {
    kind: "lost",
    reason: "WORKER_LOST",
    message: `the thread of the agent ended: ${others}`,
  };
}

function endingOf(error: unknown, memoryMb: number): Ending {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ERR_WORKER_OUT_OF_MEMORY") {
    const cause = `ran out of memory (its thread has ${memoryMb} MiB)`;
    return { cause, wanted: false, culprit: "current-or-alone" };
  }
  return { cause: `failed: ${message}`, wanted: false, culprit: "current-or-alone" };
}

/** Structured clone copies the whole buffer behind a view; a small view of a large one is cut out first. */
function compact(assignment: Assignment): Assignment {
  const { lastCheckpoint: data, input } = assignment;
  if (data === undefined && "json" in input) return assignment;
  return {
    ...assignment,
    ...(data === undefined ? {} : { lastCheckpoint: cutOut(data) }),
    ...("bytes" in input ? { input: { ...input, bytes: cutOut(input.bytes) } } : {}),
  };
}

function cutOut(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
}
