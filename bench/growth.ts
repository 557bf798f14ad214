/**
 * Growth: W1 and W4 beside a thousand, a hundred thousand and a million tasks that wait in another lane. Flat lines mean
 * that what waits costs those who do not wait nothing. W2 by width and W9 by size show the other two axes.
 */
import { startDaemon } from "./daemon.ts";
import { figureLine, quantile } from "./figure.ts";
import { PARKED_LANE, park } from "./parked.ts";
import { bySubmitRuns, type Pace, registerStamp } from "./start-latency.ts";
import { submitAll } from "./submit.ts";
import { idleSpeed, registerIdle } from "./w1.ts";

const DEPTHS = [1_000, 100_000, 1_000_000];
const REPS = 3;
const RUNS = 20_000;
const PACE: Pace = { perSecond: 500, seconds: 6 };

export async function growth(): Promise<void> {
  const daemon = await startDaemon({ environment: PARKED_LANE });
  const idle = await registerIdle(daemon, "noop");
  const stamp = await registerStamp(daemon);
  await submitAll(daemon, { definition: idle, runs: RUNS });
  let parked = 0;
  for (const depth of DEPTHS) {
    await park(daemon, depth - parked);
    parked = depth;
    const speed: number[] = [];
    const [p50, p99]: [number[], number[]] = [[], []];
    for (let rep = 0; rep < REPS; rep++) {
      speed.push(await idleSpeed(daemon, idle, RUNS));
      const { startMs } = await bySubmitRuns(daemon, stamp, PACE);
      p50.push(quantile(startMs, 0.5));
      p99.push(quantile(startMs, 0.99));
    }
    const settings = { pendingTasks: depth, workers: "plugin threads", fsync: true };
    const n = PACE.perSecond * PACE.seconds;
    const print = (metric: string, count: number, samples: readonly number[]): void =>
      console.log(figureLine({ bench: "growth", metric, samples, n: count, settings }));
    print("w1_tasks_per_s", RUNS, speed);
    print("w4_start_p50_ms", n, p50);
    print("w4_start_p99_ms", n, p99);
  }
  await daemon.stop("SIGKILL");
}
