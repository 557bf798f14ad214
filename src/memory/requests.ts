/**
 * Checks what callers ask the memory to keep: every violation of a request at once, before anything is read or written.
 * Sessions may be named by any well-formed text; what has no UTF-8 form is refused, because two such names could not be
 * told apart on disk.
 */
import type { Violation } from "../base/fault.ts";
import { fault, refuse } from "../base/fault.ts";
import { utf8Length } from "../base/utf8.ts";
import { namespaceAndSession } from "../core/memory/entry.ts";
import type { MemorizeRequest } from "./api.ts";
import { contentBytes } from "./records.ts";

/** Bounds of one entry. */
export interface EntryLimits {
  readonly contentBytes: number;
  /** Dimension a caller's vector must have; 0 when callers may give none. */
  readonly vectorDimension: number;
}

/** A namespace, a slash and a session. */
const SESSION_MAX_BYTES = 128 + 1 + 256;
const TASK_MAX_BYTES = 256;
const KIND_MAX_BYTES = 128;
const METADATA_MAX = 32;
const METADATA_MAX_BYTES = 1_024;
const SUPERSEDES_MAX = 100;
const PARENTS_MAX = 1_000;

/** Throws `REQUEST_INVALID` unless the text can name a session. */
export function checkSession(sessionId: string): void {
  const violations = sessionViolations(sessionId, "session_id");
  if (violations.length > 0) refuse(fault("REQUEST_INVALID", { violations }));
}

/** Throws `REQUEST_INVALID` with everything that is wrong with a batch. */
export function checkMemorize(requests: readonly MemorizeRequest[], limits: EntryLimits): void {
  const violations = requests.flatMap((request, at) =>
    violationsOf(request, limits, `entries[${at}]`),
  );
  if (violations.length > 0) refuse(fault("REQUEST_INVALID", { violations }));
}

function violationsOf(request: MemorizeRequest, limits: EntryLimits, at: string): Violation[] {
  return [
    ...sessionViolations(request.sessionId, `${at}.session_id`),
    ...textTooLong(request.taskId ?? "", TASK_MAX_BYTES, `${at}.task_id`),
    ...textTooLong(request.kind ?? "", KIND_MAX_BYTES, `${at}.kind`),
    ...contentViolations(request, limits, at),
    ...metadataViolations(request.metadata ?? {}, at),
    ...tooMany(request.supersedes ?? [], SUPERSEDES_MAX, `${at}.supersedes`),
    ...tooMany(request.provenance?.parents ?? [], PARENTS_MAX, `${at}.provenance.parents`),
    ...vectorViolations(request, limits, at),
    ...numberViolations(request, at),
  ];
}

function sessionViolations(sessionId: string, field: string): Violation[] {
  const [namespace, session] = namespaceAndSession(sessionId);
  if (namespace === "" || session === "") {
    return [violation(field, "the session has no name", "Name a session.")];
  }
  if (!sessionId.isWellFormed()) {
    return [violation(field, "the name is no well-formed text", "Use text that UTF-8 can hold.")];
  }
  return textTooLong(sessionId, SESSION_MAX_BYTES, field);
}

function contentViolations(
  { content }: MemorizeRequest,
  limits: EntryLimits,
  at: string,
): Violation[] {
  const field = `${at}.content`;
  if (contentBytes(content) === 0 || ("text" in content && content.text.trim() === "")) {
    return [violation(field, "there is nothing in it", "Give text or bytes.")];
  }
  const size = "text" in content ? utf8Length(content.text) : content.bytes.byteLength;
  if (size <= limits.contentBytes) return [];
  const remedy = `At most ${limits.contentBytes} bytes; split it, or raise memory.contentBytes.`;
  return [violation(field, `${size} bytes are too many`, remedy)];
}

function metadataViolations(metadata: Readonly<Record<string, string>>, at: string): Violation[] {
  const pairs = Object.entries(metadata);
  const large = pairs.filter(
    ([key, value]) => utf8Length(key) + utf8Length(value) > METADATA_MAX_BYTES,
  );
  return [
    ...tooMany(pairs, METADATA_MAX, `${at}.metadata`),
    ...large.map(([key]) =>
      violation(
        `${at}.metadata[${key.slice(0, 40)}]`,
        "the pair is too long",
        `At most ${METADATA_MAX_BYTES} bytes.`,
      ),
    ),
  ];
}

function vectorViolations(
  { vector }: MemorizeRequest,
  limits: EntryLimits,
  at: string,
): Violation[] {
  if (vector === undefined) return [];
  const field = `${at}.vector`;
  const { vectorDimension } = limits;
  if (vectorDimension === 0) {
    return [violation(field, "the embedder makes its own vectors", "Leave the vector out.")];
  }
  if (vector.length !== vectorDimension) {
    const remedy = `The embedder has ${vectorDimension}.`;
    return [violation(field, `${vector.length} numbers`, remedy)];
  }
  if (vector.every(Number.isFinite) && vector.some((part) => part !== 0)) return [];
  return [violation(field, "it has no direction", "Use finite numbers, not all zero.")];
}

function numberViolations({ ttlMs, forgetThreshold }: MemorizeRequest, at: string): Violation[] {
  const found: Violation[] = [];
  if (ttlMs !== undefined && !(ttlMs > 0))
    found.push(violation(`${at}.ttl`, "it is over before it begins", "Use a time above 0."));
  if (forgetThreshold !== undefined && !(forgetThreshold > 0 && forgetThreshold < 1))
    found.push(
      violation(
        `${at}.forget_threshold`,
        `${forgetThreshold} is no strength`,
        "Use a number between 0 and 1.",
      ),
    );
  return found;
}

function textTooLong(text: string, maxBytes: number, field: string): Violation[] {
  const size = utf8Length(text);
  return size <= maxBytes
    ? []
    : [violation(field, `${size} bytes are too many`, `At most ${maxBytes}.`)];
}

function tooMany(items: readonly unknown[], max: number, field: string): Violation[] {
  return items.length <= max
    ? []
    : [violation(field, `${items.length} are too many`, `At most ${max}.`)];
}

function violation(field: string, message: string, remedy: string): Violation {
  return { field, message, remedy };
}
