/**
 * Worker sessions in simulation: the daemon's real pool of workers between a model of the engine (tasks, leases, commits
 * that take time, crashes) and model workers behind a bad network, all on virtual time and from one seed. The oracles
 * are the promises of the protocol: credit, one end per lease, one committed result per task, no READY worker without an
 * answered probe, a verdict for every result.
 */
import type { Prng } from "../../src/base/hash.ts";
import type { Instant, Millis } from "../../src/base/time.ts";
import type { Outcome } from "../../src/core/run/message.ts";
import type { TaskState } from "../../src/core/run/state.ts";
import type { WorkerLink, WorkerListener, WorkerSession } from "../../src/ports/worker.ts";
import { WorkerPool } from "../../src/runtime/worker-pool.ts";
import { assignment, ListLog } from "../support/attempts.ts";
import { RunHarness } from "../support/run-harness.ts";
import { partOf } from "./plan.ts";
import { Schedule, SimulatedHost } from "./time.ts";
import { WorkerModel } from "./worker-model.ts";
import type { Stream } from "./worker-network.ts";

const TASKS = 250;
const WORKERS = 4;
const FAULTS_MS: Millis = 300_000;
const QUIET_MS: Millis = 240_000;
const COMMIT_MS: Millis = 8;
/** Three probes without an answer, each with its interval, and the first one's. */
const READY_MS: Millis = 20_000;

interface Task {
  readonly state: TaskState;
  readonly durationMs: Millis;
  /** As the journal has it. */
  phase: "waiting" | "running" | "done";
  fence: number;
  key: string;
  worker: string;
  /** In this life of the daemon: a change is on its way to the journal. */
  pending: "start" | "end" | undefined;
}

/** What happened, for a test to see that it was not harmless. */
export interface WorkerTally {
  cuts: number;
  freezes: number;
  deaths: number;
  crashes: number;
  leases: number;
  late: number;
}

export class WorkerWorld {
  readonly tally: WorkerTally = { cuts: 0, freezes: 0, deaths: 0, crashes: 0, leases: 0, late: 0 };
  readonly #schedule = new Schedule();
  readonly #random: Prng;
  readonly #tasks: readonly Task[];
  readonly #byKey = new Map<string, Task>();
  readonly #ended = new Set<string>();
  readonly #capacity = new Map<string, number>();
  readonly #provenAt = new Map<string, Instant>();
  readonly #workers: WorkerModel[] = [];
  readonly #streams = new Set<Stream>();
  #pool: WorkerPool;
  #life = 0;
  #host: SimulatedHost;
  #delayMs: Millis = 20;
  #names = 0;
  #violation: string | undefined;

