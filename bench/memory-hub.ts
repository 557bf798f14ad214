/**
 * `node bench/memory-hub.ts [--only NAME]`: what the memory hub reaches on disk, one JSON line for each target of
 * docs/memory.md: durable writes, many sessions, forgetting, a million entries, isolation, and the checks of FSRS-6 when
 * `--data FOLDER` has them (`fsrs-vectors.json`, not part of this repository). `--entries N` shrinks the large ones.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { RocksStore } from "../src/adapters/rocks-store.ts";
import { SystemHost } from "../src/adapters/system-host.ts";
import { prng } from "../src/base/hash.ts";
import { memorySession } from "../src/core/memory/entry.ts";
import { AGENT_WEIGHTS } from "../src/core/memory/strength.ts";
import { MemoryHub, type MemoryHubOptions } from "../src/memory/hub.ts";
import { MemoryLogger } from "../test/support/memory-logger.ts";
import { NullMetrics } from "../test/support/metrics.ts";
import { fsrsChecks } from "./fsrs-checks.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    data: { type: "string" },
    entries: { type: "string", default: "1000000" },
    queries: { type: "string", default: "1000000" },
  },
});
const DAY = 86_400_000;
const random = prng(7);
const VOCABULARY = Array.from(
  { length: 20_000 },
  (_, n) => `w${((n * 7_919) % 1_000_003).toString(36)}`,
);
/** Words as natural text has them: few frequent, many rare. */
const word = (): string => VOCABULARY[Math.floor(VOCABULARY.length * random() ** 3)] as string;
const sentence = (length = 14): string => Array.from({ length }, word).join(" ");
const session = (n: number): string => memorySession("bench", `s${n}`);
const line = (bench: string, figures: object): void =>
  console.log(JSON.stringify({ bench, ...figures }));
const round = (value: number): number => Number(value.toPrecision(4));
const quantile = (samples: readonly number[], share: number): number =>
  round([...samples].sort((a, b) => a - b)[Math.floor(samples.length * share)] ?? 0);
const residentMiB = (): number => Math.round(process.memoryUsage().rss / 2 ** 20);

/** A host whose clock can be put forward, because forgetting takes months. */
class FastHost extends SystemHost {
  ahead = 0;

  override now(): number {
    return super.now() + this.ahead;
  }
}

const host = new FastHost();
const OPTIONS: MemoryHubOptions = {
  cacheBytes: 512 * 2 ** 20,
  rules: { threshold: 0.3, graceMs: 30 * DAY },
  weights: AGENT_WEIGHTS,
  sweepEveryMs: 364 * DAY,
  sessionEntries: 100_000,
  contentBytes: 256 * 1024,
  vectors: { kind: "hash", dimension: 384 },
  coldAbove: 2_000,
};

async function open(directory: string, more: Partial<MemoryHubOptions> = {}): Promise<MemoryHub> {
  return MemoryHub.open(
    { ...OPTIONS, ...more },
    {
      store: await RocksStore.open(directory),
      host,
      log: new MemoryLogger(),
      metrics: new NullMetrics(),
    },
  );
}

