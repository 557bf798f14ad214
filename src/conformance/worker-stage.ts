/**
 * The stage of the cases for workers: the program under test, the double of an engine that it talks to, and the moves that
 * most plays share. A case begins with a fresh session of a worker that holds nothing; after a failure the program is
 * started anew, so that one fault is reported once. Which surface a worker uses shows itself in its first call.
 */
import { type Hello, VerdictOutcome } from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { Millis } from "../base/time.ts";
import { EngineDouble } from "./engine-double.ts";
import type { Poll, PollDesk } from "./poll-desk.ts";
import { type Clock, demand, NotApplicable, Unmet } from "./verdicts.ts";
import { ENDED_WELL, type RunningWorker, type WorkerProgram } from "./worker-program.ts";
import type { Given, WelcomeInit, WorkerSession } from "./worker-session.ts";

/** Agents a worker under test serves; the first two it must. */
export const TEST_AGENTS = ["echo", "sleep", "fail", "listen"] as const;

/** Slots of class `default` that it must have. */
export const SLOTS_MIN = 4;

export type Surface = "session" | "poll";

export interface StageOptions {
  readonly program: WorkerProgram;
  readonly clock: Clock;
  /** Longest wait for whatever a case expects. */
  readonly patienceMs: Millis;
}

export interface OpenOptions {
  readonly welcome?: WelcomeInit;
  /** No probes but those of the case. */
  readonly isQuiet?: boolean;
}

/** A program that starts may have to load a virtual machine and libraries first. */
const START_FACTOR = 4;
/** The longest pause before a redial, after failures; the first one is at most 100 ms. */
const REDIAL_MAX_MS = 5_000;

export class WorkerStage {
  readonly clock: Clock;
  readonly patienceMs: Millis;
  readonly #program: WorkerProgram;
  readonly #double: EngineDouble;
  #running: RunningWorker | undefined;
  /** The one that runs or was the last to run. */
  #latest: RunningWorker | undefined;
  #session: WorkerSession | undefined;

  constructor({ program, clock, patienceMs }: StageOptions) {
    this.clock = clock;
    this.patienceMs = patienceMs;
    this.#program = program;
    this.#double = new EngineDouble(clock, patienceMs);
  }

  get desk(): PollDesk {
    return this.#double.desk;
  }

  async start(): Promise<void> {
    await this.#double.start();
  }

  async stop(): Promise<void> {
    await this.restart();
    await this.#double.stop();
  }

  /** Ends the program; the next case starts it again. */
  async restart(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    this.#session?.cut();
    this.#session = undefined;
    running?.kill();
    await running?.ended;
    this.#double.dials.clear();
    this.desk.reset();
  }

  /** What the program printed last, for a failure. */
  output(): string {
    return this.#latest?.output() ?? "";
  }

