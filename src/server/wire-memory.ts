/**
 * Memories on the wire and inside: words for words, instants for timestamps. Both directions of an entry stand here,
 * because an exported entry must come back as it was.
 */
import { create } from "@bufbuild/protobuf";
import type {
  MemorizeEntry,
  Memory,
  MemoryFilter,
  MemoryHit,
  MemoryProvenance,
  MemoryQuestion,
  MemoryRecord,
  MemorySession,
  MemoryContent as WireContent,
} from "../../gen/goclaw/v1/memory_service_pb.ts";
import {
  Fusion,
  MemoryContentSchema,
  MemoryHitSchema,
  MemoryProvenanceSchema,
  MemoryRecordSchema,
  MemorySchema,
  MemorySessionSchema,
  ReviewVerdict,
  Importance as WireImportance,
  MemorizeOutcome as WireOutcome,
} from "../../gen/goclaw/v1/memory_service_pb.ts";
import { fault, refuse } from "../base/fault.ts";
import { parseRunId } from "../base/ids.ts";
import type { MemoryContent, MemoryEntry, Provenance } from "../core/memory/entry.ts";
import { memorySession, NO_PROVENANCE, namespaceAndSession } from "../core/memory/entry.ts";
import type { EntryFilter, FusionMethod } from "../core/memory/query.ts";
import type { Importance, Verdict } from "../core/memory/review.ts";
import type {
  MemorizeOutcome,
  MemorizeRequest,
  Recalled,
  Remembered,
  RetrieveRequest,
} from "../memory/api.ts";
import type { ExportedEntry } from "../memory/hub.ts";
import { fill, instant, readDuration, timestamp } from "./wire-words.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const NAMESPACE_DEFAULT = "default";

export const IMPORTANCE: Readonly<Record<WireImportance, Importance>> = {
  [WireImportance.UNSPECIFIED]: "normal",
  [WireImportance.NORMAL]: "normal",
  [WireImportance.IMPORTANT]: "important",
  [WireImportance.CAPTURED]: "captured",
  [WireImportance.NOISE]: "noise",
};

const VERDICT: Readonly<Record<ReviewVerdict, Verdict | undefined>> = {
  [ReviewVerdict.UNSPECIFIED]: undefined,
  [ReviewVerdict.USED]: "used",
  [ReviewVerdict.ESSENTIAL]: "essential",
  [ReviewVerdict.TANGENTIAL]: "tangential",
  [ReviewVerdict.WRONG]: "wrong",
};

const FUSION: Readonly<Record<Fusion, FusionMethod | undefined>> = {
  [Fusion.UNSPECIFIED]: undefined,
  [Fusion.RRF]: "rrf",
  [Fusion.RELATIVE]: "relative",
};

const OUTCOME: Readonly<Record<MemorizeOutcome, WireOutcome>> = {
  stored: WireOutcome.STORED,
  reviewed: WireOutcome.REVIEWED,
  reinforced: WireOutcome.REINFORCED,
  recalled: WireOutcome.RECALLED,
};

/** A session as the hub names it. */
export function readSession(session: MemorySession | undefined): string {
  if (session === undefined) return refuse(required("session"));
  return memorySession(session.namespace || NAMESPACE_DEFAULT, session.sessionId);
}

export function readNamespace(namespace: string): string {
  return namespace || NAMESPACE_DEFAULT;
}

export function readVerdict(verdict: ReviewVerdict): Verdict | undefined {
  return VERDICT[verdict];
}

export function wireOutcome(outcome: MemorizeOutcome): WireOutcome {
  return OUTCOME[outcome];
}

export function readMemorize(entry: MemorizeEntry, at: number): MemorizeRequest {
  return fill<Writable<MemorizeRequest>>(
    {
      sessionId: readSession(entry.session),
      content: readContent(entry.content),
      taskId: entry.taskId,
      kind: entry.kind,
      metadata: entry.metadata,
      importance: IMPORTANCE[entry.importance] ?? "normal",
      pinned: entry.pinned,
      supersedes: entry.supersedes,
    },
    {
      ttlMs: readDuration(`entries[${at}].ttl`, entry.ttl),
      forgetThreshold: entry.forgetThreshold,
      provenance: entry.provenance && readProvenance(entry.provenance),
      vector: readVector(entry.vector),
      createdAt: entry.created && instant(entry.created),
    },
  );
}

/** A question without its limit. */
export function readQuestion(question: MemoryQuestion | undefined): RetrieveRequest {
  if (question === undefined) return refuse(required("question"));
  const { vectorWeight, textWeight } = question;
  const isWeighted = vectorWeight !== undefined || textWeight !== undefined;
  return fill<Writable<RetrieveRequest>>(
    { sessionId: readSession(question.session), text: question.text, deep: question.deep },
    {
      filter: question.filter && readFilter(question.filter),
      vector: readVector(question.vector),
      fusion: FUSION[question.fusion],
      weights: isWeighted ? { vector: vectorWeight ?? 0, text: textWeight ?? 0 } : undefined,
      mmr: question.mmr,
    },
  );
}

export function readFilter(filter: MemoryFilter): EntryFilter {
  const { metadata, kinds, taskIds, from, to } = filter;
  return fill<Writable<EntryFilter>>(
    {},
    {
      metadata: Object.keys(metadata).length === 0 ? undefined : metadata,
      kinds: kinds.length === 0 ? undefined : kinds,
      taskIds: taskIds.length === 0 ? undefined : taskIds,
      from: from && instant(from),
      to: to && instant(to),
    },
  );
}

