/**
 * The bulk path: submissions come in batches, acceptances, refusals and ends leave in whatever batch they gathered in.
 * Backpressure is the stream itself: while too many submissions wait for their commit, or too many answers for the
 * client, no further request is read. A refused submission is an answer, never the end of the stream; a client that
 * goes away leaves its runs running.
 */
import { create } from "@bufbuild/protobuf";
import { Reason, RunState } from "../../gen/goclaw/v1/run_pb.ts";
import type {
  NumberedSubmission,
  SubmitRunsRequest,
  SubmitRunsResponse,
} from "../../gen/goclaw/v1/run_service_pb.ts";
import {
  NumberedSubmissionSchema,
  SubmissionAcceptedSchema,
  SubmissionEndedSchema,
  SubmissionRefusedSchema,
} from "../../gen/goclaw/v1/run_service_pb.ts";
import { FaultError, fault, faultEntry, refuse } from "../base/fault.ts";
import { payloadSize } from "../base/payload.ts";
import type { EndedRun, EngineApi, StartedRun } from "../engine/api.ts";
import type { Host } from "../ports/host.ts";
import type { ErrorFunnel } from "./errors.ts";
import { Gate, turn } from "./gate.ts";
import { Outbox } from "./outbox.ts";
import { isPlain } from "./plain-submission.ts";
import type { CallHeaders, Submissions } from "./submission.ts";
import { validateMessage } from "./validation.ts";
import { writeOutput } from "./wire-payload.ts";
import { fill } from "./wire-words.ts";

/** Limits of one stream. */
export const BULK_LIMITS = {
  /** Submissions waiting for their commit before reading pauses. */
  inFlight: 1024,
  /** Submissions in one request message. */
  batch: 10_000,
  /** Bytes of unread answers at which reading pauses. */
  pauseBytes: 1024 * 1024,
  /** Bytes of unread answers at which the client is cut off. */
  cutOffBytes: 32 * 1024 * 1024,
} as const;

export interface BulkDeps {
  readonly engine: Pick<EngineApi, "startRun">;
  readonly submissions: Submissions;
  readonly host: Pick<Host, "defer">;
  readonly funnel: ErrorFunnel;
}

/** Serves one stream until its requests are answered, or until `signal` says that the client or the daemon left. */
export function submitRuns(
  requests: AsyncIterable<SubmitRunsRequest>,
  call: { readonly headers: CallHeaders; readonly signal: AbortSignal },
  deps: BulkDeps,
): AsyncIterable<SubmitRunsResponse> {
  return new BulkStream(call, deps).serve(requests);
}

class BulkStream {
  readonly #headers: CallHeaders;
  readonly #signal: AbortSignal;
  readonly #deps: BulkDeps;
  readonly #outbox = new Outbox();
  readonly #news = new Gate();
  readonly #room = new Gate();
  /** Submissions without an answer, and accepted runs whose end is to be reported. */
  #inFlight = 0;
  #open = 0;
  #isReading = true;
  #isClosed = false;
  #failure: unknown;
  #settings: { readonly rawOutputs: boolean; readonly detached: boolean } | undefined;

  constructor(
    call: { readonly headers: CallHeaders; readonly signal: AbortSignal },
    deps: BulkDeps,
  ) {
    // One key for all runs of a stream would make them one run.
    this.#headers = { ...call.headers, idempotencyKey: "" };
    this.#signal = call.signal;
    this.#deps = deps;
  }

