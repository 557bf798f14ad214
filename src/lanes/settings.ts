/**
 * What may be set and changed in the lanes, and the refusals for everything else. Each refusal names the setting, its
 * value and what was expected, and is made before anything changes, so a refused reload leaves the lanes as they were.
 */
import { fault, refuse } from "../base/fault.ts";
import {
  checkLanes,
  checkNumber,
  LANE_GLOBAL,
  LANE_LIMITS,
  LANE_SESSION,
} from "../core/lane/admission.ts";
import {
  LANE_CAPACITY_DEFAULT,
  LANE_DEFAULT,
  LANE_ORDER_DEFAULT,
  type LaneConfig,
  type LanesConfig,
} from "../core/lane/lane.ts";
import type { Lane } from "./lane.ts";

/** What an operator may change in a lane while it works. */
export interface LaneSettings {
  readonly paused?: boolean;
  readonly concurrency?: number;
  readonly capacity?: number;
}

/** The named lanes of a configuration; `default` is as wide as the global lane when the configuration is silent. */
export function namedLanes(config: LanesConfig): readonly LaneConfig[] {
  if (config.named.some(({ name }) => name === LANE_DEFAULT)) return config.named;
  const standard: LaneConfig = {
    name: LANE_DEFAULT,
    concurrency: config.global.concurrency,
    capacity: LANE_CAPACITY_DEFAULT,
    overflow: { kind: "block" },
  };
  return [standard, ...config.named];
}

/** Throws `ARGUMENT_INVALID` or `LANE_UNKNOWN` for a configuration that could not work. */
export function refuseWrongConfig(config: LanesConfig): void {
  const problem = checkLanes(config);
  if (problem !== undefined) refuse(problem);
}

/** Throws `ARGUMENT_INVALID` for a value out of range, or a setting that this kind of lane does not have. */
export function refuseWrongSettings(lane: string, { concurrency, capacity }: LaneSettings): void {
  if (lane === LANE_SESSION) invalid("lane", `"${lane}"`, "a lane that can change while it works");
  if (lane === LANE_GLOBAL && capacity !== undefined) {
    invalid("capacity", String(capacity), "no capacity: tasks wait in their named lanes");
  }
  refuseNumber("concurrency", concurrency, LANE_LIMITS.slots);
  refuseNumber("capacity", capacity, LANE_LIMITS.capacity);
}

/** Throws `ARGUMENT_INVALID` for a change that running sessions and queues cannot follow. */
export function refuseNewUntilRestart(now: LanesConfig, wanted: LanesConfig): void {
  const fixed = ({ session, order }: LanesConfig): readonly [string, string | number][] => [
    ["lanes.session.scope", session.scope],
    ["lanes.session.concurrency", session.concurrency],
    ["lanes.order.agingMs", (order ?? LANE_ORDER_DEFAULT).agingMs],
  ];
  const before = new Map(fixed(now));
  for (const [field, value] of fixed(wanted)) {
    const current = before.get(field);
    if (current !== value) invalid(field, String(value), `${current} until the next restart`);
  }
}

/** Throws `LANE_IN_USE` when tasks wait in or before the lane, or hold its slots. */
export function refuseIfUsed(lane: Lane): void {
  if (lane.isEmpty) return;
  const waiting = lane.queued + lane.outside.size + lane.offered;
  refuse(fault("LANE_IN_USE", { lane: lane.name, waiting, occupied: lane.gate.occupied }));
}

function refuseNumber(field: string, value: number | undefined, max: number): void {
  const problem = value === undefined ? undefined : checkNumber({ field, value, min: 1, max });
  if (problem !== undefined) refuse(problem);
}

function invalid(field: string, value: string, expected: string): never {
  return refuse(fault("ARGUMENT_INVALID", { field, value, expected }));
}
