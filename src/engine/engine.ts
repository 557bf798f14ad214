/**
 * The engine as its users see it: one object that ties the writer loop, lanes, runtime, timers, journal and event hub
 * together and answers `EngineApi`. It owns start order (journal, definitions, runs, lanes, timers) and drain order (no
 * admission, no new attempts, wait, close), and holds no rule of its own: those are in `src/core`.
 */
import { fault, refuse } from "../base/fault.ts";
import type { RunId, TaskId } from "../base/ids.ts";
import type { Instant, Millis } from "../base/time.ts";
import { canonicalJson, parseCanonical } from "../core/dag/compile.ts";
import type { Definition } from "../core/dag/definition.ts";
import type { Plan } from "../core/dag/plan.ts";
import type { LaneStatus } from "../core/lane/lane.ts";
import type { Effect, Idempotency, RunEvents } from "../core/run/message.ts";
import { taskDeadline, timersOf } from "../core/run/react.ts";
import { findTask, type RunState, type TaskState } from "../core/run/state.ts";
import { isTerminalTask } from "../core/run/status.ts";
import type { EventHub } from "../events/hub.ts";
import type { LaneManager } from "../lanes/lane-manager.ts";
import type { AgentInfo } from "../ports/agent.ts";
import type { Host } from "../ports/host.ts";
import type { Journal, LateResult, RegisteredDefinition } from "../ports/journal.ts";
import type { TaskMemory } from "../ports/task-memory.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import { type OutputChunk, OutputRings } from "../runtime/output-rings.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type {
  CollectAnswer,
  CollectRequest,
  EndedRun,
  EngineApi,
  LaneChange,
  RunPage,
  RunQuery,
  SendSignal,
  SignalAnswer,
  StartedRun,
  StartRun,
  WatchItem,
} from "./api.ts";
import { Definitions } from "./definitions.ts";
import { Dispatcher } from "./dispatcher.ts";
import { endOf, FinishedRuns } from "./finished.ts";
import { fingerprintText, IdempotencyKeys } from "./idempotency.ts";
import { LateResults } from "./late-results.ts";
import { ENGINE_LIMITS, type EngineLimits, LimitGuard } from "./limits.ts";
import { Reader } from "./reader.ts";
import { Recalls } from "./recalls.ts";
import { recoverRuns } from "./recovery.ts";
import { RunControl } from "./run-control.ts";
import { traced } from "./run-request.ts";
import { Shard, type ShardListener } from "./shard.ts";
import type { ShardOptions } from "./shard-options.ts";
import { countEvent, TASK_ENDS } from "./tally.ts";
import { type Alarm, Timers } from "./timers.ts";

export interface EngineDeps {
  readonly host: Host;
  readonly journal: Journal;
  readonly lanes: LaneManager;
  readonly runtime: Runtime;
  readonly hub: EventHub;
  /** Without one, tasks that wish for memories are shown none. */
  readonly memory?: TaskMemory;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The store failed; nothing is acknowledged any more and the process should restart. */
  readonly onFailure: (error: Error) => void;
  /** Something was committed; for the event bus. */
  readonly onCommit: () => void;
}

export interface EngineOptions extends Partial<ShardOptions> {
  /** Those that are not given are as large as they can be. */
  readonly limits?: Partial<EngineLimits>;
}

/** How long a client should wait before it tries another instance. */
const RETRY_AFTER_DRAIN_MS: Millis = 1_000;

/** How long watchers may take at the end for what was published last. */
const WATCHERS_PATIENCE_MS: Millis = 1_000;

type Phase = "new" | "recovering" | "ready" | "draining" | "stopped";

