/**
 * Every metric of the daemon: name, kind, labels, buckets and what it means. This is the one place where a metric is
 * declared; the adapter registers what is written here and docs/metrics.md is printed from it. Names carry their unit,
 * durations are seconds, and label sets are closed: nothing a client can invent becomes a label of its own accord.
 */
import type { GaugeName } from "../ports/telemetry.ts";

/** One metric family. */
export interface MetricDeclaration {
  readonly kind: "counter" | "histogram" | "gauge";
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, histograms only. */
  readonly buckets?: readonly number[];
}

/** Waits inside the engine, from a tenth of a millisecond to the minute in which somebody should have looked. */
const WAIT_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
  30, 60,
];

/** Agents: from a function that returns at once to a model that thinks for an hour. */
const WORK_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600];

const BATCH_EVENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

const counter = (help: string, labels: readonly string[] = []) =>
  ({ kind: "counter", help, labels }) satisfies MetricDeclaration;
const histogram = (help: string, buckets: readonly number[], labels: readonly string[] = []) =>
  ({ kind: "histogram", help, labels, buckets }) satisfies MetricDeclaration;
const gauge = (help: string, labels: readonly string[] = []) =>
  ({ kind: "gauge", help, labels }) satisfies MetricDeclaration;

/** Counted when it happens. */
export const COUNTERS = {
  goclaw_tasks_total: counter("Tasks that reached a terminal state", ["state", "reason"]),
  goclaw_runs_total: counter("Runs that reached a terminal state", ["state"]),
  goclaw_lane_outcomes_total: counter("What lanes did with tasks that asked for a place", [
    "lane",
    "outcome",
  ]),
  goclaw_retries_total: counter("Attempts that will be tried again", ["reason"]),
  goclaw_limit_hits_total: counter("Times a limit of the configuration was hit, by its name", [
    "limit",
  ]),
  goclaw_watchers_cut_off_total: counter("Watchers cut off because they read too slowly"),
  goclaw_late_reports_total: counter("Reports of attempts that were already over, all ignored"),
  goclaw_bus_published_total: counter("Events accepted by the event bus"),
  goclaw_memorized_total: counter("Things agents wanted remembered, by what became of them", [
    "outcome",
  ]),
  goclaw_memories_forgotten_total: counter(
    "Memories that fell dormant (`weak`), were deleted when their time was over, or on request",
    ["reason"],
  ),
} as const;

/** Measured when it happens. */
export const HISTOGRAMS = {
  goclaw_lane_wait_duration_seconds: histogram(
    "Time from entering a lane to leaving it",
    WAIT_SECONDS,
    ["lane"],
  ),
  goclaw_task_start_latency_seconds: histogram(
    "Time from a task's acceptance by its lane to its agent",
    WAIT_SECONDS,
  ),
  goclaw_attempt_duration_seconds: histogram("Time an attempt ran", WORK_SECONDS, ["agent"]),
  goclaw_journal_commit_seconds: histogram(
    "Time from handing a commit to the journal to durable",
    WAIT_SECONDS,
  ),
  goclaw_journal_batch_events: histogram("Events in one commit", BATCH_EVENTS),
  goclaw_memory_retrieve_seconds: histogram("Time to answer a question to a memory", WAIT_SECONDS),
} as const;

/** Set once, at the end of recovery. */
export const FACTS = {
  goclaw_recovery_seconds: gauge("How long the last start took to recover"),
  goclaw_recovered_runs: gauge("Open runs found by the last recovery"),
} as const;

/** Looked up when somebody scrapes. */
export const GAUGES = {
  goclaw_lane_depth: gauge("Tasks waiting in a lane", ["lane"]),
  goclaw_lane_occupied: gauge("Slots of a lane that are taken", ["lane"]),
  goclaw_slots_diverged: gauge("Slots whose count disagrees with the task states; must be 0"),
  goclaw_watchers: gauge("Watchers of runs"),
  goclaw_workers: gauge("Connected workers"),
  goclaw_runs_open: gauge("Runs that are not terminal"),
  goclaw_tasks_pending: gauge("Tasks that are not terminal"),
  goclaw_bus_lag_commits: gauge("Commits the event bus has not accepted yet"),
  goclaw_mailbox_depth: gauge("Commands waiting for the writer loop"),
  goclaw_memory_resident_bytes: gauge("Bytes of memory sessions that are in memory, estimated"),
  goclaw_memory_resident_sessions: gauge("Memory sessions that are in memory"),
} as const satisfies Record<GaugeName, MetricDeclaration>;

/** All of them by name. */
export const METRICS: Readonly<Record<string, MetricDeclaration>> = {
  ...COUNTERS,
  ...HISTOGRAMS,
  ...FACTS,
  ...GAUGES,
};
