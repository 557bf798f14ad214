/**
 * W1: independent tasks that do nothing, submitted over one `SubmitRuns` stream by another process, fsync on. Says how
 * many whole runs (accepted, scheduled, started, done, reported) pass per second. The floor is what the store alone
 * does with the same bytes: the commits of the run are read back and written again, raw and synced, by one writer.
 */
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AdminService } from "../gen/goclaw/v1/admin_service_pb.ts";
import { RunState } from "../gen/goclaw/v1/run_pb.ts";
import {
  type NumberedSubmission,
  NumberedSubmissionSchema,
  RunService,
  type SubmitRunsRequest,
  SubmitRunsRequestSchema,
} from "../gen/goclaw/v1/run_service_pb.ts";
import { startDaemon } from "./daemon.ts";
import { type Figure, figureLine } from "./figure.ts";
import { rewriteSpeed } from "./store-floor.ts";

const BATCH = 64;
const IN_FLIGHT = 4_096;
const REPS = 5;

export interface W1Options {
  readonly runs: number;
  readonly agent: "noop" | "echo";
}

/** Prints one line per way to run agents: plugin threads, and in-process. */
export async function w1(options: { readonly runs?: number } = {}): Promise<void> {
  for (const agent of ["noop", "echo"] as const) {
    const figure = await measure({ runs: options.runs ?? 30_000, agent });
    console.log(figureLine(figure));
  }
}

async function measure({ runs, agent }: W1Options): Promise<Figure> {
  const daemon = await startDaemon({
    GOCLAW_LANES__GLOBAL__CONCURRENCY: "2000",
    GOCLAW_LANES__NAMED__DEFAULT__CONCURRENCY: "2000",
  });
  try {
    const transport = createGrpcTransport({ baseUrl: daemon.address });
    const admin = createClient(AdminService, transport);
    await admin.registerDefinition({ spec: { name: "w1", tasks: [{ id: "t", agent }] } });
    const samples: number[] = [];
    await submitAll(transport, Math.min(runs, 5_000));
    for (let rep = 0; rep < REPS; rep++) {
      const began = performance.now();
      await submitAll(transport, runs);
      samples.push((runs / (performance.now() - began)) * 1_000);
    }
    const commits = await daemon.metric("goclaw_journal_commit_seconds_count");
    await daemon.stop();
    const total = runs * REPS + Math.min(runs, 5_000);
    const floor = await rewriteSpeed(daemon.directory, total);
    return {
      bench: "w1",
      metric: "tasks_per_s",
      samples,
      n: runs,
      floor,
      settings: {
        workers: agent === "noop" ? "plugin threads" : "in-process",
        batch: BATCH,
        inFlight: IN_FLIGHT,
        fsync: true,
        runsPerCommit: Number((total / commits).toFixed(1)),
      },
    };
  } finally {
    await daemon.stop();
    await daemon.remove();
  }
}

/** Submits `count` runs on one stream and resolves when all have ended; a run that did not complete is an error. */
async function submitAll(
  transport: ReturnType<typeof createGrpcTransport>,
  count: number,
): Promise<void> {
  const client = createClient(RunService, transport);
  let ended = 0;
  let wake = (): void => {};
  async function* requests(): AsyncGenerator<SubmitRunsRequest> {
    for (let at = 0; at < count; at += BATCH) {
      while (at - ended >= IN_FLIGHT) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const numbers = Array.from({ length: Math.min(BATCH, count - at) }, (_, n) => at + n);
      yield create(SubmitRunsRequestSchema, { rawOutputs: true, runs: numbers.map(submission) });
    }
  }
  for await (const answer of client.submitRuns(requests())) {
    if (answer.refused.length > 0) throw new Error(answer.refused[0]?.message);
    for (const end of answer.ended) {
      if (end.state !== RunState.COMPLETED) throw new Error(`run ${end.runId}: ${end.message}`);
    }
    ended += answer.ended.length;
    wake();
    if (ended === count) return;
  }
}

const INPUT = new TextEncoder().encode(JSON.stringify({ payload: "x".repeat(80) }));

function submission(number: number): NumberedSubmission {
  return create(NumberedSubmissionSchema, {
    number: BigInt(number),
    run: {
      source: { case: "definition", value: "w1" },
      inputData: { mediaType: "application/json", data: INPUT },
    },
  });
}
