import { describe, expect, it } from "vitest";
import { FaultError, fault } from "../../../src/base/fault.ts";
import type { RunEvents } from "../../../src/core/run/message.ts";
import { EventHub, type RunHead, type SequencedEvent } from "../../../src/events/hub.ts";
import { STALLED_AFTER_BUFFERS } from "../../../src/events/watcher.ts";
import { NullMetrics } from "../../support/metrics.ts";
import { FakeJournal, historyOf, runIdOf } from "../../support/run-events.ts";

const RUN = runIdOf(1);
const OPEN = (): RunHead => ({ sequence: 0, ended: false });
const ENDED = (): RunHead => ({ sequence: 0, ended: true });
const BUFFER_BYTES = 1_000;

function setUp() {
  const journal = new FakeJournal();
  const metrics = new NullMetrics();
  const hub = new EventHub({ bufferBytes: BUFFER_BYTES }, { journal, metrics });
  /** Commits the next events of the run's history of `length`, one commit each, and publishes them. */
  const advance = (events: number, length = 1_000, noteChars = 0): void => {
    const from = journal.eventsOf(RUN).length;
    for (const event of historyOf(length, { noteChars }).slice(from, from + events)) {
      for (const page of journal.commit({ runId: RUN, events: [event] })) hub.publish(page);
    }
  };
  return { journal, metrics, hub, advance };
}

async function take(watch: AsyncIterator<SequencedEvent>, count: number): Promise<number[]> {
  const taken: number[] = [];
  while (taken.length < count) {
    const { value, done } = await watch.next();
    if (done) break;
    taken.push(value.sequence);
  }
  return taken;
}

async function drain(watch: AsyncIterable<SequencedEvent>): Promise<number[]> {
  const taken: number[] = [];
  for await (const { sequence } of watch) taken.push(sequence);
  return taken;
}

const count = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at);

