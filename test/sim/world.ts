/**
 * The simulated world: one disk, one bus, one process after another, clients, and a plan. At each tick what the plan has
 * for it happens, then the next timer fires; between two things every promise settles, so the order of everything is
 * decided by the plan and by nothing else. After the last tick the faults stop and everything that was begun must come to
 * its end (see `ending.ts`). Equal plans give equal worlds.
 */
import { type Prng, prng } from "../../src/base/hash.ts";
import { SimulatedBus } from "./bus.ts";
import { Clients } from "./clients.ts";
import type { CountingDisk } from "./counting-disk.ts";
import { DEFECTS, type Defect } from "./defects.ts";
import { Draw } from "./definitions.ts";
import { comeToTheEnd } from "./ending.ts";
import { BEHAVIOURS, type Behaviour, type HappeningKind, ORDINARY } from "./faults.ts";
import { Ledger } from "./ledger.ts";
import { Oracles } from "./oracles.ts";
import { type Parts, REAL_PARTS } from "./parts.ts";
import { type Happening, type Plan, partOf } from "./plan.ts";
import { Crashed, SimulatedProcess } from "./process.ts";
import { checkRot } from "./rot.ts";
import { Schedule } from "./time.ts";
import { Trace } from "./trace.ts";

/** What a simulation came to. */
export interface Summary {
  readonly seed: number;
  /** Ticks with faults, and everything that happened to the end. */
  readonly ticks: number;
  readonly steps: number;
  readonly faults: number;
  readonly crashes: number;
  readonly restarts: number;
  readonly events: number;
  readonly lostCommits: number;
  readonly runs: number;
  readonly deletedRuns: number;
  readonly busMessages: number;
  readonly virtualMs: number;
  readonly hash: string;
  /** The first thing that should not have happened. */
  readonly violation: Violation | undefined;
  readonly tail: readonly string[];
  /** Attempts whose agents misbehaved. */
  readonly misbehaved: readonly string[];
}

export interface Violation {
  readonly tick: number;
  readonly message: string;
}

/** Everything is looked at in full every so many ticks. */
const READ_EVERY = 400;
const DAY_MS = 86_400_000;

export class World {
  readonly plan: Plan;
  readonly schedule = new Schedule();
  readonly trace = new Trace();
  readonly ledger = new Ledger();
  readonly oracles: Oracles;
  readonly clients: Clients;
  readonly bus: SimulatedBus;
  process: SimulatedProcess;
  /** The simulation's own work that has not ended. */
  checks = 0;
  violation: Violation | undefined;
  isCalm = false;
  readonly #parts: Parts;
  readonly #random: { readonly [part in "chance" | "disk" | "host"]: Prng };
  readonly #disk: CountingDisk;
  readonly #misbehaved = new Set<string>();
  #ids = 0;
  #wallSkewMs = 0;
  #tick = 0;
  #steps = 0;
  #injected = 0;
  #crashes = 0;
  #restarts = 0;
  #isStopping = false;
  #crashIn = Number.POSITIVE_INFINITY;
  #auditedEvents = 0;

  constructor(plan: Plan, defect?: Defect) {
    this.plan = plan;
    const { faults, seed } = plan;
    this.#parts = { ...REAL_PARTS, ...(defect && DEFECTS[defect].parts) };
    this.#random = { chance: partOf(seed, 2), disk: partOf(seed, 3), host: partOf(seed, 4) };
    this.#disk = this.#newDisk();
    const complain = (message: string): void => this.complain(message);
    const { ledger, trace } = this;
    this.oracles = new Oracles({
      ledger,
      trace,
      lanes: faults.lanes,
      payloadBytes: faults.payloadBytes,
      trueMs: () => this.schedule.elapsedMs,
      complain,
    });
    const sleep = (delayMs: number): Promise<void> =>
      new Promise((resolve) => void this.schedule.setTimer(delayMs, () => resolve()));
    const now = (): number => this.schedule.elapsedMs;
    this.bus = new SimulatedBus({ ledger, trace, complain, sleep, now });
    this.clients = new Clients(
      {
        faults,
        ledger,
        oracles: this.oracles,
        trace,
        complain,
        process: () => this.process,
        sleep,
        inject: (what) => this.#inject(what),
        isCalm: () => this.isCalm,
      },
      new Draw(partOf(seed, 5)),
    );
    this.process = this.#newProcess([]);
  }

