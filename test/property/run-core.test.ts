/**
 * The core under any command at any time: random definitions, commands that fit and commands that do not, lanes that
 * accept, block and drop as they please. `decide` never throws and never changes anything, the fold of the events is the
 * live state, the agenda is always drained, events keep the rules as `test/sim/history.ts` tells them, terminal is
 * terminal, and whatever happened, a cancelled run whose leases end has an end.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { FAULTS } from "../../src/base/fault.ts";
import { prng } from "../../src/base/hash.ts";
import { jsonPayload } from "../../src/base/payload.ts";
import { compile } from "../../src/core/dag/compile.ts";
import type { Verdict } from "../../src/core/lane/lane.ts";
import { advance } from "../../src/core/run/advance.ts";
import { newRun } from "../../src/core/run/birth.ts";
import { decide, isFault } from "../../src/core/run/decide.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import { RUN_LIMITS } from "../../src/core/run/limits.ts";
import type { Command, Event, Outcome, SignalContent } from "../../src/core/run/message.ts";
import { react, timersOf } from "../../src/core/run/react.ts";
import type { RunState, TaskState } from "../../src/core/run/state.ts";
import { isTerminalRun } from "../../src/core/run/status.ts";
import { Draw, drawDefinition } from "../sim/definitions.ts";
import { RunHistory } from "../sim/history.ts";
import { snapshotOf } from "../sim/oracles.ts";
import { RUN_ID } from "../support/run-harness.ts";

type RunCommand = Exclude<Command, { type: "accept" }>;

const limits = { ...RUN_LIMITS, historyEvents: 300 };

class Walk {
  readonly run: RunState;
  readonly twin: RunState;
  readonly history: RunHistory;
  readonly #draw: Draw;
  at = 1_000;

  constructor(seed: number) {
    this.#draw = new Draw(prng(seed));
    const plan = compile(drawDefinition(this.#draw, "walk"), { hash: "0".repeat(64) });
    const event: Extract<Event, { type: "run_accepted" }> = {
      type: "run_accepted",
      at: this.at,
      definition: plan.hash,
      name: "walk",
      request: {
        input: jsonPayload({ n: this.#draw.upTo(9), items: [1, 2] }),
        namespace: "default",
        priority: 0,
        labels: {},
        traceId: "0".repeat(32),
      },
    };
    this.run = newRun(RUN_ID, plan, event);
    this.twin = newRun(RUN_ID, plan, event);
    this.history = new RunHistory(plan);
    expect(this.history.take(event)).toBeUndefined();
  }

  /** One command with its consequences; returns how many events it led to. */
  do(command: RunCommand): number {
    const before = JSON.stringify(snapshotOf(this.run));
    const wasTerminal = isTerminalRun(this.run.status);
    const decision = decide(this.run, command);
    expect(JSON.stringify(snapshotOf(this.run))).toBe(before);
    if (isFault(decision)) {
      expect(Object.keys(FAULTS)).toContain(decision.code);
      return 0;
    }
    const { sequence } = this.run;
    for (const event of decision) this.#emit(event);
    advance(this.run, {
      at: this.at,
      limits,
      verdictOf: (task) => this.#verdictOf(task),
      emit: (_, event) => this.#emit(event),
      blocked: () => {},
    });
    const count = this.run.sequence - sequence;
    if (wasTerminal) expect(count).toBe(0);
    this.#check();
    return count;
  }

  #emit(event: Event): void {
    evolve(this.run, event);
    evolve(this.twin, event);
    react(this.run, event);
    expect(this.history.take(event)).toBeUndefined();
  }

  #verdictOf(task: TaskState): Verdict {
    const { lane } = task.node.task;
    const dice = this.#draw.random();
    if (dice < 0.9) return { kind: "accepted", lane };
    if (dice < 0.94) return { kind: "redirected", lane: "io", from: lane };
    return dice < 0.97 ? { kind: "dropped", lane } : { kind: "blocked", lane };
  }

  #check(): void {
    expect(snapshotOf(this.twin)).toEqual(snapshotOf(this.run));
    const { ready, joinable, expiring, fatal, closing } = this.run.agenda;
    const isBegun = this.run.status !== "PENDING" || this.run.ending !== undefined;
    const left = { ready, joinable, expiring, fatal, closing };
    const nothing = {
      ready: [],
      joinable: [],
      expiring: [],
      fatal: undefined,
      closing: false,
    };
    if (isBegun) expect(left).toEqual(nothing);
    expect(() => timersOf(this.run)).not.toThrow();
  }

  /** Any command, mostly one that fits. */
  step(): void {
    const draw = this.#draw;
    this.at += draw.upTo(500);
    const { at } = this;
    const known = draw.one(this.run.tasks);
    const task = draw.chance(0.03) ? "nobody" : known.id;
    const attempt = draw.chance(0.9) ? known.lease : draw.upTo(3);
    const dice = draw.random();
    if (this.run.status === "PENDING" && dice < 0.8) this.do({ type: "begin", at });
    else if (dice < 0.35) this.do({ type: "start", at, task });
    else if (dice < 0.65)
      this.do({ type: "report", at, task, lease: attempt, outcome: this.#outcome() });
    else if (dice < 0.7)
      this.do({ type: "progress", at, task, lease: attempt, percent: 5, note: "", limits });
    else if (dice < 0.73) {
      this.do({ type: "checkpoint", at, task, lease: attempt, data: new Uint8Array([1]) });
    } else if (dice < 0.83) {
      const signal = `s${draw.upTo(20)}`;
      const content = this.#content();
      this.do({ type: "signal", at, task, signal, content, limits });
    } else if (dice < 0.86) {
      const receipt = draw.one(["delivered", "admitted"] as const);
      this.do({ type: "receipt", at, task, lease: attempt, signal: `s${draw.upTo(20)}`, receipt });
    } else if (dice < 0.95) this.#timer(known, attempt);
    else if (dice < 0.97) this.do({ type: "drop", at, task, lane: "io" });
    else if (dice < 0.99) this.do({ type: "recover", at });
    else this.do({ type: "cancel", at, reason: "enough", graceMs: 100 });
  }

  /** Timers may be stale, never early. */
  #timer(task: TaskState, attempt: number): void {
    const timer = this.#draw.one([
      "task_deadline",
      "attempt_timeout",
      "retry_due",
      "collect_deadline",
    ] as const);
    if (timer === "attempt_timeout") {
      this.at = Math.max(this.at, task.startedAt + (task.node.task.timeoutMs ?? 0));
    }
    if (timer === "retry_due") this.at = Math.max(this.at, task.dueAt);
    const signal = `s${this.#draw.upTo(20)}`;
    this.do({ type: "timer", at: this.at, timer, task: task.id, lease: attempt, signal });
  }

  #outcome(): Outcome {
    const draw = this.#draw;
    const dice = draw.random();
    if (dice < 0.6) {
      const list = [1, 2, 3].slice(draw.upTo(3));
      return { kind: "success", output: jsonPayload({ v: draw.upTo(9), list }) };
    }
    if (dice < 0.7) return { kind: "stopped" };
    if (dice < 0.8) return { kind: "lost", reason: "WORKER_LOST", message: "" };
    const failure = draw.one([
      "retryable",
      "terminal",
      "throttled",
      "cancelled",
      "invalid",
    ] as const);
    return { kind: "failure", failure, message: "no", retryAfterMs: draw.upTo(100) };
  }

  #content(): SignalContent {
    const draw = this.#draw;
    const dice = draw.random();
    if (dice < 0.3) return { kind: "steer", payload: jsonPayload(1), text: "" };
    if (dice < 0.7) {
      const replaceWith = draw.chance(0.5) ? { replaceWith: jsonPayload({ n: 1 }) } : {};
      return { kind: "interrupt", reason: "", graceMs: 10, ...replaceWith };
    }
    const tasks = [draw.one(this.run.tasks).id, draw.one(this.run.tasks).id];
    return { kind: "collect", tasks, mode: draw.one([{ kind: "all" }, { kind: "any" }] as const) };
  }

  /** Cancels the run and lets every attempt that is out end. */
  end(): void {
    const { at } = this;
    this.do({ type: "cancel", at, reason: "the end", graceMs: 0 });
    for (const task of this.run.tasks) {
      if (task.lease === 0) continue;
      const { id, lease: attempt } = task;
      this.do({ type: "report", at, task: id, lease: attempt, outcome: { kind: "stopped" } });
    }
  }
}

test("any commands on any definition keep every rule of the core", () => {
  const ends = new Map<string, number>();
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const walk = new Walk(seed);
      for (let step = 0; step < 120; step++) walk.step();
      const { status } = walk.run;
      walk.end();
      expect(isTerminalRun(walk.run.status)).toBe(true);
      ends.set(status, (ends.get(status) ?? 0) + 1);
      for (let step = 0; step < 10; step++) walk.step();
    }),
    { numRuns: 250, seed: 17 },
  );
  // The walks end in every way there is, most of them before they are cancelled here.
  expect([...ends.keys()].sort()).toEqual(["CANCELLED", "COMPLETED", "FAILED", "RUNNING"]);
});
