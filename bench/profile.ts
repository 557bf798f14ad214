/**
 * `make profile`: where the engine thread of a real daemon spends its time under a workload, and what it allocates, by
 * area of the source tree. Two passes, because recording one disturbs the other. Prints one JSON line per workload:
 * shares in percent, of the busy time and of the bytes; the functions that cost most go to standard error. Shares are
 * what to read: the recording itself slows the daemon down.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { rounded } from "./figure.ts";
import { PARKED_LANE, park } from "./parked.ts";
import type { Recording } from "./profile-hook.ts";
import { scratchDirectory } from "./scratch.ts";
import { bySubmitRuns, registerStamp } from "./start-latency.ts";
import { jsonBytes, submitAll } from "./submit.ts";
import { type IdleAgent, registerIdle } from "./w1.ts";
import { registerFanOut } from "./w2.ts";
import { registerChain } from "./w3.ts";

/** Prepares a workload on a daemon and answers what is recorded; that resolves with the number of tasks it did. */
type Workload = (daemon: BenchDaemon) => Promise<() => Promise<number>>;

const singles =
  (agent: IdleAgent): Workload =>
  async (daemon) => {
    const definition = await registerIdle(daemon, agent);
    return async () => {
      await submitAll(daemon, { definition, runs: 60_000 });
      return 60_000;
    };
  };

const WORKLOADS: Readonly<Record<string, Workload>> = {
  w1: singles("noop"),
  "w1-in-process": singles("echo"),
  w2: async (daemon) => {
    const definition = await registerFanOut(daemon, "noop", 1_000);
    const input = jsonBytes(Array.from({ length: 1_000 }, (_, n) => n));
    return async () => {
      await submitAll(daemon, { definition, runs: 50, input, batch: 1, inFlight: 1 });
      return 50 * 1_002;
    };
  },
  w3: async (daemon) => {
    await registerChain(daemon, "stamp");
    return async () => {
      await submitAll(daemon, { definition: "chain", runs: 4_000, batch: 1, inFlight: 50 });
      return 40_000;
    };
  },
  w4: async (daemon) => {
    const definition = await registerStamp(daemon);
    return async () => {
      await bySubmitRuns(daemon, definition, { perSecond: 500, seconds: 10 });
      return 5_000;
    };
  },
  w5: async (daemon) => async () => {
    await park(daemon, 100_000);
    return 100_000;
  },
};

/** Areas by the first pattern that fits the name and address of a function. */
const AREAS: readonly (readonly [area: string, pattern: RegExp])[] = [
  ["recording", /node:inspector/],
  ["garbage collector", /^\(garbage collector\)/],
  ["idle", /^\(idle\)/],
  ["messages between threads", /^(?:postMessage|receiveMessageOnPort) /],
  ["validation", /@bufbuild[/+]protovalidate|@bufbuild[/+]cel/],
  ["protobuf", /@bufbuild[/+]protobuf|\/gen\//],
  ["connect", /@connectrpc/],
  ["metrics", /prom-client|adapters\/prom-metrics/],
  ["store adapter", /src\/adapters\/(?:rocks|level|store|open-store)/],
  ["agents", /src\/adapters\/agents/],
  ["other packages", /node_modules/],
];

function areaOf(functionName: string, url: string): string {
  const found = AREAS.find(([, pattern]) => pattern.test(`${functionName} ${url}`));
  if (found !== undefined) return found[0];
  const source = /\/src\/([a-z]+)[/.]/.exec(url);
  if (source?.[1] !== undefined) return source[1];
  return url.startsWith("node:") ? "node" : "native code";
}

const isOurs = ({ functionName, url }: Cost): boolean =>
  !["idle", "recording"].includes(areaOf(functionName, url));

interface Cost {
  readonly functionName: string;
  readonly url: string;
  readonly line: number;
  readonly amount: number;
}

/** Self times in microseconds. */
function timesOf({ cpu }: Recording): Cost[] {
  if (cpu === undefined) throw new Error("the recording has no CPU profile");
  const times = new Map<number, number>();
  for (const [at, id] of (cpu.samples ?? []).entries())
    times.set(id, (times.get(id) ?? 0) + (cpu.timeDeltas?.[at] ?? 0));
  return cpu.nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => ({
    functionName,
    url,
    line: lineNumber + 1,
    amount: times.get(id) ?? 0,
  }));
}