  /** Carries out the plan, then goes on to the end of everything; stops at the first violation. */
  async run(): Promise<Summary> {
    const onUnhandled = (error: unknown): void => this.complain(`unhandled: ${describe(error)}`);
    process.on("unhandledRejection", onUnhandled);
    try {
      this.#boot();
      await this.#carryOut();
      if (this.violation === undefined) await comeToTheEnd(this);
    } finally {
      process.off("unhandledRejection", onUnhandled);
    }
    return this.#summary();
  }

  #summary(): Summary {
    return {
      seed: this.plan.seed,
      ticks: this.plan.ticks,
      steps: this.#steps,
      faults: this.#injected,
      crashes: this.#crashes,
      restarts: this.#restarts,
      events: this.ledger.events,
      lostCommits: this.ledger.lost,
      runs: this.ledger.runs.size,
      deletedRuns: this.ledger.deleted,
      busMessages: this.bus.messages,
      virtualMs: this.schedule.elapsedMs,
      hash: this.trace.hash,
      violation: this.violation,
      tail: this.trace.tail,
      misbehaved: [...this.#misbehaved],
    };
  }

  complain(message: string): void {
    this.trace.note(`VIOLATION ${message}`);
    this.violation ??= { tick: this.#tick, message };
  }

  #inject(what: string): void {
    this.#injected++;
    this.trace.note(`fault: ${what}`);
  }

