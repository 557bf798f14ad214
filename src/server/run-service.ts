/**
 * Starting, reading, watching and steering runs. Each handler reads its request, asks the engine once, and shows the
 * answer; whatever the engine refuses leaves as its fault.
 */
import type { ServiceImpl } from "@connectrpc/connect";
import { RunState } from "../../gen/goclaw/v1/run_pb.ts";
import type {
  CancelRunRequest,
  CollectResultsRequest,
  ListRunsRequest,
  RunService,
} from "../../gen/goclaw/v1/run_service_pb.ts";
import { FaultError, fault, refuse } from "../base/fault.ts";
import type { Millis } from "../base/time.ts";
import { DEFAULTS } from "../core/dag/definition.ts";
import type { TaskState } from "../core/run/state.ts";
import type { CollectRequest, EngineApi, RunQuery } from "../engine/api.ts";
import type { Host } from "../ports/host.ts";
import { follow } from "./engine-service.ts";
import type { ErrorFunnel } from "./errors.ts";
import { readHeaders, type Submissions } from "./submission.ts";
import { submitRuns } from "./submit-runs.ts";
import { laneView } from "./wire-admin.ts";
import { planResponse } from "./wire-plan.ts";
import { runInfo, runSummary, taskStatus } from "./wire-run.ts";
import { readCollectMode, readRunId, readSignal, receiptOf } from "./wire-signal.ts";
import { fill, instant, readDuration, runStatus } from "./wire-words.ts";

const PAGE_SIZE = 50;
/** Longest a CollectResults call waits; also its default. */
const COLLECT_MAX_MS: Millis = 5 * 60_000;

export interface RunServiceDeps {
  readonly engine: EngineApi;
  readonly submissions: Submissions;
  readonly host: Host;
  readonly funnel: ErrorFunnel;
}

/** Handlers of `goclaw.v1.RunService`. */
export function runService(deps: RunServiceDeps): ServiceImpl<typeof RunService> {
  const { engine, submissions } = deps;
  return {
    async startRun({ run }, context) {
      if (run === undefined) return refuse(NO_RUN);
      const request = submissions.ofSubmission(run, readHeaders(context.requestHeader));
      const { runId, sequence, existing } = await engine.startRun(request);
      return { runId, sequence: BigInt(sequence), existing };
    },
    submitRuns(requests, context) {
      const call = { headers: readHeaders(context.requestHeader), signal: context.signal };
      return submitRuns(requests, call, deps);
    },
    async getRun({ runId, summaryOnly }) {
      const run = await engine.getRun(readRunId(runId));
      const late = summaryOnly ? [] : await engine.lateResults(run.id);
      const lanes = laneView(engine.lanes());
      const explain = (task: TaskState) => engine.explain(task);
      return { run: runInfo(run, { summaryOnly, lanes, explain, late }) };
    },
    async listRuns(request) {
      const { runs, nextPageToken } = await engine.listRuns(readQuery(request));
      return { runs: runs.map(runSummary), nextPageToken };
    },
    async *watchRun({ runId, afterSequence }, context) {
      const after = Number(afterSequence);
      for await (const event of follow(engine, readRunId(runId), after, context)) yield { event };
    },
    async *watchOutput({ runId, taskId }, { signal }) {
      for await (const { attempt, offset, data } of engine.watchOutput(
        readRunId(runId),
        taskId,
        signal,
      )) {
        yield { attempt, offset: BigInt(offset), data };
      }
    },
    async cancelRun(request) {
      await engine.cancelRun(readRunId(request.runId), readCancel(request));
      return {};
    },
    async sendSignal({ signal }) {
      if (signal === undefined) return refuse(NO_SIGNAL);
      const answers = await engine.signal(readSignal(signal));
      return {
        answers: answers.map((answer) => ({ ...answer, receipt: receiptOf(answer.receipt) })),
      };
    },
    async collectResults(request, context) {
      const collected = await engine.collect(readCollect(request), context.signal);
      return {
        results: collected.finished.map((task) => taskStatus(task)),
        missing: [...collected.missing],
        complete: collected.complete,
      };
    },
    async planWorkflow({ source, namespace }) {
      const definition =
        source.case === "spec"
          ? submissions.definition(source.value)
          : await engine.definition(source.value ?? "", namespace || DEFAULTS.namespace);
      return planResponse(engine.plan(definition));
    },
  };
}

const NO_RUN = fault("ARGUMENT_INVALID", { field: "run", value: "absent", expected: "a run" });
const NO_SIGNAL = fault("ARGUMENT_INVALID", {
  field: "signal",
  value: "absent",
  expected: "a signal",
});

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function readQuery(request: ListRunsRequest): RunQuery {
  const statuses = request.states.map(readState);
  const { acceptedAfter, acceptedBefore, labels } = request;
  return fill<Writable<RunQuery>>(
    { pageSize: request.pageSize || PAGE_SIZE },
    {
      namespace: request.namespace || undefined,
      statuses: statuses.length === 0 ? undefined : statuses,
      name: request.workflow || undefined,
      sessionId: request.sessionId || undefined,
      labels: Object.keys(labels).length === 0 ? undefined : labels,
      acceptedAfter: acceptedAfter === undefined ? undefined : instant(acceptedAfter),
      acceptedBefore: acceptedBefore === undefined ? undefined : instant(acceptedBefore),
      pageToken: request.pageToken || undefined,
    },
  );
}

function readState(state: RunState): NonNullable<RunQuery["statuses"]>[number] {
  const status = runStatus(state);
  if (status !== undefined) return status;
  const expected = `one of ${Object.keys(RunState).slice(1).join(", ")}`;
  throw new FaultError(
    fault("ARGUMENT_INVALID", { field: "states", value: String(state), expected }),
  );
}

function readCancel({ reason, grace }: CancelRunRequest): { reason: string; graceMs?: Millis } {
  const graceMs = readDuration("grace", grace);
  return graceMs === undefined ? { reason } : { reason, graceMs };
}

function readCollect({
  runId,
  taskIds,
  mode,
  quorum,
  deadline,
}: CollectResultsRequest): CollectRequest {
  const deadlineMs = readDuration("deadline", deadline) ?? COLLECT_MAX_MS;
  return {
    runId: readRunId(runId),
    tasks: taskIds,
    mode: readCollectMode(mode, quorum, taskIds.length),
    deadlineMs: Math.min(deadlineMs, COLLECT_MAX_MS),
  };
}
