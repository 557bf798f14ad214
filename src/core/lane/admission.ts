/**
 * Who enters a lane. `admit` follows the overflow rules from the lane a task names to a verdict; it reads whether
 * there is room and changes nothing, so a verdict never waits, and it never looks at rate limits, so a task that is
 * dropped has cost no token. `checkLanes` refuses settings under which `admit` could not end: unknown redirect targets,
 * cycles, chains that are too long.
 */
import { assert, unreachable } from "../../base/assert.ts";
import { type Fault, fault } from "../../base/fault.ts";
import { isName, nearestName } from "../../base/ids.ts";
import {
  LANE_DEFAULT,
  type LanesConfig,
  type Overflow,
  type RateLimit,
  type Verdict,
} from "./lane.ts";

/** Most lanes a task may be redirected through. */
export const REDIRECT_HOPS_MAX = 16;

/** Limits of lane settings. */
export const LANE_LIMITS = {
  slots: 1_000_000,
  capacity: 10_000_000,
  rate: 1_000_000_000,
  dayMs: 86_400_000,
} as const;

/** Names that address the other kinds of lanes; no named lane may have them. */
export const LANE_GLOBAL = "global";
export const LANE_SESSION = "session";

/** What admission needs to know about a lane. */
export interface LaneRoom {
  readonly room: boolean;
  readonly overflow: Overflow;
}

/** The verdict for a task that names the lane `wanted`; `look` knows every lane that a valid configuration names. */
export function admit(wanted: string, look: (lane: string) => LaneRoom): Verdict {
  let lane = wanted;
  for (let hops = 0; hops <= REDIRECT_HOPS_MAX; hops++) {
    const { room, overflow } = look(lane);
    if (room) return entered(lane, wanted);
    switch (overflow.kind) {
      case "block":
        return { kind: "blocked", lane };
      case "drop":
        return overflow.which === "oldest" ? entered(lane, wanted) : { kind: "dropped", lane };
      case "redirect":
        lane = overflow.to;
        break;
      default:
        unreachable(overflow);
    }
  }
  assert(false, `redirects from lane ${wanted} do not end`);
}

function entered(lane: string, wanted: string): Verdict {
  return lane === wanted ? { kind: "accepted", lane } : { kind: "redirected", lane, from: wanted };
}

/** The first thing that is wrong with the settings of the lanes, or `undefined`. */
export function checkLanes(config: LanesConfig): Fault | undefined {
  return (
    firstFault(numberRules(config).map(checkNumber)) ?? checkNames(config) ?? checkRedirects(config)
  );
}

interface NumberRule {
  readonly field: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  /** Whether fractions are fine. */
  readonly fraction?: true;
}

function numberRules(config: LanesConfig): NumberRule[] {
  const { slots, capacity } = LANE_LIMITS;
  const rules: NumberRule[] = [
    { field: "lanes.global.concurrency", value: config.global.concurrency, min: 1, max: slots },
    { field: "lanes.session.concurrency", value: config.session.concurrency, min: 1, max: slots },
    ...rateRules("lanes.global.rate", config.global.rate),
  ];
  for (const lane of config.named) {
    const field = `lanes.named[${lane.name}]`;
    rules.push(
      { field: `${field}.concurrency`, value: lane.concurrency, min: 1, max: slots },
      { field: `${field}.capacity`, value: lane.capacity, min: 1, max: capacity },
      ...rateRules(`${field}.rate`, lane.rate),
    );
  }
  if (config.order !== undefined) {
    const { agingMs, weights } = config.order;
    const { dayMs: max } = LANE_LIMITS;
    rules.push({ field: "lanes.order.agingMs", value: agingMs, min: 1, max, fraction: true });
    for (const [namespace, value] of Object.entries(weights)) {
      const field = `lanes.order.weights[${namespace}]`;
      rules.push({ field, value, min: 0.001, max: 1_000, fraction: true });
    }
  }
  return rules;
}

function rateRules(field: string, rate: RateLimit | undefined): NumberRule[] {
  if (rate === undefined) return [];
  const { rate: max, dayMs } = LANE_LIMITS;
  return [
    { field: `${field}.limit`, value: rate.limit, min: 1, max },
    { field: `${field}.perMs`, value: rate.perMs, min: 1, max: dayMs, fraction: true },
    { field: `${field}.burst`, value: rate.burst, min: 1, max },
  ];
}

/** Checks one number of a lane's settings. */
export function checkNumber(rule: NumberRule): Fault | undefined {
  const { field, value, min, max, fraction } = rule;
  if (value >= min && value <= max && (fraction === true || Number.isInteger(value)))
    return undefined;
  const kind = fraction === true ? "a number" : "a whole number";
  return fault("ARGUMENT_INVALID", {
    field,
    value: String(value),
    expected: `${kind} from ${min} to ${max}`,
  });
}

function firstFault(faults: readonly (Fault | undefined)[]): Fault | undefined {
  return faults.find((found) => found !== undefined);
}

function checkNames(config: LanesConfig): Fault | undefined {
  const seen = new Set<string>();
  for (const { name } of config.named) {
    const reserved = name === LANE_GLOBAL || name === LANE_SESSION;
    if (!isName(name) || reserved || seen.has(name)) {
      return fault("ARGUMENT_INVALID", {
        field: "lanes.named",
        value: `lane "${name}"`,
        expected: `one lane per name, not "${LANE_GLOBAL}" or "${LANE_SESSION}", of letters, digits, "_", "." and "-"`,
      });
    }
    seen.add(name);
  }
  return undefined;
}

/** Follows the redirects from every lane: each must reach a lane that keeps, blocks or drops its tasks. */
function checkRedirects(config: LanesConfig): Fault | undefined {
  const overflows = new Map<string, Overflow>([[LANE_DEFAULT, { kind: "block" }]]);
  for (const lane of config.named) overflows.set(lane.name, lane.overflow);
  return firstFault(config.named.map(({ name }) => checkChain(name, overflows)));
}

function checkChain(start: string, overflows: ReadonlyMap<string, Overflow>): Fault | undefined {
  const path = [start];
  for (let next = overflows.get(start); next?.kind === "redirect"; next = overflows.get(next.to)) {
    if (!overflows.has(next.to)) {
      return fault("LANE_UNKNOWN", {
        lane: next.to,
        nearest: nearestName(next.to, overflows.keys()),
      });
    }
    const cycle = path.includes(next.to);
    path.push(next.to);
    if (cycle || path.length > REDIRECT_HOPS_MAX + 1) {
      return fault("ARGUMENT_INVALID", {
        field: `lanes.named[${start}].overflow`,
        value: path.join(" → "),
        expected: `redirects without a cycle, through at most ${REDIRECT_HOPS_MAX} lanes`,
      });
    }
  }
  return undefined;
}
