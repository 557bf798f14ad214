/**
 * The part of the configuration that is about memory: room, forgetting, embedder, vector store. It is a part of the one
 * table of schema.ts; docs/memory.md says what the settings are good for.
 */
import type { GroupField } from "./field.ts";

const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const KIB = 1024;
const MIB = 1024 * KIB;
const TIB = 1024 * 1024 * MIB;
const COUNT_MAX = 1_000_000_000;

export const MEMORY = {
  kind: "group",
  doc: "What agents remember; see docs/memory.md",
  fields: {
    cacheBytes: {
      kind: "bytes",
      min: MIB,
      max: TIB,
      default: 512 * MIB,
      doc: "Sessions kept in memory, estimated; the least recently used leave first",
    },
    contentBytes: {
      kind: "bytes",
      min: 1,
      max: 2 * MIB,
      default: 256 * KIB,
      doc: "Most bytes of one entry",
    },
    sessionEntries: {
      kind: "integer",
      min: 1,
      max: 10_000_000,
      default: 100_000,
      doc: "Most active entries of one session; beyond it the weakest are deleted",
    },
    forgetThreshold: {
      kind: "text",
      pattern: /^0?\.\d{1,6}$/,
      expects: "a number between 0 and 1, such as `0.3`",
      default: "0.3",
      doc: "Strength below which an entry falls dormant",
    },
    curve: {
      kind: "choice",
      words: ["agent", "human"],
      default: "agent",
      doc: "Weights of FSRS-6: `human` as fitted on people, `agent` with a steeper curve (298 days instead of 16 years)",
    },
    graceMs: {
      kind: "duration",
      minMs: 0,
      maxMs: 100 * 365 * DAY,
      default: 30 * DAY,
      doc: "From dormant to deleted",
    },
    sweepEveryMs: {
      kind: "duration",
      minMs: 100,
      maxMs: DAY,
      default: 60 * SECOND,
      doc: "How often is looked for what is to be forgotten",
    },
    fusion: {
      kind: "choice",
      words: ["auto", "rrf", "relative"],
      default: "auto",
      doc: "How words and vectors are combined; `auto` is `relative` for a lexical embedder and `rrf` otherwise",
    },
    embedder: {
      kind: "group",
      doc: "Where vectors come from",
      fields: {
        kind: {
          kind: "choice",
          words: ["hash", "openai", "caller", "none"],
          default: "hash",
          doc: "`hash` is built in, `openai` any server with `/v1/embeddings`, `caller` takes vectors from requests",
        },
        dimension: {
          kind: "integer",
          min: 8,
          max: 8_192,
          default: 384,
          doc: "Numbers of one vector",
        },
        url: {
          kind: "text",
          pattern: /^https?:\/\/\S+$/,
          expects: "an address such as `https://api.openai.com/v1`",
          default: "https://api.openai.com/v1",
          doc: "Of kind `openai`: everything before `/embeddings`",
        },
        model: { kind: "text", default: "text-embedding-3-small", doc: "Of kind `openai`" },
        apiKeyEnv: { kind: "text", doc: "Environment variable that holds the key" },
        meaning: {
          kind: "choice",
          words: ["semantic", "lexical"],
          default: "semantic",
          doc: "Of kinds `openai` and `caller`: whether vectors know meaning or only words; sets the weights of a search",
        },
        batch: {
          kind: "integer",
          min: 1,
          max: 256,
          default: 256,
          doc: "Most texts of one request",
        },
        timeoutMs: {
          kind: "duration",
          minMs: 100,
          maxMs: HOUR,
          default: 30 * SECOND,
          doc: "Longest wait for one request",
        },
      },
    },
    cold: {
      kind: "group",
      doc: "A vector store for dormant entries",
      fields: {
        kind: {
          kind: "choice",
          words: ["none", "hnsw", "lancedb", "chroma", "weaviate"],
          default: "none",
          doc: "`hnsw` is built in and makes graphs where `hnswlib-node` is installed; `lancedb` needs `@lancedb/lancedb`; the others are servers",
        },
        url: {
          kind: "text",
          pattern: /^https?:\/\/\S+$/,
          expects: "an address such as `http://127.0.0.1:8000`",
          default: "http://127.0.0.1:8000",
          doc: "Of a server",
        },
        apiKeyEnv: { kind: "text", doc: "Environment variable that holds the server's key" },
        above: {
          kind: "integer",
          min: 0,
          max: COUNT_MAX,
          default: 2_000,
          doc: "A deep search asks the vector store where a session has more dormant entries than this",
        },
      },
    },
  },
} as const satisfies GroupField;
