/**
 * Which failures are tried again, and when. Delays double from the policy's backoff up to its maximum and are spread
 * by a hash of run, task and attempt, so that a thousand tasks failing together do not come back together, and a replay
 * computes the same instants.
 */
import { unreachable } from "../../base/assert.ts";
import { hashFraction } from "../../base/hash.ts";
import type { Millis } from "../../base/time.ts";
import { TIMER_MAX_MS } from "../../base/time.ts";
import { DEFINITION_LIMITS, type RetryPolicy } from "../dag/definition.ts";
import type { Outcome } from "./message.ts";
import type { Reason } from "./status.ts";

/** A failed attempt, judged. */
export interface Failure {
  readonly reason: Reason;
  readonly message: string;
  readonly retryable: boolean;
  /** The agent's own wish, which wins over the policy's backoff. */
  readonly retryAfterMs: Millis | undefined;
}

/** Judges an outcome that is not a success. */
export function failureOf(outcome: Exclude<Outcome, { kind: "success" | "returned" }>): Failure {
  switch (outcome.kind) {
    case "failure": {
      const retryable = outcome.failure === "retryable" || outcome.failure === "throttled";
      return {
        reason: retryable ? "AGENT_ERROR" : "NON_RETRYABLE",
        message: outcome.message,
        retryable,
        retryAfterMs: outcome.retryAfterMs,
      };
    }
    case "lost":
      return {
        reason: outcome.reason,
        message: outcome.message,
        retryable: true,
        retryAfterMs: undefined,
      };
    case "stopped":
      return {
        reason: "WORKER_LOST",
        message: "the attempt was stopped before it finished",
        retryable: true,
        retryAfterMs: undefined,
      };
    default:
      return unreachable(outcome);
  }
}

/**
 * Wait before the next attempt.
 * @param failures counted failures so far, the latest included (1 after the first).
 * @param seed what the spread hangs on, such as run id, task id and attempt.
 */
export function backoffMs(
  policy: RetryPolicy,
  failures: number,
  ...seed: (string | number)[]
): Millis {
  const doubled = policy.backoffMs * 2 ** Math.min(failures - 1, 40);
  const capped = Math.min(doubled, policy.maxBackoffMs, TIMER_MAX_MS);
  return Math.round(capped * (1 - policy.jitter * hashFraction(...seed)));
}

/** Whether the policy allows another attempt after `failures` counted ones and `attempts` in all. */
export function mayRetry(policy: RetryPolicy, failures: number, attempts: number): boolean {
  return failures < policy.maxAttempts && attempts < DEFINITION_LIMITS.attempts;
}
