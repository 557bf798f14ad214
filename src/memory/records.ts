/**
 * Entries and vectors as bytes. A record is a checksum and a content; the checksum covers the key, so a value that turns
 * up under another key is damage too. Entries are JSON, because they are read far more often by people and programs
 * than their size matters under the store's compression; vectors are plain floats.
 */
import { crc32c } from "../base/crc32c.ts";
import { fault, refuse } from "../base/fault.ts";
import { toBase64 } from "../base/payload.ts";
import type { Instant } from "../base/time.ts";
import type { MemoryContent, MemoryEntry, Provenance } from "../core/memory/entry.ts";
import { NO_PROVENANCE } from "../core/memory/entry.ts";
import { printKey } from "./keys.ts";

/** An entry with what the store needs to know about it. */
export interface StoredEntry {
  readonly entry: MemoryEntry;
  /** Of the content; equal contents have equal hashes. */
  readonly hash: string;
  /** The instant in its key of kind `due`; undefined when it has none. */
  readonly dueAt: Instant | undefined;
}

/** What a session holds, kept so that nobody has to count. */
export interface SessionSummary {
  readonly active: number;
  readonly dormant: number;
  /** Bytes of contents. */
  readonly bytes: number;
}

export const EMPTY_SESSION: SessionSummary = { active: 0, dormant: 0, bytes: 0 };

/** A vector and the embedder that made it. */
export interface StoredVector {
  readonly embedder: string;
  readonly vector: Float32Array;
}

/** A change that waits for the vector store. An absent id means the whole session. */
export interface ColdChange {
  readonly kind: "put" | "remove";
  readonly sessionId: string;
  readonly id?: string;
}

/** An entry that waits for its vector. */
export interface EmbeddingWish {
  readonly sessionId: string;
  readonly id: string;
  readonly hash: string;
}

const CRC_BYTES = 4;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** `content` under its checksum. */
export function sealed(key: Uint8Array, content: Uint8Array): Uint8Array {
  const record = new Uint8Array(CRC_BYTES + content.length);
  record.set(content, CRC_BYTES);
  new DataView(record.buffer).setUint32(0, crc32c(content, 0, content.length, crc32c(key)), true);
  return record;
}

/** The content of a record; throws `MEMORY_DAMAGED`. */
export function opened(key: Uint8Array, record: Uint8Array): Uint8Array {
  if (record.length < CRC_BYTES) damaged(key, "the record is cut off");
  const content = record.subarray(CRC_BYTES);
  const found = new DataView(record.buffer, record.byteOffset, CRC_BYTES).getUint32(0, true);
  if (crc32c(content, 0, content.length, crc32c(key)) !== found)
    damaged(key, "the checksum is wrong");
  return content;
}

function damaged(key: Uint8Array, detail: string): never {
  return refuse(fault("MEMORY_DAMAGED", { where: printKey(key), detail }));
}

/** JSON under its checksum. */
export function sealedJson(key: Uint8Array, value: object): Uint8Array {
  return sealed(key, encoder.encode(JSON.stringify(value)));
}

/** Reads what {@link sealedJson} wrote; `T` is what was written under this kind of key. */
export function openedJson<T>(key: Uint8Array, record: Uint8Array): T {
  return JSON.parse(decoder.decode(opened(key, record))) as T;
}

/** An entry on disk: only what differs from nothing is written. */
interface EntryRecord {
  readonly task?: string;
  readonly kind: string;
  readonly text?: string;
  readonly type?: string;
  readonly bytes?: string;
  readonly meta?: Readonly<Record<string, string>>;
  readonly at: Instant;
  readonly review: readonly [number, number, Instant, number, number];
  readonly pinned?: true;
  readonly threshold?: number;
  readonly expires?: Instant;
  readonly dormant?: Instant;
  readonly supersedes?: readonly string[];
  readonly by?: string;
  readonly from?: Partial<Provenance>;
  readonly echoes?: readonly Partial<Provenance>[];
  readonly hash: string;
  readonly due?: Instant;
}

