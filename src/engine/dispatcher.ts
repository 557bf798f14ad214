/**
 * Carries out effects, always after their commit: hands attempts to the runtime, stops them, delivers signals, sets
 * timers. In the other direction it turns what agents report into commands. It decides nothing: what a report or an
 * alarm means is the core's matter, and a stale one changes nothing.
 */
import { unreachable } from "../base/assert.ts";
import { idempotencyKey, type RunId } from "../base/ids.ts";
import { type Payload, payloadText } from "../base/payload.ts";
import type { Instant, Millis } from "../base/time.ts";
import type { Evaluated } from "../core/dag/expression.ts";
import { inputOf, outputOf } from "../core/run/binding.ts";
import { isUnadmitted } from "../core/run/evolve.ts";
import type { Deed, Effect, Event, Outcome } from "../core/run/message.ts";
import type { RecallWish } from "../core/run/recall.ts";
import {
  findTask,
  type MailboxEntry,
  type RunState,
  STOP_GRACE_MS,
  type TaskState,
} from "../core/run/state.ts";
import { shownTo, wishesMemories } from "../core/run/task-memory.ts";
import type {
  AgentInfo,
  Assignment,
  AttemptRef,
  DeliveredSignal,
  RecallAnswer,
  StopRequest,
} from "../ports/agent.ts";
import type { Host } from "../ports/host.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import type { LateReport, WorkerListener } from "../ports/worker.ts";
import type { OutputRings } from "../runtime/output-rings.ts";
import type { LimitGuard } from "./limits.ts";
import type { Recalls } from "./recalls.ts";
import type { RunCommand, Unstamped } from "./shard.ts";
import type { Timers } from "./timers.ts";

/** The part of the runtime that effects need. */
export interface AttemptRunner {
  start(assignment: Assignment): void;
  /** Takes over an attempt that a worker holds since before a restart; false when that is not possible. */
  adopt(assignment: Assignment): boolean;
  signal(key: string, signal: DeliveredSignal): void;
  stop(key: string, request: StopRequest): void;
  resolve(agent: string): AgentInfo | undefined;
}

interface Deps {
  readonly host: Host;
  readonly runner: AttemptRunner;
  readonly timers: Timers;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly guard: LimitGuard;
  readonly tell: (runId: RunId, command: Unstamped<RunCommand>) => void;
  /** Like `tell`, and calls back with what it led to once that is durable. */
  readonly ask: (
    runId: RunId,
    command: Unstamped<RunCommand>,
    done: (events: readonly Event[] | undefined) => void,
  ) => void;
  readonly late: WorkerListener["late"];
  readonly outputs: Pick<OutputRings, "write">;
  readonly recalls: Recalls;
}

/** Progress of one attempt is journaled at most this often; the last value always arrives with the end. */
const PROGRESS_INTERVAL_MS: Millis = 100;

/** Key of an attempt: run, task and lease, so it is never used twice. */
export function attemptKey(runId: RunId, taskId: string, lease: number): string {
  return `${runId}/${taskId}/${lease}`;
}

interface Flight extends AttemptRef {
  readonly run: RunState;
  progressAt: Instant;
  /** Signals for an attempt that still waits for what it is to be shown of the memory. */
  waiting?: string[] | undefined;
}

export class Dispatcher implements WorkerListener {
  readonly #deps: Deps;
  readonly #flights = new Map<string, Flight>();
  #closed = false;
  #onIdle: (() => void) | undefined;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /**
   * From now on no effect leaves, nothing an agent says becomes a command, and no timer is set. Open attempts stay open in
   * the journal, so what is left out here is made up for by the next start.
   */
  close(): void {
    this.#closed = true;
  }

  /** Attempts whose end has not been reported. */
  get inFlight(): number {
    return this.#flights.size;
  }

  /** Calls back once when no attempt is in flight, at once when that is so already. */
  onIdle(callback: () => void): void {
    this.#onIdle = callback;
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#flights.size > 0) return;
    this.#onIdle?.();
    this.#onIdle = undefined;
  }

