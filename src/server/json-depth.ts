/**
 * Measures how deep JSON nests by scanning its text, before anything parses it. Parsers and converters recurse on the
 * depth of what a stranger sends; knowing the depth first keeps the stack out of strangers' hands. It assumes nothing
 * about validity: on malformed text it still ends, and the parser behind it reports the problem.
 */
import { FaultError, fault } from "../base/fault.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Deepest nesting of lists and objects in UTF-8 bytes; stops early once it exceeds `limit`. */
export function jsonDepth(bytes: Uint8Array, limit: number): number {
  let depth = 0;
  let deepest = 0;
  let inText = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inText) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inText = false;
    } else if (byte === QUOTE) {
      inText = true;
    } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth++;
      if (depth > deepest) deepest = depth;
      if (deepest > limit) return deepest;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      depth--;
    }
  }
  return deepest;
}

/** Throws `LIMIT_EXCEEDED` naming `field` when JSON bytes nest deeper than `limit`. */
export function checkJsonDepth(bytes: Uint8Array, limit: number, field: string): void {
  const depth = jsonDepth(bytes, limit);
  if (depth > limit) {
    throw new FaultError(
      fault("LIMIT_EXCEEDED", { field, value: depth, limit, unit: "levels of JSON" }),
    );
  }
}
