/**
 * Everything that runs outside the journal: which agents exist, which attempts are out, and the promise that each of
 * them ends exactly once. It stands above all transports and trusts none of them: late, foreign and repeated reports
 * are counted and dropped, a transport that stays silent after a stop is overruled, an attempt without a sign of life
 * is stopped. It decides nothing about tasks; what an end means for a task is the core's matter.
 */
import { assert } from "../base/assert.ts";
import { type Fault, fault, faultMessage } from "../base/fault.ts";
import { nearestName } from "../base/ids.ts";
import { PAYLOAD_MAX_BYTES, type Payload } from "../base/payload.ts";
import { type Instant, type Millis, TIMER_MAX_MS } from "../base/time.ts";
import { payloadExcess } from "../core/dag/limits.ts";
import type { Outcome } from "../core/run/message.ts";
import type { TaskState } from "../core/run/state.ts";
import type {
  AgentInfo,
  AgentTransport,
  Assignment,
  AttemptListener,
  DeliveredSignal,
  StopRequest,
} from "../ports/agent.ts";
import type { Host, TimerHandle } from "../ports/host.ts";
import type { Opening, Placement } from "../ports/placement.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import type { WorkerListener } from "../ports/worker.ts";
import { AgentRegistry, type AttemptCarrier, type RegisteredAgent } from "./agent-registry.ts";
import { type AttemptInput, type AttemptPhase, nextPhase } from "./attempt-machine.ts";
import { RecentDurations } from "./recent-durations.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface RuntimeOptions {
  /** How long after the end of a stop's grace a transport may still report. Default 1,000. */
  readonly silenceMs?: Millis;
  /** Grace of the stop that a missing heartbeat causes. Default 1,000. */
  readonly heartbeatGraceMs?: Millis;
  /** Largest output or checkpoint. Default 2 MiB. */
  readonly payloadBytes?: number;
  /** Longest wait that an agent may wish for before its next attempt; longer ones are cut. Default one year. */
  readonly timerMs?: Millis;
}

export interface RuntimeDeps {
  readonly host: Host;
  /** In order of precedence: the first to offer a name runs it. */
  readonly transports: readonly AgentTransport[];
  /** Workers outside of the process; agents of the transports come before theirs. */
  readonly workers?: WorkerPool;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** One attempt that has not ended. */
interface Flight {
  readonly key: string;
  readonly agent: string;
  /** Undefined for an unknown agent, whose failure is on its way. */
  readonly transport: AttemptCarrier | undefined;
  readonly startedMs: Millis;
  phase: AttemptPhase;
  heardAt: Instant;
  heartbeatLost: boolean;
  heartbeat: TimerHandle | undefined;
  overrule: TimerHandle | undefined;
  overruleAt: Instant;
}

const DEFAULTS: Required<RuntimeOptions> = {
  silenceMs: 1_000,
  heartbeatGraceMs: 1_000,
  payloadBytes: PAYLOAD_MAX_BYTES,
  timerMs: TIMER_MAX_MS,
};

/** Longest texts passed on, in UTF-16 units; longer ones are cut. */
const TEXT_MAX = { note: 1_024, log: 16_384, message: 4_096 };

export class Runtime implements Placement {
  readonly #options: Required<RuntimeOptions>;
  readonly #deps: RuntimeDeps;
  readonly #flights = new Map<string, Flight>();
  readonly #durations = new Map<string, RecentDurations>();
  #registry = new AgentRegistry([]);
  #reported = new Set<string>();
  #sink: WorkerListener | undefined;
  #onChange: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: RuntimeOptions, deps: RuntimeDeps) {
    this.#options = { ...DEFAULTS, ...options };
    this.#deps = deps;
  }

