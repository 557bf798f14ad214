/**
 * Every limit of one engine, by the names of the configuration, and the one place that refuses what exceeds them and
 * counts it. What is admitted is judged before anything is written; runs that exist keep what they have, also when a
 * limit was lowered since.
 */
import { type Fault, FaultError, fault, refuse } from "../base/fault.ts";
import type { RunId, TaskId } from "../base/ids.ts";
import { PAYLOAD_MAX_BYTES, type Payload, sizeBeyond } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";
import {
  durationExcess,
  type Excess,
  type LimitViolation,
  PLAN_LIMITS,
  type PlanLimits,
  planViolations,
  type RequestLimits,
  requestExcess,
} from "../core/dag/limits.ts";
import type { Plan } from "../core/dag/plan.ts";
import { signalExcess } from "../core/run/decide-signal.ts";
import { historyExcess, RUN_LIMITS, type RunLimits } from "../core/run/limits.ts";
import type { Event, SignalContent } from "../core/run/message.ts";
import type { RunState } from "../core/run/state.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";

/** Bounds of what callers can make an engine hold. */
export interface EngineLimits extends PlanLimits, RunLimits, RequestLimits {
  /** Commands waiting for the engine; internal ones (reports, timers) are never refused. */
  readonly commands: number;
  /** One input or output. */
  readonly payloadBytes: number;
  /** Inputs and outputs larger than this are logged. */
  readonly payloadWarnBytes: number;
  /** Tasks of all open runs that are not terminal. */
  readonly pendingTasks: number;
}

/** The largest limits, and the defaults. */
export const ENGINE_LIMITS: EngineLimits = {
  ...PLAN_LIMITS,
  ...RUN_LIMITS,
  commands: 10_000,
  payloadBytes: PAYLOAD_MAX_BYTES,
  payloadWarnBytes: 256 * 1024,
  pendingTasks: 2_000_000,
};

/** Refuses what exceeds the limits of an engine, and counts it. */
export class LimitGuard {
  readonly limits: EngineLimits;
  readonly #metrics: Pick<Metrics, "limitHit">;
  readonly #log: Pick<Logger, "warn">;
  readonly #judged = new WeakMap<Plan, readonly LimitViolation[]>();

  constructor(
    limits: EngineLimits,
    deps: { readonly metrics: Pick<Metrics, "limitHit">; readonly log: Pick<Logger, "warn"> },
  ) {
    this.limits = limits;
    this.#metrics = deps.metrics;
    this.#log = deps.log;
  }

  /** Throws `DEFINITION_INVALID` naming every place where the definition exceeds a limit. */
  checkPlan(plan: Plan): void {
    const violations = this.#violationsOf(plan);
    if (violations.length === 0) return;
    for (const limit of new Set(violations.map(({ limit }) => limit)))
      this.#metrics.limitHit(limit);
    refuse(fault("DEFINITION_INVALID", { name: plan.definition.name, violations }));
  }

  /** Throws `LIMIT_EXCEEDED` for labels, an input or a deadline beyond the limits. */
  checkRequest(request: Parameters<typeof requestExcess>[0]): void {
    this.#refuse(requestExcess(request, this.limits));
  }

  /** Throws `LIMIT_EXCEEDED` for a payload or a duration of the signal beyond the limits. */
  checkSignal(content: SignalContent): void {
    this.#refuse(signalExcess(content, this.limits));
  }

  /** Throws `LIMIT_EXCEEDED` for a duration beyond the longest timer. */
  checkDuration(field: string, durationMs: Millis | undefined): void {
    this.#refuse(durationExcess(field, durationMs, this.limits));
  }

  /** Throws `ENGINE_OVERLOADED` when `value` is more than the engine takes now. */
  checkLoad(limit: "commands" | "pendingTasks", value: number): void {
    const max = this.limits[limit];
    if (value <= max) return;
    this.#metrics.limitHit(limit);
    const { what, retryAfterMs } = LOADS[limit];
    refuse(fault("ENGINE_OVERLOADED", { what, limit: max, retryAfterMs }));
  }

  /** What is wrong with the input of an attempt that is too large, or undefined. */
  inputProblem(input: Payload): string | undefined {
    const { payloadBytes } = this.limits;
    const size = sizeBeyond(input, payloadBytes);
    if (size === undefined) return undefined;
    this.#metrics.limitHit("payloadBytes");
    return `${size} bytes exceed the limit of ${payloadBytes}`;
  }

  /** Logs an input or output that is legal and yet so large that somebody should know. */
  warnIfLarge(what: "input" | "output", payload: Payload, of: LargePayload): void {
    const bytes = sizeBeyond(payload, this.limits.payloadWarnBytes);
    if (bytes !== undefined) this.#log.warn({ ...of, bytes }, `an ${what} is large`);
  }

  /** Counts a refusal that the core has decided. */
  countFault(of: Fault): void {
    if (of.code !== "SIGNAL_MAILBOX_FULL") return;
    this.#metrics.limitHit(of.of === "run" ? "runSignals" : "taskSignals");
  }

  /** Counts the limit that an event tells of. */
  countEvent(event: Event, run: RunState): void {
    if (!("reason" in event) || event.reason !== "LIMIT_EXCEEDED") return;
    if (event.type === "task_failed") this.#metrics.limitHit("tasks");
    if (event.type === "run_ending" && event.task === undefined) {
      this.#metrics.limitHit(historyExcess(run, this.limits) ?? "historyEvents");
    }
  }

  #violationsOf(plan: Plan): readonly LimitViolation[] {
    const known = this.#judged.get(plan);
    if (known !== undefined) return known;
    const violations = planViolations(plan, this.limits);
    this.#judged.set(plan, violations);
    return violations;
  }

  #refuse(excess: Excess | undefined): void {
    if (excess === undefined) return;
    this.#metrics.limitHit(excess.limit);
    throw new FaultError(excess.fault);
  }
}

/** Whose payload it is. */
interface LargePayload {
  readonly runId: RunId;
  readonly task?: TaskId;
}

const LOADS = {
  commands: { what: "the mailbox", retryAfterMs: 100 },
  pendingTasks: { what: "pending tasks", retryAfterMs: 1_000 },
} as const;
