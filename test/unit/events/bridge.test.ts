import { describe, expect, it } from "vitest";
import { FaultError, fault } from "../../../src/base/fault.ts";
import type { RunId } from "../../../src/base/ids.ts";
import type { Event } from "../../../src/core/run/message.ts";
import { BusBridge, type BusBridgeOptions } from "../../../src/events/bridge.ts";
import type { BusMessage, EventBus } from "../../../src/ports/bus.ts";
import { MemoryLogger } from "../../support/memory-logger.ts";
import { NullMetrics } from "../../support/metrics.ts";
import { FakeJournal, historyOf, runIdOf } from "../../support/run-events.ts";
import { VirtualHost } from "../../support/virtual-host.ts";

/** A bus that is up, down, or silent, and remembers what it accepted. */
class FakeBus implements EventBus {
  readonly kind = "fake";
  readonly bodyMaxBytes = 10_000;
  readonly accepted: BusMessage[] = [];
  readonly calls: string[] = [];
  state: "up" | "down" | "silent" = "up";
  #rejectPending: (error: Error) => void = () => {};

  async open(): Promise<void> {
    this.calls.push("open");
    if (this.state === "down") throw new Error("connection refused");
  }

  async publish(messages: readonly BusMessage[]): Promise<void> {
    this.calls.push(`publish ${messages.length}`);
    if (this.state === "silent") {
      await new Promise((_, reject) => {
        this.#rejectPending = reject;
      });
    }
    this.accepted.push(...messages);
  }

  async close(): Promise<void> {
    this.calls.push("close");
    this.#rejectPending(new Error("connection closed"));
  }

  get ids(): string[] {
    return this.accepted.map(({ id }) => id);
  }
}

function setUp(
  options: Partial<BusBridgeOptions> = {},
  journal = new FakeJournal(),
  namespaceOf = async (_: RunId) => "asked",
) {
  const host = new VirtualHost();
  const bus = new FakeBus();
  const log = new MemoryLogger();
  const metrics = new NullMetrics();
  const asked: RunId[] = [];
  const bridge = new BusBridge(options, {
    journal,
    bus,
    host,
    log,
    metrics,
    encode: (runId: RunId, sequence: number, event: Event) =>
      JSON.stringify({ runId, sequence, event }),
    namespaceOf: (runId) => {
      asked.push(runId);
      return namespaceOf(runId);
    },
  });
  return { journal, host, bus, log, metrics, asked, bridge };
}

const idsOf = (run: RunId, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => `${run}/${from + at}`);

const [A, B] = [runIdOf(1), runIdOf(2)];

