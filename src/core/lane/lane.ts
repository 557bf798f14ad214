/**
 * What a lane is: a bounded queue, a concurrency limit and a rate limiter, as data. `admission.ts` decides who enters,
 * `fair-queue.ts` in which order they leave, `bucket.ts` how fast. Occupancy is never stored apart from task states: a slot
 * is taken exactly while a task holds a lease.
 */
import type { Instant, Millis } from "../../base/time.ts";

/** What happens to a task that finds its lane full. */
export type Overflow =
  | { readonly kind: "block" }
  | { readonly kind: "drop"; readonly which: "newest" | "oldest" }
  | { readonly kind: "redirect"; readonly to: string };

/** Token bucket: `limit` starts per `perMs`, at most `burst` at once. */
export interface RateLimit {
  readonly limit: number;
  readonly perMs: Millis;
  readonly burst: number;
}

/** Settings of one lane. */
export interface LaneConfig {
  readonly name: string;
  /** Slots; tasks take `cost` of them. */
  readonly concurrency: number;
  /** Most tasks in the queue. Default 10,000. */
  readonly capacity: number;
  readonly rate?: RateLimit;
  readonly overflow: Overflow;
}

export const LANE_CAPACITY_DEFAULT = 10_000;

/** The lane of every task that names none, and of every task whose lane is gone after a restart. Always there. */
export const LANE_DEFAULT = "default";

/** How waiting tasks are ordered, the same in every lane; fixed until a restart, except for the weights. */
export interface LaneOrder {
  /** A priority that is passed over for this long gains one step. */
  readonly agingMs: Millis;
  /** Share of every session of a namespace. Namespaces not named here weigh 1. */
  readonly weights: { readonly [namespace: string]: number };
}

export const LANE_ORDER_DEFAULT: LaneOrder = { agingMs: 30_000, weights: {} };

/** Settings of all lanes. Lanes not named here do not exist, except `default`. */
export interface LanesConfig {
  /** The one lane every task passes. Its capacity and overflow are not used: named lanes queue. */
  readonly global: { readonly concurrency: number; readonly rate?: RateLimit };
  readonly named: readonly LaneConfig[];
  readonly session: {
    /** `run`: runs of one session go one at a time. `task`: only its tasks do. */
    readonly scope: "run" | "task";
    /** Scope `task` only: tasks of one session at once, whatever they cost. */
    readonly concurrency: number;
  };
  /** Default: {@link LANE_ORDER_DEFAULT}. */
  readonly order?: LaneOrder;
}

/** A lane's answer to a task that becomes ready. */
export type Verdict =
  | { readonly kind: "accepted"; readonly lane: string }
  | { readonly kind: "redirected"; readonly lane: string; readonly from: string }
  /** The task itself is given up. */
  | { readonly kind: "dropped"; readonly lane: string }
  /** It stays PENDING and is offered again when there is room. */
  | { readonly kind: "blocked"; readonly lane: string };

/** A lane as operators see it. */
export interface LaneStatus {
  readonly name: string;
  readonly kind: "global" | "named" | "session";
  readonly concurrency: number;
  readonly capacity: number;
  readonly overflow: Overflow;
  readonly rate: RateLimit | undefined;
  readonly paused: boolean;
  /** Slots taken, tasks queued, tasks blocked outside. For the session lane: runs (or tasks), runs waiting, 0. */
  readonly occupied: number;
  readonly queued: number;
  readonly blocked: number;
  /** Since when the oldest queued task waits. */
  readonly oldestSince: Instant | undefined;
  /** When the rate limiter opens, if it is what holds the lane. */
  readonly opensAt: Instant | undefined;
}