/** Lets every promise that can settle do so. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("EventHub", () => {
  it("replays the history of a run that has ended and ends with its terminal event", async () => {
    const { hub, advance } = setUp();
    advance(250, 250);
    const watch = hub.watch(RUN, 0, ENDED);
    const items: SequencedEvent[] = [];
    for await (const item of watch) items.push(item);
    expect(items.map((item) => item.sequence)).toEqual(count(1, 250));
    expect(items[0]?.event.type).toBe("run_accepted");
    expect(items.at(-1)?.event.type).toBe("run_completed");
    expect(hub.watchers).toBe(0);
  });

  it("starts after the sequence asked for, within a page of history as well", async () => {
    const { hub, journal, advance } = setUp();
    journal.pageEvents = 7;
    advance(20, 20);
    for (const after of [0, 3, 7, 19]) {
      expect(await drain(hub.watch(RUN, after, ENDED))).toEqual(count(after + 1, 20));
    }
  });

  it("ends at once after the last event of an ended run and for a run nobody knows", async () => {
    const { hub, advance } = setUp();
    advance(5, 5);
    expect(await drain(hub.watch(RUN, 5, ENDED))).toEqual([]);
    expect(await drain(hub.watch(runIdOf(2), 0, () => undefined))).toEqual([]);
  });

  it("follows live after the history, to the terminal event", async () => {
    const { hub, advance } = setUp();
    advance(3, 6);
    const watch = hub.watch(RUN, 0, OPEN);
    expect(await take(watch, 3)).toEqual([1, 2, 3]);
    const waiting = take(watch, 10);
    await settle();
    expect(hub.watchers).toBe(1);
    advance(3, 6);
    expect(await waiting).toEqual([4, 5, 6]);
    expect(hub.watchers).toBe(0);
  });

  it("loses and repeats nothing that is committed while it reads the history", async () => {
    const { hub, journal, advance } = setUp();
    advance(4, 12);
    journal.pageEvents = 2;
    journal.pause = async () => {
      if (journal.eventsOf(RUN).length < 12) advance(1, 12);
    };
    expect(await drain(hub.watch(RUN, 0, OPEN))).toEqual(count(1, 12));
  });

  it("gives every watcher of a run all events, and none of other runs", async () => {
    const { hub, advance, journal } = setUp();
    const watches = [0, 0, 2].map((after) => drain(hub.watch(RUN, after, OPEN)));
    await settle();
    for (const page of journal.commit({ runId: runIdOf(2), events: historyOf(4) }))
      hub.publish(page);
    advance(5, 5);
    expect(await Promise.all(watches)).toEqual([count(1, 5), count(1, 5), count(3, 5)]);
  });

  it("waits for the first event of a cursor that lies ahead", async () => {
    const { hub, advance } = setUp();
    advance(2, 6);
    const watching = drain(hub.watch(RUN, 4, OPEN));
    await settle();
    advance(4, 6);
    expect(await watching).toEqual([5, 6]);
  });

  it("falls back to the journal when a burst overruns its buffer, without a gap", async () => {
    const { hub, advance, metrics } = setUp();
    advance(1, 60);
    const watch = hub.watch(RUN, 0, OPEN);
    expect(await take(watch, 1)).toEqual([1]);
    const asked = take(watch, 1);
    await settle();
    advance(59, 60, 200);
    expect([...(await asked), ...(await take(watch, 100))]).toEqual(count(2, 60));
    expect(metrics.count("watcherCutOff")).toBe(0);
  });

  it("takes one page of any size into an empty buffer", async () => {
    const { hub, journal } = setUp();
    const watching = drain(hub.watch(RUN, 0, OPEN));
    await settle();
    const history = historyOf(40, { noteChars: BUFFER_BYTES });
    for (const page of journal.commit({ runId: RUN, events: history })) hub.publish(page);
    journal.pause = () => Promise.reject(new Error("must not be read again"));
    expect(await watching).toEqual(count(1, 40));
  });

  it("cuts a reader off that stands still, names the last event it took, and lets it resume there", async () => {
    const { hub, advance, metrics } = setUp();
    advance(3);
    const watch = hub.watch(RUN, 0, OPEN);
    expect(await take(watch, 2)).toEqual([1, 2]);
    const stall = Math.ceil((STALLED_AFTER_BUFFERS * BUFFER_BYTES) / 100);
    advance(stall, 1_000, 100);
    expect(hub.watchers).toBe(0);
    expect(metrics.count("watcherCutOff")).toBe(1);
    await expect(watch.next()).rejects.toMatchObject({
      fault: { code: "WATCHER_SLOW", runId: RUN, lastSequence: 2 },
    });
    const resumed = hub.watch(RUN, 2, OPEN);
    expect(await take(resumed, stall + 1)).toEqual(count(3, stall + 3));
    await resumed.return();
  });

  it("blames no reader for one commit, however large", async () => {
    const { hub, journal, metrics } = setUp();
    const events = historyOf(300, { noteChars: 500 });
    const [first] = journal.commit({ runId: RUN, events: events.slice(0, 1) });
    if (first !== undefined) hub.publish(first);
    const watch = hub.watch(RUN, 0, OPEN);
    expect(await take(watch, 1)).toEqual([1]);
    for (const page of journal.commit({ runId: RUN, events: events.slice(1) })) hub.publish(page);
    expect(metrics.count("watcherCutOff")).toBe(0);
    expect(await take(watch, 299)).toEqual(count(2, 300));
    await watch.return();
  });

  it("blames no reader that waits for us, however much is published meanwhile", async () => {
    const { hub, journal, advance, metrics } = setUp();
    advance(1, 2_000);
    let release = (): void => {};
    journal.pause = () =>
      new Promise((resolve) => {
        release = resolve;
      });
    const watching = drain(hub.watch(RUN, 0, OPEN));
    await settle();
    advance(1_999, 2_000, 100);
    journal.pause = async () => {};
    release();
    expect(await watching).toEqual(count(1, 2_000));
    expect(metrics.count("watcherCutOff")).toBe(0);
  });

  it("ends on abort, before it started, while waiting and between two events", async () => {
    const { hub, advance } = setUp();
    advance(3);
    expect(await drain(hub.watch(RUN, 0, OPEN, AbortSignal.abort()))).toEqual([]);

    const waiting = new AbortController();
    const watching = drain(hub.watch(RUN, 0, OPEN, waiting.signal));
    await settle();
    waiting.abort();
    expect(await watching).toEqual([1, 2, 3]);

    const between = new AbortController();
    const watch = hub.watch(RUN, 0, OPEN, between.signal);
    await take(watch, 1);
    between.abort();
    expect(await take(watch, 5)).toEqual([]);
    expect(hub.watchers).toBe(0);
  });

  it("forgets a watcher whose reader leaves the loop", async () => {
    const { hub, advance, metrics } = setUp();
    advance(3);
    for await (const { sequence } of hub.watch(RUN, 0, OPEN)) {
      expect(metrics.read("goclaw_watchers")).toBe(1);
      if (sequence === 2) break;
    }
    expect(metrics.read("goclaw_watchers")).toBe(0);
  });

  it("passes on what the journal throws", async () => {
    const { hub, journal } = setUp();
    const expired = fault("CURSOR_EXPIRED", { runId: RUN, sequence: 0, oldest: 40 });
    journal.pause = () => Promise.reject(new FaultError(expired));
    await expect(drain(hub.watch(RUN, 0, OPEN))).rejects.toMatchObject({ fault: expired });
    expect(hub.watchers).toBe(0);
  });

  it("refuses to hide a gap in what it is given", async () => {
    const { hub } = setUp();
    const watching = drain(hub.watch(RUN, 0, OPEN));
    await settle();
    const page: RunEvents = { runId: RUN, firstSequence: 3, events: historyOf(2) };
    hub.publish(page);
    await expect(watching).rejects.toThrow(`run ${RUN} has a gap before 3`);
  });

  it("ends all watches with the fault it is stopped with, later ones too", async () => {
    const { hub, advance } = setUp();
    advance(2);
    const draining = fault("ENGINE_DRAINING", { retryAfterMs: 1_000 });
    const watching = drain(hub.watch(RUN, 0, OPEN));
    await settle();
    hub.stop(draining);
    hub.stop(fault("STORE_FAILED", { operation: "write", detail: "EIO" }));
    await expect(watching).rejects.toMatchObject({ fault: draining });
    await expect(drain(hub.watch(RUN, 0, OPEN))).rejects.toMatchObject({ fault: draining });
    expect(hub.watchers).toBe(0);
  });
});

describe("caughtUp", () => {
  const never = new Promise<void>(() => {});

  it("resolves when the last watcher has taken what was published", async () => {
    const { hub, advance } = setUp();
    const leave = new AbortController();
    const watch = hub.watch(RUN, 0, OPEN, leave.signal)[Symbol.asyncIterator]();
    const first = watch.next();
    await settle();
    advance(2);
    await first;
    let isDone = false;
    const done = hub.caughtUp(never).then(() => {
      isDone = true;
    });
    await settle();
    expect(isDone).toBe(false);
    await watch.next();
    const last = watch.next();
    await done;
    leave.abort();
    await last;
  });

  it("does not wait without watchers, nor longer than it is told", async () => {
    const { hub, advance } = setUp();
    await hub.caughtUp(never);
    const watch = hub.watch(RUN, 0, OPEN)[Symbol.asyncIterator]();
    const first = watch.next();
    await settle();
    advance(1);
    await first;
    await hub.caughtUp(Promise.resolve());
  });
});
