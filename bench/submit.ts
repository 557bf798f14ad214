/**
 * Runs in bulk over one `SubmitRuns` stream, the way a client with much to do hands it over: a bounded number on their
 * way, batched both ways. A run that is refused or does not complete is an error, because a benchmark of failures
 * measures nothing.
 */
import { create, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { AdminService } from "../gen/goclaw/v1/admin_service_pb.ts";
import { RunState } from "../gen/goclaw/v1/run_pb.ts";
import {
  type NumberedSubmission,
  NumberedSubmissionSchema,
  RunService,
  type SubmissionEnded,
  type SubmitRunsRequest,
  SubmitRunsRequestSchema,
} from "../gen/goclaw/v1/run_service_pb.ts";
import { WorkflowSpecSchema } from "../gen/goclaw/v1/workflow_pb.ts";
import type { BenchDaemon } from "./daemon.ts";

/** Exactly a hundred bytes of JSON. */
export const INPUT: Uint8Array = jsonBytes({ payload: "x".repeat(86) });

export const BATCH = 64;
export const IN_FLIGHT = 4_096;

export interface Bulk {
  readonly definition: string;
  readonly runs: number;
  /** By default {@link INPUT} for every run. */
  readonly input?: Uint8Array;
  /** Runs per message. */
  readonly batch?: number;
  /** Runs that are submitted and not answered. */
  readonly inFlight?: number;
  /** Whether acceptance is enough; otherwise the stream goes on until every run has ended. */
  readonly detached?: boolean;
  readonly onEnded?: (end: SubmissionEnded) => void;
}

/** Registers a definition, written as in a file. */
export async function register(daemon: BenchDaemon, definition: JsonObject): Promise<void> {
  const spec = fromJson(WorkflowSpecSchema, definition);
  await daemon.client(AdminService).registerDefinition({ spec });
}

/** Submits all runs and resolves when each is accepted (detached) or completed. */
export async function submitAll(daemon: BenchDaemon, bulk: Bulk): Promise<void> {
  const { runs, batch = BATCH, inFlight = IN_FLIGHT, detached = false } = bulk;
  let answered = 0;
  let wake = (): void => {};
  async function* requests(): AsyncGenerator<SubmitRunsRequest> {
    for (let at = 0; at < runs; at += batch) {
      while (at - answered >= inFlight) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const numbers = Array.from({ length: Math.min(batch, runs - at) }, (_, n) => at + n);
      yield create(SubmitRunsRequestSchema, {
        rawOutputs: true,
        detached,
        runs: numbers.map((number) => submission(number, bulk)),
      });
    }
  }
  for await (const answer of daemon.client(RunService).submitRuns(requests())) {
    if (answer.refused.length > 0) throw new Error(answer.refused[0]?.message);
    for (const end of answer.ended) {
      mustBeComplete(end);
      bulk.onEnded?.(end);
    }
    answered += detached ? answer.accepted.length : answer.ended.length;
    wake();
    if (answered === runs) return;
  }
  throw new Error(`the stream ended after ${answered} of ${runs} runs`);
}

/** Throws for an end that is not a success. */
export function mustBeComplete(end: SubmissionEnded): void {
  if (end.state !== RunState.COMPLETED) throw new Error(`run ${end.runId}: ${end.message}`);
}

/** One numbered run. */
export function submission(
  number: number,
  { definition, input = INPUT }: Pick<Bulk, "definition" | "input">,
): NumberedSubmission {
  return create(NumberedSubmissionSchema, {
    number: BigInt(number),
    run: {
      source: { case: "definition", value: definition },
      inputData: { mediaType: "application/json", data: input },
    },
  });
}

/** A value as the bytes of its JSON. */
export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
