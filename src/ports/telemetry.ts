/**
 * What the engine says about itself: log lines and metrics, as narrow as it uses them. Both are fire and forget;
 * a fault in an exporter never reaches the engine. Metric names are declared once, in the metrics adapter.
 */

/** Structured log; fields are data, not text. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A logger that adds fields to every line. */
  child(fields: object): Logger;
}

/** Counts, seconds and gauges by closed label sets. */
export interface Metrics {
  taskEnded(state: string, reason: string): void;
  runEnded(state: string): void;
  laneWait(lane: string, seconds: number): void;
  laneOutcome(lane: string, outcome: "accepted" | "rejected" | "redirected" | "dropped"): void;
  /** From ready (accepted by its lane) to handed to its agent. */
  taskStartLatency(seconds: number): void;
  attemptEnded(agent: string, seconds: number): void;
  retried(reason: string): void;
  journalCommit(seconds: number, events: number): void;
  recovered(seconds: number, runs: number): void;
  limitHit(limit: string): void;
  watcherCutOff(): void;
  lateReport(): void;
  busPublished(messages: number): void;
  memorized(outcome: "stored" | "reviewed" | "reinforced" | "recalled"): void;
  memoryRetrieved(seconds: number): void;
  memoriesForgotten(reason: "weak" | "expired" | "request", entries: number): void;
  /** Registers a gauge read at scrape time; a second registration of the same name replaces the first. */
  gauge(name: GaugeName, read: () => readonly GaugeValue[]): void;
}

/** Gauges whose value is looked up when somebody scrapes. */
export type GaugeName =
  | "goclaw_lane_depth"
  | "goclaw_lane_occupied"
  | "goclaw_slots_diverged"
  | "goclaw_watchers"
  | "goclaw_workers"
  | "goclaw_runs_open"
  | "goclaw_tasks_pending"
  | "goclaw_bus_lag_commits"
  | "goclaw_mailbox_depth"
  | "goclaw_memory_resident_bytes"
  | "goclaw_memory_resident_sessions";

export interface GaugeValue {
  readonly labels: { readonly [name: string]: string };
  readonly value: number;
}
