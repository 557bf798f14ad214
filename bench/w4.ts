/**
 * W4: single runs at 500 a second, submitted whether earlier ones were answered or not. Says how long it takes from the
 * instant a run is due until its agent starts, until its acceptance is known to be durable, and until its client has
 * the result. Each client call by itself, and all on one stream.
 */
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { type Figure, figureLine, quantile } from "./figure.ts";
import {
  byStartRun,
  bySubmitRuns,
  type Latencies,
  type Pace,
  registerStamp,
} from "./start-latency.ts";
import { registerIdle } from "./w1.ts";

const REPS = 5;
const PACE: Pace = { perSecond: 500, seconds: 10 };
const WARM_UP: Pace = { perSecond: 500, seconds: 4 };

const PHASES = {
  start: "startMs",
  accepted: "acceptedMs",
  ended: "endedMs",
  client_late: "lateMs",
} as const;
const QUANTILES = { p50: 0.5, p99: 0.99 } as const;

type Way = (daemon: BenchDaemon, definition: string, pace: Pace) => Promise<Latencies>;

export async function w4(): Promise<void> {
  const daemon = await startDaemon();
  const stamp = await registerStamp(daemon);
  const echo = await registerIdle(daemon, "echo");
  const repeated = async (way: Way, definition: string): Promise<Latencies[]> => {
    await way(daemon, definition, WARM_UP);
    const reps: Latencies[] = [];
    for (let rep = 0; rep < REPS; rep++) reps.push(await way(daemon, definition, PACE));
    return reps;
  };
  const [unary, stream] = [{ submit: "StartRun" }, { submit: "SubmitRuns" }];
  const [threads, inProcess] = [{ workers: "plugin threads" }, { workers: "in-process" }];
  print(await repeated(byStartRun, stamp), { ...unary, ...threads });
  print(await repeated(bySubmitRuns, stamp), { ...stream, ...threads });
  print(await repeated(bySubmitRuns, echo), { ...stream, ...inProcess });
  await daemon.stop();
}

function print(reps: readonly Latencies[], settings: Figure["settings"]): void {
  for (const [phase, key] of Object.entries(PHASES)) {
    const lists = reps.map((rep) => rep[key]);
    const n = lists[0]?.length ?? 0;
    if (n === 0) continue;
    for (const [label, share] of Object.entries(QUANTILES)) {
      const samples = lists.map((list) => quantile(list, share));
      const metric = `${phase}_${label}_ms`;
      const all = { ...settings, perSecond: PACE.perSecond, fsync: true };
      console.log(figureLine({ bench: "w4", metric, samples, n, settings: all }));
    }
  }
}
