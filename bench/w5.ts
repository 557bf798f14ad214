/**
 * W5: a million tasks that wait for a slot, each a run of its own with a hundred bytes of input. Says what they cost in
 * resident memory, what start latency is beside them (the floor is that of the same daemon when it was empty), and how
 * long the daemon takes from its start until it listens when it was killed with all of them open.
 */
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { figureLine, quantile } from "./figure.ts";
import { PARKED_LANE, park } from "./parked.ts";
import { bySubmitRuns, type Pace, registerStamp } from "./start-latency.ts";

const TASKS = 1_000_000;
const RESTARTS = 3;
const PACE: Pace = { perSecond: 500, seconds: 10 };
const MIB = 1024 * 1024;

export async function w5(): Promise<void> {
  const report = (metric: string, samples: readonly number[], floor?: readonly number[]): void =>
    console.log(
      figureLine({
        bench: "w5",
        metric,
        samples,
        n: TASKS,
        settings: { pendingTasks: TASKS, inputBytes: 100, fsync: true },
        ...(floor === undefined ? {} : { floor }),
      }),
    );
  const daemon = await startDaemon({ environment: PARKED_LANE });
  const before = await startP(daemon);
  const empty = (await daemon.memory()).residentBytes;
  const acceptedPerSecond = await park(daemon, TASKS);
  const beside = await startP(daemon);
  const { residentBytes, peakBytes } = await daemon.memory();
  report("accepted_per_s", [acceptedPerSecond]);
  report("resident_mib", [residentBytes / MIB], [empty / MIB]);
  report("peak_resident_mib", [peakBytes / MIB]);
  report("bytes_per_task", [(residentBytes - empty) / TASKS]);
  report("start_p50_ms", [beside.p50], [before.p50]);
  report("start_p99_ms", [beside.p99], [before.p99]);
  await daemon.stop("SIGKILL");
  const { readyMs, residentMib } = await restarts(daemon.directory);
  report(
    "restart_ready_s",
    readyMs.map((ms) => ms / 1_000),
  );
  report("resident_after_restart_mib", residentMib);
}

/** Start latency of a daemon after a warm-up. */
async function startP(
  daemon: BenchDaemon,
): Promise<{ readonly p50: number; readonly p99: number }> {
  const definition = await registerStamp(daemon);
  await bySubmitRuns(daemon, definition, { ...PACE, seconds: 3 });
  const { startMs } = await bySubmitRuns(daemon, definition, PACE);
  return { p50: quantile(startMs, 0.5), p99: quantile(startMs, 0.99) };
}

/** Starts daemons on a directory one after the other and kills each when it listens. */
async function restarts(
  directory: string,
): Promise<{ readonly readyMs: number[]; readonly residentMib: number[] }> {
  const readyMs: number[] = [];
  const residentMib: number[] = [];
  for (let rep = 0; rep < RESTARTS; rep++) {
    const daemon = await startDaemon({ environment: PARKED_LANE, directory });
    readyMs.push(daemon.readyMs);
    residentMib.push((await daemon.memory()).residentBytes / MIB);
    await daemon.stop("SIGKILL");
  }
  return { readyMs, residentMib };
}
