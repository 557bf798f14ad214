/**
 * What goes wrong in one simulation, and how small everything is: drawn from the seed before anything happens, and
 * printed first. Small limits are faults too, because they make the rare branches common. Nothing else in the simulator
 * decides how likely a fault is.
 */
import { type Prng, prng } from "../../src/base/hash.ts";
import type { LanesConfig } from "../../src/core/lane/lane.ts";

/** How an agent behaves in one attempt; the number is its share of all attempts. */
export const BEHAVIOURS = [
  /** Returns a result. */
  "answer",
  /** Fails in a way that is tried again. */
  "fail",
  /** Fails for good. */
  "refuse",
  /** Asks to be called later. */
  "throttle",
  /** Says nothing for twenty minutes. */
  "silent",
  /** Ends twice, with different results. */
  "duplicate",
  /** Does not listen to stop. */
  "deaf",
  /** Answers from inside `start`. */
  "eager",
  /** Cannot be started. */
  "throw",
  /** Talks about attempts that are not its own, then answers. */
  "lie",
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

/** The resolved configuration of a simulation. */
export interface Faults {
  readonly seed: number;
  /** Chances per step. */
  readonly crash: number;
  readonly restart: number;
  readonly syncFailure: number;
  readonly laneChange: number;
  readonly clientAction: number;
  /** Longest ordinary sync, and how often one takes up to `stallMs` instead. */
  readonly syncMs: number;
  readonly stall: number;
  readonly stallMs: number;
  /** Clock of a new process against the true time, up to this much ahead. */
  readonly skewMs: number;
  readonly timerLateMs: number;
  /** How often a client does not hear an answer. */
  readonly lostAnswer: number;
  /** How often agents of the second transport are missing after a restart. */
  readonly missingAgents: number;
  readonly agents: Readonly<Record<Behaviour, number>>;
  readonly lanes: LanesConfig;
  readonly engine: {
    readonly batchMax: number;
    readonly inFlightMax: number;
    readonly snapshotEvery: number;
    readonly limits: {
      readonly commands: number;
      readonly historyEvents: number;
      readonly taskSignals: number;
    };
  };
  readonly watchBufferBytes: number;
  readonly openRunsMax: number;
}

/** Draws a configuration. */
export function drawFaults(seed: number): Faults {
  const random = prng(seed ^ 0x5f375a86);
  const share = (max: number): number => (random() < 0.3 ? 0 : Number((random() * max).toFixed(4)));
  const one = <T>(...options: readonly T[]): T =>
    options[Math.floor(random() * options.length)] as T;
  return {
    seed,
    crash: share(0.01),
    restart: share(0.003),
    syncFailure: share(0.004),
    laneChange: share(0.01),
    clientAction: 0.02 + Number((random() * 0.1).toFixed(4)),
    syncMs: one(0, 1, 3, 10),
    stall: share(0.05),
    stallMs: one(50, 500, 3_000),
    skewMs: one(0, 0, 1_000, 60_000),
    timerLateMs: one(0, 0, 5, 40),
    lostAnswer: share(0.3),
    missingAgents: share(0.3),
    agents: {
      answer: 4 + Math.floor(random() * 8),
      fail: one(0, 1, 2, 4),
      refuse: one(0, 0, 1),
      throttle: one(0, 1),
      silent: one(0, 0, 1),
      duplicate: one(0, 1, 2),
      deaf: one(0, 1, 2),
      eager: one(0, 1),
      throw: one(0, 0, 1),
      lie: one(0, 1, 2),
    },
    lanes: drawLanes(random),
    engine: {
      batchMax: one(1, 3, 50, 2_000),
      inFlightMax: one(1, 2, 4),
      snapshotEvery: one(5, 30, 2_000),
      limits: {
        commands: one(4, 100, 10_000),
        historyEvents: one(150, 50_000, 50_000),
        taskSignals: one(2, 16),
      },
    },
    watchBufferBytes: one(200, 2_000, 65_536),
    openRunsMax: one(4, 12, 30),
  };
}

/** Lanes of every overflow, all of them tiny. */
function drawLanes(random: Prng): LanesConfig {
  const upTo = (max: number): number => 1 + Math.floor(random() * max);
  const rated = { limit: upTo(20), perMs: 1_000, burst: upTo(3) };
  return {
    global: { concurrency: upTo(12) + 1 },
    named: [
      { name: "io", concurrency: upTo(6), capacity: upTo(3), overflow: { kind: "block" } },
      {
        name: "cpu",
        concurrency: upTo(4),
        capacity: 8 + upTo(20),
        overflow: { kind: "drop", which: "newest" },
      },
      {
        name: "feed",
        concurrency: upTo(3),
        capacity: 4 + upTo(10),
        overflow: { kind: "drop", which: "oldest" },
      },
      {
        name: "burst",
        concurrency: upTo(2),
        capacity: upTo(2),
        overflow: { kind: "redirect", to: "io" },
      },
      {
        name: "rated",
        concurrency: upTo(4),
        capacity: 1_000,
        rate: rated,
        overflow: { kind: "block" },
      },
    ],
    session: { scope: random() < 0.6 ? "run" : "task", concurrency: upTo(2) },
    order: { agingMs: [50, 30_000][Math.floor(random() * 2)] as number, weights: {} },
  };
}

/** Nothing goes wrong any more: what is left must come to an end. */
export const CALM = {
  crash: 0,
  restart: 0,
  syncFailure: 0,
  laneChange: 0,
  clientAction: 0,
  stall: 0,
  lostAnswer: 0,
  missingAgents: 0,
} as const satisfies Partial<Faults>;