  /** The program, started if it does not run. */
  #run(): RunningWorker {
    if (this.#running !== undefined) return this.#running;
    const running = this.#program.start({
      GOCLAW_SERVER: this.#double.address,
      GOCLAW_AGENTS: TEST_AGENTS.join(","),
    });
    this.#running = running;
    this.#latest = running;
    void running.ended.then(() => {
      if (this.#running === running) this.#running = undefined;
    });
    return running;
  }

  /** The surface of the worker's first call. Rejects with {@link Unmet} when it makes none. */
  async surface(): Promise<Surface> {
    const running = this.#run();
    const expected = "a call of OpenSession or PollTasks";
    const withinMs = this.patienceMs * START_FACTOR;
    const dialled = this.#double.dials.take((session) => session, expected, withinMs);
    const polled = this.desk.polls.take((poll) => poll, expected, withinMs);
    const gone = running.ended.then((how): Surface => {
      throw new Unmet(expected, `the program ended with ${how}\n${running.output()}`);
    });
    const called = Promise.any([
      dialled.then((): Surface => "session"),
      polled.then((): Surface => "poll"),
    ]).catch(() => {
      throw new Unmet(`${expected} within ${withinMs} ms`, `nothing\n${running.output()}`);
    });
    // Whichever of the two loses the race has nothing more to say.
    for (const each of [gone, called]) each.catch(() => {});
    const surface = await Promise.race([called, gone]);
    // The first case begins with it.
    if (surface === "session") this.#double.dials.push(await dialled);
    return surface;
  }

  /** A session of a worker that holds nothing. */
  async open(options: OpenOptions = {}): Promise<WorkerSession> {
    this.#session?.end();
    const session = await this.dialled();
    session.fenceOld();
    this.admit(session, options);
    return session;
  }

  /** The next Hello, not welcomed yet. */
  async dialled(expected = "a new stream with a Hello"): Promise<WorkerSession> {
    const isStart = this.#running === undefined;
    this.#run();
    const withinMs = isStart
      ? this.patienceMs * START_FACTOR
      : Math.max(this.patienceMs, REDIAL_MAX_MS + this.patienceMs / 2);
    const session = await this.#double.dials.take(
      // A stream that was given up while no case listened is nobody's.
      (each) => (each.isOpen ? each : undefined),
      expected,
      withinMs,
    );
    this.#session = session;
    return session;
  }

  /** The next call of PollTasks that begins from now on. */
  async polled(): Promise<Poll> {
    const isStart = this.#running === undefined;
    this.#run();
    this.desk.polls.clear();
    const withinMs = isStart ? this.patienceMs * START_FACTOR : REDIAL_MAX_MS + this.patienceMs;
    return this.desk.polls.take((poll) => poll, "a call of PollTasks", withinMs);
  }

  /** Welcomes a session. */
  admit(session: WorkerSession, { welcome = {}, isQuiet = false }: OpenOptions = {}): void {
    session.welcome(welcome, isQuiet);
  }

  /** Waits for the worker to come back by itself and welcomes it. */
  async reopened(
    options: OpenOptions | ((hello: Hello) => OpenOptions) = {},
  ): Promise<WorkerSession> {
    const session = await this.dialled();
    this.admit(session, typeof options === "function" ? options(session.hello) : options);
    return session;
  }

  /** Takes the result of a lease as an honest engine does. */
  async finish(session: WorkerSession, ...given: readonly Given[]): Promise<void> {
    for (const each of given) await session.completed(each);
    session.verdict(VerdictOutcome.COMMITTED, ...given);
  }

  /** Cancels leases and takes whatever end they find. */
  async abandon(session: WorkerSession, ...given: readonly Given[]): Promise<void> {
    session.send({ cancels: given.map(({ leaseId }) => ({ leaseId, graceMs: 5_000n })) });
    for (const each of given) {
      await session.result(each, "an end after the cancel");
    }
    session.verdict(VerdictOutcome.COMMITTED, ...given);
  }

  /** Throws unless the worker still works: it takes a task, runs it and answers a probe. */
  async stillWorks(session: WorkerSession): Promise<void> {
    const given = session.give("echo", { still: "here" });
    await session.acked(given);
    await this.finish(session, given);
    await session.beat(session.probe());
  }

  /** Slots of the class of an agent. */
  slotsOf(hello: Hello, agent: string): number {
    const { slotClass = "" } = hello.agents.find(({ name }) => name === agent) ?? {};
    return hello.capacity?.slots[slotClass === "" ? "default" : slotClass] ?? 0;
  }

  /** Skips the case unless the worker serves this agent. */
  needsAgent(hello: Hello, agent: string): void {
    if (hello.agents.some(({ name }) => name === agent)) return;
    throw new NotApplicable(`the worker serves no agent "${agent}"`);
  }

  /** Skips the case unless the worker offers this capability. */
  needsCapability(hello: Hello, capability: string): void {
    if (hello.capabilities.includes(capability)) return;
    throw new NotApplicable(`the worker does not offer "${capability}"`);
  }

  /** SIGTERM. */
  terminate(): void {
    this.#running?.terminate();
  }

  /** Whether the program is still there. */
  get isAlive(): boolean {
    return this.#running !== undefined;
  }

  /** Waits for the program to end by itself; it must end well. */
  async ended(): Promise<void> {
    const expected = `the process to end with exit code 0 within ${this.patienceMs} ms`;
    const how = await new Promise<string>((resolve) => {
      const patience = this.clock.setTimer(this.patienceMs, () => resolve("it still runs"));
      void this.#latest?.ended.then((end) => {
        patience.cancel();
        resolve(end);
      });
    });
    demand(how === ENDED_WELL, expected, how);
    this.#session = undefined;
  }
}
