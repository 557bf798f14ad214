/**
 * Planted defects of everything above the journal: clock, lanes, agents, runtime, watchers, the engine itself. Each is a
 * part wrapped so that it breaks one promise now and then. Only a test switches one on.
 */
import type { RunId } from "../../src/base/ids.ts";
import type { Instant, Millis } from "../../src/base/time.ts";
import type { Verdict } from "../../src/core/lane/lane.ts";
import type { Outcome, RunEvents } from "../../src/core/run/message.ts";
import type { RunState, TaskState } from "../../src/core/run/state.ts";
import type { EndedRun, StartedRun, StartRun } from "../../src/engine/api.ts";
import { Engine } from "../../src/engine/engine.ts";
import { EventHub, type RunHead, type SequencedEvent } from "../../src/events/hub.ts";
import { LaneManager } from "../../src/lanes/lane-manager.ts";
import type { Assignment, AttemptListener } from "../../src/ports/agent.ts";
import type { TimerHandle } from "../../src/ports/host.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { SimulatedAgents } from "./agents.ts";
import { everyNth } from "./every-nth.ts";
import type { Faults } from "./faults.ts";
import { type HostOptions, SimulatedHost } from "./time.ts";

const NEVER: TimerHandle = { cancel: () => {} };

export class ForgetfulHost extends SimulatedHost {
  readonly #isLost = everyNth(20);

  override setTimer(delayMs: Millis, run: () => void): TimerHandle {
    return this.#isLost() ? NEVER : super.setTimer(delayMs, run);
  }
}

/** Loses the timers that recovery sets, between the moment it knows the time and its first turn. */
export class AmnesicHost extends SimulatedHost {
  #isRecovering = false;

  override notBefore(instant: Instant): void {
    super.notBefore(instant);
    this.#isRecovering = true;
  }

  override defer(run: () => void): void {
    this.#isRecovering = false;
    super.defer(run);
  }

  override setTimer(delayMs: Millis, run: () => void): TimerHandle {
    return this.#isRecovering ? NEVER : super.setTimer(delayMs, run);
  }
}

/** Follows the wall clock wherever it jumps. */
export class WallClockHost extends SimulatedHost {
  readonly #wall: HostOptions;

  constructor(options: HostOptions) {
    super(options);
    this.#wall = options;
  }

  override now(): Instant {
    return this.#wall.schedule.now + this.#wall.wallSkewMs();
  }
}

export class LeakyLanes extends LaneManager {
  readonly #isDropped = everyNth(7);

  override released(task: TaskState): void {
    if (this.#isDropped()) task.place = undefined;
    else super.released(task);
  }
}

/** Gives the slots of some tasks back twice. */
export class GenerousLanes extends LaneManager {
  readonly #isTwice = everyNth(7);

  override released(task: TaskState): void {
    const { place } = task;
    super.released(task);
    if (!this.#isTwice()) return;
    task.place = place;
    super.released(task);
  }
}

export class TurnlessLanes extends LaneManager {
  override runAccepted(run: RunState): boolean {
    super.runAccepted(run);
    return true;
  }
}

/** Lets tasks into the lane they name, full or not. */
export class BottomlessLanes extends LaneManager {
  override verdict(task: TaskState): Verdict {
    const verdict = super.verdict(task);
    return task.attempt > 0 ? verdict : { kind: "accepted", lane: task.node.task.lane };
  }
}

/** Does not hear of pauses. */
export class RestlessLanes extends LaneManager {
  override change(...[name, settings]: Parameters<LaneManager["change"]>) {
    return super.change(name, { ...settings, paused: false });
  }
}

/** The same lanes with one slot more each. */
export function widened(faults: Faults): Faults {
  const named = faults.lanes.named.map((lane) => ({ ...lane, concurrency: lane.concurrency + 1 }));
  return { ...faults, lanes: { ...faults.lanes, named } };
}

export class SkippingHub extends EventHub {
  readonly #isSkipped = everyNth(10);

  override publish(events: RunEvents): void {
    if (!this.#isSkipped()) super.publish(events);
  }
}

/** Begins once more with the event that was seen last. */
export class StutteringHub extends EventHub {
  override watch(
    runId: RunId,
    afterSequence: number,
    head: () => RunHead | undefined,
    abort?: AbortSignal,
  ): AsyncGenerator<SequencedEvent, void, undefined> {
    return super.watch(runId, Math.max(0, afterSequence - 1), head, abort);
  }
}

/** Buffers without a bound. */
export class PatientHub extends EventHub {
  constructor(...[, deps]: ConstructorParameters<typeof EventHub>) {
    super({ bufferBytes: Number.POSITIVE_INFINITY }, deps);
  }
}

/** Never lets go of a watcher that leaves. */
export class ClingingHub extends EventHub {
  override watch(
    ...[runId, after, head]: Parameters<EventHub["watch"]>
  ): AsyncGenerator<SequencedEvent, void, undefined> {
    return super.watch(runId, after, () => ({ sequence: head()?.sequence ?? 0, ended: false }));
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

/** Loses some ends of attempts. */
export class MuteAgents extends SimulatedAgents {
  readonly #isLost = everyNth(15);

  override open(listener: AttemptListener): Promise<void> {
    return super.open({
      ...listener,
      finish: (key, outcome) => {
        if (!this.#isLost()) listener.finish(key, outcome);
      },
    });
  }
}

/** Gives an attempt the input of the one before. */
export class ConfusedRuntime extends Runtime {
  readonly #isConfused = everyNth(10);
  #before: Assignment | undefined;

  override start(assignment: Assignment): void {
    const input = this.#isConfused() ? this.#before?.runInput : undefined;
    this.#before = assignment;
    super.start(input === undefined ? assignment : { ...assignment, input });
  }
}

/** Takes every attempt for a task of its own. */
export class NaiveRuntime extends Runtime {
  override start(assignment: Assignment): void {
    const idempotencyKey = `${assignment.idempotencyKey}/${assignment.attempt}`;
    super.start({ ...assignment, idempotencyKey });
  }
}

/** Takes results of any size. */
export function unlimited(faults: Faults): Faults {
  return { ...faults, payloadBytes: 1_000_000_000 };
}

/** Answers reads from what it once read. */
export class StaleEngine extends Engine {
  readonly #read = new Map<RunId, RunState>();

  override async getRun(runId: RunId): Promise<RunState> {
    const known = this.#read.get(runId);
    if (known !== undefined) return known;
    const run = await super.getRun(runId);
    this.#read.set(runId, run);
    return run;
  }
}

/** Does not wait for dependencies. */
export class HastyEngine extends Engine {
  override startRun(start: StartRun, onEnd?: (end: EndedRun) => void): Promise<StartedRun> {
    if (typeof start.definition !== "string") {
      for (const node of this.plan(start.definition).nodes) Object.assign(node, { deps: [] });
    }
    return super.startRun(start, onEnd);
  }
}

/** Starts the oldest version that a name ever stood for. */
export class NostalgicEngine extends Engine {
  override async startRun(start: StartRun, onEnd?: (end: EndedRun) => void): Promise<StartedRun> {
    const { definition, request } = start;
    if (typeof definition !== "string") return super.startRun(start, onEnd);
    const known = await this.definitions(request.namespace);
    const oldest = known.find(({ name }) => name === definition);
    const reference = oldest === undefined ? definition : `${definition}@${oldest.version}`;
    return super.startRun({ ...start, definition: reference }, onEnd);
  }
}
