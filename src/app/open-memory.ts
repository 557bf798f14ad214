/**
 * Builds the memory hub from the configuration: its store beside the journal's, the embedder, the vector store. It knows
 * which adapter stands behind which word of the configuration and decides nothing else.
 */
import { join } from "node:path";
import { ChromaIndex } from "../adapters/memory/chroma-index.ts";
import { HnswIndex } from "../adapters/memory/hnsw-index.ts";
import { LanceDbIndex } from "../adapters/memory/lancedb-index.ts";
import { openMemoryStore } from "../adapters/memory/open-memory-store.ts";
import { OpenAiEmbedder } from "../adapters/memory/openai-embedder.ts";
import { WeaviateIndex } from "../adapters/memory/weaviate-index.ts";
import { MemoryStore } from "../adapters/memory-store.ts";
import type { StoreEngine } from "../adapters/open-store.ts";
import type { MemoryConfig } from "../config.ts";
import { AGENT_WEIGHTS, HUMAN_WEIGHTS } from "../core/memory/strength.ts";
import { embedderIdOf, MemoryHub, type VectorSource } from "../memory/hub.ts";
import type { Host } from "../ports/host.ts";
import type { VectorIndex } from "../ports/memory.ts";
import type { Logger, Metrics } from "../ports/telemetry.ts";

export interface OpenMemoryDeps {
  readonly host: Host;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** Where the memory lies. */
export interface MemoryPlace {
  /** Data directory. */
  readonly data: string;
  /** The journal's; undefined for a daemon that keeps nothing. */
  readonly engine: StoreEngine | undefined;
}

/** Opens the memory of a data directory. */
export async function openMemory(
  memory: MemoryConfig,
  { data, engine }: MemoryPlace,
  deps: OpenMemoryDeps,
): Promise<MemoryHub> {
  const vectors = vectorSource(memory, deps.host);
  const cold = await openCold(memory, data, embedderIdOf(vectors), deps);
  const store = engine === undefined ? new MemoryStore() : await openMemoryStore(data, engine);
  try {
    return await MemoryHub.open(
      {
        cacheBytes: memory.cacheBytes,
        rules: { threshold: memory.forgetThreshold, graceMs: memory.graceMs },
        weights: memory.curve === "human" ? HUMAN_WEIGHTS : AGENT_WEIGHTS,
        sweepEveryMs: memory.sweepEveryMs,
        sessionEntries: memory.sessionEntries,
        contentBytes: memory.contentBytes,
        vectors,
        fusion: memory.fusion === "auto" ? undefined : memory.fusion,
        coldAbove: memory.cold.above,
      },
      { ...deps, store, cold },
    );
  } catch (error) {
    await cold?.close();
    await store.close();
    throw error;
  }
}

function vectorSource({ embedder }: MemoryConfig, host: Host): VectorSource {
  const { kind, dimension, meaning, url, model, batch, timeoutMs } = embedder;
  switch (kind) {
    case "hash":
      return { kind, dimension };
    case "caller":
      return { kind, dimension, means: meaning };
    case "none":
      return { kind };
    case "openai": {
      const apiKey = secret(embedder.apiKeyEnv);
      const options = { url, model, dimension, kind: meaning, apiKey, batchMax: batch, timeoutMs };
      return { kind: "embedder", embedder: new OpenAiEmbedder(options, { host }) };
    }
  }
}

async function openCold(
  memory: MemoryConfig,
  data: string,
  embedderId: string | undefined,
  { host, log }: OpenMemoryDeps,
): Promise<VectorIndex | undefined> {
  const { kind, url, apiKeyEnv } = memory.cold;
  if (kind === "none" || embedderId === undefined) return undefined;
  const options = { url, embedderId, apiKey: secret(apiKeyEnv) };
  switch (kind) {
    case "hnsw": {
      const { dimension } = memory.embedder;
      const directory = join(data, "memory-hnsw");
      const index = await HnswIndex.open({ directory, embedderId, dimension });
      if (!index.graphs) log.warn({}, "hnswlib-node is not there: vectors are compared one by one");
      return index;
    }
    case "lancedb":
      return LanceDbIndex.open({ directory: join(data, "memory-lancedb"), embedderId });
    case "chroma":
      return new ChromaIndex(options, { host });
    case "weaviate":
      return new WeaviateIndex(options, { host });
  }
}

function secret(variable: string | undefined): string | undefined {
  return variable === undefined ? undefined : process.env[variable];
}
