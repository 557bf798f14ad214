/**
 * Metrics for tests that look at something else, and the few numbers that tests do look at. Counters are kept by the
 * name of the method that counted; gauges are read when asked for.
 */
import type { GaugeName, GaugeValue, Metrics } from "../../src/ports/telemetry.ts";

/** Takes every measurement, remembers how often, exports nothing. */
export class NullMetrics implements Metrics {
  /** Limits by name, one for every time they were hit. */
  readonly limitsHit: string[] = [];
  readonly #counts = new Map<string, number>();
  readonly #gauges = new Map<GaugeName, () => readonly GaugeValue[]>();

  taskEnded(): void {
    this.#count("taskEnded");
  }

  runEnded(): void {
    this.#count("runEnded");
  }

  laneWait(): void {
    this.#count("laneWait");
  }

  laneOutcome(): void {
    this.#count("laneOutcome");
  }

  taskStartLatency(): void {
    this.#count("taskStartLatency");
  }

  attemptEnded(): void {
    this.#count("attemptEnded");
  }

  retried(): void {
    this.#count("retried");
  }

  journalCommit(): void {
    this.#count("journalCommit");
  }

  recovered(): void {
    this.#count("recovered");
  }

  limitHit(limit: string): void {
    this.#count("limitHit");
    this.limitsHit.push(limit);
  }

  watcherCutOff(): void {
    this.#count("watcherCutOff");
  }

  lateReport(): void {
    this.#count("lateReport");
  }

  busPublished(messages: number): void {
    this.#count("busPublished", messages);
  }

  memorized(): void {
    this.#count("memorized");
  }

  memoryRetrieved(): void {
    this.#count("memoryRetrieved");
  }

  memoriesForgotten(): void {
    this.#count("memoriesForgotten");
  }

  gauge(name: GaugeName, read: () => readonly GaugeValue[]): void {
    this.#gauges.set(name, read);
  }

  /** How often `method` was called (for `busPublished`, the sum of its arguments). */
  count(method: keyof Metrics): number {
    return this.#counts.get(method) ?? 0;
  }

  /** Value of an unlabelled gauge now; `undefined` when nobody registered it. */
  read(name: GaugeName): number | undefined {
    return this.#gauges.get(name)?.()[0]?.value;
  }

  #count(method: keyof Metrics, by = 1): void {
    this.#counts.set(method, this.count(method) + by);
  }
}
