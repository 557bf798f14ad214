/**
 * The worker protocol's messages as what agents are called with, and ends of attempts as its messages. It only converts:
 * nothing here knows a session or remembers a lease. Payloads are asked for as bytes (`raw-values`), but a daemon may
 * know nothing of that, so both forms are read.
 */
import { create } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { Importance } from "../../gen/goclaw/v1/memory_service_pb.ts";
import { SignalKind } from "../../gen/goclaw/v1/run_pb.ts";
import {
  type Assign,
  type Complete,
  CompleteSchema,
  type Fail,
  FailSchema,
  FailureClass,
  type Lease,
  RememberSchema,
  type Signal,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { type Data, DataSchema } from "../../gen/goclaw/v1/workflow_pb.ts";
import { unreachable } from "../base/assert.ts";
import type { RunId } from "../base/ids.ts";
import { NULL_PAYLOAD, type Payload } from "../base/payload.ts";
import type { Assignment, AttemptOutcome, DeliveredSignal } from "../ports/agent.ts";
import { JSON_MEDIA_TYPE, valueText } from "../server/wire-payload.ts";
import { payloadOf } from "./wire-value.ts";

/** Most bytes of a text for people. */
const TEXT_MAX_BYTES = 65_536;

const CLASSES = {
  retryable: FailureClass.RETRYABLE,
  terminal: FailureClass.TERMINAL,
  throttled: FailureClass.THROTTLED,
  cancelled: FailureClass.CANCELLED,
  invalid: FailureClass.INVALID,
} as const;

const IMPORTANCES = {
  important: Importance.IMPORTANT,
  normal: Importance.NORMAL,
  captured: Importance.CAPTURED,
  noise: Importance.NOISE,
} as const;

const encoder = new TextEncoder();

/** How an attempt ended, as the engine is told; `bytes` bounds its size. */
export type Result =
  | { readonly kind: "completes"; readonly message: Complete; readonly bytes: number }
  | { readonly kind: "fails"; readonly message: Fail; readonly bytes: number };

/** What an agent is called with. Its key is the lease id. */
export function assignmentOf(assign: Assign, lease: Lease): Assignment {
  const input = payloadIn(assign.input, assign.inputData);
  return {
    key: lease.leaseId,
    runId: lease.runId as RunId,
    taskId: lease.taskId,
    attempt: lease.attempt,
    lease: Number(lease.fence),
    agent: assign.agent,
    workflow: assign.workflow,
    namespace: assign.namespace,
    sessionId: assign.sessionId || undefined,
    input,
    runInput: assign.inputIsRunInput ? input : payloadIn(assign.runInput, assign.runInputData),
    idempotencyKey: assign.idempotencyKey,
    memories: assign.memories,
    traceId: assign.traceId,
    // The engine keeps the time and sends a Cancel.
    deadlineAt: undefined,
    heartbeatTimeoutMs: undefined,
    lastCheckpoint: assign.checkpoint,
    signals: assign.signals.flatMap((signal) => deliveredSignal(signal) ?? []),
  };
}

/** A signal as its agent sees it; undefined for kinds that this version does not know. */
export function deliveredSignal(signal: Signal): DeliveredSignal | undefined {
  const { signalId, kind, text } = signal;
  const payload = payloadIn(signal.payload, signal.payloadData);
  if (kind === SignalKind.STEER) {
    return { signal: signalId, content: { kind: "steer", text, payload } };
  }
  if (kind !== SignalKind.COLLECT) return undefined;
  return {
    signal: signalId,
    content: { kind: "collect", tasks: [], mode: { kind: "all" } },
    collected: { results: payload, missing: signal.missing },
  };
}

function payloadIn(value: Value | undefined, data: Data | undefined): Payload {
  if (data !== undefined) return payloadOf(data);
  return value === undefined ? NULL_PAYLOAD : { json: valueText("value", value) };
}

/** The end of an attempt as its message. An output beyond `maxPayloadBytes` is a failure that says so. */
export function resultOf(
  leaseId: string,
  outcome: AttemptOutcome,
  maxPayloadBytes: number,
): Result {
  switch (outcome.kind) {
    case "success":
      return successOf(leaseId, outcome, maxPayloadBytes);
    case "failure":
      return failureOf(
        leaseId,
        CLASSES[outcome.failure],
        outcome.message,
        Math.ceil(outcome.retryAfterMs ?? 0),
      );
    case "stopped":
      return failureOf(leaseId, FailureClass.CANCELLED, "stopped as asked");
    case "lost":
      return failureOf(leaseId, FailureClass.RETRYABLE, outcome.message);
    case "returned":
      return failureOf(leaseId, FailureClass.RETRYABLE, "not taken up");
    default:
      return unreachable(outcome);
  }
}

function successOf(
  leaseId: string,
  { output, memories = [] }: Extract<AttemptOutcome, { kind: "success" }>,
  maxPayloadBytes: number,
): Result {
  const data =
    "json" in output
      ? { mediaType: JSON_MEDIA_TYPE, data: encoder.encode(output.json) }
      : { mediaType: output.mediaType, data: output.bytes };
  const bytes = data.data.byteLength;
  if (bytes > maxPayloadBytes) {
    const message = `an output of ${bytes} bytes exceeds the limit of ${maxPayloadBytes}`;
    return failureOf(leaseId, FailureClass.INVALID, message);
  }
  const message = create(CompleteSchema, { leaseId });
  message.outputData = create(DataSchema, data);
  let textBytes = 0;
  for (const { content: text, kind, metadata, importance } of memories) {
    textBytes += encoder.encode(text).byteLength;
    const word = IMPORTANCES[importance];
    message.memories.push(create(RememberSchema, { text, kind, metadata, importance: word }));
  }
  return { kind: "completes", message, bytes: bytes + textBytes };
}

function failureOf(leaseId: string, failure: FailureClass, text: string, retryAfterMs = 0): Result {
  const message = create(FailSchema, { leaseId, class: failure });
  message.message = shortText(text);
  message.retryAfterMs = BigInt(Math.min(retryAfterMs, Number.MAX_SAFE_INTEGER));
  return { kind: "fails", message, bytes: message.message.length * 3 };
}

/** A text that keeps the protocol's limit, whatever an agent made of it. */
export function shortText(text: string): string {
  if (text.length * 3 <= TEXT_MAX_BYTES) return text;
  const bytes = encoder.encode(text);
  if (bytes.byteLength <= TEXT_MAX_BYTES) return text;
  // What a cut leaves of the last character is dropped.
  return new TextDecoder().decode(bytes.subarray(0, TEXT_MAX_BYTES), { stream: true });
}
