/**
 * The one place where failures become wire errors. A fault carries its code, facts and remedy out as
 * google.rpc.ErrorInfo, its violations as BadRequest, and RetryInfo where trying again can help. Anything else is a
 * defect: the client gets INTERNAL with an incident id, and only the log gets the details.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import {
  type Fault,
  FaultError,
  faultEntry,
  faultMessage,
  type RpcCode,
  type Violation,
} from "../base/fault.ts";
import type { Millis } from "../base/time.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";

/** Domain of every ErrorInfo. */
export const ERROR_DOMAIN = "goclaw";

/** Wait suggested with a retryable fault that names no time of its own. */
const RETRY_DELAY_MS: Millis = 1_000;

const CODE: Readonly<Record<RpcCode, Code>> = {
  INVALID_ARGUMENT: Code.InvalidArgument,
  NOT_FOUND: Code.NotFound,
  ALREADY_EXISTS: Code.AlreadyExists,
  FAILED_PRECONDITION: Code.FailedPrecondition,
  ABORTED: Code.Aborted,
  OUT_OF_RANGE: Code.OutOfRange,
  RESOURCE_EXHAUSTED: Code.ResourceExhausted,
  UNAVAILABLE: Code.Unavailable,
  DATA_LOSS: Code.DataLoss,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  CANCELLED: Code.Canceled,
  PERMISSION_DENIED: Code.PermissionDenied,
  UNIMPLEMENTED: Code.Unimplemented,
  INTERNAL: Code.Internal,
};

type OutgoingDetails = NonNullable<ConstructorParameters<typeof ConnectError>[3]>;

/** A fault as a wire error with its details. */
export function faultToConnect(of: Fault): ConnectError {
  const entry = faultEntry(of);
  const details: OutgoingDetails = [
    {
      desc: ErrorInfoSchema,
      value: { reason: of.code, domain: ERROR_DOMAIN, metadata: metadataOf(of, entry.remedy) },
    },
  ];
  if ("violations" in of) {
    details.push({
      desc: BadRequestSchema,
      value: { fieldViolations: of.violations.map(fieldViolation) },
    });
  }
  if (entry.retryable) {
    const delayMs = "retryAfterMs" in of ? of.retryAfterMs : RETRY_DELAY_MS;
    details.push({ desc: RetryInfoSchema, value: { retryDelay: duration(delayMs) } });
  }
  return new ConnectError(faultMessage(of), CODE[entry.rpc], undefined, details);
}

/** Scalar facts under snake_case names, and the remedy. */
function metadataOf(of: Fault, remedy: string): { [key: string]: string } {
  const facts = Object.entries(of).filter(
    ([name, fact]) => name !== "code" && (typeof fact === "string" || typeof fact === "number"),
  );
  const named = facts.map(([name, fact]) => [snakeCase(name), String(fact)]);
  return { ...Object.fromEntries(named), remedy };
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function fieldViolation(violation: Violation): {
  field: string;
  description: string;
} {
  const { field, message, remedy, line, column } = violation;
  const position = line === undefined ? "" : `line ${line}, column ${column ?? 1}: `;
  return { field, description: `${position}${message}. ${remedy}` };
}

function duration(delayMs: Millis): { seconds: bigint; nanos: number } {
  const seconds = Math.floor(delayMs / 1000);
  return { seconds: BigInt(seconds), nanos: Math.round((delayMs - seconds * 1000) * 1e6) };
}

/** Turns whatever a handler threw into a wire error; defects are logged under an incident id. */
export type ErrorFunnel = (error: unknown, method: string) => ConnectError;

/** Makes the funnel that every RPC's failures pass. */
export function createErrorFunnel(deps: {
  readonly host: Pick<Host, "randomHex">;
  readonly log: Logger;
}): ErrorFunnel {
  return (error, method) => {
    if (error instanceof FaultError) return faultToConnect(error.fault);
    if (error instanceof ConnectError) return error;
    if (isAbort(error) || isDisconnection(error))
      return new ConnectError("the call was cancelled", Code.Canceled);
    const incident = deps.host.randomHex(8);
    deps.log.error({ incident, method, error: describe(error) }, "unexpected error in an RPC");
    return internal(incident);
  };
}

function internal(incident: string): ConnectError {
  const message = `internal error; the log of the daemon tells more under incident ${incident}`;
  return new ConnectError(message, Code.Internal, undefined, [
    {
      desc: ErrorInfoSchema,
      value: { reason: "INTERNAL", domain: ERROR_DOMAIN, metadata: { incident } },
    },
  ]);
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** What Node.js says to whoever writes to a stream that the client has given up in the middle of it. */
const DISCONNECTED: ReadonlySet<unknown> = new Set([
  "ECANCELED",
  "ECONNRESET",
  "EPIPE",
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_PREMATURE_CLOSE",
]);

function isDisconnection(error: unknown): boolean {
  return error instanceof Error && "code" in error && DISCONNECTED.has(error.code);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
