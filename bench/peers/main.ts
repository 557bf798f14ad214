/**
 * `make bench-peers`: the same workloads on GoClaw and on BullMQ over a Redis that syncs every write, on the same
 * machine and by turns (one repetition here, one there), so that both see the same weather. BullMQ runs with client and
 * worker in one process and in two, and its better way is what counts. Each line has GoClaw's figure, BullMQ's beside
 * it, and the ratio in GoClaw's favour.
 */
import { type BenchDaemon, startDaemon } from "../daemon.ts";
import { type Figure, figureLine, median, quantile, rounded } from "../figure.ts";
import { byStartRun, bySubmitRuns, registerStamp } from "../start-latency.ts";
import { jsonBytes, submitAll } from "../submit.ts";
import { idleSpeed, registerIdle } from "../w1.ts";
import { registerFanOut } from "../w2.ts";
import { type Bull, startBull, startRedis, type Topology } from "./redis.ts";

const REPS = 5;
const SINGLES = 20_000;
const WIDTH = 1_000;
const FAN_OUTS = 5;
const PACE = { perSecond: 500, seconds: 8 };
const TOPOLOGIES: readonly Topology[] = ["together", "apart"];

/** Figures of one repetition by metric. */
type Sample = Readonly<Record<string, number>>;
type Measure = () => Promise<Sample>;

interface Contest {
  readonly bench: string;
  readonly n: number;
  /** Which is better, decides what the ratio divides by what. */
  readonly better: "more" | "less";
  readonly settings: Figure["settings"];
  readonly ours: (daemon: BenchDaemon) => Promise<Measure>;
  readonly theirs: (bull: Bull) => Measure;
}

const startsOf = (startMs: readonly number[]): Sample => ({
  start_p50_ms: quantile(startMs, 0.5),
  start_p99_ms: quantile(startMs, 0.99),
});

const theirStarts = (bull: Bull): Measure => {
  return async () => startsOf((await bull.run({ workload: "starts", ...PACE })).startMs);
};

const CONTESTS: readonly Contest[] = [
  {
    bench: "peers-w1",
    n: SINGLES,
    better: "more",
    settings: { theirSubmit: "addBulk of 500, 4 in flight" },
    ours: async (daemon) => {
      const definition = await registerIdle(daemon, "noop");
      return async () => ({ tasks_per_s: await idleSpeed(daemon, definition, SINGLES) });
    },
    theirs: (bull) => async () => ({
      tasks_per_s: (await bull.run({ workload: "singles", runs: SINGLES })).perSecond,
    }),
  },
  {
    bench: "peers-w2",
    n: FAN_OUTS * (WIDTH + 2),
    better: "more",
    settings: { width: WIDTH, runsAtOnce: 1, theirSubmit: "a flow added by the root" },
    ours: async (daemon) => {
      const definition = await registerFanOut(daemon, "noop", WIDTH);
      const input = jsonBytes(Array.from({ length: WIDTH }, (_, n) => n));
      return async () => {
        const began = performance.now();
        await submitAll(daemon, { definition, runs: FAN_OUTS, input, batch: 1, inFlight: 1 });
        const seconds = (performance.now() - began) / 1_000;
        return { tasks_per_s: (FAN_OUTS * (WIDTH + 2)) / seconds };
      };
    },
    theirs: (bull) => async () => {
      const workload = { workload: "fanOuts", runs: FAN_OUTS, width: WIDTH };
      return { tasks_per_s: (await bull.run(workload)).perSecond };
    },
  },
  ...([byStartRun, bySubmitRuns] as const).map(
    (submit): Contest => ({
      bench: "peers-w4",
      n: PACE.perSecond * PACE.seconds,
      better: "less",
      settings: {
        perSecond: PACE.perSecond,
        submit: submit === byStartRun ? "StartRun" : "SubmitRuns",
        theirSubmit: "add",
      },
      ours: async (daemon) => {
        const definition = await registerStamp(daemon);
        return async () => startsOf((await submit(daemon, definition, PACE)).startMs);
      },
      theirs: theirStarts,
    }),
  ),
];

async function compare(contest: Contest, port: number): Promise<void> {
  const daemon = await startDaemon();
  const bulls = await Promise.all(TOPOLOGIES.map((topology) => startBull(port, topology)));
  const measures = [await contest.ours(daemon), ...bulls.map(contest.theirs)];
  const samples: Sample[][] = measures.map(() => []);
  for (const measure of measures) await measure();
  for (let rep = 0; rep < REPS; rep++) {
    for (const [at, measure] of measures.entries()) samples[at]?.push(await measure());
  }
  const [ours = [], ...theirs] = samples;
  for (const metric of Object.keys(ours[0] ?? {})) print(contest, metric, ours, theirs);
  for (const bull of bulls) await bull.stop();
  await daemon.stop();
}

function print(
  { bench, n, better, settings }: Contest,
  metric: string,
  ours: readonly Sample[],
  theirs: readonly Sample[][],
): void {
  const pick = (list: readonly Sample[]): number[] => list.map((one) => one[metric] ?? Number.NaN);
  const sign = better === "more" ? -1 : 1;
  const ranked = theirs
    .map((list, at) => ({ samples: pick(list), topology: TOPOLOGIES[at] ?? "" }))
    .sort((a, b) => sign * (median(a.samples) - median(b.samples)));
  const [best, other] = ranked;
  if (best === undefined || other === undefined) return;
  const samples = pick(ours);
  const [us, them] = [median(samples), median(best.samples)];
  console.log(
    figureLine({
      bench,
      metric,
      samples,
      n,
      settings: {
        peer: "BullMQ on Redis, appendfsync always",
        peerMedian: rounded(them),
        peerMin: rounded(Math.min(...best.samples)),
        peerMax: rounded(Math.max(...best.samples)),
        peerProcesses: best.topology,
        peerOtherWay: rounded(median(other.samples)),
        ratio: rounded(better === "more" ? us / them : them / us),
        ...settings,
        fsync: true,
      },
    }),
  );
}

const redis = await startRedis();
for (const contest of CONTESTS) await compare(contest, redis.port);
await redis.stop();
