/**
 * Workers outside of the daemon: runs of a task that does nothing through one session of the SDK, how soon an agent there
 * starts, a hundred thousand attempts in flight on one session, what a thousand idle workers cost, and the Python worker
 * of the examples. Client, daemon and worker are processes of their own, fsync on.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { AdminService } from "../gen/goclaw/v1/admin_service_pb.ts";
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { type Figure, figureLine, quantile } from "./figure.ts";
import { scratchDirectory } from "./scratch.ts";
import { bySubmitRuns, type Pace } from "./start-latency.ts";
import { jsonBytes, register, submitAll } from "./submit.ts";
import { idleSpeed } from "./w1.ts";

const ROOT = join(import.meta.dirname, "..");
const REPS = 5;
const RUNS = 30_000;
const WARM_UP_RUNS = 5_000;
const PYTHON_RUNS = 5_000;
const CAPACITY = 4_096;
const PACE: Pace = { perSecond: 500, seconds: 10 };
const WARM_UP: Pace = { perSecond: 500, seconds: 4 };
const IN_FLIGHT = 100_000;
const IDLE_WORKERS = 1_000;
const MIB = 1024 * 1024;
const POLL_MS = 100;
/** Until a collection has taken what connecting left behind. */
const SETTLE_MS = 5_000;
const ONE_SESSION = { workers: "one SDK session", fsync: true } as const;

export async function worker(): Promise<void> {
  await throughput();
  await startLatency();
  await inFlight();
  await idleWorkers();
  await python();
}

async function throughput(): Promise<void> {
  const { daemon, stop } = await withWorker(CAPACITY);
  await single(daemon, "remote");
  await submitAll(daemon, { definition: "remote", runs: WARM_UP_RUNS });
  const samples: number[] = [];
  for (let rep = 0; rep < REPS; rep++) samples.push(await idleSpeed(daemon, "remote", RUNS));
  await stop();
  const settings = { ...ONE_SESSION, capacity: CAPACITY };
  print({ metric: "w1_tasks_per_s", samples, n: RUNS, settings });
}

async function startLatency(): Promise<void> {
  const { daemon, stop } = await withWorker(CAPACITY);
  await single(daemon, "remote_stamp");
  await bySubmitRuns(daemon, "remote_stamp", WARM_UP);
  const reps: (readonly number[])[] = [];
  for (let rep = 0; rep < REPS; rep++) {
    reps.push((await bySubmitRuns(daemon, "remote_stamp", PACE)).startMs);
  }
  await stop();
  const settings = { ...ONE_SESSION, perSecond: PACE.perSecond };
  for (const [name, share] of Object.entries({ p50: 0.5, p99: 0.99 })) {
    const samples = reps.map((rep) => quantile(rep, share));
    print({ metric: `w4_start_${name}_ms`, samples, n: reps[0]?.length ?? 0, settings });
  }
}

/** All attempts are taken up before the first may end, and are kept through several probes. */
async function inFlight(): Promise<void> {
  const { daemon, stop } = await withWorker(IN_FLIGHT + 1, {
    GOCLAW_LANES__GLOBAL__CONCURRENCY: String(IN_FLIGHT + 1),
    GOCLAW_LANES__NAMED__DEFAULT__CONCURRENCY: String(IN_FLIGHT + 1),
  });
  await single(daemon, "remote_gated");
  await single(daemon, "remote_open");
  const input = jsonBytes("all");
  const began = performance.now();
  const bulk = { definition: "remote_gated", runs: IN_FLIGHT, inFlight: IN_FLIGHT, input };
  const ended = submitAll(daemon, bulk);
  while ((await daemon.occupied("default")) < IN_FLIGHT) await sleep(POLL_MS);
  const startMs = performance.now() - began;
  await sleep(3 * SETTLE_MS);
  const { residentBytes } = await daemon.memory();
  const opened = performance.now();
  await submitAll(daemon, { definition: "remote_open", runs: 1, input });
  await ended;
  const endMs = performance.now() - opened;
  await stop();
  const report = (metric: string, value: number): void =>
    print({ metric, samples: [value], n: IN_FLIGHT, settings: ONE_SESSION });
  report("in_flight_started_per_s", (IN_FLIGHT / startMs) * 1_000);
  report("in_flight_ended_per_s", (IN_FLIGHT / endMs) * 1_000);
  report("in_flight_daemon_resident_mib", residentBytes / MIB);
}

async function idleWorkers(): Promise<void> {
  const daemon = await startDaemon();
  await sleep(SETTLE_MS);
  const before = (await daemon.memory()).residentBytes;
  const child = await sdkWorker(daemon, 1, IDLE_WORKERS);
  await sleep(SETTLE_MS);
  const after = (await daemon.memory()).residentBytes;
  await end(child);
  await daemon.stop();
  const samples = [(after - before) / MIB];
  const settings = { workers: "idle SDK sessions" };
  print({ metric: "idle_workers_mib", samples, n: IDLE_WORKERS, settings });
}

async function python(): Promise<void> {
  const daemon = await startDaemon();
  const stubs = await scratchDirectory();
  execFileSync(join(ROOT, "examples/workers/stubs.sh"), ["python", stubs]);
  const child = spawn("/usr/bin/python3", [join(ROOT, "examples/workers/python/worker.py")], {
    stdio: "inherit",
    env: {
      ...process.env,
      PYTHONPATH: stubs,
      GOCLAW_SERVER: daemon.address,
      GOCLAW_AGENTS: "python.echo",
    },
  });
  while (!(await serves(daemon, "python.echo"))) await sleep(POLL_MS);
  await single(daemon, "python.echo");
  await submitAll(daemon, { definition: "python.echo", runs: 1_000 });
  const samples: number[] = [];
  for (let rep = 0; rep < REPS; rep++) {
    samples.push(await idleSpeed(daemon, "python.echo", PYTHON_RUNS));
  }
  await end(child);
  await daemon.stop();
  const settings = { workers: "one Python session", fsync: true };
  print({ metric: "python_tasks_per_s", samples, n: PYTHON_RUNS, settings });
}

function print(figure: Omit<Figure, "bench">): void {
  console.log(figureLine({ bench: "worker", ...figure }));
}

/** Registers a workflow of one task, named like its agent. */
function single(daemon: BenchDaemon, agent: string): Promise<void> {
  return register(daemon, { name: agent, tasks: [{ id: "t", agent }] });
}

async function serves(daemon: BenchDaemon, agent: string): Promise<boolean> {
  const { agents } = await daemon.client(AdminService).listAgents({});
  return agents.some(({ name }) => name === agent);
}

async function withWorker(
  capacity: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<{ readonly daemon: BenchDaemon; readonly stop: () => Promise<void> }> {
  const room = String(CAPACITY);
  const daemon = await startDaemon({
    environment: {
      GOCLAW_LANES__GLOBAL__CONCURRENCY: room,
      GOCLAW_LANES__NAMED__DEFAULT__CONCURRENCY: room,
      ...environment,
    },
  });
  const child = await sdkWorker(daemon, capacity, 1);
  const stop = async (): Promise<void> => {
    await end(child);
    await daemon.stop();
  };
  return { daemon, stop };
}

/** Starts the SDK's workers in one process and resolves when all are connected. */
async function sdkWorker(
  daemon: BenchDaemon,
  capacity: number,
  workers: number,
): Promise<ChildProcess> {
  const program = join(ROOT, "bench/worker-session.ts");
  const words = ["--conditions=goclaw-source", program, daemon.address];
  const child = spawn(process.execPath, [...words, String(capacity), String(workers)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === "connected") return child;
  }
  throw new Error("the worker ended before it was connected");
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}
