/**
 * Runs and tasks as clients see them, read from live state. A state belongs to the engine's loop: every function here
 * copies what it needs in one go and keeps nothing. Outputs of groups and of the run are computed by the core, never
 * stored, so they are asked for only where a message shows them.
 */
import { create } from "@bufbuild/protobuf";
import type {
  RunInfo,
  RunSummary,
  TaskStatus,
  LateResult as WireLateResult,
} from "../../gen/goclaw/v1/run_pb.ts";
import {
  LateResultSchema,
  Reason,
  RunInfoSchema,
  RunSummarySchema,
  TaskStatusSchema,
  RunState as WireRunState,
  TaskState as WireTaskState,
} from "../../gen/goclaw/v1/run_pb.ts";
import { outputOf, runOutput } from "../core/run/binding.ts";
import { explainWait, type LaneView } from "../core/run/explain.ts";
import type { RunState, TaskState } from "../core/run/state.ts";
import type { LateResult, RunSummary as StoredSummary } from "../ports/journal.ts";
import { type WireOutput, writeOutput } from "./wire-payload.ts";
import { signalFact } from "./wire-signal.ts";
import { fill, timestamp } from "./wire-words.ts";

/** How much of a run a reader wants. */
export interface RunDetail {
  /** Leave out input, output and tasks. */
  readonly summaryOnly?: boolean;
  /** For the sentence on what a task waits for. */
  readonly lanes?: LaneView;
  /** Why nobody could run a queued task now. */
  readonly explain?: (task: TaskState) => string | undefined;
  /** Results that came when their leases were gone. */
  readonly late?: readonly LateResult[];
}

/** A run with its tasks. */
export function runInfo(run: RunState, detail: RunDetail = {}): RunInfo {
  const { request, ending, plan } = run;
  const info = create(RunInfoSchema, {
    runId: run.id,
    namespace: request.namespace,
    workflow: plan.definition.name,
    version: plan.definition.version,
    definitionHash: plan.hash,
    state: WireRunState[run.status],
    reason: ending === undefined ? Reason.UNSPECIFIED : Reason[ending.reason],
    message: ending?.message ?? "",
    failedTask: ending?.task ?? "",
    sessionId: request.sessionId ?? "",
    labels: { ...request.labels },
    priority: request.priority,
    sequence: BigInt(run.sequence),
    traceId: request.traceId,
  });
  fill(info, {
    accepted: timestamp(run.acceptedAt),
    started: timestamp(run.startedAt),
    ended: timestamp(run.endedAt),
  });
  return detail.summaryOnly ? info : addContent(info, run, detail);
}

function addContent(info: RunInfo, run: RunState, detail: RunDetail): RunInfo {
  const { output: input, outputData: inputData } = writeOutput(run.request.input);
  fill(info, { input, inputData });
  if (run.status === "COMPLETED") fill(info, runOutputOf(run));
  for (const task of inReadingOrder(run)) {
    // A group's output is its instances', which follow it here.
    info.tasks.push(taskStatus(task, { ...detail, withOutput: task.group === undefined }));
  }
  return info;
}

/** Output of a completed run. */
function runOutputOf(run: RunState): WireOutput {
  const output = runOutput(run);
  return "problem" in output ? {} : writeOutput(output.value);
}

function* inReadingOrder(run: RunState): Iterable<TaskState> {
  for (let at = 0; at < run.plan.nodes.length; at++) {
    const task = run.tasks[at] as TaskState;
    yield task;
    if (task.group === undefined) continue;
    const { first, count } = task.group;
    for (let instance = first; instance < first + count; instance++) {
      yield run.tasks[instance] as TaskState;
    }
  }
}

/** One task. */
export function taskStatus(
  task: TaskState,
  options: Omit<RunDetail, "summaryOnly"> & { readonly withOutput?: boolean } = {},
): TaskStatus {
  const status = create(TaskStatusSchema, {
    runId: task.run.id,
    taskId: task.id,
    agent: task.node.task.agent,
    state: WireTaskState[task.status],
    reason: task.reason === undefined ? Reason.UNSPECIFIED : Reason[task.reason],
    message: task.message,
    attempt: task.attempt,
    lane: task.lane,
    worker: task.worker ?? "",
    percent: task.percent,
    note: task.note,
    deps: [...task.node.task.deps],
    signals: (task.mailbox ?? []).map((entry) => ({
      ...signalFact(entry.signal, entry.content, entry.receipt),
      finished: [...(entry.collected?.finished ?? [])],
      missing: [...(entry.collected?.missing ?? [])],
    })),
    instances: task.group?.count ?? 0,
    waitingFor: options.explain?.(task) ?? explainWait(task, options.lanes),
    lateResults: (options.late ?? []).filter((one) => one.taskId === task.id).map(lateResult),
  });
  fill(status, {
    since: timestamp(task.since),
    started: timestamp(task.startedAt),
    due: task.status === "RETRYING" ? timestamp(task.dueAt) : undefined,
  });
  const isShown = task.status === "COMPLETED" && options.withOutput !== false;
  return isShown ? fill(status, writeOutput(outputOf(task.run, task))) : status;
}

function lateResult({ lease, worker, at, output }: LateResult): WireLateResult {
  const shown = create(LateResultSchema, { lease: BigInt(lease), worker });
  return fill(shown, { time: timestamp(at), ...writeOutput(output) });
}

/** A run in a list. */
export function runSummary(summary: StoredSummary): RunSummary {
  const shown = create(RunSummarySchema, {
    runId: summary.runId,
    namespace: summary.namespace,
    workflow: summary.name,
    state: WireRunState[summary.status],
    sessionId: summary.sessionId ?? "",
    labels: { ...summary.labels },
  });
  return fill(shown, {
    accepted: timestamp(summary.acceptedAt),
    ended: timestamp(summary.endedAt),
  });
}
