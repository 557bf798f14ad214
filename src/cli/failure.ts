/**
 * The one place where a failed command becomes text and an exit code. People get what is wrong and what to do, in one
 * line where one is enough; a stack trace appears only for bugs of this program, whose message says so.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { Violation } from "../base/fault.ts";
import { FAULTS, FaultError, faultMessage } from "../base/fault.ts";
import { printable } from "./layout.ts";
import { InvalidFile } from "./submission.ts";
import { EXIT, UsageError } from "./terminal.ts";

/** What a failed command prints on standard error, and how the process ends. */
export interface Failure {
  readonly lines: readonly string[];
  readonly exitCode: number;
}

/** Explains whatever a command threw. `server` tells which daemon it talked to. */
export function explain(error: unknown, server: () => string = () => "its address"): Failure {
  if (error instanceof UsageError)
    return { lines: [`goclaw: ${error.message}`], exitCode: EXIT.usage };
  if (error instanceof InvalidFile) return { lines: [error.message], exitCode: EXIT.usage };
  if (error instanceof FaultError) return explainFault(error);
  if (error instanceof ConnectError) return explainRpc(error, server);
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { lines: ["goclaw: this is a bug in goclaw", stack], exitCode: EXIT.software };
}

function explainFault({ fault }: FaultError): Failure {
  const { rpc, remedy } = FAULTS[fault.code];
  const exitCode = rpc === "INVALID_ARGUMENT" ? EXIT.usage : EXIT.failed;
  if (fault.code === "CONFIG_INVALID" || fault.code === "DEFINITION_INVALID") {
    const lines = fault.violations.map((violation) => violationLine(violation));
    return { lines: [...lines, `goclaw: ${fault.code}: ${remedy}`], exitCode };
  }
  return { lines: [`goclaw: ${fault.code}: ${faultMessage(fault)}. ${remedy}`], exitCode };
}

/** `goclaw.yaml:3:5 lanes.io: unknown key "io". Did you mean "named"?` */
function violationLine(violation: Violation & { readonly source?: string }): string {
  const { source, line, column, field, message, remedy } = violation;
  const place = [source, line, column].filter((part) => part !== undefined).join(":");
  const subject = [place, field].filter((part) => part !== "").join(" ");
  return `${subject === "" ? "" : `${subject}: `}${message}. ${remedy}`;
}

function explainRpc(error: ConnectError, server: () => string): Failure {
  const info = error.findDetails(ErrorInfoSchema)[0];
  if (info === undefined && error.code === Code.Unavailable) {
    const line =
      `goclaw: no daemon answers at ${server()}. ` +
      "Start one with `goclaw serve`, or name another with --server.";
    return { lines: [line], exitCode: EXIT.unreachable };
  }
  const reason = info?.reason ?? Code[error.code].toUpperCase();
  const remedy = info?.metadata.remedy ?? "";
  const exitCode = error.code === Code.InvalidArgument ? EXIT.usage : EXIT.failed;
  const violations = error
    .findDetails(BadRequestSchema)
    .flatMap((request) => request.fieldViolations)
    .map(({ field, description }) => printable(`${field}: ${description}`));
  if (violations.length > 0)
    return { lines: [...violations, `goclaw: ${reason}: ${remedy}`], exitCode };
  const message = `goclaw: ${reason}: ${printable(error.rawMessage)}`;
  return { lines: [remedy === "" ? message : `${message}. ${remedy}`], exitCode };
}
