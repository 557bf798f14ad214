/**
 * Processes that stand still and clocks that jump: SIGSTOP for the daemon or for a client of it, and wall clocks a day
 * ahead or behind (by the shim). Runs with timers tell, by the monotonic clock of this process, whether one rang early;
 * the clients' books tell whether anything was lost, and event times and run ids whether the order held.
 */
import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "@connectrpc/connect";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { type TaskEvent, TaskEventType } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import type { ClientOrder, ClientReport } from "./client.ts";
import { Shim } from "./shim.ts";
import { Victim } from "./victim.ts";
import { type Books, SPEC, Workload, writeAgents } from "./workload.ts";

export interface PauseOptions {
  readonly what: "stop daemon" | "stop client" | "clock";
  /** How long a process stands still; how long after each jump of the clock the next one comes. */
  readonly durationMs: number;
  readonly seed: number;
}

export interface PauseReport extends Omit<Books, "results"> {
  readonly what: string;
  readonly durationMs: number;
  /** Waits that were measured. */
  readonly timers: number;
  /** Those that ended before their time. */
  readonly early: number;
  /** The longest that a timer was late, pauses included. */
  readonly latestMs: number;
  /** Event times that went back, run ids out of the order of submission. */
  readonly disorder: number;
}

const DAY_MS = 86_400_000;
const WAIT_MS = 1_500;
const WAITERS = 4;
const CLIENTS = 8;
/** Jumps of the clock from the real one, in this order. */
const OFFSETS_MS = [DAY_MS, -DAY_MS, 0];

/** Fails until its second attempt. */
const FLAKY = `
export const flaky = {
  name: "flaky",
  async run(input, ctx) {
    if (ctx.attempt === 1) throw new Error("not yet");
    return null;
  },
};
`;
const WAIT_SPEC = {
  name: "wait",
  tasks: [
    {
      id: "wait",
      agent: "flaky",
      retry: { maxAttempts: 2, backoff: `${WAIT_MS}ms`, maxBackoff: `${WAIT_MS}ms`, jitter: 0 },
    },
  ],
};

