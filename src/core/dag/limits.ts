/**
 * What one daemon accepts of definitions and requests. The validator knows the largest numbers; a daemon may be set to
 * lower ones, and these are checked here, when a plan or a request is admitted. Runs that exist are never judged again. A
 * refusal names the field, its value, the limit, and the setting that could be raised.
 */
import { type Fault, fault, type Violation } from "../../base/fault.ts";
import { type Payload, sizeBeyond } from "../../base/payload.ts";
import { type Millis, TIMER_MAX_MS } from "../../base/time.ts";
import { utf8Length } from "../../base/utf8.ts";
import { DEFAULTS, DEFINITION_LIMITS, type RunRequest, type TaskDefinition } from "./definition.ts";
import type { Plan } from "./plan.ts";
import { fieldText, type Path } from "./violations.ts";

/** Bounds of a definition. */
export interface PlanLimits {
  readonly tasks: number;
  /** Dependencies of all tasks together. */
  readonly edges: number;
  /** Dependencies of one task. */
  readonly dependencies: number;
  /** Attempts a task may ask for. */
  readonly attempts: number;
  /** The definition as JSON that leaves defaults out. */
  readonly definitionBytes: number;
  /** Labels of a run or task. */
  readonly labels: number;
  /** One label's key or value. */
  readonly labelBytes: number;
  /** Longest timeout, deadline or wait. */
  readonly timerMs: Millis;
}

/** Bounds of single values, wherever they occur. */
export interface ValueLimits {
  readonly payloadBytes: number;
  readonly timerMs: Millis;
}

/** What a request to start a run is measured by. */
export type RequestLimits = ValueLimits & Pick<PlanLimits, "labels" | "labelBytes">;

/** The largest bounds, and the defaults. */
export const PLAN_LIMITS: PlanLimits = {
  tasks: DEFINITION_LIMITS.tasks,
  edges: DEFINITION_LIMITS.edges,
  dependencies: DEFINITION_LIMITS.deps,
  attempts: DEFINITION_LIMITS.attempts,
  definitionBytes: DEFINITION_LIMITS.fileBytes,
  labels: DEFINITION_LIMITS.labels,
  labelBytes: DEFINITION_LIMITS.labelBytes,
  timerMs: TIMER_MAX_MS,
};

/** A limit by its name in the configuration. */
export type LimitName = keyof (PlanLimits & ValueLimits);

/** A limit that was exceeded, and the refusal. */
export interface Excess {
  readonly limit: LimitName;
  readonly fault: Fault;
}

/** A violation of a limit. */
export interface LimitViolation extends Violation {
  readonly limit: LimitName;
}

type Labels = RunRequest["labels"];

/** Where a definition exceeds the limits, as many places as are ever reported. */
export function planViolations({ definition }: Plan, limits: PlanLimits): LimitViolation[] {
  const found: LimitViolation[] = [];
  const check = (limit: keyof PlanLimits, path: Path, value: number, unit: string): void => {
    if (value <= limits[limit] || found.length >= DEFINITION_LIMITS.violations) return;
    found.push({
      limit,
      field: fieldText(path),
      message: `${value} ${unit} exceed the limit of ${limits[limit]}`,
      remedy: `Make it smaller, or raise limits.${settingOf(limit)} in the daemon's configuration.`,
    });
  };
  const { tasks } = definition;
  const edges = tasks.reduce((sum, { deps }) => sum + deps.length, 0);
  check("definitionBytes", [], definitionSize(definition), "bytes");
  check("tasks", ["tasks"], tasks.length, "tasks");
  check("edges", ["tasks"], edges, "dependencies");
  for (const [index, task] of tasks.entries()) {
    const path = ["tasks", index];
    check("dependencies", [...path, "deps"], task.deps.length, "dependencies");
    check("attempts", [...path, "retry", "max_attempts"], task.retry.maxAttempts, "attempts");
    for (const [name, valueMs] of durationsOf(task)) {
      check("timerMs", [...path, name], valueMs, "milliseconds");
    }
    for (const { limit, key, value, unit } of labelSizes(task.labels)) {
      check(limit, [...path, "labels", ...key], value, unit);
    }
  }
  return found;
}

/** The first limit that a request to start a run exceeds, or undefined. */
export function requestExcess(
  request: Pick<RunRequest, "input" | "labels" | "deadlineMs">,
  limits: RequestLimits,
): Excess | undefined {
  return (
    labelExcess(request.labels, limits) ??
    payloadExcess("input", request.input, limits) ??
    durationExcess("deadline", request.deadlineMs, limits)
  );
}

