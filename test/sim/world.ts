/**
 * The simulated world: one disk, one process after another, clients, and chance. A step is one thing that happens: a
 * timer, a client's wish, a fault, a crash; between two steps every promise settles. After the last step the faults stop
 * and everything that was begun must come to its end in bounded time, with nothing left over. Equal seeds give equal
 * worlds.
 */

import { type Prng, prng } from "../../src/base/hash.ts";
import { isTerminalTask } from "../../src/core/run/status.ts";
import { Clients } from "./clients.ts";
import { type Defect, LeakyDisk, LyingDisk } from "./defects.ts";
import { Draw } from "./definitions.ts";
import { type Behaviour, CALM, drawFaults, type Faults } from "./faults.ts";
import { CountingDisk, Ledger } from "./ledger.ts";
import { Oracles } from "./oracles.ts";
import { Crashed, SimulatedProcess } from "./process.ts";
import { Schedule } from "./time.ts";
import { Trace } from "./trace.ts";

/** What a simulation came to. */
export interface Summary {
  readonly seed: number;
  /** Steps with faults, and all steps to the end. */
  readonly steps: number;
  readonly allSteps: number;
  readonly faults: number;
  readonly crashes: number;
  readonly restarts: number;
  readonly events: number;
  readonly lostCommits: number;
  readonly runs: number;
  readonly virtualMs: number;
  readonly hash: string;
  /** The first thing that should not have happened. */
  readonly violation: { readonly step: number; readonly message: string } | undefined;
  readonly tail: readonly string[];
}

/** After the faults stop, this much virtual time and this many steps must do for everything. */
const CALM_MS = 3 * 3_600_000;
const CALM_STEPS = 300_000;
/** Everything is looked at in full every so many steps. */
const READ_EVERY = 400;

const DISKS: { readonly [D in Defect]?: typeof CountingDisk } = {
  "early ack": LyingDisk,
  "lost write": LeakyDisk,
};

const WELL_BEHAVED = { answer: 1 } as const;

export class World {
  readonly #defect: Defect | undefined;
  #faults: Faults;
  readonly #schedule = new Schedule();
  readonly #trace = new Trace();
  readonly #ledger = new Ledger();
  readonly #random: { readonly [part in "chance" | "disk" | "agents" | "host"]: Prng };
  readonly #disk: CountingDisk;
  readonly #oracles: Oracles;
  readonly #clients: Clients;
  #process: SimulatedProcess;
  #ids = 0;
  #skewMs = 0;
  #step = 0;
  #injected = 0;
  #crashes = 0;
  #restarts = 0;
  #isStopping = false;
  #crashIn = Number.POSITIVE_INFINITY;
  #checks = 0;
  #auditedEvents = 0;
  #violation: { step: number; message: string } | undefined;

  constructor(seed: number, defect?: Defect) {
    this.#defect = defect;
    this.#faults = drawFaults(seed);
    const part = (n: number): Prng => prng(Math.imul(seed, 0x9e3779b1) + n);
    this.#random = { chance: part(1), disk: part(2), agents: part(3), host: part(4) };
    this.#disk = this.#newDisk();
    const complain = (message: string): void => this.#complain(message);
    const [ledger, trace] = [this.#ledger, this.#trace];
    this.#oracles = new Oracles({ ledger, trace, lanes: this.#faults.lanes, complain });
    this.#clients = new Clients({
      draw: new Draw(part(5)),
      ledger,
      oracles: this.#oracles,
      trace,
      complain,
      faults: () => this.#faults,
      process: () => this.#process,
      sleep: (delayMs) =>
        new Promise((resolve) => void this.#schedule.setTimer(delayMs, () => resolve())),
      lostAnswer: () => this.#inject("lost answer"),
    });
    this.#process = this.#newProcess([]);
  }

  get faults(): Faults {
    return this.#faults;
  }