/** Allocated bytes. */
function bytesOf({ allocation }: Recording): Cost[] {
  if (allocation === undefined) throw new Error("the recording has no allocations");
  const costs: Cost[] = [];
  const visit = ({ callFrame, selfSize, children }: typeof allocation.head): void => {
    const { functionName, url, lineNumber } = callFrame;
    costs.push({ functionName, url, line: lineNumber + 1, amount: selfSize });
    children.forEach(visit);
  };
  visit(allocation.head);
  return costs;
}

function sumBy(costs: readonly Cost[], key: (cost: Cost) => string): [string, number][] {
  const sums = new Map<string, number>();
  for (const cost of costs) sums.set(key(cost), (sums.get(key(cost)) ?? 0) + cost.amount);
  return [...sums].filter(([, sum]) => sum > 0).sort(([, a], [, b]) => b - a);
}

function sharesOf(costs: readonly Cost[]): Record<string, number> {
  const total = costs.reduce((sum, { amount }) => sum + amount, 0);
  const areas = sumBy(costs, ({ functionName, url }) => areaOf(functionName, url));
  return Object.fromEntries(areas.map(([area, sum]) => [area, rounded((sum / total) * 100)]));
}

const TOP = 25;

function printTop(title: string, costs: readonly Cost[]): void {
  const total = costs.reduce((sum, { amount }) => sum + amount, 0);
  console.error(title);
  const name = ({ functionName, url, line }: Cost): string =>
    `${functionName || "(anonymous)"} ${url.replace(/^.*\/(?=(?:src|gen|node_modules)\/)/, "")}:${line}`;
  for (const [of, sum] of sumBy(costs, name).slice(0, TOP))
    console.error(`${((sum / total) * 100).toFixed(1).padStart(6)} %  ${of}`);
}

/** Runs a workload twice on a daemon of its own, the second time recorded. */
async function record(
  workload: Workload,
  kind: "cpu" | "allocation",
): Promise<{ readonly recording: Recording; readonly tasks: number }> {
  const out = join(await scratchDirectory(), "recording.json");
  const hook = pathToFileURL(join(import.meta.dirname, "profile-hook.ts")).href;
  const daemon = await startDaemon({
    environment: { ...PARKED_LANE, PROFILE_OUT: out, PROFILE_KIND: kind },
    nodeOptions: `--import=${hook}`,
  });
  const run = await workload(daemon);
  await run();
  process.kill(daemon.pid, "SIGUSR2");
  const tasks = await run();
  process.kill(daemon.pid, "SIGUSR2");
  await appears(out);
  await daemon.stop();
  return { recording: JSON.parse(await readFile(out, "utf8")), tasks };
}

const POLL_MS = 50;

/** Waits for a file that another process moves into place when it is whole. */
async function appears(file: string): Promise<void> {
  while (!existsSync(file)) await sleep(POLL_MS);
}

async function profile(name: string, workload: Workload): Promise<void> {
  const timed = await record(workload, "cpu");
  const costs = timesOf(timed.recording).filter(isOurs);
  const allocated = await record(workload, "allocation");
  const bytes = bytesOf(allocated.recording).filter(isOurs);
  const { busy, cpuUs, wallMs } = timed.recording;
  const allocatedBytes = bytes.reduce((sum, { amount }) => sum + amount, 0);
  printTop(`${name}: busy time of the engine thread`, costs);
  printTop(`${name}: bytes allocated by the engine thread`, bytes);
  console.log(
    JSON.stringify({
      bench: "profile",
      workload: name,
      tasks: timed.tasks,
      tasksPerSecond: rounded((timed.tasks / wallMs) * 1_000),
      engineThreadBusy: rounded(busy),
      processCpuUsPerTask: rounded(cpuUs / timed.tasks),
      allocatedBytesPerTask: rounded(allocatedBytes / allocated.tasks),
      timePercent: sharesOf(costs),
      allocationPercent: sharesOf(bytes),
    }),
  );
}

const { values } = parseArgs({ options: { only: { type: "string", default: "w1" } } });
for (const name of values.only.split(",")) {
  const workload = WORKLOADS[name];
  if (workload === undefined) {
    console.error(`no workload "${name}"; known: ${Object.keys(WORKLOADS).join(", ")}`);
    process.exit(2);
  }
  await profile(name, workload);
}