async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "goclaw-bench-memory-"));
  try {
    await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Requests of one batch for a session. */
const batch = (sessionId: string, count: number) =>
  Array.from({ length: count }, () => ({ sessionId, content: { text: sentence() }, taskId: "t" }));

async function memorize(): Promise<void> {
  await inDirectory(async (directory) => {
    const hub = await open(directory);
    const batches = Array.from({ length: 200 }, (_, n) => batch(session(n), 100));
    const startedMs = performance.now();
    for (let at = 0; at < batches.length; at += 4)
      await Promise.all(batches.slice(at, at + 4).map((requests) => hub.memorize(requests)));
    const seconds = (performance.now() - startedMs) / 1_000;
    line("memorize-batched", { perSecond: Math.round(20_000 / seconds), n: 20_000, batch: 100 });
    const latenciesMs: number[] = [];
    for (let n = 0; n < 2_000; n++) {
      const [request] = batch(session(n % 200), 1);
      const from = performance.now();
      await hub.memorize(request === undefined ? [] : [request]);
      latenciesMs.push(performance.now() - from);
    }
    line("memorize-single", {
      p50Ms: quantile(latenciesMs, 0.5),
      p99Ms: quantile(latenciesMs, 0.99),
      n: latenciesMs.length,
    });
    await hub.close();
  });
}

/** Fills sessions of 100 entries, in batches of whole sessions. */
async function fill(
  hub: MemoryHub,
  sessions: number,
  importance: "normal" | "noise",
): Promise<void> {
  for (let n = 0; n < sessions; n++)
    await hub.memorize(batch(session(n), 100).map((request) => ({ ...request, importance })));
}

async function sessions(): Promise<void> {
  await inDirectory(async (directory) => {
    const count = Math.min(10_000, Math.ceil(Number(values.entries) / 100));
    const filling = await open(directory);
    await fill(filling, count, "normal");
    await filling.close();
    const hub = await open(directory);
    const latenciesMs: number[] = [];
    for (let n = 0; n < 20_000; n++) {
      const sessionId = session(Math.floor(random() * count));
      const from = performance.now();
      await hub.retrieve({ sessionId, text: sentence(6), limit: 10 });
      latenciesMs.push(performance.now() - from);
    }
    line("sessions-uniform", {
      sessions: count,
      entriesEach: 100,
      p50Ms: quantile(latenciesMs, 0.5),
      p99Ms: quantile(latenciesMs, 0.99),
      n: latenciesMs.length,
      rssMiB: residentMiB(),
    });
    await hub.close();
  });
}

async function forgetting(): Promise<void> {
  await inDirectory(async (directory) => {
    const entries = Number(values.entries);
    const hub = await open(directory);
    await fill(hub, Math.ceil(entries / 100), "noise");
    const idle = [];
    for (let n = 0; n < 20; n++) {
      const from = performance.now();
      await hub.sweep();
      idle.push(performance.now() - from);
    }
    line("sweep-none-due", { entries, p50Ms: quantile(idle, 0.5), maxMs: quantile(idle, 0.999) });
    host.ahead += 40 * DAY;
    const from = performance.now();
    const { dormant } = await hub.sweep();
    const seconds = (performance.now() - from) / 1_000;
    line("sweep-all-due", { entries: dormant, forgottenPerSecond: Math.round(dormant / seconds) });
    host.ahead += 31 * DAY;
    const again = performance.now();
    const { deleted } = await hub.sweep();
    const deleting = (performance.now() - again) / 1_000;
    line("sweep-delete", { entries: deleted, deletedPerSecond: Math.round(deleted / deleting) });
    await hub.close();
  });
}

async function million(): Promise<void> {
  await inDirectory(async (directory) => {
    const entries = Number(values.entries);
    const dimension = 384;
    const more: Partial<MemoryHubOptions> = {
      vectors: { kind: "caller", dimension, means: "semantic" },
    };
    const filling = await open(directory, more);
    for (let n = 0; n < entries / 100; n++) {
      await filling.memorize(
        batch(session(n), 100).map((request) => ({
          ...request,
          vector: Float32Array.from({ length: dimension }, () => random() - 0.5),
        })),
      );
    }
    await filling.close();
    const from = performance.now();
    const hub = await open(directory, more);
    const text = sentence(6);
    await hub.retrieve({ sessionId: session(0), text });
    const startMs = performance.now() - from;
    for (let n = 0; n < entries / 100; n++) await hub.retrieve({ sessionId: session(n), text });
    const { residentSessions, residentBytes, diskBytes } = await hub.stats();
    line("million", {
      entries,
      dimension,
      startMs: Math.round(startMs),
      rssMiB: residentMiB(),
      residentSessions,
      estimatedMiB: Math.round(residentBytes / 2 ** 20),
      diskMiB: Math.round(diskBytes / 2 ** 20),
    });
    await hub.close();
  });
}

/** Every session has the same words and its own mark; a result with another mark is foreign. */
async function isolation(): Promise<void> {
  await inDirectory(async (directory) => {
    const count = 10_000;
    const queries = Number(values.queries);
    const hub = await open(directory, { vectors: { kind: "hash", dimension: 64 } });
    for (let n = 0; n < count; n++) {
      const requests = Array.from({ length: 5 }, () => ({
        sessionId: session(n),
        content: { text: sentence(8) },
        metadata: { mark: String(n) },
      }));
      await hub.memorize(requests);
    }
    let foreign = 0;
    let results = 0;
    const from = performance.now();
    for (let done = 0; done < queries; done += 100) {
      const asked = Array.from({ length: 100 }, () => Math.floor(random() * count));
      const answers = await Promise.all(
        asked.map((n) => hub.retrieve({ sessionId: session(n), text: sentence(4) })),
      );
      for (const [at, answer] of answers.entries()) {
        results += answer.results.length;
        foreign += answer.results.filter(
          ({ entry }) =>
            entry.metadata.mark !== String(asked[at]) ||
            entry.sessionId !== session(asked[at] ?? -1),
        ).length;
      }
    }
    const perSecond = Math.round((queries * 1_000) / (performance.now() - from));
    line("isolation", { sessions: count, queries, results, foreign, queriesPerSecond: perSecond });
    await hub.close();
  });
}

async function fsrs(): Promise<void> {
  const folder = values.data ?? join(import.meta.dirname, "../../shared/data");
  const file = join(folder, "fsrs-vectors.json");
  if (!existsSync(file)) return console.error(`no ${file}: FSRS is not checked`);
  const checks = fsrsChecks(JSON.parse(readFileSync(file, "utf8")));
  const failed = checks.filter(({ ok }) => !ok);
  line("fsrs", { checks: checks.length, failed: failed.length });
  for (const { name } of failed) console.error(`failed: ${name}`);
}

const BENCHES = { memorize, sessions, forgetting, million, isolation, fsrs } as const;
for (const [name, run] of Object.entries(BENCHES))
  if (values.only === undefined || values.only.split(",").includes(name)) await run();
host.close();