  async *serve(requests: AsyncIterable<SubmitRunsRequest>): AsyncIterable<SubmitRunsResponse> {
    const wake = () => this.#news.open();
    this.#signal.addEventListener("abort", wake);
    void this.#read(requests);
    try {
      for (;;) {
        while (this.#isWaiting) await this.#news.wait();
        // The other answers of the same commit are only a moment away.
        await turn(this.#deps.host);
        if (this.#signal.aborted) throw this.#signal.reason;
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#outbox.isEmpty) return;
        const answers = this.#outbox.take();
        this.#room.open();
        yield answers;
      }
    } finally {
      this.#isClosed = true;
      this.#signal.removeEventListener("abort", wake);
      this.#room.open();
    }
  }

  get #isWaiting(): boolean {
    const isStopped = this.#signal.aborted || this.#failure !== undefined;
    const isDone = !this.#isReading && this.#inFlight === 0 && this.#open === 0;
    return this.#outbox.isEmpty && !isStopped && !isDone;
  }

  async #read(requests: AsyncIterable<SubmitRunsRequest>): Promise<void> {
    try {
      for await (const request of requests) {
        this.#settings ??= { rawOutputs: request.rawOutputs, detached: request.detached };
        checkBatch(request.runs.length);
        for (const numbered of request.runs) {
          while (this.#isFull) await this.#room.wait();
          if (this.#isClosed) return;
          this.#submit(numbered);
        }
      }
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#isReading = false;
      this.#news.open();
    }
  }

  get #isFull(): boolean {
    if (this.#isClosed) return false;
    return this.#inFlight >= BULK_LIMITS.inFlight || this.#outbox.bytes > BULK_LIMITS.pauseBytes;
  }

  #submit(numbered: NumberedSubmission): void {
    const pending = new PendingRun(numbered.number);
    this.#inFlight++;
    try {
      this.#start(numbered, (end) => this.#ended(pending, end)).then(
        (started) => this.#accepted(pending, started),
        (error) => this.#refused(pending, error),
      );
    } catch (error) {
      this.#refused(pending, error);
    }
  }

  #start(numbered: NumberedSubmission, onEnd: (end: EndedRun) => void): Promise<StartedRun> {
    if (!isPlain(numbered)) validateMessage(NumberedSubmissionSchema, numbered);
    const { run } = numbered;
    if (run === undefined) return refuse(NO_RUN);
    const request = this.#deps.submissions.ofSubmission(run, this.#headers);
    return this.#settings?.detached === true
      ? this.#deps.engine.startRun(request)
      : this.#deps.engine.startRun(request, onEnd);
  }

  #accepted(pending: PendingRun, { runId, existing }: StartedRun): void {
    const { number } = pending;
    this.#outbox.accepted(create(SubmissionAcceptedSchema, { number, runId, existing }));
    pending.isAnswered = true;
    if (pending.end !== undefined) this.#report(pending.number, pending.end);
    else if (this.#settings?.detached !== true) this.#open++;
    this.#answered();
  }

  #refused({ number }: PendingRun, error: unknown): void {
    const refusal = refusalOf(error, this.#deps.funnel);
    this.#outbox.refused(create(SubmissionRefusedSchema, { number, ...refusal }));
    this.#answered();
  }

  #answered(): void {
    this.#inFlight--;
    this.#news.open();
    this.#room.open();
  }

  /** A run may end in the commit that accepts it; its acceptance is told first all the same. */
  #ended(pending: PendingRun, end: EndedRun): void {
    if (!pending.isAnswered) {
      pending.end = end;
      return;
    }
    this.#open--;
    if (this.#isClosed) return;
    this.#report(pending.number, end);
    this.#news.open();
  }

  #report(number: bigint, { runId, status, reason, message, output }: EndedRun): void {
    const answer = create(SubmissionEndedSchema, {
      number,
      runId,
      state: RunState[status],
      reason: reason === undefined ? Reason.UNSPECIFIED : Reason[reason],
      message,
    });
    const isRaw = this.#settings?.rawOutputs === true;
    this.#outbox.ended(
      fill(answer, writeOutput(output, isRaw)),
      output === undefined ? 0 : payloadSize(output),
    );
    if (this.#outbox.bytes > BULK_LIMITS.cutOffBytes) this.#failure ??= CUT_OFF;
  }
}

/** One submission between its request and its answer. */
class PendingRun {
  readonly number: bigint;
  isAnswered = false;
  end: EndedRun | undefined;

  constructor(number: bigint) {
    this.number = number;
  }
}

const NO_RUN = fault("ARGUMENT_INVALID", { field: "run", value: "absent", expected: "a run" });

const CUT_OFF = new FaultError(
  fault("ENGINE_OVERLOADED", {
    what: "answers this client has not read",
    limit: BULK_LIMITS.cutOffBytes,
    retryAfterMs: 1_000,
  }),
);

function checkBatch(value: number): void {
  const limit = BULK_LIMITS.batch;
  if (value > limit) {
    throw new FaultError(fault("LIMIT_EXCEEDED", { field: "runs", value, limit, unit: "runs" }));
  }
}

/** Code, sentence and whether trying again may help. */
function refusalOf(
  error: unknown,
  funnel: ErrorFunnel,
): { reason: string; message: string; retryable: boolean } {
  if (error instanceof FaultError) {
    const { retryable } = faultEntry(error.fault);
    return { reason: error.fault.code, message: error.message, retryable };
  }
  const { rawMessage } = funnel(error, "SubmitRuns");
  return { reason: "INTERNAL", message: rawMessage, retryable: false };
}
