/**
 * Impatient clients. Each happening of a plan lets one of them do something: submit, register, cancel, signal, read,
 * collect, or watch from anywhere and go on where it was cut off. What one does hangs on its own seed and on what is
 * there when it begins. What they are told is held against the disk at once.
 */
import type { RunId } from "../../src/base/ids.ts";
import { jsonPayload } from "../../src/base/payload.ts";
import type { SignalContent } from "../../src/core/run/message.ts";
import { Caller, type ClientsDeps, TRANSIENT } from "./caller.ts";
import { type Draw, drawDefinition } from "./definitions.ts";
import type { SimulatedProcess } from "./process.ts";
import { Submitters } from "./submitters.ts";
import { Watchers } from "./watchers.ts";

const PASSED_BY = ["RUN_TERMINAL", "TASK_TERMINAL"];
const SIGNAL_REFUSALS = [
  ...PASSED_BY,
  "TASK_NOT_FOUND",
  "SIGNAL_MAILBOX_FULL",
  "ARGUMENT_INVALID",
  "SESSION_IDLE",
];
const DEFINITIONS = 12;
const SESSIONS = ["anna", "ben", "cleo"];

export class Clients {
  readonly #caller: Caller;
  readonly submitters: Submitters;
  readonly #watchers: Watchers;

  constructor(deps: ClientsDeps, draw: Draw) {
    this.#caller = new Caller(deps);
    const definitions = Array.from({ length: DEFINITIONS }, (_, at) =>
      drawDefinition(draw, `flow-${at}`),
    );
    this.submitters = new Submitters(this.#caller, definitions);
    this.#watchers = new Watchers(this.#caller);
  }

  /** Clients that wait for something, and what they do. */
  get doing(): ReadonlyMap<object, string> {
    return this.#caller.doing;
  }

  /** One client does something; `name` is unique to it. */
  act(draw: Draw, name: string): void {
    const { ledger, faults } = this.#caller.deps;
    const dice = draw.random();
    const known = draw.one(this.submitters.known);
    const isFull = ledger.live >= faults.openRunsMax;
    if (known === undefined || (dice < 0.35 && !isFull)) {
      this.#caller.spawn("submit", this.#submit(draw, name));
      return;
    }
    const { runId, mark } = known;
    if (dice < 0.4) this.#caller.spawn("register", this.submitters.register(draw));
    else if (dice < 0.48) this.#caller.spawn("cancel", this.#cancel(draw, runId));
    else if (dice < 0.7) this.#caller.spawn("signal", this.#signal(draw, runId, mark, name));
    else if (dice < 0.82) this.#caller.spawn("watch", this.#watchers.watch(draw, runId));
    else if (dice < 0.9) this.#caller.spawn("collect", this.#collect(draw, runId));
    else this.#caller.spawn("read", this.read(draw, runId));
  }

  async #submit(draw: Draw, name: string): Promise<void> {
    const started = await this.submitters.submit(draw, name);
    if (started === undefined || !draw.chance(0.3)) return;
    this.#caller.spawn("watch", this.#watchers.watch(draw, started.runId, 0));
  }

  async #cancel(draw: Draw, runId: RunId): Promise<void> {
    const graceMs = draw.upTo(500);
    await this.#caller.call({
      what: "cancel",
      draw,
      runId,
      refusals: PASSED_BY,
      make: async ({ engine }) => {
        await engine.cancelRun(runId, { reason: "changed my mind", graceMs });
        this.#acknowledged("cancel", runId, "run_ending");
      },
    });
  }

  #acknowledged(what: string, runId: RunId, type: string): void {
    this.#caller.deps.oracles.acknowledged(what, runId, (event) => event.type === type);
  }

  async #signal(draw: Draw, runId: RunId, mark: string, name: string): Promise<void> {
    const { oracles } = this.#caller.deps;
    const signalId = `signal-${name}`;
    const call = { what: "signal", draw, refusals: SIGNAL_REFUSALS, runId };
    if (draw.chance(0.1)) {
      const target = { sessionId: draw.one(SESSIONS), namespace: "default" };
      const content = this.#content(draw, runId, "");
      const make = ({ engine }: SimulatedProcess) => engine.signal({ target, signalId, content });
      await this.#caller.call({ ...call, make });
      return;
    }
    const target = { runId, taskId: this.#someTask(draw, runId) };
    const content = this.#content(draw, runId, mark);
    await this.#caller.call({
      ...call,
      make: async ({ engine }) => {
        await engine.signal({ target, signalId, content });
        oracles.acknowledged(
          "signal",
          runId,
          (event) => event.type === "signal_accepted" && event.signal === signalId,
        );
      },
    });
  }

  #someTask(draw: Draw, runId: RunId): string {
    const { ledger } = this.#caller.deps;
    const tasks = ledger.runs.get(runId)?.plan.definition.tasks.map(({ id }) => id) ?? [];
    if (draw.chance(0.05)) return "nobody";
    const id = draw.one(tasks);
    return draw.chance(0.15) ? `${id}[${draw.upTo(2)}]` : id;
  }

  #content(draw: Draw, runId: RunId, mark: string): SignalContent {
    const dice = draw.random();
    if (dice < 0.3) {
      return { kind: "steer", payload: jsonPayload({ to: draw.upTo(9), mark }), text: "left" };
    }
    if (dice < 0.7) {
      return {
        kind: "interrupt",
        reason: "newer input",
        graceMs: draw.upTo(300),
        ...(draw.chance(0.6) ? { replaceWith: jsonPayload({ n: draw.upTo(99), mark }) } : {}),
      };
    }
    const tasks = [this.#someTask(draw, runId), this.#someTask(draw, runId)];
    const mode = draw.one([
      { kind: "all" as const },
      { kind: "any" as const },
      { kind: "quorum" as const, count: 1 + draw.upTo(1) },
    ]);
    const deadline = draw.chance(0.5) ? { deadlineMs: draw.upTo(3_000) } : {};
    return { kind: "collect", tasks, mode, ...deadline };
  }

  async #collect(draw: Draw, runId: RunId): Promise<void> {
    const { ledger, complain } = this.#caller.deps;
    const tasks = [this.#someTask(draw, runId), this.#someTask(draw, runId)];
    const mode = draw.one([{ kind: "all" as const }, { kind: "any" as const }]);
    await this.#caller.call({
      what: "collect",
      draw,
      runId,
      refusals: ["TASK_NOT_FOUND"],
      make: async ({ engine }) => {
        const deadlineMs = draw.upTo(5_000);
        const answer = await engine.collect({ runId, tasks, mode, deadlineMs });
        const record = ledger.runs.get(runId);
        if (record === undefined) return complain(`run ${runId} was collected and is not durable`);
        const run = ledger.fold(record, record.durable);
        for (const { id, status } of answer.finished) {
          const found = run.tasks.find((task) => task.id === id);
          if (found?.status !== status) {
            complain(`collect says ${id} is ${status}: ${found?.status}`);
          }
        }
      },
    });
  }

  /** Reads a run, which must be there, and no older than when it was asked for. */
  async read(draw: Draw, runId: RunId): Promise<void> {
    const { ledger, oracles } = this.#caller.deps;
    await this.#caller.call({
      what: "read",
      draw,
      runId,
      refusals: TRANSIENT,
      make: async ({ engine }) => {
        const atLeast = ledger.runs.get(runId)?.durable ?? 0;
        oracles.read(await engine.getRun(runId), atLeast);
      },
    });
  }
}
