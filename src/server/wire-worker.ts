/**
 * Messages of the worker protocol, from and to the words of the runtime. Reading refuses what makes no sense with a fault
 * that names the field; it judges nothing about leases. Whether values travel as Value or as Data is the worker's choice.
 */
import { create } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { Reason, SignalKind, SignalReceipt } from "../../gen/goclaw/v1/run_pb.ts";
import type {
  Assign,
  EffectReceipt,
  Fail,
  Hello,
  Progress,
  Remember,
  Signal,
  Verdict,
  Welcome,
  WorkerAgent,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import {
  CancelSchema,
  EarlierAttemptSchema,
  EffectReceiptSchema,
  FailureClass,
  RefusedAgentSchema,
  ShownMemorySchema,
  SignalSchema,
  VerdictOutcome,
  WelcomeSchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { Data } from "../../gen/goclaw/v1/workflow_pb.ts";
import { FaultError, fault } from "../base/fault.ts";
import { type Json, PAYLOAD_MAX_BYTES, type Payload, payloadSize } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";
import type { Deed } from "../core/run/message.ts";
import type { MemoryWrite } from "../core/run/recall.ts";
import type { FailureClass as FailureWord, Reason as ReasonWord } from "../core/run/status.ts";
import type { Assignment, DeliveredSignal } from "../ports/agent.ts";
import type {
  ServedAgent,
  VerdictOutcome as VerdictWord,
  WorkerFailure,
  WorkerHello,
  WorkerNews,
  WorkerSurface,
  WorkerWelcome,
} from "../ports/worker.ts";
import { IMPORTANCE } from "./wire-memory.ts";
import { readPayload, valueText, writeOutput } from "./wire-payload.ts";

/** The protocol version that is spoken here. */
export const PROTOCOL_VERSION = 1;

/** Capabilities that mean something here. */
const CAPABILITIES: ReadonlySet<string> = new Set(["raw-values", "run-input", "signals"]);

/** What a worker chose about the form of what it is sent. */
export interface WireChoice {
  readonly rawValues: boolean;
  readonly runInput: boolean;
  /** Known capabilities that it has, for its Welcome. */
  readonly capabilities: readonly string[];
}

/** Throws `WORKER_PROTOCOL_UNKNOWN`. */
export function readChoice({ protocolVersion, capabilities }: Hello): WireChoice {
  if (protocolVersion !== PROTOCOL_VERSION) {
    const versions = { asked: protocolVersion, spoken: PROTOCOL_VERSION };
    throw new FaultError(fault("WORKER_PROTOCOL_UNKNOWN", versions));
  }
  const known = capabilities.filter((one) => CAPABILITIES.has(one));
  return {
    rawValues: known.includes("raw-values"),
    runInput: known.includes("run-input"),
    capabilities: [...new Set(known)],
  };
}

const CLASS_DEFAULT = "default";
const VERSION_DEFAULT = "0.0.0";

/** A hello; its rules were checked. */
export function readHello(hello: Hello, surface: WorkerSurface): WorkerHello {
  const { name, instanceId: instance, labels, agents, capacity, resume } = hello;
  return {
    name,
    instance,
    surface,
    labels,
    agents: agents.map(readAgent),
    capacity: capacity?.slots ?? { [CLASS_DEFAULT]: 1 },
    takesSignals: hello.capabilities.includes("signals"),
    ...(resume === undefined ? {} : { resume }),
  };
}

function readAgent(agent: WorkerAgent): ServedAgent {
  const { name, version, inputSchema, slotCost, slotClass, timeoutMs } = agent;
  return {
    name,
    version: version || VERSION_DEFAULT,
    slotCost: slotCost || 1,
    slotClass: slotClass || CLASS_DEFAULT,
    ...(inputSchema === undefined
      ? {}
      : { inputSchema: JSON.parse(valueText("input_schema", inputSchema)) as Json }),
    ...(timeoutMs === 0 ? {} : { timeoutMs }),
  };
}

export function writeWelcome(
  welcome: WorkerWelcome,
  choice: WireChoice,
  maxBytes: number,
): Welcome {
  const { sessionId, epoch, resumeToken, times, kept, dropped, refused } = welcome;
  return create(WelcomeSchema, {
    sessionId,
    epoch: BigInt(epoch),
    resumeToken,
    capabilities: [...choice.capabilities],
    probeIntervalMs: times.probeMs,
    silenceLimitMs: times.silenceMs,
    ackLimitMs: times.ackMs,
    leaseTtlMs: times.leaseMs,
    graceMs: times.graceMs,
    maxMessageBytes: maxBytes,
    maxPayloadBytes: PAYLOAD_MAX_BYTES,
    kept: [...kept],
    dropped: [...dropped],
    refusedAgents: refused.map((one) => create(RefusedAgentSchema, one)),
  });
}

/** What an assignment weighs on the wire, near enough to keep messages small. */
export function assignSize(assignment: Assignment, choice: WireChoice): number {
  const { input, runInput, lastCheckpoint, signals, deeds, memories, earlier } = assignment;
  let bytes = 512 + payloadSize(input) + (lastCheckpoint?.byteLength ?? 0);
  if (choice.runInput && runInput !== input) bytes += payloadSize(runInput);
  for (const signal of signals) bytes += signalSize(signal);
  for (const { text } of memories ?? []) bytes += text.length * 3 + 64;
  for (const { message } of earlier ?? []) bytes += message.length + 32;
  for (const { name, value } of deeds ?? []) bytes += name.length + payloadSize(value) + 16;
  return bytes;
}

export function signalSize({ content, collected }: DeliveredSignal): number {
  const steered = content.kind === "steer" ? payloadSize(content.payload) + content.text.length : 0;
  return 128 + steered + (collected === undefined ? 0 : payloadSize(collected.results));
}

export function writeAssign(
  assignment: Assignment,
  version: string,
  choice: WireChoice,
  now: Millis,
): Assign {
  const { deadlineAt, heartbeatTimeoutMs, lastCheckpoint, earlier } = assignment;
  const { output: input, outputData: inputData } = writeOutput(assignment.input, choice.rawValues);
  // Written out with every field, as `create` would do it: there is one per attempt, and this takes a tenth of the time.
  const assign: Assign = {
    $typeName: "goclaw.v1.Assign",
    lease: {
      $typeName: "goclaw.v1.Lease",
      leaseId: assignment.key,
      runId: assignment.runId,
      taskId: assignment.taskId,
      attempt: assignment.attempt,
      fence: BigInt(assignment.lease),
    },
    agent: agentName(assignment.agent),
    version,
    input,
    inputData,
    timeoutMs: deadlineAt === undefined ? 0n : millis(Math.max(1, deadlineAt - now)),
    idempotencyKey: assignment.idempotencyKey,
    workflow: assignment.workflow,
    namespace: assignment.namespace,
    sessionId: assignment.sessionId ?? "",
    traceId: assignment.traceId,
    heartbeatTimeoutMs: heartbeatTimeoutMs === undefined ? 0n : millis(heartbeatTimeoutMs),
    signals: [],
    history: [],
    receipts: [],
    inputIsRunInput: false,
    memories: [],
  };
  if (lastCheckpoint !== undefined) assign.checkpoint = lastCheckpoint;
  for (const signal of assignment.signals) assign.signals.push(writeSignal("", signal, choice));
  for (const deed of assignment.deeds ?? []) assign.receipts.push(writeDeed(deed, choice));
  for (const memory of assignment.memories ?? []) {
    assign.memories.push(create(ShownMemorySchema, memory));
  }
  for (const { attempt, reason, message } of earlier ?? []) {
    assign.history.push(create(EarlierAttemptSchema, { attempt, reason: Reason[reason], message }));
  }
  if (choice.runInput) addRunInput(assign, assignment, choice);
  return assign;
}

function addRunInput(assign: Assign, { input, runInput }: Assignment, choice: WireChoice): void {
  if (input === runInput) {
    assign.inputIsRunInput = true;
    return;
  }
  const { output, outputData } = writeOutput(runInput, choice.rawValues);
  if (output !== undefined) assign.runInput = output;
  if (outputData !== undefined) assign.runInputData = outputData;
}

/** The name of an agent without the version that was asked for. */
function agentName(reference: string): string {
  const at = reference.indexOf("@");
  return at === -1 ? reference : reference.slice(0, at);
}

function millis(of: Millis): bigint {
  return BigInt(Math.ceil(of));
}

export function writeSignal(lease: string, delivered: DeliveredSignal, choice: WireChoice): Signal {
  const { signal: signalId, content, collected } = delivered;
  const kind = content.kind === "steer" ? SignalKind.STEER : SignalKind.COLLECT;
  const signal = create(SignalSchema, { leaseId: lease, signalId, kind });
  if (content.kind === "steer") signal.text = content.text;
  const payload = content.kind === "steer" ? content.payload : collected?.results;
  const { output, outputData } = writeOutput(payload, choice.rawValues);
  if (output !== undefined) signal.payload = output;
  if (outputData !== undefined) signal.payloadData = outputData;
  signal.missing.push(...(collected?.missing ?? []));
  return signal;
}

function writeDeed({ name, value }: Deed, choice: WireChoice): EffectReceipt {
  const receipt = create(EffectReceiptSchema, { name });
  const { output, outputData } = writeOutput(value, choice.rawValues);
  if (output !== undefined) receipt.value = output;
  if (outputData !== undefined) receipt.valueData = outputData;
  return receipt;
}

export function writeCancel(leaseId: string, reason: ReasonWord, graceMs: Millis) {
  const message = `the attempt is to stop: ${reason}`;
  return create(CancelSchema, {
    leaseId,
    reason: Reason[reason],
    message,
    graceMs: millis(graceMs),
  });
}

export function writeVerdict(leaseId: string, outcome: VerdictWord, message: string): Verdict {
  return {
    $typeName: "goclaw.v1.Verdict",
    leaseId,
    outcome: VerdictOutcome[outcome],
    message,
  };
}

/** Throws what {@link readPayload} throws. */
export function readDeeds(receipts: readonly EffectReceipt[]): readonly Deed[] {
  return receipts.map(({ name, value, valueData }) => ({
    name,
    value: readPayload(`receipt ${name}`, value, valueData),
  }));
}

/** Throws what {@link readPayload} throws. */
export function readOutput(output: Value | undefined, data: Data | undefined): Payload {
  return readPayload("output", output, data);
}

const FAILURE: Readonly<Record<FailureClass, FailureWord>> = {
  [FailureClass.UNSPECIFIED]: "retryable",
  [FailureClass.RETRYABLE]: "retryable",
  [FailureClass.TERMINAL]: "terminal",
  [FailureClass.THROTTLED]: "throttled",
  [FailureClass.CANCELLED]: "cancelled",
  [FailureClass.INVALID]: "invalid",
};

export function readFailure({ class: of, message, retryAfterMs }: Fail): WorkerFailure {
  // A class of a later protocol is a failure like any other.
  const failure = FAILURE[of] ?? "retryable";
  const wish = retryAfterMs === 0n ? {} : { retryAfterMs: Number(retryAfterMs) };
  return { failure, message, ...wish };
}

/** Something to remember; its bounds were checked. */
export function readRemember({ text, kind, metadata, importance }: Remember): MemoryWrite {
  const said = IMPORTANCE[importance] ?? "normal";
  return { content: text, kind: kind || "note", metadata, importance: said };
}

/** Throws what {@link readPayload} throws. */
export function readNews({ percent, note, checkpoint, receipts }: Progress): WorkerNews {
  return {
    ...(percent === undefined ? {} : { percent }),
    ...(note === "" ? {} : { note }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(receipts.length === 0 ? {} : { deeds: readDeeds(receipts) }),
  };
}

/** Undefined for anything that is no receipt of a worker. */
export function readReceipt(receipt: SignalReceipt): "delivered" | "admitted" | undefined {
  if (receipt === SignalReceipt.DELIVERED) return "delivered";
  return receipt === SignalReceipt.ADMITTED ? "admitted" : undefined;
}
