/**
 * What plugin threads carry: no-op attempts per second through 1 and 2 threads, many in flight, with the processor time
 * of each side, and the latency of one attempt at a time. Prints JSON lines, one figure each; run it with
 * `node bench/plugin-transport.ts`. The floor is two bare `postMessage`s per batch of plain objects, measured first.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { PluginTransport } from "../src/adapters/agents/plugin-transport.ts";
import { SystemHost } from "../src/adapters/system-host.ts";
import type { AttemptListener } from "../src/ports/agent.ts";
import { assignment, ListLog } from "../test/support/attempts.ts";
import { type Figure, figureLine } from "./figure.ts";

const ATTEMPTS = 100_000;
const IN_FLIGHT = 512;
const SINGLES = 2_000;
const REPS = 5;

const AGENT = 'export const noop = { name: "noop", run: async (input) => input };';

interface Sample {
  readonly perSecond: number;
  /** Processor time of the whole process per attempt, in microseconds. */
  readonly cpuUs: number;
  /** Share of the engine's thread that was busy. */
  readonly busy: number;
}

/** Keeps `inFlight` attempts out until `attempts` have ended. `send` starts some more. */
async function measure(
  attempts: number,
  run: (ended: (count: number) => number, done: () => void) => void,
): Promise<Sample> {
  const began = performance.now();
  const cpuBefore = process.cpuUsage();
  const busyBefore = performance.eventLoopUtilization();
  await new Promise<void>((resolve) => {
    let finished = 0;
    run((count) => (finished += count), resolve);
  });
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    perSecond: (attempts / (performance.now() - began)) * 1_000,
    cpuUs: (user + system) / attempts,
    busy: performance.eventLoopUtilization(busyBefore).utilization,
  };
}

/** The same number of assignments through a thread that only echoes them, in batches. */
async function floor(batch: number): Promise<Sample> {
  const code =
    'require("worker_threads").parentPort.on("message", (m) => { require("worker_threads").parentPort.postMessage(m.map((a) => ({ type: "finish", key: a.assignment.key, outcome: { kind: "success", output: a.assignment.input } }))); });';
  const worker = new Worker(code, { eval: true });
  await new Promise((resolve) => worker.once("online", resolve));
  const given = assignment("noop", { a: 1 });
  const send = () =>
    worker.postMessage(
      Array.from({ length: batch }, (_, ticket) => ({ type: "start", ticket, assignment: given })),
    );
  const sample = await measure(ATTEMPTS, (ended, done) => {
    worker.on("message", (reports: readonly unknown[]) => {
      if (ended(reports.length) >= ATTEMPTS) done();
      else send();
    });
    for (let n = 0; n < IN_FLIGHT / batch; n++) send();
  });
  await worker.terminate();
  return sample;
}

async function withTransport<T>(
  threads: number,
  use: (transport: PluginTransport, onFinish: (listen: () => void) => void) => Promise<T>,
): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-bench-"));
  await writeFile(join(directory, "noop.mjs"), AGENT);
  const host = new SystemHost();
  const transport = new PluginTransport(
    { directories: [directory], threads, watch: false },
    { host, log: new ListLog() },
  );
  let finished = () => {};
  const ignore = () => {};
  const listener: AttemptListener = {
    progress: ignore,
    checkpoint: ignore,
    beat: ignore,
    log: ignore,
    output: ignore,
    receipt: ignore,
    recall: ignore,
    finish: () => finished(),
  };
  await transport.open(listener, ignore);
  const result = await use(transport, (listen) => {
    finished = listen;
  });
  await transport.close();
  host.close();
  await rm(directory, { recursive: true });
  return result;
}

function throughput(
  transport: PluginTransport,
  onFinish: (listen: () => void) => void,
  attempts: number,
): Promise<Sample> {
  return measure(attempts, (ended, done) => {
    let started = 0;
    const start = () => {
      if (started++ < attempts) transport.start(assignment("noop", { a: 1 }));
    };
    onFinish(() => {
      if (ended(1) === attempts) done();
      else start();
    });
    for (let n = 0; n < IN_FLIGHT; n++) start();
  });
}

async function latencies(
  transport: PluginTransport,
  onFinish: (listen: () => void) => void,
): Promise<number[]> {
  const samples: number[] = [];
  for (let n = 0; n < SINGLES; n++) {
    const began = performance.now();
    await new Promise<void>((resolve) => {
      onFinish(resolve);
      transport.start(assignment("noop", { a: 1 }));
    });
    samples.push((performance.now() - began) * 1_000);
  }
  return samples.sort((a, b) => a - b);
}

function print(metric: string, settings: Figure["settings"], samples: readonly number[]): void {
  const n = metric.startsWith("single") ? SINGLES : ATTEMPTS;
  console.log(figureLine({ bench: "plugin-transport", metric, samples, n, settings }));
}

function printAll(name: string, settings: Figure["settings"], samples: readonly Sample[]): void {
  const figures = {
    per_second: (sample: Sample) => sample.perSecond,
    cpu_us: (sample: Sample) => sample.cpuUs,
    engine_thread_busy: (sample: Sample) => sample.busy,
  };
  for (const [unit, of] of Object.entries(figures))
    print(`${name}_${unit}`, settings, samples.map(of));
}

const floors: Sample[] = [];
for (let rep = 0; rep < REPS; rep++) floors.push(await floor(64));
printAll("floor", { batch: 64 }, floors);

for (const threads of [1, 2]) {
  await withTransport(threads, async (transport, onFinish) => {
    await throughput(transport, onFinish, ATTEMPTS / 4);
    const samples: Sample[] = [];
    for (let rep = 0; rep < REPS; rep++) {
      samples.push(await throughput(transport, onFinish, ATTEMPTS));
    }
    printAll("attempts", { threads, inFlight: IN_FLIGHT }, samples);
    const singles = await latencies(transport, onFinish);
    for (const p of [50, 99]) {
      print(`single_latency_us_p${p}`, { threads }, [
        singles[Math.floor((singles.length * p) / 100)] ?? Number.NaN,
      ]);
    }
  });
}
