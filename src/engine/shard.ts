/**
 * The single writer. Commands collect in a mailbox; the loop takes a batch, decides it, draws consequences, lets lanes
 * start what may start, and hands everything to the journal as one atomic commit. Only when that commit is durable do
 * replies resolve, watchers see events and effects leave. While commits are in flight the next batch collects, so the
 * group size adapts to load by itself and an idle engine answers after one fsync. The first failed commit is the last:
 * everything waiting is refused and the process recovers by replay.
 */
import { present } from "../base/assert.ts";
import { Deque } from "../base/deque.ts";
import { type Fault, FaultError, fault } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import type { Plan } from "../core/dag/plan.ts";
import { type AdvanceContext, advance } from "../core/run/advance.ts";
import { newRun } from "../core/run/birth.ts";
import { decide, isFault } from "../core/run/decide.ts";
import { evolve } from "../core/run/evolve.ts";
import type { Command, Effect, Event, RunEvents } from "../core/run/message.ts";
import { agendaOf, findTask, type RunState, type TaskState } from "../core/run/state.ts";
import { isTerminalRun, isTerminalTask } from "../core/run/status.ts";
import { forgetAnswered, isStill } from "../core/run/still.ts";
import type { LaneManager } from "../lanes/lane-manager.ts";
import type { Host } from "../ports/host.ts";
import type { Journal } from "../ports/journal.ts";
import type { Metrics } from "../ports/telemetry.ts";
import { type Batch, commitOf, type Letter, newBatch, record, recordEnd } from "./batch.ts";
import type { LimitGuard } from "./limits.ts";
import { LiveRuns } from "./live-runs.ts";
import { SHARD_DEFAULTS, type ShardOptions } from "./shard-options.ts";
import { Snapshots } from "./snapshots.ts";
import { Wake } from "./wake.ts";

/** A command for a run that exists. */
export type RunCommand = Exclude<Command, { type: "accept" }>;

/** Commands without their instant, which the loop gives to the whole batch. */
export type Unstamped<C> = C extends unknown ? Omit<C, "at"> : never;

/** Called with the run after its command, before the commit; what it returns is the reply after the commit. */
export type Project<T> = (run: RunState) => T;

/** What the shard tells the engine, always after the commit, in commit order. */
export interface ShardListener {
  committed(events: RunEvents, run: RunState, ended: boolean): void;
  effect(run: RunState, effect: Effect, at: Instant): void;
  /** After all events and effects of one commit. */
  settled(): void;
  failed(error: Error): void;
}

interface Deps {
  readonly host: Host;
  readonly journal: Journal;
  readonly lanes: LaneManager;
  readonly metrics: Metrics;
  readonly guard: LimitGuard;
  readonly listener: ShardListener;
  /** A blocked task's deadline counts although it is in no lane yet. */
  readonly onBlocked: (task: TaskState) => void;
}

/** The writer loop of one partition. */
export class Shard {
  readonly #options: ShardOptions;
  readonly #deps: Deps;
  readonly #mailbox = new Deque<Letter>();
  /** Runs whose session's turn has come. */
  readonly #turns = new Deque<RunId>();
  /** Runs that are not terminal. */
  readonly runs: LiveRuns;
  /** Adopted runs that have something left to be drawn. */
  readonly #unsettled: RunState[] = [];
  readonly #snapshots: Snapshots;
  readonly #storedDefinitions = new Set<string>();
  #lastAppend: Promise<void> = Promise.resolve();
  /** Batches whose commit is under way. */
  readonly #inFlight = new Set<Batch>();
  #scheduled = false;
  #starting = true;
  #failure: Fault | undefined;
  #openTasks = 0;
  readonly #wake: Wake;
  #idle: (() => void)[] = [];
  #context: (AdvanceContext & { readonly batch: Batch }) | undefined;

