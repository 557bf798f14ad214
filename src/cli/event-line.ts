/**
 * Events as single lines: protobuf JSON for programs, and for people who keep a log of what happened. Both are pure.
 */
import { toJsonString } from "@bufbuild/protobuf";
import type { TaskEvent } from "../../gen/goclaw/v1/run_pb.ts";
import { TaskEventSchema, TaskEventType } from "../../gen/goclaw/v1/run_pb.ts";
import type { Instant } from "../base/time.ts";
import { briefDuration, pad, printable } from "./layout.ts";
import { reasonText, wordOf } from "./look.ts";
import { instant } from "./run-model.ts";

/** Protobuf JSON on one line. */
export function jsonLine(event: TaskEvent): string {
  return toJsonString(TaskEventSchema, event);
}

/** `  1.2s  task_completed  classify`; time counts from the acceptance of the run. */
export function plainLine(event: TaskEvent, acceptedAt: Instant): string {
  const at = instant(event.time);
  const since = at > 0 && acceptedAt > 0 ? briefDuration(at - acceptedAt) : "";
  const facts = [
    event.taskId,
    event.workflow,
    event.attempt > 1 ? `attempt ${event.attempt}` : "",
    event.lane === "" ? "" : `lane ${event.lane}`,
    event.redirectedFrom === "" ? "" : `instead of ${event.redirectedFrom}`,
    event.instances > 0 ? `${event.instances} instances` : "",
    event.type === TaskEventType.TASK_PROGRESS ? `${Math.floor(event.percent)}%` : "",
    event.signal === undefined ? "" : `signal ${event.signal.signalId}`,
    reasonText(event),
  ].filter((fact) => fact !== "");
  return `${pad(since, 7, "right")}  ${pad(wordOf(TaskEventType, event.type), 16)}  ${printable(facts.join("  "))}`.trimEnd();
}