  /** Carries out one effect of a durable event. */
  carryOut(run: RunState, effect: Effect, at: Instant): void {
    if (this.#closed) return;
    switch (effect.type) {
      case "dispatch":
        return this.#dispatch(run, effect, at);
      case "stop":
        return this.#stop(attemptKey(run.id, effect.task, effect.lease), {
          reason: effect.reason,
          graceMs: effect.graceMs,
        });
      case "deliver":
        return this.#deliver(run, effect.task, effect.lease, effect.signal);
      case "arm":
        return this.arm(run.id, effect);
      case "disarm":
        return this.#deps.timers.disarm(run.id, effect.task);
      default:
        return unreachable(effect);
    }
  }

  arm(runId: RunId, effect: Extract<Effect, { type: "arm" }>): void {
    if (this.#closed) return;
    const { timer, task, lease, signal, dueAt } = effect;
    this.#deps.timers.arm({ runId, timer, task, lease, signal }, dueAt);
  }

  progress(key: string, percent: number, note: string): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    const now = this.#deps.host.now();
    if (now - flight.progressAt < PROGRESS_INTERVAL_MS && percent < 100) return;
    flight.progressAt = now;
    this.#tell(flight, {
      type: "progress",
      task: flight.taskId,
      lease: flight.lease,
      percent,
      note,
      limits: this.#deps.guard.limits,
    });
  }

  checkpoint(key: string, data: Uint8Array): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    this.#tell(flight, { type: "checkpoint", task: flight.taskId, lease: flight.lease, data });
  }

  beat(): void {}

  log(key: string, level: "debug" | "info" | "warn" | "error", message: string): void {
    const flight = this.#flights.get(key);
    this.#deps.log[level](
      { runId: flight?.runId, task: flight?.taskId, attempt: flight?.attempt },
      message,
    );
  }

  receipt(key: string, signal: string, receipt: "delivered" | "admitted"): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    this.#tell(flight, {
      type: "receipt",
      task: flight.taskId,
      lease: flight.lease,
      signal,
      receipt,
    });
  }

  deeds(key: string, deeds: readonly Deed[]): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    this.#tell(flight, { type: "deeds", task: flight.taskId, lease: flight.lease, deeds });
  }

  output(key: string, data: Uint8Array, offset?: number): void {
    const flight = this.#flights.get(key);
    if (flight === undefined || this.#closed) return;
    this.#deps.outputs.write(flight.runId, flight.taskId, flight.attempt, data, offset);
  }

  recall(key: string, wish: RecallWish, answer: (recall: RecallAnswer) => void): void {
    const flight = this.#flights.get(key);
    const task = flight && findTask(flight.run, flight.taskId);
    if (task === undefined || this.#closed || task.lease !== flight?.lease) return;
    this.#deps.recalls.byAgent(flight.run, task, wish, answer);
  }

  late(report: LateReport, settled: Parameters<WorkerListener["late"]>[1]): void {
    if (!this.#closed) this.#deps.late(report, settled);
  }

  finish(key: string, outcome: Outcome, settled?: (isCommitted: boolean) => void): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return settled?.(false);
    this.#flights.delete(key);
    if (outcome.kind === "success") {
      const { runId, taskId: task } = flight;
      this.#deps.guard.warnIfLarge("output", outcome.output, { runId, task });
    }
    this.#report(flight, outcome, settled);
    this.#tellIdle();
  }

  /** Whoever reports gets an answer if it wants one; a closed engine gives none, because nothing is durable any more. */
  #report(flight: Flight, outcome: Outcome, settled?: (isCommitted: boolean) => void): void {
    const command = { type: "report", task: flight.taskId, lease: flight.lease, outcome } as const;
    if (settled === undefined) return this.#tell(flight, command);
    if (this.#closed) return;
    this.#deps.ask(flight.runId, command, (events) =>
      settled(events?.some(({ type }) => type !== "lease_ended") === true),
    );
  }

  #tell(flight: Flight, command: Unstamped<RunCommand>): void {
    if (!this.#closed) this.#deps.tell(flight.runId, command);
  }

  #dispatch(run: RunState, effect: Extract<Effect, { type: "dispatch" }>, at: Instant): void {
    const { task: taskId, lease, mail } = effect;
    const task = findTask(run, taskId);
    if (task === undefined || task.lease !== lease) return;
    const key = attemptKey(run.id, taskId, lease);
    const { attempt } = task;
    const flight: Flight = { key, run, runId: run.id, taskId, attempt, lease, progressAt: 0 };
    this.#flights.set(key, flight);
    const input = this.#inputOf(run, task);
    if ("problem" in input) {
      const outcome: Outcome = {
        kind: "failure",
        failure: "invalid",
        message: `input: ${input.problem}`,
      };
      return this.finish(key, outcome);
    }
    const timeoutMs = this.#armTimeout(run, task, at);
    if (!wishesMemories(run, task)) {
      return this.#handOver(flight, task, input.value, timeoutMs, mail);
    }
    flight.waiting = [...mail];
    this.#deps.recalls.beforeAttempt(run, task, () => {
      if (this.#closed || this.#flights.get(key) !== flight) return;
      const { waiting } = flight;
      flight.waiting = undefined;
      this.#handOver(flight, task, input.value, timeoutMs, waiting ?? []);
    });
  }

  #handOver(
    { key, run }: Flight,
    task: TaskState,
    input: Payload,
    timeoutMs: Millis | undefined,
    mail: readonly string[],
  ): void {
    this.#deps.metrics.taskStartLatency((this.#deps.host.now() - task.readyAt) / 1000);
    const signals = signalsOf(run, task, mail);
    this.#deps.runner.start(assignmentOf(run, task, key, input, timeoutMs, signals));
  }

  /** An attempt that nobody runs yet has stopped at once. */
  #stop(key: string, request: StopRequest): void {
    if (this.#flights.get(key)?.waiting === undefined) return this.#deps.runner.stop(key, request);
    this.finish(key, { kind: "stopped" });
  }

  /**
   * An attempt whose worker may still run it after a restart of the daemon: waits for its worker, or is lost. Its input
   * was given before; what it could ask for again is what it may have missed.
   */
  adopt(run: RunState, task: TaskState): void {
    const { id: taskId, lease, attempt } = task;
    const key = attemptKey(run.id, taskId, lease);
    this.#flights.set(key, { key, run, runId: run.id, taskId, attempt, lease, progressAt: 0 });
    const isRunning = task.status === "RUNNING";
    const timeoutMs = isRunning ? this.#armTimeout(run, task, task.startedAt) : undefined;
    const signals = (task.mailbox ?? [])
      .filter(isUnadmittedMail)
      .map((e) => deliveredSignal(run, e));
    const { runner } = this.#deps;
    if (!runner.adopt(assignmentOf(run, task, key, NO_INPUT, timeoutMs, signals))) {
      const message = "the daemon restarted without a place for workers";
      return this.finish(key, { kind: "lost", reason: "WORKER_LOST", message, counted: false });
    }
    const interrupt = task.mailbox?.find(({ signal }) => signal === task.stopping)?.content;
    const graceMs = interrupt?.kind === "interrupt" ? interrupt.graceMs : STOP_GRACE_MS;
    if (!isRunning || interrupt !== undefined) {
      runner.stop(key, { reason: task.reason ?? "INTERRUPTED", graceMs });
    }
  }

  /** Sets the timer of an attempt that began at `at`; answers how long it may take. */
  #armTimeout(
    run: RunState,
    { id: task, lease, node }: TaskState,
    at: Instant,
  ): Millis | undefined {
    const timeoutMs = node.task.timeoutMs ?? this.#agentTimeoutMs(node.task.agent);
    if (timeoutMs === undefined) return undefined;
    this.arm(run.id, { type: "arm", timer: "attempt_timeout", task, lease, dueAt: at + timeoutMs });
    return timeoutMs;
  }

  #inputOf(run: RunState, task: TaskState): Evaluated<Payload> {
    const { guard } = this.#deps;
    const input = inputOf(run, task);
    if ("problem" in input) return input;
    const problem = guard.inputProblem(input.value);
    if (problem !== undefined) return { problem };
    // The run's own input was told of when the run was accepted, and a retry has nothing new to say.
    if (task.attempt === 1 && input.value !== run.request.input) {
      guard.warnIfLarge("input", input.value, { runId: run.id, task: task.id });
    }
    return input;
  }

  /** What the agent itself asks for, where the task is silent; never more than the longest timer. */
  #agentTimeoutMs(agent: string): Millis | undefined {
    const asked = this.#deps.runner.resolve(agent)?.timeoutMs;
    return asked === undefined ? undefined : Math.min(asked, this.#deps.guard.limits.timerMs);
  }

  #deliver(run: RunState, taskId: string, lease: number, signal: string): void {
    const task = findTask(run, taskId);
    const entry = task?.mailbox?.find((e) => e.signal === signal);
    if (task === undefined || entry === undefined || task.lease !== lease) return;
    const key = attemptKey(run.id, taskId, lease);
    const waiting = this.#flights.get(key)?.waiting;
    if (waiting !== undefined) waiting.push(signal);
    else this.#deps.runner.signal(key, deliveredSignal(run, entry));
  }
}

