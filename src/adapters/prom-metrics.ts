/**
 * Metrics through prom-client, the only file that knows it. Every name comes from the table beside this file; the
 * registry is our own, so that two engines in one process do not share counts. Nothing here throws into the engine: a
 * value that is no number is dropped, a gauge that cannot be read is left out of that scrape, and a label that takes
 * more than a thousand values continues as `other`.
 */
import { collectDefaultMetrics, Gauge, type Metric, Registry } from "prom-client";
import type { GaugeName, GaugeValue, Metrics } from "../ports/telemetry.ts";
import { CounterSeries, HistogramSeries } from "./metric-series.ts";
import { COUNTERS, FACTS, GAUGES, HISTOGRAMS, type MetricDeclaration } from "./metric-table.ts";

/** Most values one label takes: names of agents come from definitions, and those from clients. */
const LABEL_VALUES_MAX = 1_000;

/** The metrics of one engine. */
export class PromMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #counters: Record<keyof typeof COUNTERS, CounterSeries>;
  readonly #histograms: Record<keyof typeof HISTOGRAMS, HistogramSeries>;
  readonly #facts: Record<keyof typeof FACTS, Gauge>;
  readonly #readers = new Map<GaugeName, () => readonly GaugeValue[]>();
  readonly #agents = new Set<string>();
  readonly #lanes = new Set<string>();

  constructor() {
    const registers = [this.#registry];
    const config = (name: string, of: MetricDeclaration) => ({
      name,
      help: of.help,
      labelNames: of.labels,
      registers,
    });
    this.#counters = build(COUNTERS, (name, of) => this.#register(new CounterSeries(name, of)));
    this.#histograms = build(HISTOGRAMS, (name, of) =>
      this.#register(new HistogramSeries(name, of)),
    );
    this.#facts = build(FACTS, (name, of) => new Gauge(config(name, of)));
    build(GAUGES, (name, of) => {
      const gauge: Gauge = new Gauge({
        ...config(name, of),
        collect: () => this.#read(name, gauge),
      });
      return gauge;
    });
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Media type of {@link scrape}'s answer. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything in Prometheus' text format, event-loop delay and process metrics included. */
  scrape(): Promise<string> {
    return this.#registry.metrics();
  }

  taskEnded(state: string, reason: string): void {
    this.#counters.goclaw_tasks_total.add(1, state, reason);
  }

  runEnded(state: string): void {
    this.#counters.goclaw_runs_total.add(1, state);
  }

  laneWait(lane: string, seconds: number): void {
    const { goclaw_lane_wait_duration_seconds: waits } = this.#histograms;
    waits.observe(seconds, bounded(this.#lanes, lane));
  }

  laneOutcome(lane: string, outcome: "accepted" | "rejected" | "redirected" | "dropped"): void {
    this.#counters.goclaw_lane_outcomes_total.add(1, bounded(this.#lanes, lane), outcome);
  }

  taskStartLatency(seconds: number): void {
    this.#histograms.goclaw_task_start_latency_seconds.observe(seconds);
  }

  attemptEnded(agent: string, seconds: number): void {
    const { goclaw_attempt_duration_seconds: durations } = this.#histograms;
    durations.observe(seconds, bounded(this.#agents, agent));
  }

  retried(reason: string): void {
    this.#counters.goclaw_retries_total.add(1, reason);
  }

  journalCommit(seconds: number, events: number): void {
    this.#histograms.goclaw_journal_commit_seconds.observe(seconds);
    this.#histograms.goclaw_journal_batch_events.observe(events);
  }

  recovered(seconds: number, runs: number): void {
    this.#facts.goclaw_recovery_seconds.set(seconds);
    this.#facts.goclaw_recovered_runs.set(runs);
  }

  limitHit(limit: string): void {
    this.#counters.goclaw_limit_hits_total.add(1, limit);
  }

  watcherCutOff(): void {
    this.#counters.goclaw_watchers_cut_off_total.add(1);
  }

  lateReport(): void {
    this.#counters.goclaw_late_reports_total.add(1);
  }

  busPublished(messages: number): void {
    this.#counters.goclaw_bus_published_total.add(messages);
  }

  memorized(outcome: "stored" | "reviewed" | "reinforced" | "recalled"): void {
    this.#counters.goclaw_memorized_total.add(1, outcome);
  }

  memoryRetrieved(seconds: number): void {
    this.#histograms.goclaw_memory_retrieve_seconds.observe(seconds);
  }

  memoriesForgotten(reason: "weak" | "expired" | "request", entries: number): void {
    if (entries > 0) this.#counters.goclaw_memories_forgotten_total.add(entries, reason);
  }

  gauge(name: GaugeName, read: () => readonly GaugeValue[]): void {
    this.#readers.set(name, read);
  }

  /** The registry asks a metric for nothing but its name and `get`. */
  #register<Series extends CounterSeries | HistogramSeries>(series: Series): Series {
    this.#registry.registerMetric(series as unknown as Metric);
    return series;
  }

  /** A gauge that nobody registered or that cannot be read has no sample: a zero would be a claim. */
  #read(name: GaugeName, gauge: Gauge): void {
    gauge.reset();
    try {
      const values = this.#readers.get(name)?.() ?? [];
      for (const { labels, value } of values) gauge.set(labels, value);
      if (values.length > 0) return;
    } catch {
      gauge.reset();
    }
    if (GAUGES[name].labels.length === 0) gauge.remove();
  }
}

/** One metric for each declaration. */
function build<Name extends string, Metric>(
  declarations: Readonly<Record<Name, MetricDeclaration>>,
  make: (name: Name, of: MetricDeclaration) => Metric,
): Record<Name, Metric> {
  const metrics = {} as Record<Name, Metric>;
  for (const name of Object.keys(declarations) as Name[])
    metrics[name] = make(name, declarations[name]);
  return metrics;
}

/** `value` while `seen` has room for it, then `other`. */
function bounded(seen: Set<string>, value: string): string {
  if (seen.has(value)) return value;
  if (seen.size >= LABEL_VALUES_MAX) return "other";
  seen.add(value);
  return value;
}