describe("BusBridge", () => {
  it("publishes what is committed, in order, with subject, id and body", async () => {
    const { journal, host, bus, metrics, bridge } = setUp();
    const history = historyOf(3, { namespace: "team.a *>b" });
    bridge.start();
    await host.settle();
    journal.commit({ runId: A, events: history.slice(0, 2) }, { runId: B, events: historyOf(2) });
    journal.commit({ runId: A, events: history.slice(2) });
    bridge.notify();
    await host.settle();
    expect(bus.ids).toEqual([...idsOf(A, 1, 2), ...idsOf(B, 1, 2), `${A}/3`]);
    expect(bus.accepted[0]).toEqual({
      subject: `goclaw.v1.team_a___b.run.${A}.run_accepted`,
      id: `${A}/1`,
      body: JSON.stringify({ runId: A, sequence: 1, event: history[0] }),
    });
    expect(bus.accepted.at(-1)?.subject).toBe(`goclaw.v1.team_a___b.run.${A}.run_completed`);
    expect(metrics.count("busPublished")).toBe(5);
    await bridge.stop();
  });

  it("reads and publishes in bounded pieces", async () => {
    const { journal, host, bus, bridge } = setUp({ pageRecords: 2, batchEvents: 4 });
    for (const event of historyOf(10)) journal.commit({ runId: A, events: [event] });
    journal.commit({ runId: B, events: historyOf(10) });
    bridge.start();
    await host.settle();
    expect(bus.ids).toEqual([...idsOf(A, 1, 10), ...idsOf(B, 1, 10)]);
    const sizes = bus.calls.filter((call) => call !== "open");
    expect(sizes).toEqual([...Array(5).fill("publish 2"), "publish 4", "publish 4", "publish 2"]);
    await bridge.stop();
  });

  it("starts a batch anew at a MiB, so that memory stays bounded", async () => {
    const { journal, host, bus, bridge } = setUp();
    journal.commit({ runId: A, events: historyOf(12, { noteChars: 400_000 }) });
    bridge.start();
    await host.settle();
    expect(bus.ids).toEqual(idsOf(A, 1, 12));
    expect(bus.calls.filter((call) => call.startsWith("publish"))).toEqual([
      "publish 4",
      "publish 3",
      "publish 3",
      "publish 2",
    ]);
    await bridge.stop();
  });

  it("sends a body the bus cannot take in short, and never gets stuck on it", async () => {
    const { journal, host, bus, bridge } = setUp();
    const [accepted] = historyOf(2);
    const long = (fill: string): Event => ({
      type: "task_completed",
      at: 0,
      task: "a",
      attempt: 1,
      output: { json: JSON.stringify(fill.repeat(4_000)) },
    });
    const failed: Event = {
      type: "task_failed",
      at: 0,
      task: "a",
      attempt: 1,
      reason: "AGENT_ERROR",
      message: "m".repeat(20_000),
    };
    const collected: Event = {
      type: "signal_collected",
      at: 0,
      task: "a",
      signal: "s",
      finished: Array(200).fill("t".repeat(100)),
      missing: [],
    };
    const noted: Event = { type: "task_waiting", at: 0, task: "a", note: "n".repeat(20_000) };
    journal.commit({
      runId: A,
      events: [accepted!, long("a"), long("é€"), failed, collected, noted],
    });
    bridge.start();
    await host.settle();
    const [, fits, ...short] = bus.accepted.map(({ body }) => JSON.parse(body).event);
    expect(fits).toEqual(long("a"));
    expect(short).toEqual([
      { ...long(""), output: { json: '{"omitted_bytes":8002}' } },
      { ...failed, message: "m".repeat(1_000) },
      { ...collected, finished: [], missing: [] },
      { ...noted, note: "n".repeat(1_000) },
    ]);
    await bridge.stop();
  });

  it("waits out a dead bus with growing pauses, then catches up without loss", async () => {
    const { journal, host, bus, log, metrics, bridge } = setUp({
      backoffMs: 100,
      backoffMaxMs: 1_000,
    });
    bus.state = "down";
    bridge.start();
    for (const event of historyOf(50)) {
      journal.commit({ runId: A, events: [event] });
      bridge.notify();
    }
    await host.advance(60_000);
    expect(metrics.read("goclaw_bus_lag_commits")).toBe(50);
    // 75, 150, 300, 600 ms, then 750 ms each: equal jitter at random() = 0.5.
    expect(bus.calls.length).toBe(1 + 4 + Math.floor((60_000 - 1_125) / 750));
    bus.state = "up";
    await host.advance(1_000);
    expect(bus.ids).toEqual(idsOf(A, 1, 50));
    expect(metrics.read("goclaw_bus_lag_commits")).toBe(0);
    expect(log.lines.map(({ level }) => level)).toEqual(["warn", "info"]);
    await bridge.stop();
  });

  it("does not wait for the bus to start, nor for the engine to be told", async () => {
    const { journal, host, bus, bridge } = setUp();
    bus.state = "silent";
    bridge.start();
    await host.settle();
    for (let at = 0; at < 1_000; at++) {
      journal.commit({ runId: runIdOf(at), events: historyOf(2) });
      bridge.notify();
    }
    await host.settle();
    expect(bus.calls).toEqual(["open", "publish 500"]);
    expect(bridge.lag).toBe(1_000);
    await bridge.stop();
  });

  it("retries a journal that fails to answer", async () => {
    const { journal, host, bus, bridge } = setUp();
    journal.commit({ runId: A, events: historyOf(4) });
    let failures = 6;
    journal.pause = async (call) => {
      if (failures-- > 0) throw new Error(`${call} failed`);
    };
    bridge.start();
    await host.advance(60_000);
    expect(bus.ids).toEqual(idsOf(A, 1, 4));
    await bridge.stop();
  });

  it("saves its cursor now and then and at the end, and resumes from it", async () => {
    const first = setUp({ saveIntervalMs: 1_000 });
    const { journal } = first;
    let saves = 0;
    journal.pause = async (call) => {
      if (call === "saveCursor") saves++;
    };
    first.bridge.start();
    for (const event of historyOf(100).slice(0, 60)) {
      journal.commit({ runId: A, events: [event] });
      first.bridge.notify();
      await first.host.advance(50);
    }
    expect(saves).toBeLessThanOrEqual(4);
    await first.bridge.stop();
    expect(journal.cursors.get("bus")).toBe(60n);
    await first.bridge.stop();
    expect(saves).toBeLessThanOrEqual(5);

    const second = setUp({}, journal);
    for (const event of historyOf(100).slice(60)) journal.commit({ runId: A, events: [event] });
    second.bridge.start();
    await second.host.settle();
    expect(second.bus.ids).toEqual(idsOf(A, 61, 100));
    expect(second.asked).toEqual([A]);
    expect(second.bus.accepted[0]?.subject).toBe(`goclaw.v1.asked.run.${A}.task_progress`);
    await second.bridge.stop();
  });

  it("repeats after a crash what was published since the last save, and loses nothing", async () => {
    const first = setUp({ saveIntervalMs: 1_000 });
    const { journal } = first;
    first.bridge.start();
    journal.commit({ runId: A, events: historyOf(20).slice(0, 10) });
    first.bridge.notify();
    await first.host.advance(1_000);
    journal.commit({ runId: A, events: historyOf(20).slice(10) });
    first.bridge.notify();
    await first.host.settle();
    expect(first.bus.ids).toEqual(idsOf(A, 1, 20));

    const second = setUp({}, journal);
    second.bridge.start();
    await second.host.settle();
    expect(second.bus.ids).toEqual(idsOf(A, 11, 20));
    await Promise.all([first.bridge.stop(), second.bridge.stop()]);
  });

  it("saves a cursor before the oldest commit when it starts for the first time", async () => {
    const empty = setUp();
    empty.bus.state = "down";
    empty.bridge.start();
    await empty.host.settle();
    expect(empty.journal.cursors.get("bus")).toBe(0n);
    await empty.bridge.stop();

    const { journal, host, bus, bridge } = setUp();
    for (const event of historyOf(6)) journal.commit({ runId: A, events: [event] });
    journal.dropUntil(2);
    bus.state = "down";
    bridge.start();
    await host.settle();
    expect(journal.cursors.get("bus")).toBe(2n);
    bus.state = "up";
    await host.advance(1_000);
    expect(bus.ids).toEqual(idsOf(A, 3, 6));
    await bridge.stop();
  });

  it("says so and goes on when events were deleted before the bus had them", async () => {
    const { journal, host, bus, log, bridge } = setUp();
    for (const event of historyOf(6)) journal.commit({ runId: A, events: [event] });
    journal.cursors.set("bus", 1n);
    journal.dropUntil(4);
    bridge.start();
    await host.settle();
    expect(bus.ids).toEqual(idsOf(A, 5, 6));
    expect(log.lines.map(({ level, text }) => `${level}: ${text}`)).toEqual([
      "error: events were deleted before the event bus had taken them",
    ]);
    await bridge.stop();
  });

  it("publishes events of a run that is gone under the namespace `_`", async () => {
    const gone = new FaultError(fault("RUN_NOT_FOUND", { runId: A }));
    const { journal, host, bus, bridge } = setUp({}, new FakeJournal(), async () => {
      throw gone;
    });
    journal.cursors.set("bus", 1n);
    journal.commit({ runId: A, events: historyOf(2).slice(0, 1) });
    journal.commit({ runId: A, events: historyOf(2).slice(1) });
    bridge.start();
    await host.settle();
    expect(bus.accepted.map(({ subject }) => subject)).toEqual([
      `goclaw.v1._.run.${A}.run_completed`,
    ]);
    await bridge.stop();
  });

  it("asks again while nobody can tell a run's namespace", async () => {
    let failures = 3;
    const { journal, host, bus, bridge } = setUp({}, new FakeJournal(), async () => {
      if (failures-- > 0) throw new Error("not now");
      return "late";
    });
    journal.cursors.set("bus", 1n);
    journal.commit({ runId: A, events: historyOf(3).slice(0, 1) });
    journal.commit({ runId: A, events: historyOf(3).slice(1) });
    bridge.start();
    await host.advance(10_000);
    expect(bus.accepted.map(({ subject }) => subject)).toEqual([
      `goclaw.v1.late.run.${A}.task_progress`,
      `goclaw.v1.late.run.${A}.run_completed`,
    ]);
    await bridge.stop();
  });

  it("lives on when the cursor cannot be saved", async () => {
    const { journal, host, bus, log, bridge } = setUp();
    let broken = true;
    journal.pause = async (call) => {
      if (call === "saveCursor" && broken) throw new Error("EIO");
    };
    bridge.start();
    for (let at = 0; at < 3; at++) {
      journal.commit({ runId: runIdOf(at), events: historyOf(2) });
      bridge.notify();
      await host.advance(2_000);
    }
    expect(bus.ids).toHaveLength(6);
    expect(log.lines.map(({ level }) => level)).toEqual(Array(4).fill("warn"));
    broken = false;
    await bridge.stop();
    expect(journal.cursors.get("bus")).toBe(3n);
  });

  it("does not move past a batch that stop interrupted", async () => {
    const { journal, host, bus, bridge } = setUp();
    journal.commit({ runId: A, events: historyOf(4) });
    bridge.start();
    await host.settle();
    journal.commit({ runId: B, events: historyOf(4) });
    bus.state = "silent";
    bridge.notify();
    await host.settle();
    await bridge.stop();
    expect(journal.cursors.get("bus")).toBe(1n);
    expect(bus.calls.at(-1)).toBe("close");
    expect(host.timers).toBe(0);
  });

  it("stops at once while it waits to try again, before start, and twice", async () => {
    const { journal, host, bus, bridge } = setUp();
    bus.state = "down";
    journal.commit({ runId: A, events: historyOf(4) });
    bridge.start();
    await host.settle();
    await bridge.stop();
    await bridge.stop();
    expect(host.timers).toBe(0);
    expect(journal.cursors.get("bus")).toBe(0n);

    const unstarted = setUp();
    await unstarted.bridge.stop();
    unstarted.bridge.start();
    await unstarted.host.settle();
    expect(unstarted.bus.calls).toEqual(["close"]);
  });

  it("drains: until the bus has everything, or the time is up", async () => {
    const { journal, host, bus, bridge } = setUp();
    await bridge.drain(1_000);
    journal.commit({ runId: A, events: historyOf(4) });
    bridge.start();
    await bridge.drain(1_000);
    expect(bus.ids).toEqual(idsOf(A, 1, 4));
    await bridge.drain(1_000);

    bus.state = "down";
    journal.commit({ runId: B, events: historyOf(4) });
    bridge.notify();
    let drained = false;
    const draining = bridge.drain(1_000).then(() => {
      drained = true;
    });
    await host.advance(999);
    expect(drained).toBe(false);
    await host.advance(1);
    await draining;
    await bridge.stop();
  });
});
