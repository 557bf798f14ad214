/**
 * An engine's messages taken apart into the single things they say, in the order in which the protocol has them handled,
 * so that a case can wait for one of them without caring how the engine batches. It judges nothing.
 */
import { Code } from "@connectrpc/connect";
import {
  type Assign,
  type Cancel,
  type EngineMessage,
  type Signal,
  VerdictOutcomeSchema,
  type Welcome,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import { wordOf } from "./values.ts";

/** One thing an engine said. */
export type Heard =
  | { readonly kind: "welcome"; readonly welcome: Welcome }
  | { readonly kind: "assign"; readonly leaseId: string; readonly assign: Assign }
  | { readonly kind: "probe"; readonly nonce: bigint }
  | { readonly kind: "signal"; readonly leaseId: string; readonly signal: Signal }
  | { readonly kind: "cancel"; readonly leaseId: string; readonly cancel: Cancel }
  | { readonly kind: "drop"; readonly leaseId: string }
  | { readonly kind: "verdict"; readonly leaseId: string; readonly outcome: number }
  | { readonly kind: "goAway" }
  | { readonly kind: "closed"; readonly code: Code | undefined; readonly how: string };

/** What a message of a session says; answers of the poll surface have some of the same fields. */
export function heardIn(message: Partial<EngineMessage>): readonly Heard[] {
  const { welcome, assigns = [], probe, signals = [], cancels = [] } = message;
  const { drops = [], verdicts = [], goAway } = message;
  return [
    ...(welcome === undefined ? [] : [{ kind: "welcome", welcome } as const]),
    ...assigns.map(
      (assign): Heard => ({ kind: "assign", leaseId: assign.lease?.leaseId ?? "", assign }),
    ),
    ...(probe === undefined ? [] : [{ kind: "probe", nonce: probe.nonce } as const]),
    ...signals.map((signal): Heard => ({ kind: "signal", leaseId: signal.leaseId, signal })),
    ...cancels.map((cancel): Heard => ({ kind: "cancel", leaseId: cancel.leaseId, cancel })),
    ...drops.map((leaseId): Heard => ({ kind: "drop", leaseId })),
    ...verdicts.map(({ leaseId, outcome }): Heard => ({ kind: "verdict", leaseId, outcome })),
    ...(goAway === undefined ? [] : [{ kind: "goAway" } as const]),
  ];
}

/** For people. */
export function describeHeard(heard: Heard): string {
  switch (heard.kind) {
    case "welcome": {
      const { kept, dropped } = heard.welcome;
      return `welcome, keeping [${kept.join(", ")}], dropping [${dropped.join(", ")}]`;
    }
    case "assign": {
      const { attempt, fence, taskId } = heard.assign.lease ?? {};
      return `assign ${heard.leaseId} of ${taskId}, attempt ${attempt}, fence ${fence}`;
    }
    case "probe":
    case "goAway":
      return heard.kind;
    case "signal":
      return `signal ${heard.signal.signalId} for ${heard.leaseId}`;
    case "cancel":
    case "drop":
      return `${heard.kind} ${heard.leaseId}`;
    case "verdict":
      return `${wordOf(VerdictOutcomeSchema, heard.outcome)} for ${heard.leaseId}`;
    case "closed":
      return `the stream ended (${heard.code === undefined ? "" : Code[heard.code]} ${heard.how})`;
  }
}
