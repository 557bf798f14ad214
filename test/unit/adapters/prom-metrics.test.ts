import { describe, expect, it } from "vitest";
import { METRICS } from "../../../src/adapters/metric-table.ts";
import { PromMetrics } from "../../../src/adapters/prom-metrics.ts";
import type { GaugeName } from "../../../src/ports/telemetry.ts";

/** Samples of our own metrics by `name{labels}`, as a scraper reads them. */
async function samples(metrics: PromMetrics): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const line of (await metrics.scrape()).split("\n")) {
    const [, key, value] = /^(goclaw_\S+(?:{.*})?) (\S+)$/.exec(line) ?? [];
    if (key !== undefined) found.set(key, Number(value));
  }
  return found;
}

describe("PromMetrics", () => {
  it("counts with closed labels", async () => {
    const metrics = new PromMetrics();
    metrics.taskEnded("FAILED", "TIMED_OUT");
    metrics.taskEnded("FAILED", "TIMED_OUT");
    metrics.runEnded("COMPLETED");
    metrics.laneOutcome("cpu", "dropped");
    metrics.retried("AGENT_ERROR");
    metrics.limitHit("mailbox");
    metrics.watcherCutOff();
    metrics.lateReport();
    metrics.busPublished(7);
    const found = await samples(metrics);
    expect(found.get('goclaw_tasks_total{state="FAILED",reason="TIMED_OUT"}')).toBe(2);
    expect(found.get('goclaw_runs_total{state="COMPLETED"}')).toBe(1);
    expect(found.get('goclaw_lane_outcomes_total{lane="cpu",outcome="dropped"}')).toBe(1);
    expect(found.get('goclaw_retries_total{reason="AGENT_ERROR"}')).toBe(1);
    expect(found.get('goclaw_limit_hits_total{limit="mailbox"}')).toBe(1);
    expect(found.get("goclaw_watchers_cut_off_total")).toBe(1);
    expect(found.get("goclaw_late_reports_total")).toBe(1);
    expect(found.get("goclaw_bus_published_total")).toBe(7);
  });

  it("sorts waits into buckets from a tenth of a millisecond", async () => {
    const metrics = new PromMetrics();
    metrics.laneWait("io", 0.000_09);
    metrics.laneWait("io", 0.000_2);
    metrics.laneWait("io", 3_600);
    metrics.taskStartLatency(0.002);
    metrics.attemptEnded("Echo", 0.3);
    metrics.journalCommit(0.0003, 40);
    metrics.recovered(1.5, 12);
    const found = await samples(metrics);
    const wait = (bound: string) =>
      found.get(`goclaw_lane_wait_duration_seconds_bucket{le="${bound}",lane="io"}`);
    expect([wait("0.0001"), wait("0.00025"), wait("60"), wait("+Inf")]).toEqual([1, 2, 2, 3]);
    expect(found.get('goclaw_lane_wait_duration_seconds_count{lane="io"}')).toBe(3);
    expect(found.get("goclaw_task_start_latency_seconds_sum")).toBe(0.002);
    expect(found.get('goclaw_attempt_duration_seconds_bucket{le="0.5",agent="Echo"}')).toBe(1);
    expect(found.get('goclaw_journal_batch_events_bucket{le="50"}')).toBe(1);
    expect(found.get("goclaw_journal_commit_seconds_count")).toBe(1);
    expect(found.get("goclaw_recovery_seconds")).toBe(1.5);
    expect(found.get("goclaw_recovered_runs")).toBe(12);
  });

  it("reads gauges when scraped, and only the latest registration", async () => {
    const metrics = new PromMetrics();
    let depths: [string, number][] = [
      ["cpu", 4],
      ["io", 1],
    ];
    metrics.gauge("goclaw_lane_depth", () => []);
    metrics.gauge("goclaw_lane_depth", () =>
      depths.map(([lane, value]) => ({ labels: { lane }, value })),
    );
    expect((await samples(metrics)).get('goclaw_lane_depth{lane="io"}')).toBe(1);
    depths = [["cpu", 9]];
    const found = await samples(metrics);
    expect(found.get('goclaw_lane_depth{lane="cpu"}')).toBe(9);
    expect(found.has('goclaw_lane_depth{lane="io"}')).toBe(false);
  });

  it("shows no sample for a gauge that nobody registered or that cannot be read", async () => {
    const metrics = new PromMetrics();
    let fails = false;
    const reader = (name: GaugeName, labels: Record<string, string>) =>
      metrics.gauge(name, () => {
        if (fails) throw new Error("not now");
        return [{ labels, value: 5 }];
      });
    reader("goclaw_watchers", {});
    reader("goclaw_lane_depth", { lane: "cpu" });
    const before = await samples(metrics);
    expect(before.get("goclaw_watchers")).toBe(5);
    expect(before.get('goclaw_lane_depth{lane="cpu"}')).toBe(5);
    expect(before.has("goclaw_slots_diverged")).toBe(false);
    fails = true;
    const after = await samples(metrics);
    expect(after.has("goclaw_watchers")).toBe(false);
    expect([...after.keys()].filter((key) => key.startsWith("goclaw_lane_depth"))).toEqual([]);
  });

  it("drops values that are no numbers instead of throwing into the engine", async () => {
    const metrics = new PromMetrics();
    metrics.laneWait("io", Number.NaN);
    metrics.attemptEnded("Echo", Number.POSITIVE_INFINITY);
    metrics.laneWait("io", 1);
    const found = await samples(metrics);
    expect(found.get('goclaw_lane_wait_duration_seconds_count{lane="io"}')).toBe(1);
    expect(found.has('goclaw_attempt_duration_seconds_count{agent="Echo"}')).toBe(false);
  });

  it("bounds the values of a label that clients can fill", async () => {
    const metrics = new PromMetrics();
    for (let at = 0; at < 1_500; at++) metrics.attemptEnded(`agent${at}`, 1);
    metrics.attemptEnded("agent0", 1);
    const found = await samples(metrics);
    const count = (agent: string) =>
      found.get(`goclaw_attempt_duration_seconds_count{agent="${agent}"}`);
    expect([count("agent0"), count("agent999"), count("agent1000"), count("other")]).toEqual([
      2,
      1,
      undefined,
      500,
    ]);
  });

  it("keeps two engines of one process apart", async () => {
    const [one, other] = [new PromMetrics(), new PromMetrics()];
    one.runEnded("FAILED");
    expect((await samples(other)).has('goclaw_runs_total{state="FAILED"}')).toBe(false);
  });

  it("tells event-loop delay, memory and garbage collection", async () => {
    const text = await new PromMetrics().scrape();
    for (const name of [
      "nodejs_eventloop_lag_p99_seconds",
      "process_resident_memory_bytes",
      "nodejs_gc_duration_seconds",
    ]) {
      expect(text).toContain(`# TYPE ${name} `);
    }
    expect(new PromMetrics().contentType).toMatch(/^text\/plain; version=0.0.4/);
  });
});

