/**
 * The memory's key space, the only place that knows it. A key begins with one letter; texts are UTF-8 behind their
 * length in two bytes, so that no session can be named like the key of another, and numbers are big-endian, so that
 * byte order is number order. Everything of one session lies together under each letter.
 */
import { assert } from "../base/assert.ts";
import { prefixRange } from "../base/bytes.ts";
import type { Instant } from "../base/time.ts";
import type { MemoryId } from "../core/memory/entry.ts";
import type { KeyRange } from "../ports/store.ts";

/** The first byte of a key, and what its record is. */
export const PREFIXES = {
  /** An entry that is active. */
  active: "e",
  /** When an entry must be looked at; sorted by time. */
  due: "f",
  /** Content of a dormant entry, to find it when the same is said again. */
  dormantHash: "h",
  /** Facts about the memory itself. */
  meta: "m",
  /** Entries that wait for a vector. */
  embedding: "q",
  /** What a session holds. */
  session: "s",
  /** The vector of an entry. */
  vector: "v",
  /** Changes that wait for the vector store. */
  cold: "x",
  /** An entry that is dormant. */
  dormant: "z",
} as const;

export type KeyKind = keyof typeof PREFIXES;
/** Kinds whose keys hold a session and an id. */
export type EntryKind = "active" | "dormant" | "vector";
/** Kinds that are queues. */
export type QueueKind = "embedding" | "cold";

const ID_BYTES = 26;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Every kind under which a session has keys of its own, in the order of their session. */
export const SESSION_KINDS: readonly KeyKind[] = ["active", "dormant", "dormantHash", "vector"];

export function entryKey(kind: EntryKind, sessionId: string, id: MemoryId): Uint8Array {
  assert(id.length === ID_BYTES, `${id} is no memory id`);
  return joined(kind, lengthAndText(sessionId), encoder.encode(id));
}

export function dormantHashKey(sessionId: string, hash: string): Uint8Array {
  return joined("dormantHash", lengthAndText(sessionId), encoder.encode(hash));
}

export function sessionKey(sessionId: string): Uint8Array {
  return joined("session", lengthAndText(sessionId));
}

export function metaKey(name: string): Uint8Array {
  return joined("meta", encoder.encode(name));
}

export function queueKey(kind: QueueKind, sequence: number): Uint8Array {
  return joined(kind, bigEndian(sequence));
}

export function dueKey(at: Instant, sessionId: string, id: MemoryId): Uint8Array {
  return joined("due", bigEndian(at), lengthAndText(sessionId), encoder.encode(id));
}

/** Keys due at or before `now`. */
export function dueRange(now: Instant): KeyRange {
  return { from: rangeOf("due").from, to: joined("due", bigEndian(Math.floor(now) + 1)) };
}

/** All keys of a kind. */
export function rangeOf(kind: KeyKind): KeyRange {
  return prefixRange(encoder.encode(PREFIXES[kind]));
}

/** All keys of a kind that belong to one session. */
export function sessionRange(kind: KeyKind, sessionId: string): KeyRange {
  return prefixRange(joined(kind, lengthAndText(sessionId)));
}

/** The id at the end of a key. */
export function idOf(key: Uint8Array): MemoryId {
  return decoder.decode(key.subarray(key.length - ID_BYTES));
}

/** The session in a key of {@link sessionKey}. */
export function sessionOf(key: Uint8Array): string {
  return textAt(key, 1);
}

/** Session and id in a key of {@link dueKey}. */
export function dueOf(key: Uint8Array): { readonly sessionId: string; readonly id: MemoryId } {
  return { sessionId: textAt(key, 9), id: idOf(key) };
}

/** The number in a key of {@link queueKey}. */
export function sequenceOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset + 1, 8);
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
}

/** A key for people. */
export function printKey(key: Uint8Array): string {
  const letter = String.fromCharCode(key[0] ?? 0);
  const kind = (Object.keys(PREFIXES) as KeyKind[]).find((known) => PREFIXES[known] === letter);
  const rest = new TextDecoder().decode(key.subarray(1)).replace(/\p{Cc}/gu, " ");
  return `${kind ?? "unknown"} ${rest.trim()}`;
}

function textAt(key: Uint8Array, at: number): string {
  const size = ((key[at] as number) << 8) | (key[at + 1] as number);
  return decoder.decode(key.subarray(at + 2, at + 2 + size));
}

function joined(kind: KeyKind, ...parts: readonly Uint8Array[]): Uint8Array {
  const key = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 1));
  key[0] = PREFIXES[kind].charCodeAt(0);
  let at = 1;
  for (const part of parts) {
    key.set(part, at);
    at += part.length;
  }
  return key;
}

function lengthAndText(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  assert(bytes.length <= 0xffff, "a text in a key is too long");
  const part = new Uint8Array(2 + bytes.length);
  part[0] = bytes.length >> 8;
  part[1] = bytes.length & 255;
  part.set(bytes, 2);
  return part;
}

/** Whole numbers from 0 to 2^53; fractions are cut, negative ones count as 0. */
function bigEndian(value: number): Uint8Array {
  const whole = Math.max(0, Math.floor(value));
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(whole / 0x1_0000_0000));
  view.setUint32(4, whole % 0x1_0000_0000);
  return bytes;
}
