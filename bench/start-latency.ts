/**
 * How long a run takes from the instant it was due to be submitted until its agent starts, until the submission is
 * acknowledged, and until the client has its result: an open loop of single runs. The agent stamps its start with the
 * machine's monotonic clock and returns it, so the result tells when it began.
 */
import { create } from "@bufbuild/protobuf";
import { RunState } from "../gen/goclaw/v1/run_pb.ts";
import {
  RunService,
  type SubmissionEnded,
  type SubmitRunsRequest,
  SubmitRunsRequestSchema,
} from "../gen/goclaw/v1/run_service_pb.ts";
import { monotonicMs } from "./clock.ts";
import type { BenchDaemon } from "./daemon.ts";
import { openLoop } from "./open-loop.ts";
import { INPUT, mustBeComplete, register, submission } from "./submit.ts";

export interface Pace {
  readonly perSecond: number;
  readonly seconds: number;
}

/** Milliseconds from when each run was due, in the order of submission; absent what the way of submitting cannot see. */
export interface Latencies {
  readonly startMs: readonly number[];
  readonly acceptedMs: readonly number[];
  readonly endedMs: readonly number[];
  /** How late the client itself was; contained in all others. */
  readonly lateMs: readonly number[];
}

/** Registers a workflow of one task that tells when it started, and answers its name. */
export async function registerStamp(daemon: BenchDaemon): Promise<string> {
  const name = "one-stamp";
  await register(daemon, { name, tasks: [{ id: "t", agent: "stamp" }] });
  return name;
}

/** One `StartRun` call for each run; starts are looked up afterwards. */
export async function byStartRun(
  daemon: BenchDaemon,
  definition: string,
  pace: Pace,
): Promise<Latencies> {
  const client = daemon.client(RunService);
  const runs: { readonly runId: string; readonly dueMs: number }[] = [];
  const acceptedMs: number[] = [];
  const run = {
    source: { case: "definition" as const, value: definition },
    inputData: { mediaType: "application/json", data: INPUT },
  };
  const lateMs = await openLoop({
    ...pace,
    send: async (index, dueMs) => {
      const { runId } = await client.startRun({ run });
      acceptedMs[index] = monotonicMs() - dueMs;
      runs[index] = { runId, dueMs };
    },
  });
  const startMs: number[] = [];
  for (const { runId, dueMs } of runs) startMs.push((await stampOf(daemon, runId)) - dueMs);
  return { startMs, acceptedMs, endedMs: [], lateMs };
}

async function stampOf(daemon: BenchDaemon, runId: string): Promise<number> {
  const client = daemon.client(RunService);
  const { run } = await client.getRun({ runId });
  if (run?.state !== RunState.COMPLETED) throw new Error(`run ${runId} has not completed`);
  const output = run.tasks[0]?.output?.kind;
  if (output?.case !== "numberValue") throw new Error(`run ${runId} has no stamp`);
  return output.value;
}

/** One stream, one message for each run. */
export async function bySubmitRuns(
  daemon: BenchDaemon,
  definition: string,
  pace: Pace,
): Promise<Latencies> {
  const due: number[] = [];
  const [startMs, acceptedMs, endedMs]: [number[], number[], number[]] = [[], [], []];
  const queue = new RequestQueue();
  const count = Math.round(pace.perSecond * pace.seconds);
  const seen = (async () => {
    for await (const answer of daemon.client(RunService).submitRuns(queue.requests())) {
      if (answer.refused.length > 0) throw new Error(answer.refused[0]?.message);
      const nowMs = monotonicMs();
      for (const { number } of answer.accepted) acceptedMs.push(nowMs - (due[Number(number)] ?? 0));
      for (const end of answer.ended) {
        mustBeComplete(end);
        const dueMs = due[Number(end.number)] ?? 0;
        endedMs.push(nowMs - dueMs);
        const stampMs = stampIn(end);
        if (stampMs !== undefined) startMs.push(stampMs - dueMs);
      }
      if (endedMs.length === count) return;
    }
  })();
  const lateMs = await openLoop({
    ...pace,
    send: async (index, dueMs) => {
      due[index] = dueMs;
      queue.push(
        create(SubmitRunsRequestSchema, {
          rawOutputs: true,
          runs: [submission(index, { definition })],
        }),
      );
    },
  });
  await seen;
  queue.end();
  return { startMs, acceptedMs, endedMs, lateMs };
}

/** The number that the run's only task returned, if its agent is one that does. */
function stampIn(end: SubmissionEnded): number | undefined {
  const output: { readonly t: unknown } = JSON.parse(
    new TextDecoder().decode(end.outputData?.data),
  );
  return typeof output.t === "number" ? output.t : undefined;
}

/** Requests handed to a stream as they come. */
class RequestQueue {
  readonly #waiting: SubmitRunsRequest[] = [];
  #wake = (): void => {};
  #ended = false;

  push(request: SubmitRunsRequest): void {
    this.#waiting.push(request);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *requests(): AsyncGenerator<SubmitRunsRequest> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        yield next;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