function assignmentOf(
  run: RunState,
  task: TaskState,
  key: string,
  input: Payload,
  timeoutMs: Millis | undefined,
  signals: readonly DeliveredSignal[],
): Assignment {
  const { request } = run;
  const shown = shownTo(task);
  return {
    key,
    runId: run.id,
    taskId: task.id,
    attempt: task.attempt,
    lease: task.lease,
    agent: task.node.task.agent,
    workflow: run.plan.definition.name,
    namespace: request.namespace,
    sessionId: request.sessionId,
    input,
    runInput: request.input,
    idempotencyKey: idempotencyKey(run.id, task.id),
    traceId: request.traceId,
    deadlineAt: timeoutMs === undefined ? undefined : task.startedAt + timeoutMs,
    heartbeatTimeoutMs: task.node.task.heartbeatTimeoutMs,
    lastCheckpoint: task.checkpoint,
    signals,
    ...(shown === undefined ? {} : { memories: shown.memories }),
    ...(task.worker === undefined ? NOT_WORKED : workedAssignment(task)),
  };
}

const NO_INPUT: Payload = { json: "null" };
const NOT_WORKED = {};

/** What only attempts of workers are told. */
function workedAssignment(task: TaskState): Pick<Assignment, "worker" | "earlier" | "deeds"> {
  const { worker, deeds, ended } = task;
  return {
    ...(worker === undefined ? {} : { worker }),
    earlier: ended,
    deeds,
  };
}

function isUnadmittedMail(entry: MailboxEntry): boolean {
  const { content, collected } = entry;
  return (
    isUnadmitted(entry) &&
    (content.kind === "steer" || (content.kind === "collect" && collected !== undefined))
  );
}

const NO_SIGNALS: readonly DeliveredSignal[] = [];

/** The state may be ahead of the commit that starts the attempt; what came later is not durable and not shown. */
function signalsOf(
  run: RunState,
  { mailbox }: TaskState,
  mail: readonly string[],
): readonly DeliveredSignal[] {
  if (mailbox === undefined || mail.length === 0) return NO_SIGNALS;
  return mailbox
    .filter(({ signal }) => mail.includes(signal))
    .map((entry) => deliveredSignal(run, entry));
}

function deliveredSignal(run: RunState, entry: MailboxEntry): DeliveredSignal {
  const { signal, content, collected } = entry;
  if (collected === undefined) return { signal, content };
  const parts = collected.finished.flatMap((id) => {
    const task = findTask(run, id);
    return task === undefined ? [] : [`${JSON.stringify(id)}:${payloadText(outputOf(run, task))}`];
  });
  const results: Payload = { json: `{${parts.join(",")}}` };
  return { signal, content, collected: { results, missing: collected.missing } };
}
