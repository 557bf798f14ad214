/**
 * The journal's key space, the only place that knows it. A key begins with one letter saying what it is; letters are
 * only ever added, and docs/journal.md lists them. Numbers are big-endian so that byte order is number order, run ids
 * are their 26 characters so that byte order is age, and user text inside a key is length-prefixed so that no text can
 * imitate another key.
 */
import { assert } from "../base/assert.ts";
import { prefixRange } from "../base/bytes.ts";
import type { RunId } from "../base/ids.ts";
import type { KeyRange } from "../ports/store.ts";
import { type ByteWriter, toUtf8 } from "./wire.ts";

/** The first byte of a key, and what its records are. */
export const PREFIXES = {
  blob: "b",
  commit: "c",
  definition: "d",
  ended: "e",
  idempotency: "i",
  keyOfRun: "k",
  late: "l",
  meta: "m",
  name: "n",
  open: "o",
  run: "r",
  snapshot: "s",
  trimmed: "t",
  cursor: "u",
} as const;

/** What a key can be. */
export type KeyKind = keyof typeof PREFIXES;

const RUN_ID_LENGTH = 26;

/** `run/<run id>/<first sequence>`: the events of one run in one commit. */
export const runKey = (runId: RunId, sequence: number): Uint8Array =>
  ofRun("run", runId, [sequence]);
/** `blob/<run id>/<first sequence>/<n>`: a large payload of that record, as it is. */
export const blobKey = (runId: RunId, sequence: number, index: number): Uint8Array =>
  ofRun("blob", runId, [sequence, index]);
/** `open/<run id>`: a run without an end, and where its history stood when last noted. */
export const openKey = (runId: RunId): Uint8Array => ofRun("open", runId);
/** `ended/<run id>`: the summary of a finished run. */
export const endedKey = (runId: RunId): Uint8Array => ofRun("ended", runId);
/** `snapshot/<run id>`: a compacted state. */
export const snapshotKey = (runId: RunId): Uint8Array => ofRun("snapshot", runId);
/** `trimmed/<run id>`: up to where the history was deleted. */
export const trimmedKey = (runId: RunId): Uint8Array => ofRun("trimmed", runId);
/** `keyOfRun/<run id>`: its idempotency key, to find it again when the run is deleted. */
export const keyOfRunKey = (runId: RunId): Uint8Array => ofRun("keyOfRun", runId);
/** `late/<run id>/<index of the task>/<lease>`: an output whose lease was gone. */
export const lateKey = (runId: RunId, taskIndex: number, lease: number): Uint8Array =>
  ofRun("late", runId, [taskIndex, lease]);
/** All late results of a run. */
export const lateRange = (runId: RunId): KeyRange => prefixRange(ofRun("late", runId));
/** `commit/<n>`: what was in the n-th commit. */
export const commitKey = (commit: number): Uint8Array =>
  build("commit", 8, (key) => putNumber(key, 1, commit));
/** `definition/<hash>`: canonical JSON. */
export const definitionKey = (hash: string): Uint8Array => ofTexts("definition", hash);
/** `name/<namespace>/<name>/<version>`: a registered definition. */
export const nameKey = (namespace: string, name: string, version: string): Uint8Array =>
  ofTexts("name", namespace, name, version);
/** `idempotency/<namespace>/<key>`: the run that used the key. */
export const idempotencyKeyOf = (namespace: string, key: string): Uint8Array =>
  ofTexts("idempotency", namespace, key);
/** `cursor/<consumer>`: how far a consumer of all commits has come. */
export const cursorKey = (consumer: string): Uint8Array => ofTexts("cursor", consumer);
/** `meta/<what>`: facts about the journal itself. */
export const metaKey = (what: "format" | "epoch" | "verified"): Uint8Array => ofTexts("meta", what);

/** Writes {@link runKey} in place, for the writer's hot path. */
export function putRunKey(writer: ByteWriter, runId: RunId, sequence: number): void {
  putKindAndRun(writer, "run", runId);
  writer.number64(sequence);
}

/** Writes {@link endedKey} in place. */
export function putEndedKey(writer: ByteWriter, runId: RunId): void {
  putKindAndRun(writer, "ended", runId);
}