  #newDisk(): CountingDisk {
    const random = this.#random.disk;
    const syncMs = (): number => random() * this.plan.faults.syncMs;
    return new this.#parts.Disk(
      { host: this.schedule, syncMs },
      {
        onIssued: (batch, changes) => {
          const deleting = this.ledger.issued(batch, changes);
          const { isConfigured } = this.plan.faults.bus;
          const everything = Number.POSITIVE_INFINITY;
          this.oracles.deleting(deleting, (runId) =>
            isConfigured ? this.bus.acceptedOf(runId) : everything,
          );
        },
        onDurable: (batch) => {
          for (const { runs } of this.ledger.durable(batch)) {
            this.trace.note(`durable ${runs.map(({ runId }) => runId.slice(-4)).join()}`);
          }
        },
      },
    );
  }

  #newProcess(ghosts: readonly string[]): SimulatedProcess {
    const { faults, seed } = this.plan;
    const { chance, host } = this.#random;
    this.#wallSkewMs += Math.floor((2 * chance() - 1) * faults.skewMs);
    const isShortOfAgents = chance() < faults.missingAgents && !this.isCalm;
    return new SimulatedProcess({
      parts: this.#parts,
      faults,
      disk: this.#disk,
      ledger: this.ledger,
      oracles: this.oracles,
      bus: this.bus,
      complain: (message) => this.complain(message),
      host: {
        schedule: this.schedule,
        random: host,
        wallSkewMs: () => this.#wallSkewMs,
        lateMs: faults.timerLateMs,
        nextId: () => this.#ids++,
      },
      agents: {
        seed,
        payloadBytes: faults.payloadBytes,
        shares: (attempt) =>
          this.isCalm || this.plan.tamed.has(attempt) ? WELL_BEHAVED : faults.agents,
        misbehaved: (attempt) => {
          this.#misbehaved.add(attempt);
          this.#inject("misbehaving agent");
        },
      },
      // The process is expected to end; until it does, nothing it says may be wrong.
      onFailure: () => {
        this.#crashIn = Math.min(this.#crashIn, Math.floor(chance() * 20));
      },
      isShortOfAgents,
      ghosts,
    });
  }

  /** Lets the present process recover and go on. */
  #boot(): void {
    const { process } = this;
    process
      .call(process.start())
      .then(() => {
        process.isReady = true;
        this.#auditedEvents = -1;
        this.trace.note("ready");
        this.#readAll();
        const { registrations, moment } = this.clients.submitters;
        this.check(
          process.call(process.engine.definitions()).then((listed) => {
            registrations.recovered(listed, moment);
          }),
        );
      })
      .catch((error: unknown) => {
        if (error instanceof Crashed) return;
        this.trace.note(`recovery failed: ${describe(error)}`);
        if (!this.#disk.isBroken) this.complain(`recovery failed: ${describe(error)}`);
        this.#crashIn = Math.min(this.#crashIn, 5);
      });
  }

  /** Reads every open run. */
  #readAll(): void {
    for (const { id } of this.ledger.open()) this.check(this.read(id));
  }

  /** Somebody reads a run. */
  read(runId: Parameters<Clients["read"]>[1]): Promise<void> {
    return this.clients.read(new Draw(prng(this.#steps)), runId);
  }

  /** Work of the simulation itself, which must not fail unless its process dies. */
  check(work: Promise<void>): void {
    this.checks++;
    work
      .catch((error: unknown) => {
        if (!(error instanceof Crashed)) this.complain(describe(error));
      })
      .finally(() => {
        this.checks--;
      });
  }

  /** `kill -9`: the process is dropped, the disk keeps what chance lets it keep. */
  crash(random: Prng): void {
    const dying = this.process;
    const ghosts = dying.attempts;
    dying.kill();
    const { kept, lost } = this.#disk.crash(random);
    this.#crashes++;
    this.#inject(`crash, ${kept} batches kept, ${lost} lost`);
    if (this.isCalm || random() < 0.6) this.#disk.fill(false);
    this.succeed(ghosts);
  }

  /** The next process. */
  succeed(ghosts: readonly string[]): void {
    this.#crashIn = Number.POSITIVE_INFINITY;
    this.#isStopping = false;
    this.ledger.crash();
    this.oracles.rebuild();
    this.clients.submitters.forgetEnds();
    this.process = this.#newProcess(ghosts);
    this.#boot();
  }

  /** SIGTERM: drain, stop, start again; what is left over is a leak. */
  async #restart(random: Prng): Promise<void> {
    const { process } = this;
    if (!process.isReady || this.#isStopping) return;
    this.#isStopping = true;
    this.#inject("restart");
    try {
      await process.call(process.engine.drain(random() * 2_000));
      await process.call(process.stop());
    } catch (error) {
      if (error instanceof Crashed) return;
      if (!this.#disk.isBroken) this.complain(`restart: ${describe(error)}`);
      this.#crashIn = 0;
      return;
    }
    // A failed sync is not healed by leaving politely.
    if (this.#disk.isBroken) return this.crash(random);
    this.checkLeaks(process);
    process.kill();
    this.#restarts++;
    this.succeed([]);
  }

  checkLeaks({ host, runtime, hub }: SimulatedProcess): void {
    const left = { timers: host.timers, attempts: runtime.inFlight, watchers: hub.watchers };
    for (const [what, count] of Object.entries(left)) {
      if (count > 0) this.complain(`${count} ${what} are left over`);
    }
  }

  async #carryOut(): Promise<void> {
    const { ticks, happenings } = this.plan;
    let next = 0;
    for (this.#tick = 1; this.#tick <= ticks && this.violation === undefined; this.#tick++) {
      for (let due = happenings[next]; due?.tick === this.#tick; due = happenings[++next]) {
        const happening = due;
        const name = String(happening.tick);
        await this.step(() => this.#happen(happening, name));
      }
      // Nothing would happen until the next happening: go there.
      if (this.schedule.idleMs === undefined) {
        this.#tick = Math.max(this.#tick, (happenings[next]?.tick ?? ticks + 1) - 1);
      } else await this.step(() => this.#letTimePass());
    }
  }

  #letTimePass(): void {
    if (--this.#crashIn < 0) this.crash(this.#random.chance);
    else this.schedule.runNext();
    if (this.#tick % READ_EVERY === 0) this.#readAll();
  }

  /** One thing happens, and every promise settles before the next. */
  async step(happen: () => void): Promise<void> {
    this.#steps++;
    try {
      happen();
    } catch (error) {
      this.complain(`the engine threw: ${describe(error)}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
    this.#audit();
  }

  #happen({ kind, seed }: Happening, name: string): void {
    const random = prng(seed);
    if (!ORDINARY.has(kind) && !OWN_WORDS.has(kind)) this.#inject(kind);
    const { stallMs, pauseMs } = this.plan.faults;
    const happenings: { readonly [K in HappeningKind]: () => void } = {
      client: () => this.clients.act(new Draw(random), name),
      crash: () => this.crash(random),
      restart: () => this.check(this.#restart(random)),
      sync_failure: () => this.#disk.failNextSync("EIO"),
      disk_full: () => this.#disk.fill(true),
      stall: () => this.#disk.stallNextSync(random() * stallMs),
      lane: () => this.#changeLane(random),
      pause: () => this.schedule.pause(random() * pauseMs),
      clock: () => {
        this.#wallSkewMs += Math.floor((2 * random() - 1) * DAY_MS);
      },
      bus_down: () => this.bus.goDown(random() * 5_000),
      bus_slow: () => this.bus.slowDown(random() * 1_000),
      bus_lost_ack: () => this.bus.loseAck(),
      retention: () => this.#sweep(),
      rot: () => this.check(this.#rot(random)),
    };
    happenings[kind]();
  }

  #sweep(): void {
    const { process } = this;
    if (!process.isReady || this.#isStopping) return;
    const swept = process.sweep().then(
      () => {},
      (error: unknown) => {
        if (!this.#disk.isBroken) throw error;
      },
    );
    this.check(process.call(swept));
  }

  async #rot(random: Prng): Promise<void> {
    const told = await checkRot({
      disk: this.#disk,
      ledger: this.ledger,
      random,
      complain: (message) => this.complain(message),
      isSealedAgain: !this.#parts.checksChecksums,
    });
    this.#inject(`rot: ${told}`);
  }

  #changeLane(random: Prng): void {
    if (!this.process.isReady) return;
    const names = ["global", ...this.plan.faults.lanes.named.map(({ name }) => name)];
    const name = names[Math.floor(random() * names.length)] as string;
    const change = {
      paused: random() < 0.3,
      ...(random() < 0.5 ? { concurrency: 1 + Math.floor(random() * 8) } : {}),
      ...(name !== "global" && random() < 0.5 ? { capacity: 1 + Math.floor(random() * 8) } : {}),
    };
    this.#inject(`lane ${name} ${JSON.stringify(change)}`);
    this.oracles.lanes.change(name, change);
    this.process.engine.changeLane(name, change);
  }

  /** What must be so at any moment: failures are told, buffers are bounded, lanes and states agree. */
  #audit(): void {
    const { process, ledger } = this;
    const { hasRefused } = process.journal;
    if (hasRefused && !process.hasFailed && process.isReady && !process.isDead) {
      this.complain("the store refused a commit and the engine went on");
    }
    if (ledger.events === this.#auditedEvents || !process.isReady) return;
    this.#auditedEvents = ledger.events;
    const buffered = process.hub.largestBuffer;
    if (buffered > Math.max(this.plan.faults.watchBufferBytes, this.oracles.largestPage)) {
      this.complain(`a watcher's buffer holds ${buffered} bytes`);
    }
    const diverged = process.metrics.read("goclaw_slots_diverged");
    if (diverged !== 0) this.complain(`slots diverged by ${diverged}`);
    const open = process.engine.openRuns();
    if (open !== ledger.live && !this.#disk.isBroken) {
      this.complain(`the engine has ${open} open runs, the journal ${ledger.live}`);
    }
  }
}

/** Happenings that say themselves what they did, and when they did nothing. */
const OWN_WORDS: ReadonlySet<HappeningKind> = new Set(["crash", "restart", "lane", "rot"]);

const WELL_BEHAVED = Object.fromEntries(
  BEHAVIOURS.map((name) => [name, name === "answer" ? 1 : 0]),
) as Readonly<Record<Behaviour, number>>;

/** An error for a complaint. */
export function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
