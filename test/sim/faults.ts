/**
 * What goes wrong in one simulation, and how small everything is: drawn from the seed before anything happens, and
 * printed first. Small limits are faults too, because they make the rare branches common. Nothing else in the simulator
 * decides how likely a fault is.
 */
import { type Prng, prng } from "../../src/base/hash.ts";
import type { LanesConfig } from "../../src/core/lane/lane.ts";
import type { RetentionRules } from "../../src/ports/journal.ts";

/** How an agent behaves in one attempt. */
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
  /** Says what no agent should: numbers that are none, texts without end, receipts for signals that never were. */
  "garbage",
  /** Returns, or saves, more than is allowed. */
  "oversize",
] as const;
export type Behaviour = (typeof BEHAVIOURS)[number];

/** What happens from outside, in the order in which it happens within one tick. */
export const HAPPENINGS = [
  /** A client wants something. */
  "client",
  /** `kill -9`. */
  "crash",
  /** SIGTERM, and a start. */
  "restart",
  /** The next sync fails with EIO. */
  "sync_failure",
  /** The disk is full until a crash after which there is room again. */
  "disk_full",
  /** The next sync takes long. */
  "stall",
  /** An operator pauses or resizes a lane. */
  "lane",
  /** The process stands still while time goes on (SIGSTOP, a frozen machine). */
  "pause",
  /** The wall clock jumps, by up to a day, either way. */
  "clock",
  /** The event bus is away for a while. */
  "bus_down",
  /** The next answers of the event bus take long. */
  "bus_slow",
  /** The event bus takes messages and its answer is lost. */
  "bus_lost_ack",
  /** Ended runs beyond the rules are deleted. */
  "retention",
  /** A bit of a copy of the disk flips; the copy is read. */
  "rot",
] as const;
export type HappeningKind = (typeof HAPPENINGS)[number];

/** Happenings that are no faults. */
export const ORDINARY: ReadonlySet<HappeningKind> = new Set(["client", "retention"]);

/** The resolved configuration of a simulation. */
export interface Faults {
  readonly seed: number;
  /** Chances per tick. */
  readonly chances: Readonly<Record<HappeningKind, number>>;
  /** Longest ordinary sync, and the longest stall. */
  readonly syncMs: number;
  readonly stallMs: number;
  /** Clock of a new process against the one before, up to this much either way. */
  readonly skewMs: number;
  readonly timerLateMs: number;
  readonly pauseMs: number;
  /** How often a client does not hear an answer. */
  readonly lostAnswer: number;
  /** How often agents of the second transport are missing after a restart. */
  readonly missingAgents: number;
  /** Shares of behaviours in all attempts. */
  readonly agents: Readonly<Record<Behaviour, number>>;
  readonly lanes: LanesConfig;
  readonly engine: {
    readonly batchMax: number;
    readonly inFlightMax: number;
    readonly snapshotEvery: number;
    readonly trimsHistory: boolean;
    readonly limits: {
      readonly commands: number;
      readonly historyEvents: number;
      readonly taskSignals: number;
    };
  };
  /** Largest output or checkpoint. */
  readonly payloadBytes: number;
  readonly watchBufferBytes: number;
  readonly openRunsMax: number;
  /** Runs that may stand still and stay awake. */
  readonly awakeMost: number;
  readonly retention: RetentionRules;
  readonly bus: {
    readonly isConfigured: boolean;
    readonly pageRecords: number;
    readonly batchEvents: number;
  };
}

/** Draws a configuration. */
export function drawFaults(seed: number): Faults {
  const random = prng(seed ^ 0x5f375a86);
  const share = (max: number): number => (random() < 0.3 ? 0 : Number((random() * max).toFixed(4)));
  const one = <T>(...options: readonly T[]): T =>
    options[Math.floor(random() * options.length)] as T;
  return {
    seed,
    chances: {
      client: 0.04 + Number((random() * 0.1).toFixed(4)),
      crash: share(0.012),
      restart: share(0.005),
      sync_failure: share(0.006),
      disk_full: share(0.004),
      stall: share(0.05),
      lane: share(0.02),
      pause: share(0.01),
      clock: share(0.01),
      bus_down: share(0.01),
      bus_slow: share(0.02),
      bus_lost_ack: share(0.02),
      retention: share(0.01),
      rot: share(0.004),
    },
    syncMs: one(0, 1, 3, 10),
    stallMs: one(50, 500, 3_000),
    skewMs: one(0, 0, 1_000, 60_000),
    timerLateMs: one(0, 0, 5, 40),
    pauseMs: one(100, 5_000, 30_000),
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
      garbage: one(0, 1, 2),
      oversize: one(0, 0, 1),
    },
    lanes: drawLanes(random),
    engine: {
      batchMax: one(1, 3, 50, 2_000),
      inFlightMax: one(1, 2, 4),
      snapshotEvery: one(5, 30, 2_000),
      trimsHistory: random() < 0.5,
      limits: {
        commands: one(4, 100, 10_000),
        historyEvents: one(150, 50_000, 50_000),
        taskSignals: one(2, 16),
      },
    },
    payloadBytes: one(2_000, 40_000),
    watchBufferBytes: one(200, 2_000, 65_536),
    openRunsMax: one(4, 12, 30),
    retention: one<RetentionRules>(
      {},
      { maxCount: 3 },
      { maxCount: 20 },
      { maxAgeMs: 5_000 },
      { maxBytes: 20_000 },
    ),
    bus: { isConfigured: random() < 0.7, pageRecords: one(1, 5, 500), batchEvents: one(1, 7, 500) },
    awakeMost: one(0, 0, 2, 8_192),
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
