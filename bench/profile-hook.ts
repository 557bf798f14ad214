/**
 * Loaded into a daemon before its own code (`--import`) to look at its engine thread from within. The first SIGUSR2
 * begins a recording, the second ends it and writes it to $PROFILE_OUT. Other threads load this file too and do
 * nothing.
 */
import { renameSync, writeFileSync } from "node:fs";
import { type HeapProfiler, type Profiler, Session } from "node:inspector";
import { performance } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

/** What the recording holds; one of the two profiles. */
export interface Recording {
  readonly cpu?: Profiler.Profile;
  readonly allocation?: HeapProfiler.SamplingHeapProfile;
  /** Share of the time in which the engine thread had something to do. */
  readonly busy: number;
  /** CPU time of all threads of the process, in microseconds. */
  readonly cpuUs: number;
  readonly wallMs: number;
}

const SAMPLE_US = 250;
const SAMPLE_BYTES = 32 * 1024;

function counters() {
  return {
    busy: performance.eventLoopUtilization(),
    cpu: process.cpuUsage(),
    atMs: performance.now(),
  };
}

function listen(out: string, wantsAllocation: boolean): void {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: SAMPLE_US });
  let began: ReturnType<typeof counters> | undefined;
  process.on("SIGUSR2", () => {
    if (began === undefined) {
      if (wantsAllocation) {
        session.post("HeapProfiler.startSampling", {
          samplingInterval: SAMPLE_BYTES,
          includeObjectsCollectedByMajorGC: true,
          includeObjectsCollectedByMinorGC: true,
        });
      } else session.post("Profiler.start");
      began = counters();
      return;
    }
    const { user, system } = process.cpuUsage(began.cpu);
    const seen = {
      busy: performance.eventLoopUtilization(began.busy).utilization,
      cpuUs: user + system,
      wallMs: performance.now() - began.atMs,
    };
    const write = (recording: Recording): void => {
      writeFileSync(`${out}.part`, JSON.stringify(recording));
      renameSync(`${out}.part`, out);
    };
    if (wantsAllocation) {
      session.post("HeapProfiler.stopSampling", (_, { profile }) =>
        write({ ...seen, allocation: profile }),
      );
    } else session.post("Profiler.stop", (_, { profile }) => write({ ...seen, cpu: profile }));
  });
}

const out = process.env.PROFILE_OUT;
if (isMainThread && out !== undefined) listen(out, process.env.PROFILE_KIND === "allocation");
