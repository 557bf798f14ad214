/**
 * Impatient clients. They submit runs and send the same request again when an answer is lost or the daemon dies, cancel,
 * signal, read, collect, and watch from anywhere, going on where they were cut off. What they are told is held against
 * the disk at once. A refusal that no fault explains is a complaint.
 */
import { FaultError } from "../../src/base/fault.ts";
import type { RunId } from "../../src/base/ids.ts";
import { jsonPayload } from "../../src/base/payload.ts";
import type { Definition } from "../../src/core/dag/definition.ts";
import type { SignalContent } from "../../src/core/run/message.ts";
import type { EndedRun, StartRun, WatchItem } from "../../src/engine/api.ts";
import { type Draw, drawDefinition } from "./definitions.ts";
import type { Faults } from "./faults.ts";
import { isLast, type Ledger } from "./ledger.ts";
import type { Oracles } from "./oracles.ts";
import { Crashed, type SimulatedProcess } from "./process.ts";
import type { Trace } from "./trace.ts";

/** What clients need of the world. */
export interface ClientsDeps {
  readonly draw: Draw;
  readonly ledger: Ledger;
  readonly oracles: Oracles;
  readonly trace: Trace;
  readonly faults: () => Faults;
  readonly process: () => SimulatedProcess;
  readonly sleep: (delayMs: number) => Promise<void>;
  readonly complain: (message: string) => void;
  readonly lostAnswer: () => void;
}

/** Refusals that pass by themselves. */
const TRANSIENT = ["ENGINE_DRAINING", "ENGINE_OVERLOADED", "STORE_FAILED"];
const PASSED_BY = [...TRANSIENT, "RUN_TERMINAL", "TASK_TERMINAL"];
const SIGNAL_REFUSALS = [
  ...PASSED_BY,
  "TASK_NOT_FOUND",
  "SIGNAL_MAILBOX_FULL",
  "ARGUMENT_INVALID",
  "SESSION_IDLE",
];
const DEFINITIONS = 12;
const SESSIONS = ["anna", "ben", "cleo"];

export class Clients {
  readonly #deps: ClientsDeps;
  readonly #definitions: Definition[];
  readonly #known: RunId[] = [];
  #keys = 0;
  #signals = 0;
  /** Clients that wait for something, and what they do. */
  readonly doing = new Map<object, string>();
  /** Ends that were promised by the living process and have not been told. */
  #awaitedEnds = new Set<object>();