function labelExcess(labels: Labels, limits: RequestLimits): Excess | undefined {
  for (const { limit, key, value, unit } of labelSizes(labels)) {
    if (value > limits[limit]) {
      return excess(limit, fieldText(["labels", ...key]), value, limits[limit], unit);
    }
  }
  return undefined;
}

/** The refusal of a payload that is too large; undefined for one that fits, and for none. */
export function payloadExcess(
  field: string,
  payload: Payload | undefined,
  { payloadBytes }: Pick<ValueLimits, "payloadBytes">,
): Excess | undefined {
  const size = payload === undefined ? undefined : sizeBeyond(payload, payloadBytes);
  return size === undefined
    ? undefined
    : excess("payloadBytes", field, size, payloadBytes, "bytes");
}

/** The refusal of a duration that is too long; undefined for one that fits, and for none. */
export function durationExcess(
  field: string,
  durationMs: Millis | undefined,
  { timerMs }: Pick<ValueLimits, "timerMs">,
): Excess | undefined {
  return durationMs === undefined || durationMs <= timerMs
    ? undefined
    : excess("timerMs", field, durationMs, timerMs, "milliseconds");
}

function excess(limit: LimitName, field: string, value: number, max: number, unit: string): Excess {
  return { limit, fault: fault("LIMIT_EXCEEDED", { field, value, limit: max, unit }) };
}

/** How files spell a setting: a duration carries its unit itself. */
function settingOf(limit: LimitName): string {
  return limit.endsWith("Ms") ? limit.slice(0, -2) : limit;
}

/** How many labels there are, and how long each key and value is. */
function labelSizes(labels: Labels) {
  const sizes: LabelSize[] = [];
  for (const key in labels) {
    const value = Math.max(utf8Length(key), utf8Length(labels[key] ?? ""));
    sizes.push({ limit: "labelBytes", key: [key], value, unit: "bytes" });
  }
  if (sizes.length > 0)
    sizes.unshift({ limit: "labels", key: [], value: sizes.length, unit: "labels" });
  return sizes;
}

interface LabelSize {
  readonly limit: "labels" | "labelBytes";
  readonly key: readonly string[];
  readonly value: number;
  readonly unit: string;
}

/** The durations a task asks for. Of its retries the longest wait they can come to, not a maximum they never reach. */
function durationsOf({
  timeoutMs = 0,
  deadlineMs = 0,
  heartbeatTimeoutMs = 0,
  retry,
}: TaskDefinition): readonly [field: string, valueMs: Millis][] {
  const doubled = retry.maxAttempts < 2 ? 0 : retry.backoffMs * 2 ** (retry.maxAttempts - 2);
  return [
    ["timeout", timeoutMs],
    ["deadline", deadlineMs],
    ["heartbeat_timeout", heartbeatTimeoutMs],
    ["retry", Math.min(doubled, retry.maxBackoffMs)],
  ];
}

/** What the validator fills in, as JSON. */
const TASK_DEFAULTS = textsOf({
  deps: [],
  lane: DEFAULTS.lane,
  priority: 0,
  cost: 1,
  onError: { kind: "fail" },
  labels: {},
});
const RETRY_DEFAULTS = textsOf(DEFAULTS.retry);

/** Bytes of a definition as its author could have written it in JSON: without what is filled in. */
function definitionSize({ tasks, ...rest }: Plan["definition"]): number {
  let bytes = writtenBytes(rest, {});
  for (const task of tasks) {
    bytes += 3 + writtenBytes({ ...task, retry: undefined }, TASK_DEFAULTS);
    bytes += writtenBytes(task.retry, RETRY_DEFAULTS);
  }
  return bytes;
}

/** Bytes of the fields that differ from their defaults, with their names and punctuation. */
function writtenBytes(fields: object, defaults: { readonly [field: string]: string }): number {
  let bytes = 0;
  for (const [field, value] of Object.entries(fields)) {
    const text = value === undefined ? undefined : JSON.stringify(value);
    if (text === undefined || text === defaults[field]) continue;
    bytes += field.length + 4 + utf8Length(text);
  }
  return bytes;
}

function textsOf(fields: object): { readonly [field: string]: string } {
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [field, JSON.stringify(value)]),
  );
}