/** An entry as its record. Session and id are in the key. */
export function entryRecord(key: Uint8Array, { entry, hash, dueAt }: StoredEntry): Uint8Array {
  const { review, content } = entry;
  return sealedJson(key, {
    task: entry.taskId || undefined,
    kind: entry.kind,
    ...("text" in content
      ? { text: content.text }
      : { type: content.mediaType, bytes: toBase64(content.bytes) }),
    meta: Object.keys(entry.metadata).length === 0 ? undefined : entry.metadata,
    at: entry.createdAt,
    review: [
      review.stability,
      review.difficulty,
      review.lastReviewAt,
      review.reviews,
      review.lapses,
    ],
    pinned: entry.pinned || undefined,
    threshold: entry.forgetThreshold,
    expires: entry.expiresAt,
    dormant: entry.dormantAt,
    supersedes: entry.supersedes.length === 0 ? undefined : entry.supersedes,
    by: entry.supersededBy,
    from: sparse(entry.provenance),
    echoes: entry.echoes.length === 0 ? undefined : entry.echoes.map((echo) => sparse(echo) ?? {}),
    hash,
    due: dueAt,
  });
}

/** Reads {@link entryRecord}. */
export function readEntry(
  key: Uint8Array,
  record: Uint8Array,
  sessionId: string,
  id: string,
): StoredEntry {
  const found = openedJson<EntryRecord>(key, record);
  const [stability, difficulty, lastReviewAt, reviews, lapses] = found.review;
  const entry: MemoryEntry = {
    id,
    sessionId,
    taskId: found.task ?? "",
    kind: found.kind,
    content: contentOf(found),
    metadata: found.meta ?? {},
    createdAt: found.at,
    review: { stability, difficulty, lastReviewAt, reviews, lapses },
    pinned: found.pinned ?? false,
    forgetThreshold: found.threshold,
    expiresAt: found.expires,
    dormantAt: found.dormant,
    supersedes: found.supersedes ?? [],
    supersededBy: found.by,
    provenance: { ...NO_PROVENANCE, ...found.from },
    echoes: (found.echoes ?? []).map((echo) => ({ ...NO_PROVENANCE, ...echo })),
  };
  return { entry, hash: found.hash, dueAt: found.due };
}

function contentOf({ text, type = "", bytes = "" }: EntryRecord): MemoryContent {
  return text === undefined ? { mediaType: type, bytes: fromBase64(bytes) } : { text };
}

/** Bytes of RFC 4648 base64. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (unit) => unit.charCodeAt(0));
}

/** The parts of a provenance that say something; undefined when none does. */
function sparse(of: Provenance): Partial<Provenance> | undefined {
  const said = Object.entries(of).filter(([, value]) => value.length > 0);
  return said.length === 0 ? undefined : Object.fromEntries(said);
}

/** Embedder id behind its length, then the floats. */
export function vectorRecord(key: Uint8Array, { embedder, vector }: StoredVector): Uint8Array {
  const name = encoder.encode(embedder);
  const content = new Uint8Array(2 + name.length + vector.byteLength);
  content[0] = name.length >> 8;
  content[1] = name.length & 255;
  content.set(name, 2);
  const floats = new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
  content.set(floats, 2 + name.length);
  return sealed(key, content);
}

/** Reads {@link vectorRecord}. */
export function readVector(key: Uint8Array, record: Uint8Array): StoredVector {
  const content = opened(key, record);
  const size = ((content[0] ?? 0) << 8) | (content[1] ?? 0);
  const embedder = decoder.decode(content.subarray(2, 2 + size));
  const floats = content.slice(2 + size);
  return { embedder, vector: new Float32Array(floats.buffer) };
}

/** Bytes of a content, for budgets and statistics. */
export function contentBytes(content: MemoryContent): number {
  return "text" in content ? content.text.length : content.bytes.byteLength;
}