  constructor(deps: ClientsDeps) {
    this.#deps = deps;
    this.#definitions = Array.from({ length: DEFINITIONS }, (_, at) =>
      drawDefinition(deps.draw, `flow-${at}`),
    );
  }

  /** Runs whose end somebody still waits to be told. */
  get awaitedEnds(): number {
    return this.#awaitedEnds.size;
  }

  /** The process died, and with it what it had promised to tell. */
  forgetEnds(): void {
    this.#awaitedEnds = new Set();
  }

  /** One client does something. */
  act(): void {
    const { draw, ledger } = this.#deps;
    const dice = draw.random();
    const runId = draw.one(this.#known);
    const isFull = ledger.open().length >= this.#deps.faults().openRunsMax;
    if (runId === undefined || (dice < 0.35 && !isFull)) this.#spawn("submit", this.#submit());
    else if (dice < 0.45) this.#spawn("cancel", this.#cancel(runId));
    else if (dice < 0.7) this.#spawn("signal", this.#signal(runId));
    else if (dice < 0.82) this.#spawn("watch", this.#watch(runId));
    else if (dice < 0.9) this.#spawn("collect", this.#collect(runId));
    else this.#spawn("read", this.read(runId));
  }

  #spawn(what: string, work: Promise<unknown>): void {
    const client = {};
    this.doing.set(client, what);
    work
      .catch((error: unknown) => {
        this.#deps.complain(`client (${what}): ${error instanceof Error ? error.stack : error}`);
      })
      .finally(() => {
        this.doing.delete(client);
      });
  }

  /** Calls the daemon until it answers; undefined for a refusal that is `expected` and will not pass. */
  async #call<T>(
    what: string,
    expected: readonly string[],
    call: (process: SimulatedProcess) => Promise<T>,
  ): Promise<T | undefined> {
    const { draw, trace } = this.#deps;
    for (;;) {
      const process = this.#deps.process();
      if (process.isReady) {
        try {
          const answer = await process.call(call(process));
          if (!draw.chance(this.#deps.faults().lostAnswer)) return answer;
          this.#deps.lostAnswer();
        } catch (error) {
          const code = error instanceof FaultError ? error.fault.code : undefined;
          if (code === undefined && !(error instanceof Crashed)) throw error;
          trace.note(`${what}: ${code ?? "crashed"}`);
          if (code !== undefined && !expected.includes(code)) throw error;
          if (code !== undefined && !TRANSIENT.includes(code)) return undefined;
        }
      }
      await this.#deps.sleep(draw.upTo(100));
    }
  }

  async #submit(): Promise<void> {
    const { draw, oracles } = this.#deps;
    const request: StartRun = {
      definition: draw.one(this.#definitions),
      idempotencyKey: `key-${this.#keys++}`,
      request: {
        namespace: draw.one(["default", "other"]),
        input: jsonPayload({ n: draw.upTo(9), items: [1, 2, 3].slice(draw.upTo(3)) }),
        priority: draw.upTo(4) - 2,
        labels: {},
        ...(draw.chance(0.4) ? { sessionId: draw.one(SESSIONS) } : {}),
        ...(draw.chance(0.15) ? { deadlineMs: 100 + draw.upTo(10_000) } : {}),
      },
    };
    const answers = new Set<RunId>();
    // The second call is a client that never heard the first answer.
    for (let calls = draw.chance(0.2) ? 2 : 1; calls > 0; calls--) {
      const started = await this.#call("submit", [...TRANSIENT, "DEFINITION_INVALID"], (process) =>
        this.#start(process, request, answers),
      );
      if (started === undefined) continue;
      this.#known.push(started.runId);
      if (draw.chance(0.3)) this.#spawn("watch", this.#watch(started.runId, 0));
    }
    if (answers.size > 1) this.#deps.complain(`one key, several runs: ${[...answers].join()}`);
    const [runId] = answers;
    if (runId === undefined || !draw.chance(0.1)) return;
    const other = { ...request, request: { ...request.request, priority: 7 } };
    await this.#call(
      "conflict",
      [...TRANSIENT, "DEFINITION_INVALID", "IDEMPOTENCY_CONFLICT"],
      (p) =>
        p.engine.startRun(other).then(() => {
          throw new Error(`another request with the key of run ${runId} was accepted`);
        }),
    );
    oracles.acknowledged("conflict", runId, (event) => event.type === "run_accepted");
  }

  /** What is acknowledged is checked here, whether or not the client hears it. */
  async #start(
    process: SimulatedProcess,
    request: StartRun,
    answers: Set<RunId>,
  ): Promise<{ runId: RunId }> {
    const awaited = this.#awaitedEnds;
    const end = {};
    awaited.add(end);
    const started = await process.engine
      .startRun(request, (ended) => {
        if (!awaited.delete(end)) this.#deps.complain(`the end of ${ended.runId} was told twice`);
        this.#told(ended);
      })
      .catch((error: unknown) => {
        awaited.delete(end);
        throw error;
      });
    const { runId } = started;
    answers.add(runId);
    this.#deps.oracles.acknowledged("submit", runId, (event) => event.type === "run_accepted");
    return started;
  }

  #told({ runId, status }: EndedRun): void {
    const last = { COMPLETED: "run_completed", FAILED: "run_failed", CANCELLED: "run_cancelled" };
    const wanted = (last as { [status: string]: string })[status];
    this.#deps.oracles.acknowledged("end", runId, (event) => event.type === wanted);
  }

  async #cancel(runId: RunId): Promise<void> {
    const { draw, oracles } = this.#deps;
    const graceMs = draw.upTo(500);
    await this.#call("cancel", PASSED_BY, async ({ engine }) => {
      await engine.cancelRun(runId, { reason: "changed my mind", graceMs });
      oracles.acknowledged("cancel", runId, (event) => event.type === "run_ending");
    });
  }

  async #signal(runId: RunId): Promise<void> {
    const { draw, oracles } = this.#deps;
    const taskId = this.#someTask(runId);
    const signalId = `signal-${this.#signals++}`;
    const content = this.#content(runId);
    if (draw.chance(0.1)) {
      const target = { sessionId: draw.one(SESSIONS), namespace: "default" };
      await this.#call("signal session", SIGNAL_REFUSALS, ({ engine }) =>
        engine.signal({ target, signalId, content }),
      );
      return;
    }
    await this.#call("signal", SIGNAL_REFUSALS, async ({ engine }) => {
      await engine.signal({ target: { runId, taskId }, signalId, content });
      oracles.acknowledged(
        "signal",
        runId,
        (event) => event.type === "signal_accepted" && event.signal === signalId,
      );
    });
  }

  #someTask(runId: RunId): string {
    const { draw, ledger } = this.#deps;
    const tasks = ledger.runs.get(runId)?.plan.definition.tasks.map(({ id }) => id) ?? [];
    if (draw.chance(0.05)) return "nobody";
    const id = draw.one(tasks);
    return draw.chance(0.15) ? `${id}[${draw.upTo(2)}]` : id;
  }

  #content(runId: RunId): SignalContent {
    const { draw } = this.#deps;
    const dice = draw.random();
    if (dice < 0.3)
      return { kind: "steer", payload: jsonPayload({ to: draw.upTo(9) }), text: "left" };
    if (dice < 0.7) {
      return {
        kind: "interrupt",
        reason: "newer input",
        graceMs: draw.upTo(300),
        ...(draw.chance(0.6) ? { replaceWith: jsonPayload({ n: draw.upTo(99) }) } : {}),
      };
    }
    const tasks = [this.#someTask(runId), this.#someTask(runId)];
    const mode = draw.one([
      { kind: "all" as const },
      { kind: "any" as const },
      { kind: "quorum" as const, count: 1 + draw.upTo(1) },
    ]);
    return { kind: "collect", tasks, mode, ...this.#maybeDeadline() };
  }

  #maybeDeadline(): { deadlineMs?: number } {
    const { draw } = this.#deps;
    return draw.chance(0.5) ? { deadlineMs: draw.upTo(3_000) } : {};
  }

  async #collect(runId: RunId): Promise<void> {
    const { draw, ledger, complain } = this.#deps;
    const tasks = [this.#someTask(runId), this.#someTask(runId)];
    const request = {
      runId,
      tasks,
      mode: draw.one([{ kind: "all" as const }, { kind: "any" as const }]),
    };
    const refusals = [...TRANSIENT, "TASK_NOT_FOUND"];
    await this.#call("collect", refusals, async ({ engine }) => {
      const answer = await engine.collect({ ...request, deadlineMs: draw.upTo(5_000) });
      const record = ledger.runs.get(runId);
      if (record === undefined) return complain(`run ${runId} was collected and is not durable`);
      const run = ledger.fold(record, record.durable);
      for (const { id, status } of answer.finished) {
        const found = run.tasks.find((task) => task.id === id);
        if (found?.status !== status) complain(`collect says ${id} is ${status}: ${found?.status}`);
      }
    });
  }

  /** Reads a run, which must be there. */
  async read(runId: RunId): Promise<void> {
    await this.#call("read", TRANSIENT, async ({ engine }) => {
      this.#deps.oracles.read(await engine.getRun(runId));
    });
  }

  /** Watches to the end of the run, or until it has had enough. */
  async #watch(runId: RunId, from?: number): Promise<void> {
    const { draw, ledger } = this.#deps;
    const known = ledger.runs.get(runId)?.durable ?? 0;
    const progress = { last: from ?? draw.upTo(known) };
    const pauseMs = draw.chance(0.2) ? 1 + draw.upTo(200) : 0;
    const patience = draw.chance(0.2) ? draw.upTo(30) : Number.POSITIVE_INFINITY;
    const refusals = [...TRANSIENT, "WATCHER_SLOW"];
    for (let isOver = false; !isOver; ) {
      isOver =
        (await this.#call("watch", refusals, (process) =>
          this.#follow(process, runId, progress, { pauseMs, patience }),
        )) === true;
    }
  }

  /** True when there is no more to see. */
  async #follow(
    process: SimulatedProcess,
    runId: RunId,
    progress: { last: number },
    { pauseMs, patience }: { pauseMs: number; patience: number },
  ): Promise<boolean> {
    const abort = new AbortController();
    const items = process.engine.watch(runId, progress.last, abort.signal)[Symbol.asyncIterator]();
    let seen = 0;
    for (;;) {
      const next: IteratorResult<WatchItem> = await process.call(items.next());
      if (next.done === true) {
        if (abort.signal.aborted || this.#isAtEnd(runId, progress.last)) return true;
        throw new Error(
          `watch of run ${runId} ended after ${progress.last}, before its last event`,
        );
      }
      const item = next.value;
      if (item.kind === "gap") throw new Error(`run ${runId}: a gap, although nothing was trimmed`);
      this.#deps.oracles.watched(runId, item.sequence, progress.last + 1, item.event);
      this.#deps.trace.note(`see ${runId.slice(-4)} ${item.sequence}`);
      progress.last = item.sequence;
      if (++seen > patience) abort.abort();
      if (pauseMs > 0) await process.call(this.#deps.sleep(pauseMs));
    }
  }

  #isAtEnd(runId: RunId, last: number): boolean {
    const record = this.#deps.ledger.runs.get(runId);
    return record !== undefined && isLast(record.events[last - 1]);
  }
}