export class Engine implements EngineApi, ShardListener {
  readonly #deps: EngineDeps;
  readonly #guard: LimitGuard;
  readonly #shard: Shard;
  readonly #timers: Timers;
  readonly #dispatcher: Dispatcher;
  readonly #definitions: Definitions;
  readonly #finished: FinishedRuns;
  readonly #keys: IdempotencyKeys;
  readonly #reader: Reader;
  readonly #control: RunControl;
  readonly #lateResults: LateResults;
  readonly #outputs = new OutputRings();
  readonly #endListeners = new Map<RunId, ((end: EndedRun) => void)[]>();
  #phase: Phase = "new";

  constructor(options: EngineOptions, deps: EngineDeps) {
    this.#deps = deps;
    const { host, journal, lanes, metrics, runtime } = deps;
    const guard = new LimitGuard({ ...ENGINE_LIMITS, ...options.limits }, deps);
    this.#guard = guard;
    this.#definitions = new Definitions({
      host,
      journal,
      known: {
        agents: () => runtime.agents(),
        lanes: () => lanes.names(),
        awaitsWorkers: runtime.awaitsWorkers,
      },
      expectedMs: (agent) => runtime.expectedMs(agent),
      guard,
    });
    this.#finished = new FinishedRuns(journal, this.#definitions);
    this.#keys = new IdempotencyKeys(
      journal,
      (runId) => this.#shard.runs.has(runId) || this.#finished.recent(runId) !== undefined,
    );
    this.#timers = new Timers(host, (alarm) => this.#alarm(alarm));
    const ask: Shard["ask"] = (runId, command, done) => this.#shard.ask(runId, command, done);
    this.#dispatcher = new Dispatcher({
      host,
      runner: runtime,
      timers: this.#timers,
      log: deps.log,
      metrics,
      guard,
      tell: (runId, command) => this.#shard.tell(runId, command),
      ask,
      late: (report, settled) => this.#lateResults.judge(report, settled),
      outputs: this.#outputs,
      recalls: new Recalls({ host, memory: deps.memory, ask }),
    });
    this.#shard = new Shard(options, {
      host,
      journal,
      lanes,
      metrics,
      guard,
      listener: this,
      onBlocked: (task) => this.#armAll(task.run.id, taskDeadline(task)),
    });
    const { hub } = deps;
    this.#reader = new Reader({ host, journal, hub, shard: this.#shard, finished: this.#finished });
    this.#control = new RunControl({
      host,
      lanes,
      guard,
      shard: this.#shard,
      finished: this.#finished,
    });
    this.#lateResults = new LateResults({ ...deps, shard: this.#shard, finished: this.#finished });
    metrics.gauge("goclaw_runs_open", () => [{ labels: {}, value: this.#shard.runs.size }]);
    metrics.gauge("goclaw_workers", () => [{ labels: {}, value: runtime.workersConnected }]);
    metrics.gauge("goclaw_tasks_pending", () => [{ labels: {}, value: this.#shard.openTasks }]);
    metrics.gauge("goclaw_mailbox_depth", () => [{ labels: {}, value: this.#shard.mailboxDepth }]);
    const diverged = (): number => this.#shard.runs.audit(lanes).diverged;
    metrics.gauge("goclaw_slots_diverged", () => [{ labels: {}, value: diverged() }]);
  }

  /** Recovers every open run from the journal and goes on with it. Rejects with `DATA_LOSS` or `STORE_FAILED`. */
  async start(): Promise<void> {
    const startedMs = this.#deps.host.elapsedMs();
    this.#phase = "recovering";
    const leased: RunState[] = [];
    const recovered = await recoverRuns(this.#deps.journal, this.#definitions, (run) => {
      this.#adopt(run);
      if (run.leases > 0) leased.push(run);
    });
    this.#deps.host.notBefore(recovered.resumeAt);
    await this.#definitions.start();
    const look = (): void => this.#shard.wake();
    await this.#deps.runtime.open(this.#dispatcher, look, look);
    this.#timers.open();
    for (const run of leased) this.#adoptAttempts(run);
    await this.#shard.resume();
    this.#phase = "ready";
    const seconds = (this.#deps.host.elapsedMs() - startedMs) / 1000;
    this.#deps.metrics.recovered(seconds, recovered.runs);
    this.#deps.log.info({ runs: recovered.runs, seconds }, "engine ready");
  }

  /** Lanes and timers are derived: rebuild what they knew from the states. */
  #adopt(run: RunState): void {
    this.#keys.remember(run, true);
    this.#armAll(run.id, timersOf(run));
    this.#shard.adopt(run);
  }

  /** Attempts that workers may still run. */
  #adoptAttempts(run: RunState): void {
    for (const task of run.tasks) {
      if (task.lease !== 0 && task.worker !== undefined) this.#dispatcher.adopt(run, task);
    }
  }

  #armAll(runId: RunId, effects: readonly Effect[]): void {
    for (const effect of effects) if (effect.type === "arm") this.#dispatcher.arm(runId, effect);
  }

  #alarm(alarm: Alarm): void {
    const { runId, timer, task, lease, signal } = alarm;
    this.#shard.tell(runId, {
      type: "timer",
      timer,
      ...(task === undefined ? {} : { task }),
      ...(lease === undefined ? {} : { lease }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  // ShardListener: everything below is durable.

  committed(events: RunEvents, run: RunState, ended: boolean): void {
    this.#deps.hub.publish(events);
    if (events.firstSequence === 1) this.#keys.accepted(run);
    let sequence = events.firstSequence - 1;
    for (const event of events.events) {
      sequence++;
      if (event.type === "task_completed" && event.memory !== undefined) {
        this.#deps.memory?.committed(run.id, sequence, event);
      }
      countEvent(this.#deps.metrics, event);
      this.#guard.countEvent(event, run);
      if (TASK_ENDS.has(event.type)) this.#outputs.end(run.id, (event as { task: TaskId }).task);
    }
    if (!ended) return;
    this.#finished.add(run);
    this.#deps.metrics.runEnded(run.status);
    const listeners = this.#endListeners.get(run.id);
    if (listeners === undefined) return;
    this.#endListeners.delete(run.id);
    const end = endOf(run);
    for (const listener of listeners) listener(end);
  }

  effect(run: RunState, effect: Effect, at: Instant): void {
    this.#dispatcher.carryOut(run, effect, at);
  }

  settled(): void {
    this.#deps.onCommit();
  }

  failed(error: Error): void {
    this.#deps.log.error(
      { error: error.message },
      "the store failed; nothing is acknowledged any more",
    );
    this.#dispatcher.close();
    const { failure } = this.#shard;
    if (failure !== undefined) this.#deps.hub.stop(failure);
    this.#deps.onFailure(error);
  }

  /** The journal failed, maybe while nobody was writing a commit. */
  storeFailed(error: Error): void {
    this.#shard.fail(error);
  }

  // EngineApi

  async startRun(request: StartRun, onEnd?: (end: EndedRun) => void): Promise<StartedRun> {
    this.#admit();
    const { host } = this.#deps;
    const found = this.#planFor(request);
    const plan = found instanceof Promise ? await found : found;
    const runRequest = traced(request.request, () => host.randomHex(16));
    const idempotency = this.#idempotencyOf(request, plan);
    if (idempotency !== undefined) {
      await this.#keys.load(runRequest.namespace, idempotency.key);
      this.#admit();
    }
    // A repeated request is not judged again: what it started exists.
    if (!this.#keys.has(runRequest.namespace, idempotency)) {
      this.#definitions.check(plan);
      this.#guard.checkRequest(request.request);
    }
    const runId = host.newRunId();
    const started = await this.#shard.accept<StartedRun>(
      runId,
      plan,
      () => canonicalJson(plan.definition),
      {
        type: "accept",
        definition: plan.hash,
        request: runRequest,
        ...(idempotency === undefined ? {} : { idempotency }),
      },
      (run) => {
        this.#keys.remember(run, false);
        if (onEnd !== undefined) this.#onEnd(runId, onEnd);
        return { runId, sequence: 1, existing: false };
      },
      () => {
        const known = this.#keys.check(runRequest.namespace, idempotency);
        return known === undefined ? undefined : { runId: known, sequence: 1, existing: true };
      },
    );
    if (!started.existing) this.#guard.warnIfLarge("input", runRequest.input, { runId });
    else if (onEnd !== undefined && !(await this.#callAtEnd(started.runId, onEnd))) {
      // Retention has deleted the run since its key was looked up: the key is free.
      return this.startRun(request, onEnd);
    }
    return started;
  }

  #admit(): void {
    if (this.#phase === "ready") return;
    const failure = this.#shard.failure;
    refuse(failure ?? fault("ENGINE_DRAINING", { retryAfterMs: RETRY_AFTER_DRAIN_MS }));
  }

  /** At once where the plan is in memory, because almost every run's is. */
  #planFor({ definition, request }: StartRun): Plan | Promise<Plan> {
    return typeof definition === "string"
      ? this.#definitions.named(request.namespace, definition)
      : this.#definitions.planOf(definition);
  }

  #idempotencyOf(start: StartRun, plan: Plan): Idempotency | undefined {
    const { idempotencyKey: key, definition, request } = start;
    if (key === undefined || key === "") return undefined;
    // By name: a version registered since the first try makes it no other request.
    const asked = typeof definition === "string" ? definition : plan.hash;
    return { key, fingerprint: this.#deps.host.sha256(fingerprintText(asked, request)) };
  }

  #onEnd(runId: RunId, listener: (end: EndedRun) => void): void {
    const listeners = this.#endListeners.get(runId);
    if (listeners === undefined) this.#endListeners.set(runId, [listener]);
    else listeners.push(listener);
  }

  /** False when there is no such run any more. */
  async #callAtEnd(runId: RunId, listener: (end: EndedRun) => void): Promise<boolean> {
    const isOpen = await this.#shard.read(runId, () => this.#onEnd(runId, listener) ?? true);
    if (isOpen === true) return true;
    const run = await this.#finished.find(runId);
    if (run !== undefined) listener(endOf(run));
    return run !== undefined;
  }

  cancelRun(runId: RunId, options: { reason: string; graceMs?: Millis }): Promise<void> {
    return this.#control.cancelRun(runId, options);
  }

  signal(request: SendSignal): Promise<readonly SignalAnswer[]> {
    return this.#control.signal(request);
  }

  /** Waits no longer than the longest timer, whatever was asked. */
  collect(request: CollectRequest, abort?: AbortSignal): Promise<CollectAnswer> {
    const { timerMs } = this.#guard.limits;
    const deadlineMs = Math.min(request.deadlineMs ?? timerMs, timerMs);
    return this.#reader.collect({ ...request, deadlineMs }, abort);
  }

  getRun(runId: RunId): Promise<RunState> {
    return this.#reader.getRun(runId);
  }

  getTask(runId: RunId, taskId: TaskId): Promise<TaskState> {
    return this.#reader.getTask(runId, taskId);
  }

  listRuns(query: RunQuery): Promise<RunPage> {
    return this.#reader.listRuns(query);
  }

  watch(runId: RunId, afterSequence: number, abort?: AbortSignal): AsyncIterable<WatchItem> {
    return this.#reader.watch(runId, afterSequence, abort);
  }

  plan(definition: Definition): Plan {
    const plan = this.#definitions.planOf(definition);
    this.#definitions.check(plan);
    return plan;
  }

  registerDefinition(namespace: string, definition: Definition): Promise<RegisteredDefinition> {
    this.#admit();
    return this.#definitions.register(namespace, definition);
  }

  async definitions(namespace?: string): Promise<readonly RegisteredDefinition[]> {
    return this.#definitions.list(namespace);
  }

  async definition(reference: string, namespace = "default"): Promise<Definition> {
    if (/^[0-9a-f]{64}$/.test(reference))
      return (await this.#definitions.planByHash(reference)).definition;
    return parseCanonical(this.#definitions.find(namespace, reference).json);
  }

  lanes(): readonly LaneStatus[] {
    return this.#deps.lanes.status();
  }

  changeLane(name: string, change: LaneChange): LaneStatus {
    const status = this.#deps.lanes.change(name, change);
    void this.#shard.within(() => undefined).catch(() => undefined);
    return status;
  }

  agents(): readonly AgentInfo[] {
    return this.#deps.runtime.agents();
  }

  explain(task: TaskState): string | undefined {
    return task.status === "SCHEDULED" ? this.#deps.runtime.explain(task) : undefined;
  }

  lateResults(runId: RunId): Promise<readonly LateResult[]> {
    return this.#deps.journal.lateResults(runId);
  }

  async *watchOutput(
    runId: RunId,
    taskId: TaskId,
    abort?: AbortSignal,
  ): AsyncGenerator<OutputChunk> {
    let task = await this.#reader.getTask(runId, taskId);
    const isOver = (): boolean => {
      const live = this.#shard.runs.peek(runId);
      task = (live && findTask(live, taskId)) ?? task;
      return live === undefined || isTerminalTask(task.status);
    };
    yield* this.#outputs.watch(runId, taskId, isOver, abort);
  }

  /** Resolves when everything that is durable now has been passed on. Rejects when the engine has stopped. */
  passedOn(): Promise<void> {
    return this.#shard.within(() => undefined);
  }

  openRuns(): number {
    return this.#shard.runs.size;
  }

  expectedMs(agent: string): Millis | undefined {
    return this.#deps.runtime.expectedMs(agent);
  }

  readiness(): { ready: boolean; reason: string } {
    const { failure } = this.#shard;
    if (failure !== undefined && this.#phase !== "stopped")
      return { ready: false, reason: failure.code };
    return { ready: this.#phase === "ready", reason: this.#phase === "ready" ? "" : this.#phase };
  }

  async drain(timeoutMs: Millis): Promise<void> {
    if (this.#phase !== "ready") return;
    this.#phase = "draining";
    this.#shard.setStarting(false);
    this.#deps.log.info({ inFlight: this.#dispatcher.inFlight, timeoutMs }, "draining");
    // Attempts that a commit on its way to disk starts count as well: they are in flight when it is durable.
    await this.#shard.within(() => undefined).catch(() => undefined);
    await this.#untilIdle(timeoutMs);
    await this.#shard.settled();
    await this.#untilWatched();
  }

  /** Lets watchers take what was published last, so that whoever saw a task end sees its run end as well. */
  async #untilWatched(): Promise<void> {
    const patience = Promise.withResolvers<void>();
    const timer = this.#deps.host.setTimer(WATCHERS_PATIENCE_MS, patience.resolve);
    await this.#deps.hub.caughtUp(patience.promise);
    timer.cancel();
  }

  /** Waits on the count of attempts in flight, at most `timeoutMs`. */
  #untilIdle(timeoutMs: Millis): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#deps.host.setTimer(timeoutMs, resolve);
      this.#dispatcher.onIdle(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  /** Stops attempts that are left (they resume after the next start), and closes the journal. Idempotent. */
  async stop(): Promise<void> {
    if (this.#phase === "stopped") return;
    this.#phase = "stopped";
    this.#dispatcher.close();
    this.#timers.stop();
    this.#shard.setStarting(false);
    await this.#shard.settled();
    const closed = fault("ENGINE_DRAINING", { retryAfterMs: RETRY_AFTER_DRAIN_MS });
    this.#shard.stop(closed);
    this.#deps.hub.stop(closed);
    await this.#deps.runtime.close();
    await this.#deps.journal.close();
  }
}
