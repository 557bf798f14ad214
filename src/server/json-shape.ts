/**
 * Measures JSON by scanning its text before anything parses it: how deep it nests and how many values it holds. Parsers
 * and converters recurse on the depth of what a stranger sends and make an object for each value, so a small text could
 * otherwise exhaust the stack or hold the event loop. It assumes nothing about validity: on malformed text it still
 * ends, and the parser behind it reports the problem.
 */
import { FaultError, fault } from "../base/fault.ts";

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Bounds of a text; absent means none. */
export interface JsonLimits {
  /** Nesting of lists and objects. */
  readonly depth: number;
  /** Values and keys, counted by the commas and colons between them. */
  readonly values?: number;
}

export interface JsonShape {
  readonly depth: number;
  readonly values: number;
}

/** Shape of JSON in UTF-8; the scan stops early at the first limit it exceeds. */
export function jsonShape(bytes: Uint8Array, limits: JsonLimits): JsonShape {
  const valuesMax = limits.values ?? Number.POSITIVE_INFINITY;
  let depth = 0;
  let deepest = 0;
  let values = 1;
  let inText = false;
  for (let at = 0; at < bytes.length && deepest <= limits.depth && values <= valuesMax; at++) {
    const byte = bytes[at];
    if (inText) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) {
      inText = true;
    } else if (byte === COMMA || byte === COLON) {
      values++;
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth++;
      if (depth > deepest) deepest = depth;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      depth--;
    }
  }
  return { depth: deepest, values };
}

/** Throws `LIMIT_EXCEEDED` naming `field` when JSON bytes exceed a limit. */
export function checkJsonShape(bytes: Uint8Array, limits: JsonLimits, field: string): void {
  const { depth, values } = jsonShape(bytes, limits);
  if (depth > limits.depth) {
    throw tooLarge({ field, value: depth, limit: limits.depth, unit: "levels of JSON" });
  }
  if (limits.values !== undefined && values > limits.values) {
    throw tooLarge({ field, value: values, limit: limits.values, unit: "values of JSON" });
  }
}

function tooLarge(facts: {
  field: string;
  value: number;
  limit: number;
  unit: string;
}): FaultError {
  return new FaultError(fault("LIMIT_EXCEEDED", facts));
}
