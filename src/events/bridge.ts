/**
 * Committed events on their way out of the process: reads the journal from a saved cursor, publishes to the event bus,
 * moves the cursor on. The journal is the backlog, so a slow or dead bus costs the engine nothing and loses nothing;
 * how far the bus is behind is a gauge. Delivery is at least once and in order per run: a batch is sent again until the
 * bus has accepted it, and after a restart everything since the last saved cursor is sent again. It never skips an
 * event that the journal still has, and never gives up.
 */
import { FaultError } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { Millis } from "../base/time.ts";
import type { Event, RunEvents } from "../core/run/message.ts";
import { weigh } from "../core/run/weight.ts";
import type { BusMessage, EventBus } from "../ports/bus.ts";
import type { Host, TimerHandle } from "../ports/host.ts";
import type { CommitPage, Journal } from "../ports/journal.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";
import { abridged } from "./abridge.ts";
import { Namespaces } from "./namespaces.ts";
import { Persistence } from "./persistence.ts";

export interface BusBridgeOptions {
  /** Name under which the cursor is saved. */
  readonly consumer: string;
  /** Journal records read at a time: one for each run in a commit. */
  readonly pageRecords: number;
  /** Events published at a time. */
  readonly batchEvents: number;
  /** The cursor is saved at most this often, because a save is a synced write. */
  readonly saveIntervalMs: Millis;
  /** Waits after failures double from the first to the longest. */
  readonly backoffMs: Millis;
  readonly backoffMaxMs: Millis;
}

const DEFAULTS: BusBridgeOptions = {
  consumer: "bus",
  pageRecords: 500,
  batchEvents: 500,
  saveIntervalMs: 1_000,
  backoffMs: 100,
  backoffMaxMs: 10_000,
};

export interface BusBridgeDeps {
  readonly journal: Pick<Journal, "commitsAfter" | "head" | "loadCursor" | "saveCursor">;
  readonly bus: EventBus;
  readonly host: Host;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** The public form of an event, protobuf JSON. */
  readonly encode: (runId: RunId, sequence: number, event: Event) => string;
  /** For runs whose first event this process has not seen; rejects with `RUN_NOT_FOUND` when the run is gone. */
  readonly namespaceOf: (runId: RunId) => Promise<string>;
}

interface Outgoing {
  readonly runId: RunId;
  readonly namespace: string;
  readonly sequence: number;
  readonly event: Event;
}

/** A batch is sent when it weighs this much, whatever its count. */
const BATCH_BYTES = 1024 * 1024;

const encoder = new TextEncoder();

/** Publishes everything the journal holds, from the saved cursor on. */
export class BusBridge {
  readonly #options: BusBridgeOptions;
  readonly #deps: BusBridgeDeps;
  readonly #persistence: Persistence;
  readonly #namespaces: Namespaces;
  #running: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  /** Everything up to here was accepted by the bus. */
  #cursor: bigint | undefined;
  #savedCursor: bigint | undefined;
  #saveTimer: TimerHandle | undefined;
  #hasNews = false;
  #onNews: () => void = () => {};
  #onCaughtUp: () => void = () => {};

  constructor(options: Partial<BusBridgeOptions>, deps: BusBridgeDeps) {
    this.#options = { ...DEFAULTS, ...options };
    this.#deps = deps;
    this.#persistence = new Persistence(this.#options, deps);
    this.#namespaces = new Namespaces(deps.namespaceOf);
    deps.metrics.gauge("goclaw_bus_lag_commits", () => [{ labels: {}, value: this.lag }]);
  }