describe("docs/metrics.md", () => {
  it("lists what is declared", async () => {
    await expect(metricsPage()).toMatchFileSnapshot("../../../docs/metrics.md");
  });

  it("names exactly the metrics that are scraped", async () => {
    const text = await new PromMetrics().scrape();
    const scraped = [...text.matchAll(/^# TYPE (goclaw_\S+) (\S+)$/gm)].map(
      ([, name, kind]) => `${name} ${kind}`,
    );
    const declared = Object.entries(METRICS).map(([name, { kind }]) => `${name} ${kind}`);
    expect(scraped.toSorted()).toEqual(declared.toSorted());
  });
});

/** The page, printed from the declarations; `vitest run test/unit/adapters/prom-metrics.test.ts -u` writes it. */
function metricsPage(): string {
  const rows = Object.entries(METRICS).map(([name, { kind, labels, help, buckets }]) => {
    const range = buckets === undefined ? "" : ` (buckets ${buckets[0]} to ${buckets.at(-1)})`;
    return `| \`${name}\` | ${kind}${range} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`;
  });
  return `# Metrics

The daemon answers \`GET /metrics\` in Prometheus' text format. Durations are seconds. This page is printed from
\`src/adapters/metric-table.ts\`, the one place where metrics are declared, and a test keeps the two equal.

| name | kind | labels | meaning |
|---|---|---|---|
${rows.join("\n")}

Labels take values from closed sets: states and reasons of docs/state-machine.md, lane outcomes \`accepted\`,
\`rejected\`, \`redirected\`, \`dropped\`, configured lanes, loaded agents. A label that would take more than 1,000
values continues as \`other\`. A gauge without a sample is one that cannot be read just now.

The process itself is described by prom-client's default metrics: \`process_*\` (CPU, memory, file descriptors) and
\`nodejs_*\`, of which \`nodejs_eventloop_lag_p99_seconds\` is the event-loop delay since the last scrape.

Two to watch: \`goclaw_slots_diverged\` must read 0, and \`goclaw_bus_lag_commits\` grows while the event bus is down or
too slow, which costs the engine nothing but is what subscribers are waiting for.
`;
}