function putKindAndRun(writer: ByteWriter, kind: KeyKind, runId: RunId): void {
  assert(runId.length === RUN_ID_LENGTH, `run id ${runId} is no ULID`);
  writer.ascii(PREFIXES[kind]);
  writer.ascii(runId);
}

/** All keys of a kind. */
export function rangeOf(kind: KeyKind): KeyRange {
  return prefixRange(toUtf8(PREFIXES[kind]));
}

/** Run id of a key that has one behind its letter. */
export function runIdOf(key: Uint8Array): RunId {
  return String.fromCharCode(...key.subarray(1, 1 + RUN_ID_LENGTH)) as RunId;
}

/** The n-th of run ids written one after the other. */
export function runIdAt(runIds: string, at: number): RunId {
  return runIds.slice(at * RUN_ID_LENGTH, (at + 1) * RUN_ID_LENGTH) as RunId;
}

/** The number in the last eight bytes of a commit or run key. */
export function numberOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset + key.length - 8, 8);
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4);
}

/** A key for people: `run/01J…/17`. */
export function printKey(key: Uint8Array): string {
  const letter = String.fromCharCode(key[0] ?? 0);
  const kind = (Object.keys(PREFIXES) as KeyKind[]).find((known) => PREFIXES[known] === letter);
  if (kind === undefined)
    return `unknown key ${[...key].map((byte) => byte.toString(16)).join(" ")}`;
  const parts = kind === "commit" ? [String(numberOf(key))] : printRest(kind, key);
  return [kind, ...parts].join("/");
}

const TEXT_KINDS: ReadonlySet<KeyKind> = new Set([
  "definition",
  "idempotency",
  "meta",
  "name",
  "cursor",
]);

function printRest(kind: KeyKind, key: Uint8Array): string[] {
  if (TEXT_KINDS.has(kind)) return printTexts(key);
  const parts = [runIdOf(key)] as string[];
  for (let at = 1 + RUN_ID_LENGTH; at + 8 <= key.length; at += 8) {
    parts.push(String(numberOf(key.subarray(0, at + 8))));
  }
  return parts;
}

function printTexts(key: Uint8Array): string[] {
  const parts: string[] = [];
  for (let at = 1; at + 2 <= key.length; ) {
    const size = ((key[at] as number) << 8) | (key[at + 1] as number);
    parts.push(String.fromCharCode(...key.subarray(at + 2, at + 2 + size)));
    at += 2 + size;
  }
  return parts;
}

function build(kind: KeyKind, size: number, fill: (key: Uint8Array) => void): Uint8Array {
  const key = new Uint8Array(1 + size);
  key[0] = PREFIXES[kind].charCodeAt(0);
  fill(key);
  return key;
}

function ofRun(kind: KeyKind, runId: RunId, numbers: readonly number[] = []): Uint8Array {
  assert(runId.length === RUN_ID_LENGTH, `run id ${runId} is no ULID`);
  return build(kind, RUN_ID_LENGTH + numbers.length * 8, (key) => {
    for (let at = 0; at < RUN_ID_LENGTH; at++) key[1 + at] = runId.charCodeAt(at);
    for (const [at, number] of numbers.entries())
      putNumber(key, 1 + RUN_ID_LENGTH + at * 8, number);
  });
}

function ofTexts(kind: KeyKind, ...texts: readonly string[]): Uint8Array {
  const parts = texts.map(toUtf8);
  const size = parts.reduce((sum, part) => sum + 2 + part.length, 0);
  return build(kind, size, (key) => {
    let at = 1;
    for (const part of parts) {
      assert(part.length <= 0xffff, "a text in a key is too long");
      key[at] = part.length >> 8;
      key[at + 1] = part.length & 255;
      key.set(part, at + 2);
      at += 2 + part.length;
    }
  });
}

function putNumber(key: Uint8Array, at: number, value: number): void {
  let rest = value;
  for (let byte = 7; byte >= 4; byte--) {
    key[at + byte] = rest & 255;
    rest = Math.floor(rest / 256);
  }
  for (let byte = 3; byte >= 0; byte--) {
    key[at + byte] = rest & 255;
    rest >>>= 8;
  }
}
