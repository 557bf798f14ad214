/**
 * A request as every open run keeps it: with a trace id, and as small as it can be, because a million of them may wait.
 */
import type { RunRequest } from "../core/dag/definition.ts";
import type { StartRun } from "./api.ts";

/** Adds the trace id that the submitter did not send. Written out field by field: a spread takes more memory. */
export function traced(request: StartRun["request"], mint: () => string): RunRequest {
  const { input, namespace, priority, labels, sessionId, deadlineMs } = request;
  const traceId = request.traceId ?? mint();
  const plain = { input, namespace, priority, labels, traceId };
  return sessionId === undefined && deadlineMs === undefined
    ? plain
    : {
        ...plain,
        ...(sessionId && { sessionId }),
        ...(deadlineMs !== undefined && { deadlineMs }),
      };
}
