/**
 * Values on their way into and out of agent code: payloads become what JavaScript authors expect, results become
 * payloads, and whatever was thrown becomes a failure the core can judge. Nothing here trusts the agent: every
 * conversion that can throw is meant to be called inside a `try` or catches for itself.
 */
import { unreachable } from "../../base/assert.ts";
import { NULL_PAYLOAD, type Payload } from "../../base/payload.ts";
import type { AttemptOutcome, DeliveredSignal } from "../../ports/agent.ts";
import type { AgentSignal, Binary } from "../../ports/agent-context.ts";

/** Parsed JSON, or `{mediaType, bytes}`. Throws when the text is not JSON. */
export function agentValue(payload: Payload): unknown {
  return "json" in payload ? (JSON.parse(payload.json) as unknown) : payload;
}

/** Payload of what an agent returned; bytes are copied, because a `Buffer` is a view of memory that is used again.
 * Throws a `TypeError` for what JSON cannot say. */
export function outputPayload(value: unknown): Payload {
  if (value === undefined) return NULL_PAYLOAD;
  if (value instanceof Uint8Array) {
    return { mediaType: "application/octet-stream", bytes: new Uint8Array(value) };
  }
  if (isBinary(value)) return { mediaType: value.mediaType, bytes: new Uint8Array(value.bytes) };
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new TypeError(`a ${typeof value} is not JSON`);
  return { json };
}

function isBinary(value: unknown): value is Binary {
  if (typeof value !== "object" || value === null) return false;
  const { mediaType, bytes } = value as Partial<Binary>;
  return typeof mediaType === "string" && bytes instanceof Uint8Array;
}

/** What a throw means: see `Agent` in ports/agent-context.ts for the properties that are looked at. */
export function thrownOutcome(error: unknown): AttemptOutcome {
  const message = thrownMessage(error);
  const facts = thrownFacts(error);
  if (facts.retryable === false || facts.name === "NonRetryableError") {
    return { kind: "failure", failure: "terminal", message };
  }
  const { retryAfterMs } = facts;
  if (typeof retryAfterMs === "number" && retryAfterMs >= 0) {
    return { kind: "failure", failure: "throttled", message, retryAfterMs };
  }
  return { kind: "failure", failure: "retryable", message };
}

/** One line about what was thrown; never throws, whatever it was. */
export function thrownMessage(error: unknown): string {
  const { message, name } = thrownFacts(error);
  if (typeof message === "string" && message !== "") return message;
  if (typeof name === "string" && name !== "") return name;
  try {
    return String(error);
  } catch {
    return "something that cannot be printed";
  }
}

interface ThrownFacts {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly retryable?: unknown;
  readonly retryAfterMs?: unknown;
}

function thrownFacts(error: unknown): ThrownFacts {
  if (typeof error !== "object" || error === null) return {};
  try {
    const { name, message, retryable, retryAfterMs } = error as ThrownFacts;
    return { name, message, retryable, retryAfterMs };
  } catch {
    return {};
  }
}

/** A signal as an agent sees it. */
export function agentSignal({ signal: id, content, collected }: DeliveredSignal): AgentSignal {
  switch (content.kind) {
    case "steer":
      return { id, kind: "steer", text: content.text, payload: agentValue(content.payload) };
    case "interrupt":
      return { id, kind: "interrupt", reason: content.reason };
    case "collect": {
      const results = collected === undefined ? {} : agentValue(collected.results);
      return {
        id,
        kind: "collect",
        results: results as { readonly [taskId: string]: unknown },
        missing: collected?.missing ?? [],
      };
    }
    default:
      return unreachable(content);
  }
}
