/**
 * A worker's messages taken apart into the single things they say, in the order in which the protocol has them handled,
 * so that a case can wait for one of them without caring how the worker batches. Both surfaces of a worker, session and
 * poll, say the same things.
 */
import { toBinary } from "@bufbuild/protobuf";
import { SignalReceiptSchema } from "../../gen/goclaw/v1/run_pb.ts";
import {
  type Complete,
  type Fail,
  FailureClassSchema,
  type Progress,
  type ReportTaskRequest,
  type SignalAck,
  type WorkerMessage,
  WorkerMessageSchema,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { jsonOf, wordOf } from "./values.ts";

/** One thing a worker said. */
export type Said =
  | { readonly kind: "message"; readonly bytes: number }
  | { readonly kind: "hello" | "capacity" | "drain" }
  | { readonly kind: "ack"; readonly leaseId: string }
  | { readonly kind: "beat"; readonly nonce: bigint; readonly leases: readonly string[] }
  | { readonly kind: "progress"; readonly leaseId: string; readonly progress: Progress }
  | { readonly kind: "output"; readonly leaseId: string }
  | { readonly kind: "signalAck"; readonly leaseId: string; readonly signalAck: SignalAck }
  | { readonly kind: "complete"; readonly leaseId: string; readonly complete: Complete }
  | { readonly kind: "fail"; readonly leaseId: string; readonly fail: Fail }
  | { readonly kind: "closed"; readonly how: string };

/** The end of an attempt as its worker tells it. */
export type Result = Extract<Said, { kind: "complete" | "fail" }>;

export function isResult(said: Said): said is Result {
  return said.kind === "complete" || said.kind === "fail";
}

/** What a session's message says, its size first. */
export function saidIn(message: WorkerMessage): readonly Said[] {
  const { hello, capacity, acks, beat, drain } = message;
  const said: Said[] = [{ kind: "message", bytes: toBinary(WorkerMessageSchema, message).length }];
  if (hello !== undefined) said.push({ kind: "hello" });
  if (capacity !== undefined) said.push({ kind: "capacity" });
  for (const leaseId of acks) said.push({ kind: "ack", leaseId });
  if (beat !== undefined) said.push({ kind: "beat", nonce: beat.nonce, leases: beat.leases });
  said.push(...attemptsIn(message));
  if (drain !== undefined) said.push({ kind: "drain" });
  return said;
}

/** What a report of the poll surface says; naming a lease acknowledges it. */
export function saidInReport(report: ReportTaskRequest): readonly Said[] {
  const attempts = attemptsIn(report);
  const named = [...report.leases, ...attempts.flatMap((said) => leaseOf(said) ?? [])];
  const acks = [...new Set(named)].map((leaseId): Said => ({ kind: "ack", leaseId }));
  return [...acks, ...attempts];
}

type Attempts = {
  [K in "progress" | "outputs" | "signalAcks" | "completes" | "fails"]: WorkerMessage[K];
};

function attemptsIn({ progress, outputs, signalAcks, completes, fails }: Attempts): Said[] {
  return [
    ...progress.map((each): Said => ({ kind: "progress", leaseId: each.leaseId, progress: each })),
    ...outputs.map(({ leaseId }): Said => ({ kind: "output", leaseId })),
    ...signalAcks.map(
      (each): Said => ({ kind: "signalAck", leaseId: each.leaseId, signalAck: each }),
    ),
    ...completes.map((each): Said => ({ kind: "complete", leaseId: each.leaseId, complete: each })),
    ...fails.map((each): Said => ({ kind: "fail", leaseId: each.leaseId, fail: each })),
  ];
}

function leaseOf(said: Said): string | undefined {
  return "leaseId" in said ? said.leaseId : undefined;
}

/** For people. */
export function describeSaid(said: Said): string {
  switch (said.kind) {
    case "message":
      return `a message of ${said.bytes} bytes:`;
    case "hello":
    case "capacity":
    case "drain":
      return said.kind;
    case "ack":
    case "output":
      return `${said.kind} ${said.leaseId}`;
    case "beat":
      return `beat ${said.nonce} listing ${said.leases.join(", ") || "nothing"}`;
    case "progress":
      return `progress ${said.leaseId} ${said.progress.note}`;
    case "signalAck":
      return `${wordOf(SignalReceiptSchema, said.signalAck.receipt)} ${said.signalAck.signalId} of ${said.leaseId}`;
    case "complete": {
      const { output, outputData } = said.complete;
      return `complete ${said.leaseId} with ${JSON.stringify(jsonOf(output, outputData)).slice(0, 100)}`;
    }
    case "fail":
      return `fail ${said.leaseId} as ${wordOf(FailureClassSchema, said.fail.class)}: ${said.fail.message}`;
    case "closed":
      return `the stream ended (${said.how})`;
  }
}