  /** Opens every transport in turn; `onChange` is called whenever the set of agents changes. */
  async open(
    sink: WorkerListener,
    onChange?: () => void,
    onRoom: () => void = () => {},
  ): Promise<void> {
    assert(this.#sink === undefined, "a runtime is opened once");
    this.#sink = sink;
    const { workers } = this.#deps;
    workers?.attach({
      listener: this.#gateOfWorkers(workers, sink),
      onChange: () => this.#refresh(),
      onRoom,
      localSource: (agent) => this.#localOf(agent)?.info.source,
      localNames: () => this.#registry.names(),
    });
    for (const transport of this.#deps.transports) {
      await transport.open(this.#gate(transport), () => this.#refresh());
    }
    this.#refresh();
    this.#onChange = onChange;
  }

  /** Loaded agents by name. */
  agents(): readonly AgentInfo[] {
    return this.#registry.agents;
  }

  /** Why agents that should be there are not. */
  problems(): readonly Fault[] {
    return this.#registry.problems;
  }

  has(name: string): boolean {
    return this.#registry.find(name) !== undefined;
  }

  resolve(name: string): AgentInfo | undefined {
    return this.#registry.find(name)?.info;
  }

  /** Median duration of the agent's latest successful attempts; undefined before the first. */
  expectedMs(agent: string): Millis | undefined {
    return this.#durations.get(agent)?.medianMs();
  }

  /** Attempts whose end has not been reported. */
  get inFlight(): number {
    return this.#flights.size;
  }

  /** Whether workers may connect and serve agents that nobody serves now. */
  get awaitsWorkers(): boolean {
    return this.#deps.workers !== undefined;
  }

  /** Workers with an open session, or that polled a moment ago. */
  get workersConnected(): number {
    const workers = this.#deps.workers?.workers() ?? [];
    return workers.filter(({ state }) => state !== "AWAY").length;
  }

  // Placement: agents of the daemon always have room.

  reserve(task: TaskState): string | undefined {
    const { workers } = this.#deps;
    if (workers === undefined || this.#localOf(task.node.task.agent) !== undefined)
      return undefined;
    return workers.reserve(task);
  }

  release(task: TaskState): void {
    this.#deps.workers?.release(task);
  }

  workerOf(task: TaskState): string | undefined {
    return this.#deps.workers?.workerOf(task);
  }

  openings(): readonly Opening[] {
    return this.#deps.workers?.openings() ?? NO_OPENINGS;
  }

  /** Why nobody could run this task now, in one sentence; undefined when somebody could. */
  explain(task: TaskState): string | undefined {
    const isLocal = this.#localOf(task.node.task.agent) !== undefined;
    return isLocal ? undefined : this.#deps.workers?.explain(task);
  }

  #localOf(agent: string): RegisteredAgent | undefined {
    const found = this.#registry.find(agent);
    return found?.transport === this.#deps.workers ? undefined : found;
  }

  /** Takes over an attempt that a worker got before a restart; false when there are no workers here. */
  adopt(assignment: Assignment): boolean {
    const { workers } = this.#deps;
    if (workers === undefined) return false;
    const flight = this.#newFlight(assignment, workers);
    this.#flights.set(flight.key, flight);
    workers.adopt(assignment);
    this.#handed(flight, assignment);
    return true;
  }

  /** Starts an attempt; its end always comes later, never from inside this call. */
  start(assignment: Assignment): void {
    const { key, agent, worker } = assignment;
    assert(!this.#flights.has(key), `attempt ${key} is already in flight`);
    const { host, workers } = this.#deps;
    const runs = worker === undefined ? this.#registry.find(agent)?.transport : workers;
    const flight = this.#newFlight(assignment, this.#closing === undefined ? runs : undefined);
    this.#flights.set(key, flight);
    if (flight.transport === undefined) {
      host.defer(() => this.#finish(flight, this.#notStarted(agent)));
      return;
    }
    this.#handOver(flight, flight.transport, assignment);
  }

  #newFlight({ key, agent }: Assignment, transport: AttemptCarrier | undefined): Flight {
    return {
      key,
      agent,
      transport,
      startedMs: this.#deps.host.elapsedMs(),
      phase: "PREPARED",
      heardAt: 0,
      heartbeatLost: false,
      heartbeat: undefined,
      overrule: undefined,
      overruleAt: Number.POSITIVE_INFINITY,
    };
  }

  /** Passes a signal on to a running attempt; ignored when it is over. */
  signal(key: string, signal: DeliveredSignal): void {
    const flight = this.#flights.get(key);
    if (flight !== undefined) this.#guard(flight, (transport) => transport.signal(key, signal));
  }

  /** Asks an attempt to stop; ignored when it is over. The end comes within the grace plus `silenceMs`. */
  stop(key: string, request: StopRequest): void {
    const flight = this.#flights.get(key);
    if (flight === undefined) return;
    this.#advance(flight, "stop");
    this.#armOverrule(flight, request.graceMs);
    this.#guard(flight, (transport) => transport.stop(key, request));
  }

  /** Closes every transport, ends what they leave behind as lost, and starts nothing any more. */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const closed = await Promise.allSettled(this.#carriers().map(async (one) => one.close()));
    for (const result of closed) {
      if (result.status === "rejected") {
        this.#deps.log.error({ error: describe(result.reason) }, "a transport did not close");
      }
    }
    for (const flight of [...this.#flights.values()]) this.#finish(flight, CLOSED);
  }

  #carriers(): readonly AttemptCarrier[] {
    const { transports, workers } = this.#deps;
    return workers === undefined ? transports : [...transports, workers];
  }

  #handOver(flight: Flight, transport: AttemptCarrier, assignment: Assignment): void {
    try {
      transport.start(assignment);
    } catch (error) {
      const message = `the ${transport.kind} transport could not start the attempt: ${describe(error)}`;
      this.#deps.host.defer(() =>
        this.#finish(flight, { kind: "failure", failure: "retryable", message }),
      );
      return;
    }
    this.#handed(flight, assignment);
  }

  #handed(flight: Flight, assignment: Assignment): void {
    this.#advance(flight, "handed");
    const { heartbeatTimeoutMs } = assignment;
    if (heartbeatTimeoutMs === undefined) return;
    flight.heardAt = this.#deps.host.now();
    this.#watch(flight, heartbeatTimeoutMs, heartbeatTimeoutMs);
  }

  /** Looks again when the timeout could have passed at the earliest: a beat costs no timer. */
  #watch(flight: Flight, timeoutMs: Millis, delayMs: Millis): void {
    flight.heartbeat = this.#deps.host.setTimer(delayMs, () => {
      const silentMs = this.#deps.host.now() - flight.heardAt;
      if (silentMs < timeoutMs) return this.#watch(flight, timeoutMs, timeoutMs - silentMs);
      flight.heartbeatLost = true;
      this.stop(flight.key, {
        reason: "HEARTBEAT_LOST",
        graceMs: this.#options.heartbeatGraceMs,
      });
    });
  }

  #armOverrule(flight: Flight, graceMs: Millis): void {
    const { host } = this.#deps;
    const delayMs = graceMs + this.#options.silenceMs;
    if (host.now() + delayMs >= flight.overruleAt) return;
    flight.overruleAt = host.now() + delayMs;
    flight.overrule?.cancel();
    flight.overrule = host.setTimer(delayMs, () => this.#finish(flight, DEAF));
  }

  /** What one transport talks to: it can reach only its own attempts. */
  #gate(transport: AttemptCarrier): AttemptListener {
    const heard = (key: string, pass: (flight: Flight, sink: WorkerListener) => void) =>
      this.#heard(transport, key, pass);
    return {
      progress: (key, percent, note) =>
        heard(key, (_, sink) => sink.progress(key, bounded(percent), cut(note, TEXT_MAX.note))),
      checkpoint: (key, data) => heard(key, (_, sink) => this.#checkpoint(sink, key, data)),
      beat: (key) => heard(key, (_, sink) => sink.beat(key)),
      log: (key, level, message) =>
        heard(key, (_, sink) => sink.log(key, level, cut(message, TEXT_MAX.log))),
      receipt: (key, signal, receipt) =>
        heard(key, (_, sink) => sink.receipt(key, signal, receipt)),
      output: (key, data, offset) => heard(key, (_, sink) => sink.output(key, data, offset)),
      recall: (key, wish, answer) => heard(key, (_, sink) => sink.recall(key, wish, answer)),
      finish: (key, outcome, settled) => {
        if (!this.#flights.has(key)) settled?.(false);
        heard(key, (flight) => this.#finish(flight, outcome, settled));
      },
    };
  }

  #gateOfWorkers(workers: WorkerPool, sink: WorkerListener): WorkerListener {
    return {
      ...this.#gate(workers),
      deeds: (key, deeds) => this.#heard(workers, key, () => sink.deeds(key, deeds)),
      late: (report, settled) => sink.late(report, settled),
    };
  }

  #heard(
    transport: AttemptCarrier,
    key: string,
    pass: (flight: Flight, sink: WorkerListener) => void,
  ): void {
    const flight = this.#flights.get(key);
    if (flight === undefined || flight.transport !== transport || this.#sink === undefined) {
      this.#deps.metrics.lateReport();
      return;
    }
    if (flight.phase === "PREPARED") {
      this.#deps.host.defer(() => this.#heard(transport, key, pass));
      return;
    }
    flight.heardAt = this.#deps.host.now();
    pass(flight, this.#sink);
  }

  #checkpoint(sink: AttemptListener, key: string, data: Uint8Array): void {
    const problem = this.#tooLarge("checkpoint", { mediaType: "", bytes: data });
    if (problem === undefined) return sink.checkpoint(key, data);
    sink.log(key, "error", problem);
  }

  /** The one place an attempt ends; a second call for it finds the table without an arrow. */
  #finish(flight: Flight, reported: Outcome, settled?: (isCommitted: boolean) => void): void {
    if (!this.#advance(flight, "finish")) return settled?.(false);
    this.#flights.delete(flight.key);
    flight.heartbeat?.cancel();
    flight.overrule?.cancel();
    const outcome = this.#judged(flight, reported);
    const durationMs = this.#deps.host.elapsedMs() - flight.startedMs;
    this.#deps.metrics.attemptEnded(flight.agent, durationMs / 1000);
    if (outcome.kind === "success") this.#recordDuration(flight.agent, durationMs);
    this.#sink?.finish(flight.key, outcome, settled);
  }

  /** A result in time is a result, even from an agent given up for silent; one that is too large is none. */
  #judged(flight: Flight, outcome: Outcome): Outcome {
    if (outcome.kind === "success") {
      const message = this.#tooLarge("output", outcome.output);
      return message === undefined ? outcome : { kind: "failure", failure: "invalid", message };
    }
    if (flight.heartbeatLost) {
      const message = "the agent gave no sign of life within its heartbeat timeout";
      return { kind: "lost", reason: "HEARTBEAT_LOST", message };
    }
    if (outcome.kind === "stopped" || outcome.kind === "returned") return outcome;
    const message = cut(outcome.message, TEXT_MAX.message);
    if (outcome.kind === "lost" || outcome.retryAfterMs === undefined)
      return { ...outcome, message };
    const retryAfterMs = within(outcome.retryAfterMs, this.#options.timerMs);
    return { ...outcome, message, retryAfterMs };
  }

  /** Why a payload is refused, or undefined. */
  #tooLarge(field: string, payload: Payload): string | undefined {
    const excess = payloadExcess(field, payload, this.#options);
    if (excess === undefined) return undefined;
    this.#deps.metrics.limitHit(excess.limit);
    return faultMessage(excess.fault);
  }

  #recordDuration(agent: string, durationMs: Millis): void {
    let durations = this.#durations.get(agent);
    if (durations === undefined) {
      durations = new RecentDurations();
      this.#durations.set(agent, durations);
    }
    durations.record(durationMs);
  }

  #notStarted(agent: string): Outcome {
    if (this.#closing !== undefined) return CLOSED;
    const nearest = nearestName(agent, this.#registry.names());
    // Retryable: a file that is being saved is missing for a moment.
    const message = faultMessage(fault("AGENT_UNKNOWN", { agent, nearest }));
    return { kind: "failure", failure: "retryable", message };
  }

  #advance(flight: Flight, input: AttemptInput): boolean {
    const next = nextPhase(flight.phase, input);
    if (next !== undefined) flight.phase = next;
    return next !== undefined;
  }

  /** Calls into a transport; one that throws is overruled when its time is up. */
  #guard(flight: Flight, call: (transport: AttemptCarrier) => void): void {
    if (flight.transport === undefined) return;
    try {
      call(flight.transport);
    } catch (error) {
      const { kind } = flight.transport;
      this.#deps.log.error(
        { attempt: flight.key, transport: kind, error: describe(error) },
        "a transport failed",
      );
    }
  }

  #refresh(): void {
    const { transports, workers } = this.#deps;
    this.#registry = new AgentRegistry(transports, workers);
    workers?.localChanged();
    const problems = this.#registry.problems.map((problem) => ({
      problem,
      text: faultMessage(problem),
    }));
    for (const { problem, text } of problems) {
      if (!this.#reported.has(text)) this.#deps.log.warn({ fault: problem.code }, text);
    }
    this.#reported = new Set(problems.map(({ text }) => text));
    this.#onChange?.();
  }
}

const NO_OPENINGS: readonly Opening[] = [];

const CLOSED: Outcome = {
  kind: "lost",
  reason: "WORKER_LOST",
  message: "the engine is shutting down",
};

const DEAF: Outcome = {
  kind: "lost",
  reason: "WORKER_LOST",
  message: "the agent did not answer a request to stop",
};

function bounded(percent: number): number {
  return Number.isFinite(percent) ? within(percent, 100) : 0;
}

/** A number from 0 to `max`; 0 for what is none, because one NaN in a due time would spread to engine time. */
function within(value: number, max: number): number {
  return Number.isNaN(value) ? 0 : Math.min(Math.max(value, 0), max);
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max - 1)}…`;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