  /** Runs `steps` steps with faults, then to the end of everything; stops at the first violation. */
  async run(steps: number): Promise<Summary> {
    const onUnhandled = (error: unknown): void => this.#complain(`unhandled: ${describe(error)}`);
    process.on("unhandledRejection", onUnhandled);
    try {
      this.#boot();
      while (this.#step < steps && this.#violation === undefined) await this.#takeStep();
      await this.#comeToTheEnd();
    } finally {
      process.off("unhandledRejection", onUnhandled);
    }
    return {
      seed: this.#faults.seed,
      steps,
      allSteps: this.#step,
      faults: this.#injected,
      crashes: this.#crashes,
      restarts: this.#restarts,
      events: this.#ledger.events,
      lostCommits: this.#ledger.lost,
      runs: this.#ledger.runs.size,
      virtualMs: this.#schedule.elapsedMs,
      hash: this.#trace.hash,
      violation: this.#violation,
      tail: this.#trace.tail,
    };
  }

  #complain(message: string): void {
    this.#trace.note(`VIOLATION ${message}`);
    this.#violation ??= { step: this.#step, message };
  }

  #inject(what: string): void {
    this.#injected++;
    this.#trace.note(`fault: ${what}`);
  }

  #newDisk(): CountingDisk {
    const random = this.#random.disk;
    const Disk = (this.#defect && DISKS[this.#defect]) ?? CountingDisk;
    const syncMs = (): number => {
      const { stall, stallMs, syncMs: ordinaryMs } = this.#faults;
      if (random() >= stall) return random() * ordinaryMs;
      this.#inject("stalled sync");
      return random() * stallMs;
    };
    return new Disk({ host: this.#schedule, syncMs }, (applied) => {
      for (const { runs } of this.#ledger.durable(applied)) {
        this.#trace.note(`durable ${runs.map(({ runId }) => runId.slice(-4)).join()}`);
      }
    });
  }

  #newProcess(ghosts: readonly string[]): SimulatedProcess {
    const faults = this.#faults;
    const { chance, agents, host } = this.#random;
    this.#skewMs += Math.floor((2 * chance() - 1) * faults.skewMs);
    return new SimulatedProcess({
      faults,
      disk: this.#disk,
      ledger: this.#ledger,
      oracles: this.#oracles,
      complain: (message) => this.#complain(message),
      host: {
        schedule: this.#schedule,
        random: host,
        skewMs: this.#skewMs,
        lateMs: faults.timerLateMs,
        nextId: () => this.#ids++,
      },
      random: agents,
      defect: this.#defect,
      shares: () => this.#shares(),
      misbehaved: () => this.#inject("misbehaving agent"),
      // The process is expected to end; until it does, nothing it says may be wrong.
      onFailure: () => {
        this.#crashIn = Math.min(this.#crashIn, Math.floor(chance() * 20));
      },
      isShortOfAgents: chance() < faults.missingAgents,
      ghosts,
    });
  }

  #shares(): Readonly<Record<Behaviour, number>> {
    return this.#isCalm ? { ...ZERO, ...WELL_BEHAVED } : this.#faults.agents;
  }
  #isCalm = false;

  /** Lets the present process recover and go on. */
  #boot(): void {
    const process = this.#process;
    process
      .call(process.engine.start())
      .then(() => {
        process.isReady = true;
        this.#auditedEvents = -1;
        this.#trace.note("ready");
        for (const { id } of this.#ledger.open()) this.#check(this.#clients.read(id));
      })
      .catch((error: unknown) => {
        if (error instanceof Crashed) return;
        this.#trace.note(`recovery failed: ${describe(error)}`);
        if (!this.#disk.isBroken) this.#complain(`recovery failed: ${describe(error)}`);
        this.#crashIn = Math.min(this.#crashIn, 5);
      });
  }

  /** Work of the simulation itself, which must not fail. */
  #check(work: Promise<void>): void {
    this.#checks++;
    work
      .catch((error: unknown) => this.#complain(describe(error)))
      .finally(() => {
        this.#checks--;
      });
  }

  /** `kill -9`: the process is dropped, the disk keeps what chance lets it keep. */
  #crash(): void {
    const dying = this.#process;
    const ghosts = dying.attempts;
    dying.kill();
    const { kept, lost } = this.#disk.crash(this.#random.chance);
    this.#crashes++;
    this.#inject(`crash, ${kept} batches kept, ${lost} lost`);
    this.#succeed(ghosts);
  }

  /** The next process. */
  #succeed(ghosts: readonly string[]): void {
    this.#disk.issued = this.#disk.applied;
    this.#crashIn = Number.POSITIVE_INFINITY;
    this.#isStopping = false;
    this.#ledger.crash();
    this.#oracles.rebuild();
    this.#clients.forgetEnds();
    this.#process = this.#newProcess(ghosts);
    this.#boot();
  }

  /** SIGTERM: drain, stop, start again; what is left over is a leak. */
  async #restart(timeoutMs: number): Promise<void> {
    const process = this.#process;
    this.#isStopping = true;
    this.#inject("restart");
    try {
      await process.call(process.engine.drain(timeoutMs));
      await process.call(process.engine.stop());
    } catch (error) {
      if (error instanceof Crashed) return;
      if (!this.#disk.isBroken) this.#complain(`restart: ${describe(error)}`);
      this.#crashIn = 0;
      return;
    }
    // A failed sync is not healed by leaving politely.
    if (this.#disk.isBroken) return this.#crash();
    this.#checkLeaks(process);
    process.kill();
    this.#restarts++;
    this.#succeed([]);
  }

  #checkLeaks({ host, runtime, hub }: SimulatedProcess): void {
    const left = { timers: host.timers, attempts: runtime.inFlight, watchers: hub.watchers };
    for (const [what, count] of Object.entries(left)) {
      if (count > 0) this.#complain(`${count} ${what} are left over`);
    }
  }

  async #takeStep(): Promise<void> {
    this.#step++;
    if (--this.#crashIn < 0) this.#crash();
    else this.#happen();
    // Every promise settles before the next thing happens.
    await new Promise((resolve) => setImmediate(resolve));
    this.#audit();
  }

  #happen(): void {
    const { crash, restart, syncFailure, laneChange, clientAction } = this.#faults;
    const random = this.#random.chance;
    const process = this.#process;
    let dice = random();
    const falls = (share: number): boolean => {
      dice -= share;
      return dice < 0;
    };
    try {
      if (falls(crash)) this.#crash();
      else if (falls(restart)) {
        if (process.isReady && !this.#isStopping) this.#check(this.#restart(random() * 2_000));
      } else if (falls(syncFailure)) {
        this.#inject("failing sync");
        this.#disk.failNextSync("EIO");
      } else if (falls(laneChange)) this.#changeLane();
      else if (falls(clientAction) || !this.#schedule.runNext()) this.#clients.act();
      if (this.#step % READ_EVERY === 0) {
        for (const { id } of this.#ledger.open()) this.#check(this.#clients.read(id));
      }
    } catch (error) {
      this.#complain(`the engine threw: ${describe(error)}`);
    }
  }

  #changeLane(): void {
    if (!this.#process.isReady) return;
    const random = this.#random.chance;
    const names = ["global", ...this.#faults.lanes.named.map(({ name }) => name)];
    const name = names[Math.floor(random() * names.length)] as string;
    const change = {
      paused: random() < 0.3,
      ...(random() < 0.5 ? { concurrency: 1 + Math.floor(random() * 8) } : {}),
      ...(name !== "global" && random() < 0.5 ? { capacity: 1 + Math.floor(random() * 8) } : {}),
    };
    this.#inject(`lane ${name} ${JSON.stringify(change)}`);
    this.#oracles.lanes.change(name, change);
    this.#process.engine.changeLane(name, change);
  }

  /** Slots counted by the lanes against slots counted from states, whenever something was decided. */
  #audit(): void {
    if (this.#ledger.events === this.#auditedEvents || !this.#process.isReady) return;
    this.#auditedEvents = this.#ledger.events;
    const diverged = this.#process.metrics.read("goclaw_slots_diverged");
    if (diverged !== 0) this.#complain(`slots diverged by ${diverged}`);
    const { live } = this.#ledger;
    const open = this.#process.engine.openRuns();
    if (open !== live && !this.#disk.isBroken)
      this.#complain(`the engine has ${open} open runs, the journal ${live}`);
  }

  /** The faults stop: all runs end, all clients are served, and nothing is left over. */
  async #comeToTheEnd(): Promise<void> {
    this.#isCalm = true;
    this.#faults = { ...this.#faults, ...CALM };
    // Agents that were missing come back with the next process.
    if (this.#violation === undefined) this.#crash();
    await this.#until("every run ends and every client is served", () => this.#isOver());
    if (this.#violation !== undefined) return;
    for (const { id } of this.#ledger.runs.values()) this.#check(this.#clients.read(id));
    await this.#until("every run can be read", () => this.#isOver());
    await this.#until("no timer is left", () => this.#process.host.timers === 0);
    this.#checkRest();
    // From the disk alone, everything must be as it was.
    this.#check(this.#process.engine.stop());
    await this.#until("the process stops", () => this.#checks === 0);
    this.#checkLeaks(this.#process);
    if (this.#violation !== undefined) return;
    this.#process.kill();
    this.#succeed([]);
    await this.#until("the last process is ready", () => this.#process.isReady);
    for (const { id } of this.#ledger.runs.values()) this.#check(this.#clients.read(id));
    this.#check(this.#watchAll());
    await this.#until("every history is read", () => this.#isOver());
  }

  /** What is still open, for a complaint. */
  #standing(): string {
    const open = this.#ledger.open().map((record) => {
      const run = this.#ledger.fold(record, record.durable);
      const tasks = run.tasks.filter(({ status }) => !isTerminalTask(status));
      const words = tasks.map(({ id, status, lease, lane }) => `${id} ${status}/${lease} ${lane}`);
      return `${run.id.slice(-4)} ${run.status} (${words.join(", ")})`;
    });
    const busy = [...this.#clients.doing.values()].join(", ");
    const { isReady, attempts } = this.#process;
    return `runs: ${open.join("; ")}; clients: ${busy}; attempts: ${attempts.join()}; ready: ${isReady}`;
  }

  #isOver(): boolean {
    return (
      this.#process.isReady &&
      this.#clients.doing.size === 0 &&
      this.#checks === 0 &&
      this.#process.engine.openRuns() === 0 &&
      this.#ledger.open().length === 0 &&
      this.#process.attempts.length === 0
    );
  }

  #checkRest(): void {
    const { engine } = this.#process;
    this.#checkLeaks(this.#process);
    if (this.#clients.awaitedEnds > 0) {
      this.#complain(`${this.#clients.awaitedEnds} ends of runs were never told`);
    }
    if (this.#oracles.lanes.occupied !== 0) this.#complain("leases are left over");
    for (const { name, occupied, queued, blocked } of engine.lanes()) {
      if (occupied + queued + blocked === 0) continue;
      this.#complain(`lane ${name} is not empty: ${occupied} + ${queued} + ${blocked}`);
    }
  }

  /** Every history, read back from the disk. */
  async #watchAll(): Promise<void> {
    const { engine } = this.#process;
    for (const { id, events } of this.#ledger.runs.values()) {
      let last = 0;
      for await (const item of engine.watch(id, 0)) {
        if (item.kind === "event") this.#oracles.watched(id, item.sequence, last + 1, item.event);
        last = item.sequence;
      }
      if (last !== events.length)
        this.#complain(`run ${id} has ${last} of ${events.length} events`);
    }
  }

  /** Steps until `isSo`; not getting there is a violation. */
  async #until(what: string, isSo: () => boolean): Promise<void> {
    const deadlineMs = this.#schedule.elapsedMs + CALM_MS;
    const lastStep = this.#step + CALM_STEPS;
    while (this.#violation === undefined && !isSo()) {
      if (this.#schedule.elapsedMs > deadlineMs || this.#step > lastStep) {
        return this.#complain(`it never came to pass that ${what}; ${this.#standing()}`);
      }
      await this.#takeCalmStep(what);
    }
  }

  async #takeCalmStep(what: string): Promise<void> {
    this.#step++;
    try {
      if (!this.#schedule.runNext()) this.#idle(what);
    } catch (error) {
      this.#complain(`the engine threw: ${describe(error)}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
    this.#audit();
  }

  #idleSteps = 0;

  /** Nothing is due: promises may still be on their way, but not for long. */
  #idle(what: string): void {
    if (++this.#idleSteps < 1_000) return;
    this.#complain(`nothing happens any more before ${what}; ${this.#standing()}`);
  }
}

const ZERO = {
  answer: 0,
  fail: 0,
  refuse: 0,
  throttle: 0,
  silent: 0,
  duplicate: 0,
  deaf: 0,
  eager: 0,
  throw: 0,
  lie: 0,
} as const;

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