  constructor(options: Partial<ShardOptions>, deps: Deps) {
    this.#options = { ...SHARD_DEFAULTS, ...options };
    this.#deps = deps;
    this.#snapshots = new Snapshots(deps.journal, this.#options, (error) => this.fail(error));
    const { awakeMost } = this.#options;
    this.runs = new LiveRuns(awakeMost, {
      isSoon: (ticket) => deps.lanes.waitsBefore(ticket) < awakeMost,
      isUnderWay: (id) => [...this.#inFlight].some(({ changes }) => changes.has(id)),
    });
    this.#wake = new Wake(deps.host, () => this.#schedule());
  }

  get openTasks(): number {
    return this.#openTasks;
  }

  get mailboxDepth(): number {
    return this.#mailbox.size;
  }

  get failure(): Fault | undefined {
    return this.#failure;
  }

  /**
   * Takes over a run found in the journal and tells the lanes where its tasks stand; then call {@link resume}. Runs that
   * have begun come before those that have not, each in order of acceptance. A run that stands still may fall asleep.
   */
  adopt(run: RunState): void {
    const { lanes } = this.#deps;
    this.runs.add(run);
    this.#openTasks += run.open;
    this.#snapshots.adopt(run);
    if (lanes.runAccepted(run) && run.status === "PENDING") this.#turns.push(run.id);
    for (const task of run.tasks) {
      if (task.lease !== 0) lanes.started(task);
      else if (task.status === "SCHEDULED") lanes.enqueue(task);
      // Whoever is ready and not in its lane stood outside; if there is room by now the lane says so.
      else if (task.status === "PENDING" && task.readyAt > 0 && run.ending === undefined) {
        lanes.block(task);
      }
    }
    // With leases out the agenda stays: an attempt that turns out to be lost is due again at once.
    if (run.leases === 0) forgetAnswered(run);
    if (!isStill(run)) this.#unsettled.push(run);
    this.runs.settle([{ run }]);
  }

  /** Stops (false) or allows (true) new attempts; everything else goes on. */
  setStarting(isStarting: boolean): void {
    this.#starting = isStarting;
    this.#schedule();
  }

  /** Brings a new run to life; the reply is made by `project` from its first state. */
  accept<T>(
    runId: RunId,
    plan: Plan,
    json: () => string,
    command: Unstamped<Extract<Command, { type: "accept" }>>,
    project: Project<T>,
    guard: () => T | undefined,
  ): Promise<T> {
    return this.#post(true, (batch) => {
      const known = guard();
      if (known !== undefined) return known;
      this.#deps.guard.checkLoad("pendingTasks", this.#openTasks + plan.nodes.length);
      if (!this.#storedDefinitions.has(plan.hash)) {
        batch.definitions.push({ hash: plan.hash, json: json() });
        this.#storedDefinitions.add(plan.hash);
      }
      return project(this.#bear(batch, runId, plan, command));
    });
  }

