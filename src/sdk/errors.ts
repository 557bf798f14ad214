/**
 * Errors as callers of the typed API see them, the same whether an engine in this process or a daemon answered: a
 * canonical code, a stable reason from docs/errors.md, and what can be done. A run that did not succeed is an error of
 * its own kind, because the call that waited for it worked.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { FaultError, faultEntry, type RpcCode } from "../base/fault.ts";
import type { Millis } from "../base/time.ts";

/** One wrong field of a request or definition. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

interface ErrorFacts {
  readonly code: RpcCode | "UNKNOWN" | "UNAUTHENTICATED";
  readonly reason: string;
  readonly remedy?: string | undefined;
  readonly violations?: readonly FieldViolation[];
  readonly retryAfterMs?: Millis | undefined;
}

/** What an engine or daemon refused, or why it could not be reached. */
export class GoClawError extends Error {
  override readonly name = "GoClawError";
  /** Canonical code, such as `NOT_FOUND`. */
  readonly code: ErrorFacts["code"];
  /** Stable reason, such as `RUN_NOT_FOUND`; the code where the other side gave none. */
  readonly reason: string;
  readonly remedy: string | undefined;
  /** Every wrong field, when the request was refused for them. */
  readonly violations: readonly FieldViolation[];
  /** Wait before the same request may succeed; absent where waiting does not help. */
  readonly retryAfterMs: Millis | undefined;

  constructor(message: string, facts: ErrorFacts, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = facts.code;
    this.reason = facts.reason;
    this.remedy = facts.remedy;
    this.violations = facts.violations ?? [];
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** A run that ended without success. */
export class RunFailedError extends Error {
  override readonly name = "RunFailedError";
  readonly runId: string;
  /** `FAILED` or `CANCELLED`. */
  readonly status: string;
  /** Why, such as `AGENT_ERROR`. */
  readonly reason: string;
  /** The task whose failure ended the run, when one did. */
  readonly taskId: string | undefined;

  constructor(end: {
    readonly runId: string;
    readonly status: string;
    readonly reason: string;
    readonly taskId: string | undefined;
    readonly message: string;
  }) {
    const task = end.taskId === undefined ? "" : ` at task ${end.taskId}`;
    super(`run ${end.runId} ${end.status}${task}: ${end.message || end.reason}`);
    this.runId = end.runId;
    this.status = end.status;
    this.reason = end.reason;
    this.taskId = end.taskId;
  }
}

/** Any failure as this API throws it. What is neither a fault nor an RPC error is passed on as it is. */
export function publicError(error: unknown): unknown {
  if (error instanceof FaultError) return ofFault(error);
  if (error instanceof ConnectError) return ofRpc(error);
  return error;
}

/** Awaits a call and translates its failure. */
export async function translated<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw publicError(error);
  }
}

function ofFault(error: FaultError): GoClawError {
  const { fault } = error;
  const { rpc, remedy } = faultEntry(fault);
  const violations = "violations" in fault ? fault.violations : [];
  return new GoClawError(
    error.message,
    {
      code: rpc,
      reason: fault.code,
      remedy,
      violations: violations.map((each) => ({
        field: each.field,
        description: `${each.message}. ${each.remedy}`,
      })),
      retryAfterMs: "retryAfterMs" in fault ? fault.retryAfterMs : undefined,
    },
    { cause: error },
  );
}

function ofRpc(error: ConnectError): GoClawError {
  const info = error.findDetails(ErrorInfoSchema)[0];
  const retry = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const code = canonical(error.code);
  return new GoClawError(
    error.rawMessage,
    {
      code,
      reason: info?.reason ?? code,
      remedy: info?.metadata.remedy,
      violations: error
        .findDetails(BadRequestSchema)
        .flatMap(({ fieldViolations }) => fieldViolations)
        .map(({ field, description }) => ({ field, description })),
      retryAfterMs:
        retry === undefined ? undefined : Number(retry.seconds) * 1000 + retry.nanos / 1e6,
    },
    { cause: error },
  );
}

/** `NotFound` → `NOT_FOUND`; gRPC spells `CANCELLED` with two l, Connect with one. */
function canonical(code: Code): ErrorFacts["code"] {
  if (code === Code.Canceled) return "CANCELLED";
  return Code[code].replace(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase() as ErrorFacts["code"];
}