  constructor(seed: number) {
    this.#random = partOf(seed, 7);
    const named = Array.from({ length: TASKS }, (_, at) => ({ id: `t${at}`, agent: "work" }));
    const { run } = new RunHarness({ name: "flow", tasks: named });
    this.#tasks = run.tasks.map((state) => ({
      state,
      // Most are short; some outlast acknowledgement, silence and lease.
      durationMs: this.#chance(this.#chance(4) === 0 ? 45_000 : 2_000),
      phase: "waiting",
      fence: 0,
      key: "",
      worker: "",
      pending: undefined,
    }));
    [this.#pool, this.#host] = this.#boot();
    for (let at = 0; at < WORKERS; at++) this.#hire();
  }

  /** Runs to the end; answers with the broken promise, if there is one. */
  run(): string | undefined {
    const { schedule, start } = { schedule: this.#schedule, start: this.#schedule.now };
    this.#every(3_000, FAULTS_MS, () => this.#misfortune());
    this.#every(500, FAULTS_MS + QUIET_MS, () => this.#look());
    schedule.setTimer(FAULTS_MS, () => {
      this.#delayMs = 20;
      for (const worker of this.#workers) this.#resize(worker, 2);
    });
    while (schedule.now < start + FAULTS_MS + QUIET_MS && this.#violation === undefined) {
      if (!schedule.runNext()) break;
    }
    this.#lookAtTheEnd();
    return this.#violation;
  }

  #broken(what: string): void {
    const second = Math.round(this.#schedule.elapsedMs) / 1_000;
    this.#violation ??= `${second} s: ${what}`;
  }

  #every(periodMs: Millis, forMs: Millis, what: () => void): void {
    for (let at = periodMs; at < forMs; at += periodMs) this.#schedule.setTimer(at, what);
  }

  #chance(below: number): number {
    return Math.floor(this.#random() * below);
  }

  // The engine

  #boot(): [WorkerPool, SimulatedHost] {
    const life = ++this.#life;
    const host = new SimulatedHost({
      schedule: this.#schedule,
      random: this.#random,
      wallSkewMs: () => 0,
      lateMs: 0,
      nextId: () => 0,
    });
    const pool = new WorkerPool({}, { host, log: new ListLog() });
    const listener: WorkerListener = {
      progress: () => {},
      checkpoint: () => {},
      beat: () => {},
      log: () => {},
      receipt: () => {},
      output: () => {},
      recall: () => {},
      deeds: () => {},
      late: ({ lease }, settled) => {
        this.tally.late++;
        this.#commit(life, () => settled(this.#lateVerdict(lease), ""));
      },
      finish: (key, outcome, settled) => this.#finish(life, key, outcome, settled),
    };
    const onRoom = () => this.#schedule.setTimer(0, () => this.#startTasks(life));
    const none = { localSource: () => undefined, localNames: () => [] };
    pool.attach({ listener, onChange: () => {}, onRoom, ...none });
    return [pool, host];
  }

  /** Everything in memory is gone; the journal and the leases in it stay. */
  #crash(): void {
    this.tally.crashes++;
    this.#host.kill();
    for (const stream of this.#streams) stream.cut(1_000);
    this.#streams.clear();
    this.#capacity.clear();
    this.#ended.clear();
    [this.#pool, this.#host] = this.#boot();
    for (const task of this.#tasks) {
      task.pending = undefined;
      if (task.phase === "running") this.#pool.adopt(this.#assignmentOf(task));
    }
  }

  #commit(life: number, then: () => void): void {
    this.#schedule.setTimer(COMMIT_MS, () => {
      if (life === this.#life) then();
    });
  }

  #startTasks(life: number): void {
    if (life !== this.#life) return;
    // What was refused is refused until the pool says that there is room again.
    this.#pool.openings();
    for (const task of this.#tasks) {
      if (task.phase !== "waiting" || task.pending !== undefined) continue;
      if (this.#pool.reserve(task.state) !== undefined) return;
      const worker = this.#pool.workerOf(task.state) ?? "";
      task.pending = "start";
      task.worker = worker;
      this.#lookAtCredit(worker);
      this.#commit(life, () => {
        task.pending = undefined;
        task.phase = "running";
        task.fence++;
        task.key = `${task.state.run.id}/${task.state.id}/${task.fence}`;
        this.#byKey.set(task.key, task);
        this.tally.leases++;
        this.#pool.start(this.#assignmentOf(task));
      });
    }
  }

  #assignmentOf({ key, state, fence, worker }: Task) {
    const [runId, taskId] = [state.run.id, state.id];
    return assignment("work", null, { key, runId, taskId, attempt: 1, lease: fence, worker });
  }

  #finish(
    life: number,
    key: string,
    outcome: Outcome,
    settled: ((isCommitted: boolean) => void) | undefined,
  ): void {
    if (this.#ended.has(key)) this.#broken(`lease ${key} ended twice`);
    this.#ended.add(key);
    const task = this.#byKey.get(key);
    const isCurrent = task?.phase === "running" && task.key === key && task.pending === undefined;
    if (task === undefined || !isCurrent) return this.#commit(life, () => settled?.(false));
    task.pending = "end";
    this.#commit(life, () => {
      task.pending = undefined;
      task.phase = outcome.kind === "success" ? "done" : "waiting";
      settled?.(true);
      this.#startTasks(life);
    });
  }

  #lateVerdict(key: string) {
    const task = this.#byKey.get(key);
    if (task === undefined) return "REFUSED";
    return task.phase === "done" && task.key === key ? "DUPLICATE" : "LATE_STORED";
  }

  // Workers and their network

  #hire(): void {
    const worker = new WorkerModel(`w${++this.#names}`, 1 + this.#chance(4), {
      schedule: this.#schedule,
      random: this.#random,
      delayMs: () => this.#delayMs,
      knock: (model, stream) => this.#knock(model, stream),
      onVerdict: (model, lease, outcome) => {
        const task = this.#byKey.get(lease);
        const isDone = task?.phase === "done" && task.key === lease;
        if (outcome === "COMMITTED" && !isDone)
          this.#broken(`${model.instance} heard COMMITTED for ${lease} before it was durable`);
      },
    });
    this.#workers.push(worker);
    worker.dial();
  }

  #knock(worker: WorkerModel, stream: Stream): void {
    const { instance, token, capacity, held } = worker;
    stream.toEngine.send(() => {
      let session: WorkerSession;
      const hello = {
        name: "",
        instance,
        surface: "session",
        labels: {},
        agents: [{ name: "work", version: "1.0.0", slotCost: 1, slotClass: "default" }],
        capacity: { default: capacity },
        takesSignals: false,
        ...(token === "" ? {} : { resume: { token, leases: held } }),
      } as const;
      try {
        session = this.#pool.open(hello, this.#linkOf(worker, stream));
      } catch {
        return stream.cut(100);
      }
      this.#streams.add(stream);
      stream.onEngineEnd = () => session.closed();
      this.#capacity.set(instance, capacity);
      this.#provenAt.set(instance, this.#schedule.now);
      const told = this.#watched(session, instance);
      const { welcome } = session;
      stream.toWorker.send(() => worker.act(stream, () => worker.welcomed(told, welcome)));
    });
  }

  /** The session as a worker reaches it; what it proves and declares is noted as it arrives. */
  #watched(session: WorkerSession, instance: string): WorkerSession {
    const lastProbe = () => this.#probes.get(instance);
    return {
      ...pick(session),
      capacity: (slots) => {
        if (session.isOpen) this.#capacity.set(instance, slots.default ?? 0);
        session.capacity(slots);
      },
      beat: (nonce, leases) => {
        if (session.isOpen && nonce === lastProbe())
          this.#provenAt.set(instance, this.#schedule.now);
        session.beat(nonce, leases);
      },
    };
  }

  readonly #probes = new Map<string, number>();

  #linkOf(worker: WorkerModel, stream: Stream): WorkerLink {
    const tell = (what: () => void) => stream.toWorker.send(() => worker.act(stream, what));
    return {
      assign: (given) => {
        const durationMs = this.#byKey.get(given.key)?.durationMs ?? 0;
        tell(() => worker.assigned(given, durationMs));
        return true;
      },
      probe: (nonce) => {
        this.#probes.set(worker.instance, nonce);
        tell(() => worker.probed(nonce));
      },
      signal: () => {},
      cancel: () => {},
      drop: (lease) => tell(() => worker.dropped(lease)),
      verdict: (lease, outcome) => tell(() => worker.judged(lease, outcome)),
      goAway: () => {},
      close: () => stream.cut(1_000),
    };
  }

  #misfortune(): void {
    const worker = this.#workers[this.#chance(this.#workers.length)];
    const { stream } = worker ?? {};
    if (worker === undefined) return;
    const faults: (() => void)[] = [
      () => stream?.cut(2_000),
      // Half-open: a long time passes before anybody is told.
      () => stream?.cut(40_000),
      () => worker.freeze(this.#chance(40_000)),
      () => {
        this.#delayMs = this.#chance(2_500);
      },
      () => this.#resize(worker, this.#chance(5)),
    ];
    const which = this.#chance(faults.length + 1);
    if (which < 2) this.tally.cuts++;
    if (which === 2) this.tally.freezes++;
    faults[which]?.();
    if (which === faults.length) this.#death(worker);
  }

  #resize(worker: WorkerModel, capacity: number): void {
    worker.capacity = capacity;
    worker.say((session) => session.capacity({ default: capacity }));
  }

  #death(worker: WorkerModel): void {
    if (this.#chance(3) === 0) return this.#crash();
    this.tally.deaths++;
    worker.kill();
    this.#workers.splice(this.#workers.indexOf(worker), 1);
    this.#hire();
  }

  // Oracles

  #lookAtCredit(worker: string): void {
    const out = this.#tasks.filter(
      (task) =>
        task.worker === worker &&
        (task.pending === "start" || (task.phase === "running" && task.pending !== "end")),
    );
    const capacity = this.#capacity.get(worker) ?? 0;
    if (out.length > capacity)
      this.#broken(`${worker} has ${out.length} tasks, its capacity is ${capacity}`);
  }

  #look(): void {
    this.#startTasks(this.#life);
    for (const { instance, state } of this.#pool.workers()) {
      const unprovenMs = this.#schedule.now - (this.#provenAt.get(instance) ?? 0);
      if (state === "READY" && unprovenMs > READY_MS)
        this.#broken(`${instance} is READY, ${unprovenMs} ms after it answered a probe`);
    }
  }

  #lookAtTheEnd(): void {
    const open = this.#tasks.filter(({ phase }) => phase !== "done");
    if (open.length > 0) this.#broken(`${open.length} tasks were never completed`);
    for (const { instance, results } of this.#workers) {
      const [lease] = results;
      if (lease !== undefined) this.#broken(`${instance} never got a verdict for ${lease}`);
    }
  }
}

/** The methods of a session, bound to it. */
function pick(session: WorkerSession): WorkerSession {
  return {
    welcome: session.welcome,
    get isOpen() {
      return session.isOpen;
    },
    capacity: (slots) => session.capacity(slots),
    wants: (attempts) => session.wants(attempts),
    ack: (lease) => session.ack(lease),
    beat: (nonce, leases) => session.beat(nonce, leases),
    progress: (lease, news) => session.progress(lease, news),
    output: (lease, offset, data) => session.output(lease, offset, data),
    receipt: (lease, signal, receipt) => session.receipt(lease, signal, receipt),
    complete: (lease, output, deeds) => session.complete(lease, output, deeds),
    fail: (lease, failure, deeds) => session.fail(lease, failure, deeds),
    reject: (lease, message) => session.reject(lease, message),
    drain: (leaving) => session.drain(leaving),
    closed: () => session.closed(),
  };
}
