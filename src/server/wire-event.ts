/**
 * Events as clients see them. Type and resulting state come from tables, the rest from one exhaustive switch, so a new
 * event does not compile until somebody decides what clients see of it. The same message serves streams and, as JSON,
 * the event bus.
 */
import { create, toJsonString } from "@bufbuild/protobuf";
import type { TaskEvent } from "../../gen/goclaw/v1/run_pb.ts";
import {
  Reason,
  RunState,
  SignalFactSchema,
  SignalKind,
  TaskEventSchema,
  TaskEventType,
  TaskState,
} from "../../gen/goclaw/v1/run_pb.ts";
import { unreachable } from "../base/assert.ts";
import type { RunId } from "../base/ids.ts";
import type { Event, EventType } from "../core/run/message.ts";
import type { Recall } from "../core/run/recall.ts";
import type { WatchedEvent, WatchGap, WatchItem } from "../engine/api.ts";
import { writeOutput } from "./wire-payload.ts";
import { runInfo } from "./wire-run.ts";
import { receiptOf, signalFact } from "./wire-signal.ts";
import { fill, timestamp } from "./wire-words.ts";

const TYPE: Readonly<Record<EventType, TaskEventType>> = {
  run_accepted: TaskEventType.RUN_ACCEPTED,
  run_started: TaskEventType.RUN_STARTED,
  run_ending: TaskEventType.RUN_ENDING,
  run_completed: TaskEventType.RUN_COMPLETED,
  run_failed: TaskEventType.RUN_FAILED,
  run_cancelled: TaskEventType.RUN_CANCELLED,
  task_scheduled: TaskEventType.TASK_SCHEDULED,
  task_started: TaskEventType.TASK_STARTED,
  task_progress: TaskEventType.TASK_PROGRESS,
  task_checkpointed: TaskEventType.TASK_CHECKPOINTED,
  task_completed: TaskEventType.TASK_COMPLETED,
  task_retrying: TaskEventType.TASK_RETRYING,
  task_failed: TaskEventType.TASK_FAILED,
  task_cancelled: TaskEventType.TASK_CANCELLED,
  task_skipped: TaskEventType.TASK_SKIPPED,
  task_expanded: TaskEventType.TASK_EXPANDED,
  task_waiting: TaskEventType.TASK_WAITING,
  task_resumed: TaskEventType.TASK_RESUMED,
  task_stopping: TaskEventType.TASK_STOPPING,
  lease_ended: TaskEventType.LEASE_ENDED,
  task_returned: TaskEventType.TASK_RETURNED,
  task_deeds: TaskEventType.TASK_DEEDS,
  task_recalled: TaskEventType.TASK_RECALLED,
  signal_accepted: TaskEventType.SIGNAL_ACCEPTED,
  signal_receipt: TaskEventType.SIGNAL_RECEIPT,
  signal_collected: TaskEventType.SIGNAL_COLLECTED,
};

const TASK_STATE: Partial<Readonly<Record<EventType, TaskState>>> = {
  task_scheduled: TaskState.SCHEDULED,
  task_started: TaskState.RUNNING,
  task_returned: TaskState.SCHEDULED,
  task_completed: TaskState.COMPLETED,
  task_retrying: TaskState.RETRYING,
  task_failed: TaskState.FAILED,
  task_cancelled: TaskState.CANCELLED,
  task_skipped: TaskState.SKIPPED,
  task_expanded: TaskState.WAITING,
  task_waiting: TaskState.WAITING,
  task_resumed: TaskState.RUNNING,
};

const RUN_STATE: Partial<Readonly<Record<EventType, RunState>>> = {
  run_accepted: RunState.PENDING,
  run_started: RunState.RUNNING,
  run_completed: RunState.COMPLETED,
  run_failed: RunState.FAILED,
  run_cancelled: RunState.CANCELLED,
};

/** What a watch yields, as clients see it. */
export function taskEvent(item: WatchItem): TaskEvent {
  return item.kind === "gap" ? gapEvent(item) : plainEvent(item);
}

