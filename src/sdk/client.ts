/**
 * A daemon's API for programs: start runs from a workflow, a spec or a registered name, and get the same handles that an
 * embedded engine gives. A watch survives a daemon that restarts or cuts it off: it goes on after the last event it
 * delivered, so whoever iterates sees every event once and in order.
 */
import { create, fromJson } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createClient,
  type Client as RpcClient,
  type Transport,
} from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import type { SignalRequest } from "../../gen/goclaw/v1/engine_pb.ts";
import {
  Reason,
  type RunInfo,
  RunState,
  SignalReceipt,
  type TaskEvent,
  TaskEventType,
  TaskState,
} from "../../gen/goclaw/v1/run_pb.ts";
import { RunService, RunSubmissionSchema } from "../../gen/goclaw/v1/run_service_pb.ts";
import { WorkflowSpecSchema } from "../../gen/goclaw/v1/workflow_pb.ts";
import { SystemHost } from "../adapters/system-host.ts";
import type { Json } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";
import { translated } from "./errors.ts";
import { isOver, type Word, wordOf } from "./run-event.ts";
import {
  duration,
  type RunAccess,
  type RunEnd,
  RunHandle,
  type RunOptions,
  type SignalStanding,
} from "./run-handle.ts";
import { inputData, outputValue } from "./wire-value.ts";
import { type AnyWorkflow, Workflow } from "./workflow.ts";

export interface ClientOptions {
  /** Address of the daemon. Default `http://127.0.0.1:7420`. */
  readonly server?: string;
  /** Instead of `server`: any Connect transport, for gRPC-Web, TLS settings or tests. */
  readonly transport?: Transport;
}

/** A run as `get` and `list` show it. */
export interface RunView {
  readonly runId: string;
  readonly workflow: string;
  readonly namespace: string;
  readonly status: string;
  readonly sessionId: string;
  readonly labels: { readonly [key: string]: string };
}

/** A run in full. */
export interface RunDetails extends RunView {
  readonly reason: string;
  readonly message: string;
  readonly taskId: string | undefined;
  readonly output: unknown;
  /** Latest event; pass to `watch` to follow from here. */
  readonly sequence: number;
  readonly tasks: readonly {
    readonly taskId: string;
    readonly status: string;
    readonly attempt: number;
    readonly message: string;
    /** Why it does not run, for a task that could. */
    readonly waitingFor: string;
  }[];
}

export interface ListOptions {
  readonly namespace?: string;
  readonly workflow?: string;
  readonly sessionId?: string;
  readonly labels?: { readonly [key: string]: string };
  readonly statuses?: readonly Word<typeof RunState>[];
}

const SERVER_DEFAULT = "http://127.0.0.1:7420";
const PAGE_SIZE = 200;

/** A workflow, its JSON form, or the name of a registered definition (`name` or `name@version`). */
type Source = { readonly [key: string]: Json } | string;

export class Client {
  readonly #access: RemoteAccess;
  readonly #runs: RpcClient<typeof RunService>;
  readonly #sessions: Http2SessionManager | undefined;

