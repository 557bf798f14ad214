/**
 * A run without an engine: commands go in, events come out, lanes always have room unless told otherwise. Tests of the
 * core drive it step by step; every event is also folded into a second state, so that each test proves replay as well.
 */
import { expect } from "vitest";
import { type Fault, faultMessage } from "../../src/base/fault.ts";
import { parseRunId, type RunId } from "../../src/base/ids.ts";
import { type Json, jsonPayload, payloadValue } from "../../src/base/payload.ts";
import { compile } from "../../src/core/dag/compile.ts";
import type { Definition } from "../../src/core/dag/definition.ts";
import { readDefinition } from "../../src/core/dag/validate.ts";
import type { Verdict } from "../../src/core/lane/lane.ts";
import { advance } from "../../src/core/run/advance.ts";
import { inputOf, runOutput } from "../../src/core/run/binding.ts";
import { newRun } from "../../src/core/run/birth.ts";
import { decide, isFault } from "../../src/core/run/decide.ts";
import { evolve } from "../../src/core/run/evolve.ts";
import { RUN_LIMITS, type RunLimits } from "../../src/core/run/limits.ts";
import type { Command, Effect, Event, Outcome } from "../../src/core/run/message.ts";
import { react } from "../../src/core/run/react.ts";
import { findTask, type RunState, type TaskState } from "../../src/core/run/state.ts";
import { copyRun } from "../../src/engine/run-copy.ts";

/** A valid run id for tests. */
export const RUN_ID = parseRunId("01JD0000000000000000000000") as RunId;

type RunCommand = Exclude<Command, { type: "accept" }>;
/** A command without what the engine adds to it. */
type Unstamped<C> = C extends unknown ? Omit<C, "at" | "limits"> : never;

/** Reads a definition in its short form; problems fail the test. */
export function definitionOf(spec: Json): Definition {
  const read = readDefinition(spec);
  if ("violations" in read) throw new Error(JSON.stringify(read.violations, null, 2));
  return read.definition;
}

export interface HarnessOptions {
  readonly input?: Json;
  readonly deadlineMs?: number;
  readonly verdict?: (task: TaskState) => Verdict;
  /** Leave the run PENDING, as if its session were busy. */
  readonly waiting?: boolean;
}

export class RunHarness {
  readonly run: RunState;
  readonly events: Event[] = [];
  readonly effects: Effect[] = [];
  readonly blocked: TaskState[] = [];
  readonly #twin: RunState;
  readonly #verdict: (task: TaskState) => Verdict;
  at = 1_000;
  limits: RunLimits = RUN_LIMITS;

  constructor(spec: Json, options: HarnessOptions = {}) {
    const plan = compile(definitionOf(spec), { hash: "0".repeat(64) });
    const event: Extract<Event, { type: "run_accepted" }> = {
      type: "run_accepted",
      at: this.at,
      definition: plan.hash,
      name: plan.definition.name,
      request: {
        input: jsonPayload(options.input ?? null),
        namespace: "default",
        priority: 0,
        labels: {},
        traceId: "0".repeat(32),
        ...(options.deadlineMs === undefined ? {} : { deadlineMs: options.deadlineMs }),
      },
    };
    this.run = newRun(RUN_ID, plan, event);
    this.#twin = newRun(RUN_ID, plan, event);
    this.#verdict =
      options.verdict ?? ((task) => ({ kind: "accepted", lane: task.lane || task.node.task.lane }));
    this.events.push(event);
    this.effects.push(...react(this.run, event));
    if (options.waiting !== true) this.do({ type: "begin" });
  }

  /** Carries out a command with its consequences; returns the new events. A fault fails the test. */
  do(command: Unstamped<RunCommand>): Event[] {
    const decision = this.#decide(command);
    if (isFault(decision)) throw new Error(`refused: ${faultMessage(decision)}`);
    const before = this.events.length;
    for (const event of decision) this.#apply(event);
    this.settle();
    this.#compareWithReplay();
    return this.events.slice(before);
  }

  /** The fault a command is refused with; its absence fails the test. */
  refused(command: Unstamped<RunCommand>): Fault {
    const decision = this.#decide(command);
    if (!isFault(decision)) throw new Error("the command was not refused");
    return decision;
  }

  /** Draws consequences, as the engine does after each command. */
  settle(): void {
    advance(this.run, {
      at: this.at,
      limits: this.limits,
      verdictOf: this.#verdict,
      emit: (_, event) => this.#apply(event),
      blocked: (task) => this.blocked.push(task),
    });
  }

  /** Starts a scheduled task. */
  start(...ids: string[]): this {
    for (const task of ids) this.do({ type: "start", task });
    return this;
  }

  /** Starts a task and reports its result. */
  complete(id: string, output: Json = null): this {
    this.start(id);
    return this.report(id, { kind: "success", output: jsonPayload(output) });
  }

  /** Reports the end of the attempt that holds the lease. */
  report(id: string, outcome: Outcome): this {
    this.do({ type: "report", task: id, lease: this.task(id).lease, outcome });
    return this;
  }

  /** Starts a task and reports a failure. */
  fail(id: string, failure: "retryable" | "terminal" | "throttled" = "terminal"): this {
    this.start(id);
    return this.report(id, { kind: "failure", failure, message: `${id} failed` });
  }

  task(id: string): TaskState {
    const task = findTask(this.run, id);
    if (task === undefined) throw new Error(`no task ${id}`);
    return task;
  }

  /** Statuses by id, for one comparison. */
  statuses(): Record<string, string> {
    return Object.fromEntries(this.run.tasks.map((task) => [task.id, task.status]));
  }

  input(id: string): Json {
    const input = inputOf(this.run, this.task(id));
    if ("problem" in input) throw new Error(input.problem);
    return payloadValue(input.value);
  }

  output(): Json {
    const output = runOutput(this.run);
    if ("problem" in output) throw new Error(output.problem);
    return payloadValue(output.value);
  }

  #decide(command: Unstamped<RunCommand>): ReturnType<typeof decide> {
    const before = JSON.stringify(snapshotOf(this.run));
    const decision = decide(this.run, {
      ...command,
      at: this.at,
      limits: this.limits,
    } as RunCommand);
    expect(JSON.stringify(snapshotOf(this.run)), "decide must not change the state").toBe(before);
    return decision;
  }

  #apply(event: Event): void {
    evolve(this.run, event);
    this.events.push(event);
    this.effects.push(...react(this.run, event));
  }

  #compareWithReplay(): void {
    for (const event of this.events.slice(this.#twin.sequence)) evolve(this.#twin, event);
    expect(snapshotOf(this.#twin)).toEqual(snapshotOf(this.run));
    expect(this.run.sequence).toBe(this.events.length);
  }
}

/** What counts of a state: everything but the agenda, the plan and back references. */
export function snapshotOf(run: RunState): object {
  const { plan: _plan, agenda: _agenda, tasks, ...rest } = copyRun(run);
  return {
    ...rest,
    tasks: tasks.map(({ run: _run, node, place: _place, ...task }) => ({
      ...task,
      node: node.index,
    })),
  };
}
