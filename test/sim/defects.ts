/**
 * Planted defects, each a port or a part wrapped so that it breaks one promise now and then. They exist to test the
 * simulator: an oracle that never complains about any of them watches nothing. Only a test switches one on.
 */
import type { DiskChange } from "../../src/adapters/memory-store.ts";
import type { Millis } from "../../src/base/time.ts";
import type { LanesConfig } from "../../src/core/lane/lane.ts";
import type { Outcome, RunEvents } from "../../src/core/run/message.ts";
import type { RunState, TaskState } from "../../src/core/run/state.ts";
import { EventHub } from "../../src/events/hub.ts";
import { LaneManager } from "../../src/lanes/lane-manager.ts";
import type { AttemptListener } from "../../src/ports/agent.ts";
import type { TimerHandle } from "../../src/ports/host.ts";
import { SimulatedAgents } from "./agents.ts";
import { ObservedJournal } from "./journal.ts";
import { CountingDisk } from "./ledger.ts";
import { SimulatedHost } from "./time.ts";

/** Each defect with what it breaks. */
export const DEFECTS = {
  "early ack": "the disk says durable before it is",
  "dropped release": "every seventh slot is not given back",
  "last answer wins": "of two ends of an attempt the second is taken",
  "extra slot": "every lane has one slot more than configured",
  "lost timer": "every twentieth timer never fires",
  "lost write": "every fiftieth batch is called durable and is nowhere",
  "forgotten key": "idempotency keys of former processes are not found",
  "forgotten run": "recovery leaves out every fifth run",
  "skipped event": "every tenth publication does not reach the watchers",
  "ignored turn": "runs do not wait for their session",
  "stale answer": "the end of an older attempt ends the current one",
} as const;
export type Defect = keyof typeof DEFECTS;

/** Whether this call of a counter is the n-th, 2n-th, … */
function everyNth(n: number): () => boolean {
  let calls = 0;
  return () => ++calls % n === 0;
}

export class LyingDisk extends CountingDisk {
  override sync(batch: readonly DiskChange[]): Promise<void> {
    super.sync(batch).catch(() => {});
    return Promise.resolve();
  }
}

export class LeakyDisk extends CountingDisk {
  readonly #isLost = everyNth(50);

  protected override apply(batch: readonly DiskChange[]): void {
    super.apply(this.#isLost() ? [] : batch);
  }
}

export class ForgetfulHost extends SimulatedHost {
  readonly #isLost = everyNth(20);

  override setTimer(delayMs: Millis, run: () => void): TimerHandle {
    return this.#isLost() ? { cancel: () => {} } : super.setTimer(delayMs, run);
  }
}

export class LeakyLanes extends LaneManager {
  readonly #isDropped = everyNth(7);

  override released(task: TaskState): void {
    if (this.#isDropped()) task.place = undefined;
    else super.released(task);
  }
}

export class TurnlessLanes extends LaneManager {
  override runAccepted(run: RunState): boolean {
    super.runAccepted(run);
    return true;
  }
}

/** The same lanes with one slot more each. */
export function widened(config: LanesConfig): LanesConfig {
  const named = config.named.map((lane) => ({ ...lane, concurrency: lane.concurrency + 1 }));
  return { ...config, named };
}

export class SkippingHub extends EventHub {
  readonly #isSkipped = everyNth(10);

  override publish(events: RunEvents): void {
    if (!this.#isSkipped()) super.publish(events);
  }
}

/** Holds the end of an attempt back for a moment and passes on whatever was said last. */
export class FickleAgents extends SimulatedAgents {
  override open(listener: AttemptListener): Promise<void> {
    const last = new Map<string, Outcome>();
    return super.open({
      ...listener,
      finish: (key, outcome) => {
        if (!last.has(key)) {
          queueMicrotask(() => listener.finish(key, last.get(key) ?? outcome));
        }
        last.set(key, outcome);
      },
    });
  }
}

/** Takes an end of attempt n for the end of attempt n + 1, when that is what runs. */
export class StaleAgents extends SimulatedAgents {
  override open(listener: AttemptListener): Promise<void> {
    return super.open({
      ...listener,
      finish: (key, outcome) => {
        const cut = key.lastIndexOf("/") + 1;
        const next = `${key.slice(0, cut)}${Number(key.slice(cut)) + 1}`;
        listener.finish(this.flights.has(next) ? next : key, outcome);
      },
    });
  }
}

export class KeylessJournal extends ObservedJournal {
  override findIdempotent(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}

export class ForgetfulJournal extends ObservedJournal {
  readonly #isForgotten = everyNth(5);

  override recover(onRun: Parameters<ObservedJournal["recover"]>[0]): Promise<void> {
    return super.recover((run) => (this.#isForgotten() ? undefined : onRun(run)));
  }
}