  /** Sends a command; resolves with what `project` saw once its events are durable, or rejects with its fault. */
  send<T>(runId: RunId, command: Unstamped<RunCommand>, project: Project<T>): Promise<T> {
    return this.#post(true, (batch) => {
      const run = this.runs.get(runId);
      if (run === undefined) throw new FaultError(fault("RUN_NOT_FOUND", { runId }));
      this.#carryOut(batch, run, stamped(command, batch));
      return project(run);
    });
  }

  /** Sends a command nobody waits for: a report, a timer, a receipt. Never refused while the shard lives. */
  tell(runId: RunId, command: Unstamped<RunCommand>): void {
    if (this.#failure !== undefined) return;
    this.#mailbox.push({
      open: (batch) => {
        const run = this.runs.get(runId);
        if (run !== undefined) this.#carryOut(batch, run, stamped(command, batch));
      },
    });
    this.#schedule();
  }

  /** Like {@link tell}; calls back with the command's own events once durable, without any for a run that is not live. */
  ask(
    runId: RunId,
    command: Unstamped<RunCommand>,
    done: (events: readonly Event[] | undefined) => void,
  ): void {
    if (this.#failure !== undefined) return;
    const open = (batch: Batch): readonly Event[] | undefined => {
      const run = this.runs.get(runId);
      return run === undefined ? undefined : this.#carryOut(batch, run, stamped(command, batch));
    };
    this.#mailbox.push({ open, resolve: done, reject: () => {} });
    this.#schedule();
  }

  /** Reads a live run at a commit; undefined when it is not live. Resolves when what it saw is durable. */
  read<T>(runId: RunId, project: Project<T>): Promise<T | undefined> {
    return this.#post(false, () => {
      const run = this.runs.get(runId);
      return run === undefined ? undefined : project(run);
    });
  }

  /** Runs `change` inside the loop (lanes, configuration), then lets lanes start what may start. */
  within<T>(change: () => T): Promise<T> {
    return this.#post(false, change);
  }

  /** Something outside of the loop may let tasks start: looks at the lanes again. */
  wake(): void {
    this.#schedule();
  }

  /** Draws what consequences adopted runs still have and reports leases that died with the last process. */
  async resume(): Promise<void> {
    await this.#post(false, (batch) => {
      for (const run of this.#unsettled.splice(0)) {
        if (run.leases > 0) this.#carryOut(batch, run, { type: "recover", at: batch.at });
        else this.#advance(batch, run);
      }
    });
  }

  /** Resolves when nothing is queued and nothing is in flight. */
  settled(): Promise<void> {
    if (this.#mailbox.size === 0 && this.#inFlight.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Refuses everything from now on. */
  stop(reason: Fault): void {
    this.#failure ??= reason;
    this.#wake.cancel();
    this.#rejectQueued(reason);
    this.#releaseIdle();
  }

  #post<T>(isBounded: boolean, open: (batch: Batch) => T): Promise<T> {
    if (this.#failure !== undefined) return Promise.reject(new FaultError(this.#failure));
    return new Promise<T>((resolve, reject) => {
      if (isBounded) this.#deps.guard.checkLoad("commands", this.#mailbox.size + 1);
      this.#mailbox.push({ open, resolve: resolve as (value: never) => void, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#failure !== undefined) return;
    this.#scheduled = true;
    this.#deps.host.defer(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  /** One batch: decide, append, and when durable release. */
  #turn(): void {
    if (this.#failure !== undefined || this.#inFlight.size >= this.#options.inFlightMax) return;
    const batch = this.#decideBatch();
    this.#armWake(batch.at);
    if (batch.events === 0 && batch.replies.length === 0) {
      if (this.#mailbox.size > 0) this.#schedule();
      return this.#releaseIdle();
    }
    const startedMs = this.#deps.host.elapsedMs();
    this.#inFlight.add(batch);
    this.#append(batch).then(
      () => {
        this.#inFlight.delete(batch);
        if (this.#failure !== undefined) return this.#refuseReplies(batch, this.#failure);
        if (batch.events > 0) {
          this.#deps.metrics.journalCommit(
            (this.#deps.host.elapsedMs() - startedMs) / 1000,
            batch.events,
          );
        }
        this.#release(batch);
        this.#schedule();
        this.#releaseIdle();
      },
      (error: Error) => {
        this.#inFlight.delete(batch);
        this.fail(error, batch);
      },
    );
    if (this.#mailbox.size > 0) this.#schedule();
  }

  /** An empty commit still waits its turn, so that a read never overtakes the write it saw. */
  #append(batch: Batch): Promise<void> {
    if (batch.events > 0) {
      this.#lastAppend = this.#deps.journal.append(commitOf(batch));
      for (const { run, isEnded } of batch.changes.values()) {
        if (!isEnded) this.#snapshots.saveIfDue(run);
      }
    }
    return this.#lastAppend;
  }

  #decideBatch(): Batch {
    const batch = newBatch(Math.floor(this.#deps.host.now()));
    for (let taken = 0; taken < this.#options.batchMax; taken++) {
      const letter = this.#mailbox.shift();
      if (letter === undefined) break;
      try {
        const value = letter.open(batch);
        if (letter.resolve !== undefined) batch.replies.push({ letter, value, error: undefined });
      } catch (error) {
        if (!(error instanceof FaultError)) throw error;
        if (letter.reject !== undefined) batch.replies.push({ letter, value: undefined, error });
      }
    }
    this.#startTasks(batch);
    return batch;
  }

  #bear(
    batch: Batch,
    runId: RunId,
    plan: Plan,
    command: Unstamped<Extract<Command, { type: "accept" }>>,
  ): RunState {
    const { definition, request, idempotency } = command;
    const event: Event = {
      type: "run_accepted",
      at: batch.at,
      definition,
      name: plan.definition.name,
      request,
      ...(idempotency === undefined ? {} : { idempotency }),
    };
    const run = newRun(runId, plan, event);
    this.runs.add(run);
    this.#openTasks += run.open;
    record(batch, run, event);
    batch.accepted.push({ runId, namespace: request.namespace, idempotency });
    if (this.#deps.lanes.runAccepted(run)) {
      this.#carryOut(batch, run, { type: "begin", at: batch.at });
    }
    return run;
  }

  #carryOut(batch: Batch, run: RunState, command: RunCommand): readonly Event[] {
    const decision = decide(run, command);
    if (isFault(decision)) throw new FaultError(decision);
    for (const event of decision) this.#emit(batch, run, event);
    this.#advance(batch, run);
    return decision;
  }

  #advance(batch: Batch, run: RunState): void {
    advance(run, this.#contextOf(batch));
    if (isTerminalRun(run.status) && this.runs.delete(run.id)) this.#bury(batch, run);
  }

  /** One for the whole batch. */
  #contextOf(batch: Batch): AdvanceContext {
    if (this.#context?.batch !== batch) {
      this.#context = {
        batch,
        at: batch.at,
        limits: this.#deps.guard.limits,
        verdictOf: (task) => this.#verdictOf(task),
        emit: (run, event) => this.#emit(batch, run, event),
        blocked: (task) => {
          this.#deps.lanes.block(task);
          this.#deps.onBlocked(task);
        },
      };
    }
    return this.#context;
  }

  #verdictOf(task: TaskState): ReturnType<LaneManager["verdict"]> {
    const verdict = this.#deps.lanes.verdict(task);
    const outcome = verdict.kind === "blocked" ? "rejected" : verdict.kind;
    this.#deps.metrics.laneOutcome(verdict.lane, outcome);
    return verdict;
  }

  #bury(batch: Batch, run: RunState): void {
    recordEnd(batch, run);
    const next = this.#deps.lanes.runEnded(run);
    if (next !== undefined) this.#turns.push(next);
  }

  /** Evolves the run, keeps lanes in step with its states, and notes what to write and to do. */
  #emit(batch: Batch, run: RunState, event: Event): void {
    const task = taskOf(run, event);
    const hadLease = task !== undefined && task.lease !== 0;
    const openBefore = run.open;
    evolve(run, event);
    this.#openTasks += run.open - openBefore;
    if (task !== undefined) this.#moveInLanes(task, event, hadLease);
    record(batch, run, event);
  }

  #moveInLanes(task: TaskState, event: Event, hadLease: boolean): void {
    const { lanes } = this.#deps;
    if (event.type === "task_scheduled") lanes.enqueue(task);
    else if (event.type === "task_started") lanes.started(task);
    else if (hadLease && task.lease === 0) lanes.released(task);
    if (event.type === "task_returned") lanes.enqueue(task);
    if (isTerminalTask(task.status) && task.place !== undefined && !hadLease) lanes.remove(task);
  }

  /** Begins runs whose session has come to them; a loop, because such a run may end at once and pass the turn on. */
  #beginRuns(batch: Batch): void {
    for (let id = this.#turns.shift(); id !== undefined; id = this.#turns.shift()) {
      const run = present(this.runs.get(id), "a run whose turn it is");
      this.#carryOut(batch, run, { type: "begin", at: batch.at });
    }
  }

  /** Lets the lanes start, give up and take back tasks until nothing moves. */
  #startTasks(batch: Batch): void {
    const { lanes } = this.#deps;
    for (;;) {
      this.#beginRuns(batch);
      const { batchMax: most } = this.#options;
      const moves = this.#starting ? lanes.poll(batch.at, most) : lanes.shed(most);
      for (const task of moves.drop) {
        const { id, lane, run } = task;
        this.#carryOut(batch, run, { type: "drop", at: batch.at, task: id, lane });
      }
      for (const task of moves.start) {
        const waitedMs = batch.at - task.since;
        const worker = lanes.workerOf(task);
        const placed = worker === undefined ? {} : { worker };
        this.#carryOut(batch, task.run, { type: "start", at: batch.at, task: task.id, ...placed });
        this.#deps.metrics.laneWait(task.lane, waitedMs / 1000);
      }
      for (const task of moves.offer) {
        agendaOf(task.run).ready.push(task.index);
        this.#advance(batch, task.run);
      }
      if (moves.drop.length + moves.start.length + moves.offer.length === 0) return;
    }
  }

  #armWake(at: Instant): void {
    const opensAt = this.#starting ? this.#deps.lanes.nextWake(at) : undefined;
    if (opensAt !== undefined) this.#wake.noLaterThan(opensAt);
  }

  #release({ changes, effects, replies, at }: Batch): void {
    const { listener } = this.#deps;
    for (const change of changes.values()) listener.committed(change, change.run, change.isEnded);
    for (const { run, effect } of effects) listener.effect(run, effect, at);
    for (const { letter, value, error } of replies) {
      if (error === undefined) letter.resolve?.(value as never);
      else letter.reject?.(error);
    }
    listener.settled();
    this.runs.settle(changes.values());
  }

  /** The store failed, maybe outside of a commit: nothing can be acknowledged any more. */
  fail(error: Error, batch?: Batch): void {
    const failure =
      error instanceof FaultError
        ? error.fault
        : fault("STORE_FAILED", { operation: "commit", detail: error.message });
    const isFirst = this.#failure === undefined;
    this.#failure ??= failure;
    if (batch !== undefined) this.#refuseReplies(batch, failure);
    this.#rejectQueued(failure);
    this.#releaseIdle();
    if (isFirst) this.#deps.listener.failed(error);
  }

  #refuseReplies({ replies }: Batch, failure: Fault): void {
    for (const { letter } of replies) letter.reject?.(new FaultError(failure));
  }

  #rejectQueued(failure: Fault): void {
    for (let letter = this.#mailbox.shift(); letter !== undefined; letter = this.#mailbox.shift()) {
      letter.reject?.(new FaultError(failure));
    }
  }

  #releaseIdle(): void {
    if (this.#failure === undefined && (this.#mailbox.size > 0 || this.#inFlight.size > 0)) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function stamped(command: Unstamped<RunCommand>, { at }: Batch): RunCommand {
  return { ...command, at } as RunCommand;
}

/** The task an event moves; a run that fails because of a task moves none. */
function taskOf(run: RunState, event: Event): TaskState | undefined {
  if (!("task" in event) || event.task === undefined) return undefined;
  return event.type === "run_failed" || event.type === "run_ending"
    ? undefined
    : findTask(run, event.task);
}