function readVector(numbers: readonly number[]): Float32Array | undefined {
  return numbers.length === 0 ? undefined : Float32Array.from(numbers);
}

function readContent(content: WireContent | undefined): MemoryContent {
  const value = content?.value;
  if (content === undefined || value?.case === undefined) return refuse(required("content"));
  return value.case === "text"
    ? { text: value.value }
    : { mediaType: content.mediaType || "application/octet-stream", bytes: value.value };
}

function readProvenance({ runId, taskId, agent, parents }: MemoryProvenance): Provenance {
  return { runId, taskId, agent, parents };
}

/** An entry with its strength now. */
export function wireMemory({ entry, strength, forgetAt }: Remembered): Memory {
  const { review } = entry;
  const [namespace, sessionId] = namespaceAndSession(entry.sessionId);
  const memory = create(MemorySchema, {
    id: entry.id,
    session: create(MemorySessionSchema, { namespace, sessionId }),
    taskId: entry.taskId,
    kind: entry.kind,
    content: wireContent(entry.content),
    metadata: { ...entry.metadata },
    pinned: entry.pinned,
    strength,
    supersedes: [...entry.supersedes],
    supersededBy: entry.supersededBy ?? "",
    provenance: wireProvenance(entry.provenance),
    stability: review.stability,
    difficulty: review.difficulty,
    reviews: review.reviews,
    lapses: review.lapses,
    echoes: entry.echoes.map(wireProvenance),
  });
  return fill(memory, {
    created: timestamp(entry.createdAt),
    lastReview: timestamp(review.lastReviewAt),
    forgetAt: timestamp(forgetAt),
    expires: timestamp(entry.expiresAt),
    dormantSince: timestamp(entry.dormantAt),
    forgetThreshold: entry.forgetThreshold,
  });
}

function wireContent(content: MemoryContent): WireContent {
  return "text" in content
    ? create(MemoryContentSchema, { value: { case: "text", value: content.text } })
    : create(MemoryContentSchema, {
        value: { case: "data", value: content.bytes },
        mediaType: content.mediaType,
      });
}

function wireProvenance({ runId, taskId, agent, parents }: Provenance): MemoryProvenance {
  return create(MemoryProvenanceSchema, { runId, taskId, agent, parents: [...parents] });
}

/** A result and why it is one. */
export function wireHit(recalled: Recalled): MemoryHit {
  const { score, text, vector, matchedTerms, duplicates } = recalled.hit;
  const hit = create(MemoryHitSchema, {
    memory: wireMemory(recalled),
    score,
    matchedTerms: [...matchedTerms],
    duplicates: [...duplicates],
  });
  return fill(hit, {
    textRank: text?.rank,
    textScore: text?.score,
    vectorRank: vector?.rank,
    vectorScore: vector?.score,
  });
}

/** An entry for another daemon. */
export function wireRecord(remembered: Remembered, exported: ExportedEntry): MemoryRecord {
  return create(MemoryRecordSchema, {
    memory: wireMemory(remembered),
    vector: exported.vector === undefined ? [] : [...exported.vector.vector],
    embedder: exported.vector?.embedder ?? "",
  });
}

/** The reverse of {@link wireRecord}; throws `ARGUMENT_INVALID` where no daemon could have written it. */
export function readRecord(record: MemoryRecord | undefined): ExportedEntry {
  const memory = record?.memory;
  if (record === undefined || memory === undefined) return refuse(required("record.memory"));
  const { created, lastReview } = memory;
  if (parseRunId(memory.id) === undefined)
    return refuse(invalid("record.memory.id", memory.id, "a ULID"));
  if (!(memory.stability > 0) || !(memory.difficulty >= 1))
    return refuse(invalid("record.memory.stability", String(memory.stability), "days above 0"));
  if (created === undefined || lastReview === undefined)
    return refuse(required("record.memory.created and last_review"));
  const entry: MemoryEntry = {
    id: memory.id,
    sessionId: readSession(memory.session),
    taskId: memory.taskId,
    kind: memory.kind || "note",
    content: readContent(memory.content),
    metadata: memory.metadata,
    createdAt: instant(created),
    review: {
      stability: memory.stability,
      difficulty: memory.difficulty,
      lastReviewAt: instant(lastReview),
      reviews: memory.reviews,
      lapses: memory.lapses,
    },
    pinned: memory.pinned,
    forgetThreshold: memory.forgetThreshold,
    expiresAt: memory.expires && instant(memory.expires),
    dormantAt: memory.dormantSince && instant(memory.dormantSince),
    supersedes: memory.supersedes,
    supersededBy: memory.supersededBy || undefined,
    provenance: memory.provenance === undefined ? NO_PROVENANCE : readProvenance(memory.provenance),
    echoes: memory.echoes.map(readProvenance),
  };
  const vector = readVector(record.vector);
  return { entry, vector: vector && { embedder: record.embedder, vector } };
}

function required(field: string) {
  return invalid(field, "absent", "a value");
}

function invalid(field: string, value: string, expected: string) {
  return fault("ARGUMENT_INVALID", { field, value, expected });
}