  constructor(options: ClientOptions = {}) {
    const baseUrl = options.server ?? SERVER_DEFAULT;
    this.#sessions = options.transport === undefined ? new Http2SessionManager(baseUrl) : undefined;
    const transport =
      options.transport ??
      createGrpcTransport({ baseUrl, sessionManager: this.#sessions as Http2SessionManager });
    this.#runs = createClient(RunService, transport);
    this.#access = new RemoteAccess(this.#runs);
  }

  /** Starts a run. Resolves when it is durable. The daemon must have the agents; functions stay here. */
  submit<Input, Tasks extends object, Sinks extends keyof Tasks, Output>(
    workflow: Workflow<Input, Tasks, Sinks, Output>,
    input: Input,
    options?: RunOptions,
  ): Promise<RunHandle<Workflow<Input, Tasks, Sinks, Output>["types"]["result"]>>;
  submit(source: Source, input?: unknown, options?: RunOptions): Promise<RunHandle>;
  submit(source: Source | AnyWorkflow, input?: unknown, options?: RunOptions): Promise<RunHandle> {
    return translated(this.#start(source, input, options));
  }

  /** Starts a run and waits for its output. Rejects with {@link RunFailedError} when it does not succeed. */
  execute<Input, Tasks extends object, Sinks extends keyof Tasks, Output>(
    workflow: Workflow<Input, Tasks, Sinks, Output>,
    input: Input,
    options?: RunOptions,
  ): Promise<Workflow<Input, Tasks, Sinks, Output>["types"]["result"]>;
  execute(source: Source, input?: unknown, options?: RunOptions): Promise<unknown>;
  async execute(
    source: Source | AnyWorkflow,
    input?: unknown,
    options?: RunOptions,
  ): Promise<unknown> {
    return (await translated(this.#start(source, input, options))).result();
  }

  async #start(
    source: Source | AnyWorkflow,
    input: unknown,
    options: RunOptions = {},
  ): Promise<RunHandle> {
    const spec = source instanceof Workflow ? source.toSpec() : (source as Source);
    const { runId } = await this.#runs.startRun({ run: submissionOf(spec, input, options) });
    return new RunHandle(runId, this.#access);
  }

  /** A run by its id, to watch, cancel, signal or wait for. */
  run(runId: string): RunHandle {
    return new RunHandle(runId, this.#access);
  }

  /** A run as it is now. */
  async get(runId: string): Promise<RunDetails> {
    return detailsOf(await translated(this.#access.info(runId)));
  }

  /** Runs, newest first; pages are fetched as they are needed. */
  async *list(options: ListOptions = {}): AsyncGenerator<RunView, void, undefined> {
    const { statuses = [], labels = {}, ...rest } = options;
    const states = statuses.map((status) => RunState[status]);
    let pageToken = "";
    do {
      const page = await translated(
        this.#runs.listRuns({ ...rest, labels, states, pageSize: PAGE_SIZE, pageToken }),
      );
      yield* page.runs.map(viewOf);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Ends the connection; runs go on. A transport that was passed in is its owner's to close. */
  close(): void {
    this.#sessions?.abort();
    this.#access.close();
  }
}

function submissionOf(source: Source, input: unknown, options: RunOptions) {
  const named = typeof source === "string";
  return create(RunSubmissionSchema, {
    source: named
      ? { case: "definition", value: source }
      : {
          case: "spec",
          value: fromJson(WorkflowSpecSchema, source as Parameters<typeof fromJson>[1]),
        },
    ...(input === undefined ? {} : { inputData: inputData(input) }),
    sessionId: options.sessionId ?? "",
    priority: options.priority ?? 0,
    deadline: options.deadline ?? "",
    labels: { ...options.labels },
    namespace: options.namespace ?? "",
    idempotencyKey: options.idempotencyKey ?? "",
  });
}

type SummaryFields = Pick<
  RunInfo,
  "runId" | "workflow" | "namespace" | "state" | "sessionId" | "labels"
>;

function viewOf({ runId, workflow, namespace, state, sessionId, labels }: SummaryFields): RunView {
  return { runId, workflow, namespace, status: wordOf(RunState, state), sessionId, labels };
}

function detailsOf(info: RunInfo): RunDetails {
  return {
    ...viewOf(info),
    ...endOf(info),
    sequence: Number(info.sequence),
    tasks: info.tasks.map(({ taskId, state, attempt, message, waitingFor }) => ({
      taskId,
      status: wordOf(TaskState, state),
      attempt,
      message,
      waitingFor,
    })),
  };
}

function endOf(info: RunInfo): RunEnd {
  return {
    status: wordOf(RunState, info.state),
    reason: info.reason === Reason.UNSPECIFIED ? "" : wordOf(Reason, info.reason),
    message: info.message,
    taskId: info.failedTask || undefined,
    output: outputValue(info.output, info.outputData),
  };
}

const RESUME_FIRST_MS: Millis = 200;
const RESUME_LONGEST_MS: Millis = 5_000;
/** Attempts without an event in between before a watch gives up; about half a minute. */
const RESUMES_MAX = 10;

/** Failures after which the run may well go on, only this stream did not. */
const RESUMABLE: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.ResourceExhausted,
  Code.Aborted,
]);

/** Runs of a daemon. */
class RemoteAccess implements RunAccess {
  readonly #runs: RpcClient<typeof RunService>;
  readonly #host = new SystemHost();

  constructor(runs: RpcClient<typeof RunService>) {
    this.#runs = runs;
  }

  close(): void {
    this.#host.close();
  }

  async info(runId: string, options: { readonly summaryOnly?: boolean } = {}): Promise<RunInfo> {
    const { run } = await this.#runs.getRun({ runId, ...options });
    if (run !== undefined) return run;
    throw new ConnectError("the daemon answered without a run", Code.Internal);
  }

  /** The last event carries the output; how a run failed has to be asked for. */
  async end(runId: string): Promise<RunEnd> {
    const { sequence } = await this.info(runId, { summaryOnly: true });
    const before = Math.max(0, Number(sequence) - 1);
    for await (const event of this.watch(runId, before)) {
      if (event.runState === RunState.COMPLETED && event.type !== TaskEventType.GAP) {
        const output = outputValue(event.output, event.outputData);
        return { status: "COMPLETED", reason: "", message: "", taskId: undefined, output };
      }
    }
    return endOf(await this.info(runId));
  }

  async *watch(
    runId: string,
    afterSequence: number,
    abort?: AbortSignal,
  ): AsyncIterable<TaskEvent> {
    let last = BigInt(afterSequence);
    let failures = 0;
    const options = abort === undefined ? {} : { signal: abort };
    for (;;) {
      try {
        for await (const { event } of this.#runs.watchRun(
          { runId, afterSequence: last },
          options,
        )) {
          if (event === undefined) continue;
          failures = 0;
          last = event.sequence;
          yield event;
          if (isOver(event.runState) && event.type !== TaskEventType.GAP) return;
        }
        // A run that ended before `last` has no more events; any other stream was cut.
        if (isOver((await this.info(runId, { summaryOnly: true })).state)) return;
        throw new ConnectError("the stream of events ended before the run", Code.Unavailable);
      } catch (error) {
        if (abort?.aborted || !RESUMABLE.has(ConnectError.from(error).code)) throw error;
        if (failures >= RESUMES_MAX) throw error;
        await this.#pause(Math.min(RESUME_LONGEST_MS, RESUME_FIRST_MS * 2 ** failures));
        failures++;
      }
    }
  }

  async cancel(runId: string, options: { readonly reason: string; readonly graceMs?: Millis }) {
    const { reason, graceMs } = options;
    await this.#runs.cancelRun({ runId, reason, grace: duration(graceMs) });
  }

  async signal(signal: SignalRequest): Promise<SignalStanding> {
    const { answers } = await this.#runs.sendSignal({ signal });
    const receipt = answers[0]?.receipt ?? SignalReceipt.ACCEPTED;
    return wordOf(SignalReceipt, receipt).toLowerCase() as SignalStanding;
  }

  #pause(delayMs: Millis): Promise<void> {
    return new Promise((resume) => {
      this.#host.setTimer(delayMs, resume);
    });
  }
}
