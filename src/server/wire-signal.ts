/**
 * Signals in both directions: what a request asks for, and what clients are told about one. A request that names no
 * target or an impossible quorum is refused here; whether the target can take the signal is the engine's to say.
 */
import { create } from "@bufbuild/protobuf";
import type { Collect, Interrupt, SignalRequest, Steer } from "../../gen/goclaw/v1/engine_pb.ts";
import { CollectMode as WireCollectMode } from "../../gen/goclaw/v1/engine_pb.ts";
import type { SignalFact } from "../../gen/goclaw/v1/run_pb.ts";
import { SignalFactSchema, SignalKind, SignalReceipt } from "../../gen/goclaw/v1/run_pb.ts";
import { FaultError, fault } from "../base/fault.ts";
import { parseRunId, type RunId } from "../base/ids.ts";
import { DEFAULTS } from "../core/dag/definition.ts";
import type { CollectMode, Receipt, SignalContent } from "../core/run/message.ts";
import { STOP_GRACE_MS } from "../core/run/state.ts";
import type { SendSignal } from "../engine/api.ts";
import { readPayload } from "./wire-payload.ts";
import { fill, readDuration } from "./wire-words.ts";

const KIND: Readonly<Record<SignalContent["kind"], SignalKind>> = {
  steer: SignalKind.STEER,
  interrupt: SignalKind.INTERRUPT,
  collect: SignalKind.COLLECT,
};

const RECEIPT: Readonly<Record<Receipt, SignalReceipt>> = {
  accepted: SignalReceipt.ACCEPTED,
  queued: SignalReceipt.QUEUED,
  delivered: SignalReceipt.DELIVERED,
  admitted: SignalReceipt.ADMITTED,
  expired: SignalReceipt.EXPIRED,
  refused: SignalReceipt.REFUSED,
};

/** A receipt as an enum. */
export function receiptOf(receipt: Receipt): SignalReceipt {
  return RECEIPT[receipt];
}

/** A signal as a fact: id, kind and where it stands. */
export function signalFact(signalId: string, content: SignalContent, receipt: Receipt): SignalFact {
  return create(SignalFactSchema, {
    signalId,
    kind: KIND[content.kind],
    receipt: RECEIPT[receipt],
  });
}

/** Reads a run id. Throws `RUN_NOT_FOUND` for text that cannot be one: no run has it. */
export function readRunId(text: string): RunId {
  const runId = parseRunId(text);
  if (runId === undefined) throw new FaultError(fault("RUN_NOT_FOUND", { runId: text }));
  return runId;
}

/** Reads a signal. Throws `ARGUMENT_INVALID` naming the field. */
export function readSignal(request: SignalRequest): SendSignal {
  return fill<Writable<SendSignal>>(
    { target: readTarget(request), content: readContent(request.signal) },
    { signalId: request.signalId || undefined },
  );
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function readTarget({ runId, taskId, sessionId, ...session }: SignalRequest): SendSignal["target"] {
  const named = runId !== "" && taskId !== "";
  if (named === (sessionId !== "") || (sessionId !== "" && `${runId}${taskId}` !== "")) {
    throw invalid("run_id", JSON.stringify(runId), "either run_id and task_id, or session_id");
  }
  const namespace = session.namespace || DEFAULTS.namespace;
  return named ? { runId: readRunId(runId), taskId } : { sessionId, namespace };
}

function readContent(signal: SignalRequest["signal"]): SignalContent {
  switch (signal.case) {
    case "steer":
      return readSteer(signal.value);
    case "interrupt":
      return readInterrupt(signal.value);
    case "collect":
      return readCollect(signal.value);
    case undefined:
      throw invalid("signal", "absent", "one of steer, interrupt, collect");
  }
}

function readSteer({ payload, text }: Steer): SignalContent {
  return { kind: "steer", payload: readPayload("steer.payload", payload, undefined), text };
}

function readInterrupt({ reason, grace, replaceWith }: Interrupt): SignalContent {
  const graceMs = readDuration("interrupt.grace", grace) ?? STOP_GRACE_MS;
  if (replaceWith === undefined) return { kind: "interrupt", reason, graceMs };
  return {
    kind: "interrupt",
    reason,
    graceMs,
    replaceWith: readPayload("interrupt.replace_with", replaceWith, undefined),
  };
}

function readCollect(collect: Collect): SignalContent {
  const deadlineMs = readDuration("collect.deadline", collect.deadline);
  const content = {
    kind: "collect",
    tasks: collect.taskIds,
    mode: readCollectMode(collect.mode, collect.quorum, collect.taskIds.length),
  } as const;
  return deadlineMs === undefined ? content : { ...content, deadlineMs };
}

/** Reads a collect mode. Throws `ARGUMENT_INVALID` for a quorum outside 1 to the number of tasks. */
export function readCollectMode(mode: WireCollectMode, quorum: number, tasks: number): CollectMode {
  if (mode === WireCollectMode.ANY) return { kind: "any" };
  if (mode !== WireCollectMode.QUORUM) return { kind: "all" };
  if (quorum < 1 || quorum > tasks)
    throw invalid("quorum", String(quorum), `1 to ${tasks}, the number of tasks`);
  return { kind: "quorum", count: quorum };
}

function invalid(field: string, value: string, expected: string): FaultError {
  return new FaultError(fault("ARGUMENT_INVALID", { field, value, expected }));
}