  /** Commits the bus has not accepted yet. */
  get lag(): number {
    return Number(this.#deps.journal.head() - (this.#cursor ?? 0n));
  }

  /** Starts publishing in the background; does not wait for the bus. */
  start(): void {
    if (this.#stopped === undefined) this.#running ??= this.#run();
  }

  /** Says that something was committed. Cheap; call it after every commit. */
  notify(): void {
    if (this.#hasNews) return;
    this.#hasNews = true;
    this.#onNews();
  }

  /** Resolves when the bus has everything, or after `timeoutMs`: what is left then goes out after the next start. */
  drain(timeoutMs: Millis): Promise<void> {
    if (this.#running === undefined || this.lag === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = this.#deps.host.setTimer(timeoutMs, resolve);
      this.#onCaughtUp = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Stops publishing, closes the bus and saves the cursor. Idempotent; legal before start. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#persistence.stop();
    this.#saveTimer?.cancel();
    this.#onNews();
    this.#onCaughtUp();
    await this.#deps.bus.close();
    await this.#running;
    await this.#save();
  }

  /** Ends when persistence is stopped: only then does it answer `undefined`. */
  async #run(): Promise<void> {
    const started = await this.#persistence.insist("loading the bus cursor", () =>
      this.#loadCursor(),
    );
    if (started === undefined) return;
    for (;;) {
      this.#hasNews = false;
      const read = await this.#persistence.insist("reading commits for the bus", () =>
        this.#read(),
      );
      if (read === undefined) return;
      if (read.value === undefined) {
        this.#onCaughtUp();
        await this.#untilNews();
      } else if (await this.#forward(read.value.runs)) {
        this.#moveTo(read.value.cursor);
      }
    }
  }

  /**
   * A consumer without a saved cursor is unknown to retention, which keeps only what known ones have not read: so the
   * first start saves one that stands before the oldest commit.
   */
  async #loadCursor(): Promise<void> {
    const { journal } = this.#deps;
    this.#savedCursor = await journal.loadCursor(this.#options.consumer);
    this.#cursor = this.#savedCursor;
    if (this.#cursor !== undefined) return;
    const oldest = await journal.commitsAfter(undefined, 1);
    this.#cursor = oldest === undefined ? journal.head() : oldest.cursor - 1n;
    await this.#save();
  }

  /** Commits that were deleted all the same (a cursor restored or dropped by hand) are said to be, then left behind. */
  async #read(): Promise<CommitPage | undefined> {
    const { journal, log } = this.#deps;
    try {
      return await journal.commitsAfter(this.#cursor, this.#options.pageRecords);
    } catch (error) {
      if (!(error instanceof FaultError) || error.fault.code !== "CURSOR_EXPIRED") throw error;
      log.error({ error }, "events were deleted before the event bus had taken them");
      return journal.commitsAfter(undefined, this.#options.pageRecords);
    }
  }

  async #untilNews(): Promise<void> {
    if (this.#hasNews || this.#stopped !== undefined) return;
    await new Promise<void>((resolve) => {
      this.#onNews = resolve;
    });
  }

  #moveTo(cursor: bigint): void {
    this.#cursor = cursor;
    if (this.#stopped !== undefined) return;
    this.#saveTimer ??= this.#deps.host.setTimer(
      this.#options.saveIntervalMs,
      () => void this.#save(),
    );
  }

  /** A cursor that could not be saved costs repetition after a restart, so a failure only waits for the next save. */
  async #save(): Promise<void> {
    this.#saveTimer = undefined;
    const cursor = this.#cursor;
    if (cursor === undefined || cursor === this.#savedCursor) return;
    try {
      await this.#deps.journal.saveCursor(this.#options.consumer, cursor);
      this.#savedCursor = cursor;
    } catch (error) {
      this.#deps.log.warn({ error }, "the bus cursor could not be saved");
    }
  }

  /** Publishes events in batches; resolves to false when stopped before the bus had accepted all of them. */
  async #forward(runs: readonly RunEvents[]): Promise<boolean> {
    let batch: Outgoing[] = [];
    let bytes = 0;
    for (const run of runs) {
      const found = await this.#persistence.insist("looking up a namespace for the bus", () =>
        this.#namespaces.of(run),
      );
      if (found === undefined) return false;
      const namespace = found.value;
      for (const [at, event] of run.events.entries()) {
        batch.push({ runId: run.runId, namespace, sequence: run.firstSequence + at, event });
        bytes += weigh(event);
        if (batch.length < this.#options.batchEvents && bytes < BATCH_BYTES) continue;
        if (!(await this.#publish(batch))) return false;
        batch = [];
        bytes = 0;
      }
    }
    return batch.length === 0 || this.#publish(batch);
  }

  /** Opens, encodes and publishes anew at each try: the server met next may take only shorter bodies. */
  async #publish(batch: readonly Outgoing[]): Promise<boolean> {
    const { bus, metrics } = this.#deps;
    const accepted = await this.#persistence.insist("publishing to the event bus", async () => {
      await bus.open();
      await bus.publish(batch.map((outgoing) => this.#busMessage(outgoing)));
    });
    if (accepted === undefined) return false;
    metrics.busPublished(batch.length);
    return true;
  }

  #busMessage({ runId, namespace, sequence, event }: Outgoing): BusMessage {
    const { bus, encode } = this.#deps;
    const full = encode(runId, sequence, event);
    return {
      subject: `goclaw.v1.${segment(namespace)}.run.${runId}.${event.type}`,
      id: `${runId}/${sequence}`,
      body: fits(full, bus.bodyMaxBytes) ? full : encode(runId, sequence, abridged(event)),
    };
  }
}

/** A subject segment: dots, wildcards and whatever else means something to a bus becomes `_`. */
function segment(text: string): string {
  return text.replace(/[^A-Za-z0-9_-]/g, "_");
}

/** Whether `text` is at most `maxBytes` of UTF-8; encodes only when its length leaves a doubt. */
function fits(text: string, maxBytes: number | undefined): boolean {
  if (maxBytes === undefined || text.length * 3 <= maxBytes) return true;
  return encoder.encode(text).byteLength <= maxBytes;
}
