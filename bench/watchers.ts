/**
 * W8: what watchers cost. Ten thousand that wait at runs where nothing happens: memory of the daemon for each. A
 * thousand that never read, of runs that said more than a watcher's buffers take, beside a hundred that do: how many single tasks pass per
 * second with them, compared with the same without them, by turns.
 */
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { RunService } from "../gen/goclaw/v1/run_service_pb.ts";
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { figureLine } from "./figure.ts";
import { register, submitAll } from "./submit.ts";

const IDLE = 10_000;
const STALLED = 1_000;
const READING = 100;
const TALKERS = 10;
/** Every instance of a talking run says this much. */
const NOTE_BYTES = 1_000;
/** More than windows and buffers of a watcher hold, so that one that does not read stands still. */
const NOTES = 400;
const REPS = 5;
const RUNS = 15_000;
const WARM_UP_RUNS = 5_000;
/** Streams of one connection; the daemon permits a hundred. */
const STREAMS = 90;
const POLL_MS = 100;

type Watch = AsyncIterator<unknown>;

export async function watchers(): Promise<void> {
  await idle();
  await stalled();
}

async function idle(): Promise<void> {
  const daemon = await startDaemon({ environment: environment(IDLE) });
  try {
    const [runId = ""] = await startTalkers(daemon, { runs: 1, notes: 0 });
    const before = (await daemon.memory()).residentBytes;
    const began = performance.now();
    await openWatches(daemon, () => runId, IDLE);
    await watchersReach(daemon, IDLE);
    const openedPerSecond = (IDLE / (performance.now() - began)) * 1_000;
    const bytes = ((await daemon.memory()).residentBytes - before) / IDLE;
    const settings = { watchers: IDLE, runs: 1, streamsPerConnection: STREAMS };
    const line = (metric: string, samples: number[]): void =>
      console.log(figureLine({ bench: "w8", metric, samples, n: IDLE, settings }));
    line("resident_bytes_per_watcher", [bytes]);
    line("opened_per_s", [openedPerSecond]);
  } finally {
    await daemon.stop();
  }
}

async function stalled(): Promise<void> {
  const daemon = await startDaemon({ environment: environment(STALLED + READING) });
  try {
    await register(daemon, { name: "one", tasks: [{ id: "t", agent: "noop" }] });
    await submitAll(daemon, { definition: "one", runs: WARM_UP_RUNS });
    const runs = await startTalkers(daemon, { runs: TALKERS, notes: NOTES });
    const runOf = (n: number): string => runs[n % runs.length] ?? "";
    const readers = await openWatches(daemon, runOf, READING);
    for (const reader of readers) void readOn(reader);
    const without: number[] = [];
    const beside: number[] = [];
    let heldBytes = 0;
    for (let rep = 0; rep < REPS; rep++) {
      without.push(await speed(daemon));
      const before = (await daemon.memory()).residentBytes;
      const leave = new AbortController();
      await openWatches(daemon, runOf, STALLED, leave.signal);
      await watchersReach(daemon, STALLED + READING);
      beside.push(await speed(daemon));
      heldBytes = Math.max(heldBytes, (await daemon.memory()).residentBytes - before);
      leave.abort();
      await watchersReach(daemon, READING);
    }
    const settings = { stalled: STALLED, reading: READING, workers: "plugin threads", fsync: true };
    console.log(
      figureLine({
        bench: "w8",
        metric: "tasks_per_s_beside_stalled",
        samples: beside,
        n: RUNS,
        floor: without,
        settings: { ...settings, floorIs: "the same without the stalled watchers" },
      }),
    );
    console.log(
      figureLine({
        bench: "w8",
        metric: "resident_bytes_per_stalled_watcher",
        samples: [heldBytes / STALLED],
        n: STALLED,
        settings,
      }),
    );
  } finally {
    await daemon.stop();
  }
}

function environment(streams: number): Record<string, string> {
  return {
    GOCLAW_LIMITS__STREAMS: String(streams + 100),
    GOCLAW_RESERVE_BYTES: "0",
    GOCLAW_DRAIN_TIMEOUT: "0ms",
    // The runs that are watched hold a slot each.
    GOCLAW_LANES__GLOBAL__CONCURRENCY: "64",
    GOCLAW_LANES__NAMED__DEFAULT__CONCURRENCY: "64",
  };
}

/** Runs that say a lot and stay open: their last task sleeps longer than the benchmark. */
async function startTalkers(
  daemon: BenchDaemon,
  { runs: count, notes }: { readonly runs: number; readonly notes: number },
): Promise<string[]> {
  await register(daemon, {
    name: "talk",
    tasks: [
      { id: "say", agent: "echo", forEach: "input.notes" },
      { id: "stay", agent: "sleep", deps: ["say"], input: { ms: 3_600_000 } },
    ],
  });
  const note = ".".repeat(NOTE_BYTES);
  const input = fromJson(ValueSchema, { notes: Array.from({ length: notes }, () => note) });
  const runs = daemon.client(RunService);
  return Promise.all(
    Array.from({ length: count }, async () => {
      const source = { case: "definition", value: "talk" } as const;
      return (await runs.startRun({ run: { source, input } })).runId;
    }),
  );
}

/** Opens watches and takes the first event of each, after which none is read unless the caller does. */
function openWatches(
  daemon: BenchDaemon,
  runOf: (n: number) => string,
  count: number,
  signal = new AbortController().signal,
): Promise<Watch[]> {
  const clients: Client<typeof RunService>[] = [];
  for (let opened = 0; opened < count; opened += STREAMS) {
    clients.push(createClient(RunService, createGrpcTransport({ baseUrl: daemon.address })));
  }
  return Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const client = clients[Math.floor(n / STREAMS)] as Client<typeof RunService>;
      const watch = client.watchRun({ runId: runOf(n) }, { signal })[Symbol.asyncIterator]();
      await watch.next();
      return watch;
    }),
  );
}

async function readOn(watch: Watch): Promise<void> {
  try {
    while ((await watch.next()).done !== true);
  } catch {
    // The daemon is stopped at the end.
  }
}

async function watchersReach(daemon: BenchDaemon, count: number): Promise<void> {
  while ((await daemon.metric("goclaw_watchers")) !== count) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function speed(daemon: BenchDaemon): Promise<number> {
  const began = performance.now();
  await submitAll(daemon, { definition: "one", runs: RUNS });
  return (RUNS / (performance.now() - began)) * 1_000;
}