/** Stops or moves the clock of one daemon under load. */
export async function tortureByPause(options: PauseOptions): Promise<PauseReport> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-pause-"));
  writeAgents(directory);
  await writeFile(join(directory, "agents/flaky.mjs"), FLAKY);
  const shim = new Shim(directory, join(directory, "data"));
  try {
    return await new Pause(options, directory, shim).run();
  } finally {
    shim.close();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** What time must not do. */
export function pauseProblems({ what, early, disorder, timers, problems }: PauseReport): string[] {
  const all = [...problems];
  if (timers === 0) all.push(`${what}: no timer was measured`);
  if (early > 0) all.push(`${what}: ${early} timers rang early`);
  if (disorder > 0) all.push(`${what}: order was lost ${disorder} times`);
  return all;
}

class Pause {
  readonly #options: PauseOptions;
  readonly #directory: string;
  readonly #shim: Shim;
  #timers = 0;
  #early = 0;
  #latestMs = 0;
  #disorder = 0;
  #isOver = false;

  constructor(options: PauseOptions, directory: string, shim: Shim) {
    this.#options = options;
    this.#directory = directory;
    this.#shim = shim;
  }

  async run(): Promise<PauseReport> {
    const { what, durationMs, seed } = this.#options;
    const victim = new Victim({
      directory: this.#directory,
      env: {
        ...this.#shim.env,
        LEDGER: join(this.#directory, "ledger"),
        GOCLAW_RESERVE_BYTES: "0",
        GOCLAW_SNAPSHOTS__EVERY_EVENTS: "10",
      },
    });
    const address = await victim.listening();
    const admin = victim.client(AdminService, address);
    await admin.registerDefinition({ spec: SPEC });
    await admin.registerDefinition({ spec: WAIT_SPEC });
    const runs = victim.client(RunService, address);
    const workload = new Workload({ clients: CLIENTS, seed, trims: false });
    workload.begin({ runs, ended: victim.ended });
    const waiters = Array.from({ length: WAITERS }, () => this.#wait(runs));
    const other = what === "stop client" ? new OtherClient(address, seed) : undefined;
    await workload.acknowledgements(20);
    await other?.started;
    if (what === "clock") await this.#moveClock(workload);
    else await this.#standStill(what === "stop daemon" ? victim.pid : other?.pid, workload);
    await workload.acknowledgements(20);
    this.#isOver = true;
    await Promise.all(waiters);
    const books = sumOf(await workload.finish(), await other?.finish());
    const { exit, stderr } = await victim.stop();
    if (exit !== 0) throw new Error(`the daemon ended with ${exit}: ${stderr}`);
    return {
      ...books,
      what,
      durationMs,
      timers: this.#timers,
      early: this.#early,
      latestMs: Math.round(this.#latestMs),
      disorder: this.#disorder,
    };
  }

  async #standStill(pid: number | undefined, workload: Workload): Promise<void> {
    if (pid === undefined) throw new Error("there is no process to stop");
    process.kill(pid, "SIGSTOP");
    await pause(this.#options.durationMs);
    // While a client stands still the daemon serves the others.
    if (this.#options.what === "stop client") await workload.acknowledgements(50);
    process.kill(pid, "SIGCONT");
  }

  async #moveClock(workload: Workload): Promise<void> {
    for (const offsetMs of OFFSETS_MS) {
      this.#shim.setClock(offsetMs);
      await workload.acknowledgements(20);
      await pause(this.#options.durationMs);
    }
  }

  /** One run after the other whose only task waits for its second attempt. */
  async #wait(runs: Client<typeof RunService>): Promise<void> {
    let lastId = "";
    while (!this.#isOver) {
      // The wait begins later than this and is seen to end later than it does: no delay of ours can make it look short.
      const askedAt = performance.now();
      const { runId } = await runs.startRun({
        run: { source: { case: "definition", value: WAIT_SPEC.name } },
      });
      if (runId <= lastId) this.#disorder++;
      lastId = runId;
      let due = Number.POSITIVE_INFINITY;
      let lastTime = 0;
      for await (const { event } of runs.watchRun({ runId })) {
        if (event === undefined) continue;
        const time = instantOf(event.time);
        if (time < lastTime) this.#disorder++;
        lastTime = time;
        if (event.type === TaskEventType.TASK_RETRYING) due = instantOf(event.due);
        if (event.type !== TaskEventType.TASK_STARTED || event.attempt === 1) continue;
        this.#timers++;
        const waitedMs = performance.now() - askedAt;
        if (waitedMs < WAIT_MS || time < due) this.#early++;
        this.#latestMs = Math.max(this.#latestMs, waitedMs - WAIT_MS);
      }
    }
  }
}

/** A client in a process of its own, which can be stopped. */
class OtherClient {
  readonly #child: ChildProcess;
  readonly started: Promise<void>;
  readonly #books = Promise.withResolvers<Books>();

  constructor(address: string, seed: number) {
    this.#child = fork(join(import.meta.dirname, "client.ts"));
    const started = Promise.withResolvers<void>();
    this.started = started.promise;
    this.#child.on("message", (report: ClientReport) => {
      if (report.kind === "started") started.resolve();
      else this.#books.resolve(report.books);
    });
    this.#child.on("exit", (code) => {
      this.#books.reject(new Error(`the client ended with ${code}`));
    });
    this.#order({ kind: "start", address, clients: CLIENTS, seed: seed + 100 });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  async finish(): Promise<Books> {
    this.#order({ kind: "finish" });
    const books = await this.#books.promise;
    this.#child.disconnect();
    return books;
  }

  #order(order: ClientOrder): void {
    this.#child.send(order);
  }
}

function sumOf({ results: _, ...books }: Books, other: Books | undefined): Omit<Books, "results"> {
  if (other === undefined) return books;
  const sum = { ...books, problems: [...books.problems, ...other.problems] };
  for (const name of COUNTS) sum[name] += other[name];
  return sum;
}

const COUNTS = [
  "acknowledged",
  "repeated",
  "cancelled",
  "completed",
  "events",
  "restarts",
  "gaps",
  "compared",
  "lost",
  "appliedTwice",
  "resultsTwice",
  "holes",
] as const;

function instantOf(time: TaskEvent["time"]): number {
  return time === undefined ? 0 : Number(time.seconds) * 1_000 + time.nanos / 1e6;
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
