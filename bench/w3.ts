/**
 * W3: a chain of ten tasks that do nothing. One chain at a time it says what a step costs that nothing else shares a
 * commit with: the gap between the starts of two successive agents, and a whole chain as its client sees it by the
 * number of its tasks, against one synced write of the disk. Fifty at once say how that adds up to throughput.
 */
import type { SubmissionEnded } from "../gen/goclaw/v1/run_service_pb.ts";
import { monotonicMs } from "./clock.ts";
import { type BenchDaemon, startDaemon } from "./daemon.ts";
import { figureLine, quantile } from "./figure.ts";
import { syncedWritesMs } from "./fsync-floor.ts";
import { rewriteSpeed } from "./store-floor.ts";
import { register, submitAll } from "./submit.ts";

const REPS = 5;
const LENGTH = 10;
const CHAINS = 200;
const AT_ONCE = 50;
const CHAINS_AT_ONCE = 1_500;
const WARM_UP_CHAINS = 500;
const QUANTILES = { p50: 0.5, p99: 0.99 } as const;

/** Agents that do nothing; one of them says when it started. */
const AGENTS = { stamp: "plugin threads", echo: "in-process" } as const;
type ChainAgent = keyof typeof AGENTS;

export async function w3(): Promise<void> {
  for (const agent of ["stamp", "echo"] as const) {
    const daemon = await startDaemon();
    await registerChain(daemon, agent);
    await submitAll(daemon, { definition: "chain", runs: WARM_UP_CHAINS, batch: 1, inFlight: 8 });
    await oneAtATime(daemon, agent);
    await daemon.stop();
    await atOnce(agent);
  }
}

/** Registers the chain; its output has that of every task. */
export async function registerChain(daemon: BenchDaemon, agent: ChainAgent): Promise<void> {
  const ids = Array.from({ length: LENGTH }, (_, n) => `s${n}`);
  const tasks = ids.map((id, n) => ({
    id,
    agent,
    deps: ids.slice(Math.max(0, n - 1), n),
    input: 1,
  }));
  const output = Object.fromEntries(ids.map((id) => [id, `{{ ${id} }}`]));
  await register(daemon, { name: "chain", tasks, output });
}

async function oneAtATime(daemon: BenchDaemon, agent: ChainAgent): Promise<void> {
  const gaps: number[][] = [];
  const perTask: number[][] = [];
  const floor: number[][] = [];
  for (let rep = 0; rep < REPS; rep++) {
    floor.push(await syncedWritesMs());
    const [gapsMs, wholeMs]: [number[], number[]] = [[], []];
    for (let chain = 0; chain < CHAINS; chain++) {
      const beganMs = monotonicMs();
      await submitAll(daemon, {
        definition: "chain",
        runs: 1,
        onEnded: (end) => gapsMs.push(...gapsOf(end)),
      });
      wholeMs.push((monotonicMs() - beganMs) / LENGTH);
    }
    gaps.push(gapsMs);
    perTask.push(wholeMs);
  }
  const metrics = { step: agent === "stamp" ? gaps : undefined, chain_per_task: perTask };
  for (const [name, reps] of Object.entries(metrics)) {
    if (reps === undefined) continue;
    for (const [label, share] of Object.entries(QUANTILES)) {
      const at = (samples: readonly number[]): number => quantile(samples, share);
      console.log(
        figureLine({
          bench: "w3",
          metric: `${name}_${label}_ms`,
          samples: reps.map(at),
          n: reps[0]?.length ?? 0,
          floor: floor.map(at),
          settings: { length: LENGTH, chainsAtOnce: 1, workers: AGENTS[agent], fsync: true },
        }),
      );
    }
  }
}

/** From the start of each task to the start of the next. */
function gapsOf(end: SubmissionEnded): number[] {
  const stamps: number[] = Object.values(
    JSON.parse(new TextDecoder().decode(end.outputData?.data)),
  );
  return stamps.slice(1).map((stamp, n) => stamp - (stamps[n] ?? Number.NaN));
}

async function atOnce(agent: ChainAgent): Promise<void> {
  const daemon = await startDaemon();
  await registerChain(daemon, agent);
  const submit = (runs: number): Promise<void> =>
    submitAll(daemon, { definition: "chain", runs, batch: 1, inFlight: AT_ONCE });
  await submit(WARM_UP_CHAINS);
  const samples: number[] = [];
  for (let rep = 0; rep < REPS; rep++) {
    const began = performance.now();
    await submit(CHAINS_AT_ONCE);
    samples.push(((CHAINS_AT_ONCE * LENGTH) / (performance.now() - began)) * 1_000);
  }
  await daemon.stop();
  const tasks = (WARM_UP_CHAINS + CHAINS_AT_ONCE * REPS) * LENGTH;
  console.log(
    figureLine({
      bench: "w3",
      metric: "tasks_per_s",
      samples,
      n: CHAINS_AT_ONCE * LENGTH,
      floor: await rewriteSpeed(daemon.directory, tasks),
      settings: { length: LENGTH, chainsAtOnce: AT_ONCE, workers: AGENTS[agent], fsync: true },
    }),
  );
}