/** Protobuf JSON of an event, for the event bus. */
export function eventJson(runId: RunId, sequence: number, event: Event): string {
  return toJsonString(TaskEventSchema, plainEvent({ kind: "event", runId, sequence, event }));
}

function gapEvent({ runId, sequence, run }: WatchGap): TaskEvent {
  return create(TaskEventSchema, {
    runId,
    sequence: BigInt(sequence),
    type: TaskEventType.GAP,
    message: "earlier events are gone; the snapshot is the run as it is",
    runState: RunState[run.status],
    snapshot: runInfo(run),
  });
}

function plainEvent({ runId, sequence, event, runOutput }: WatchedEvent): TaskEvent {
  const shown = create(TaskEventSchema, {
    runId,
    sequence: BigInt(sequence),
    type: TYPE[event.type],
    taskState: TASK_STATE[event.type] ?? TaskState.UNSPECIFIED,
    runState: RUN_STATE[event.type] ?? RunState.UNSPECIFIED,
  });
  fill(shown, { time: timestamp(event.at) });
  if ("task" in event && event.task !== undefined) shown.taskId = event.task;
  if ("attempt" in event) shown.attempt = event.attempt;
  if ("message" in event) shown.message = event.message;
  addFacts(shown, event);
  return runOutput === undefined ? shown : fill(shown, writeOutput(runOutput));
}

function recalledText({ memories, note }: Recall): string {
  const count = `${memories.length} ${memories.length === 1 ? "memory" : "memories"}`;
  return note === "" ? count : `${count}: ${note}`;
}

/** What is particular to one type; task, attempt and message are already in. */
function addFacts(shown: TaskEvent, event: Event): void {
  switch (event.type) {
    case "run_accepted":
      shown.workflow = event.name;
      shown.definitionHash = event.definition;
      shown.traceId = event.request.traceId;
      return;
    case "run_ending":
    case "run_failed":
    case "task_failed":
    case "task_cancelled":
    case "task_skipped":
      shown.reason = Reason[event.reason];
      return;
    case "task_scheduled":
      shown.lane = event.lane;
      shown.redirectedFrom = event.redirectedFrom ?? "";
      return;
    case "task_started":
      shown.message = event.note ?? "";
      shown.worker = event.worker ?? "";
      return;
    case "task_deeds":
      shown.message = event.deeds.map(({ name }) => name).join(", ");
      return;
    case "task_recalled":
      shown.message = recalledText(event.recall);
      return;
    case "task_progress":
      shown.percent = event.percent;
      shown.message = event.note;
      return;
    case "task_completed":
      shown.message = event.memory?.note ?? "";
      fill(shown, writeOutput(event.output));
      return;
    case "task_retrying":
      shown.reason = Reason[event.reason];
      fill(shown, { due: timestamp(event.dueAt) });
      return;
    case "task_expanded":
      shown.instances = event.items.length;
      return;
    case "task_waiting":
      shown.message = event.note;
      return;
    case "task_stopping":
      shown.signal = create(SignalFactSchema, {
        signalId: event.signal,
        kind: SignalKind.INTERRUPT,
      });
      return;
    case "signal_accepted":
      shown.signal = signalFact(event.signal, event.content, "accepted");
      return;
    case "signal_receipt":
      shown.message = event.reason;
      shown.signal = create(SignalFactSchema, {
        signalId: event.signal,
        receipt: receiptOf(event.receipt),
      });
      return;
    case "signal_collected":
      shown.signal = create(SignalFactSchema, {
        signalId: event.signal,
        kind: SignalKind.COLLECT,
        finished: [...event.finished],
        missing: [...event.missing],
      });
      return;
    case "run_started":
    case "run_completed":
    case "run_cancelled":
    case "task_checkpointed":
    case "task_resumed":
    case "task_returned":
    case "lease_ended":
      return;
    default:
      unreachable(event);
  }
}
