/**
 * `kill -9` at any moment while memories are written, deleted, swept and erased: every acknowledged one is there, no
 * deleted one comes back, and a search answers as an index built anew. Lives share one directory, so damage would pile
 * up. GOCLAW_MEMORY_KILLS sets how many; each is a process of its own, which is what takes the time.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect, test } from "vitest";
import { RocksStore } from "../../src/adapters/rocks-store.ts";
import { SystemHost } from "../../src/adapters/system-host.ts";
import { prng } from "../../src/base/hash.ts";
import { searchText } from "../../src/core/memory/entry.ts";
import { SessionIndex } from "../../src/core/memory/session-index.ts";
import { StrengthModel } from "../../src/core/memory/strength.ts";
import { MemoryHub } from "../../src/memory/hub.ts";
import { MemoryLogger } from "../support/memory-logger.ts";
import { HUB_OPTIONS } from "../support/memory-rig.ts";
import { NullMetrics } from "../support/metrics.ts";

const KILLS = Number(process.env.GOCLAW_MEMORY_KILLS ?? 20);
const WRITER = join(import.meta.dirname, "../support/memory-writer.ts");
const QUERIES = 100;

const directory = mkdtempSync(join(tmpdir(), "goclaw-memory-kill-"));
/** Time stands still while answers are compared: strength is part of the score. */
class StillHost extends SystemHost {
  readonly #now = super.now();

  override now(): number {
    return this.#now;
  }
}
const model = new StrengthModel();
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

interface Known {
  readonly sessionId: string;
  readonly text: string;
}

/** What the lives so far have acknowledged. */
class Ledger {
  readonly present = new Map<string, Known>();
  /** Deletion began and was not acknowledged: either way is right. */
  readonly uncertain = new Map<string, Known>();
  readonly gone = new Set<string>();
  readonly #brief = new Map<string, Known>();
  #swept: readonly string[] = [];

  hear(line: string): void {
    const [word = "", id = "", sessionId = "", ...rest] = line.split(" ");
    const text = rest.join(" ");
    if (word === "stored") this.present.set(id, { sessionId, text });
    if (word === "brief") this.#brief.set(id, { sessionId, text });
    if (word === "forgetting") this.#doubt([id]);
    if (word === "forgotten") this.#lose([id]);
    if (word === "sweeping") this.#swept = [...this.#brief.keys()];
    if (word === "swept") this.#lose(this.#swept);
    if (word === "erasing") this.#doubt(this.#of(id));
    if (word === "erased")
      this.#lose(
        [...this.uncertain].filter(([, known]) => known.sessionId === id).map(([one]) => one),
      );
  }

  #of(sessionId: string): string[] {
    return [...this.present, ...this.#brief]
      .filter(([, known]) => known.sessionId === sessionId)
      .map(([id]) => id);
  }

  #doubt(ids: readonly string[]): void {
    for (const id of ids) {
      const known = this.present.get(id) ?? this.#brief.get(id);
      if (known !== undefined) this.uncertain.set(id, known);
      this.present.delete(id);
    }
  }

  #lose(ids: readonly string[]): void {
    for (const id of ids) {
      this.gone.add(id);
      this.uncertain.delete(id);
      this.#brief.delete(id);
    }
  }
}

async function live(seed: number, lines: number, ledger: Ledger): Promise<void> {
  const writer = spawn(process.execPath, [WRITER, directory, String(seed)]);
  const ended = once(writer, "exit");
  let problems = "";
  writer.stderr.on("data", (chunk: Buffer) => {
    problems += chunk.toString();
  });
  let left = lines;
  for await (const line of createInterface({ input: writer.stdout })) {
    ledger.hear(line);
    left--;
    if (left === 0) writer.kill("SIGKILL");
  }
  await ended;
  expect(problems).toBe("");
  expect(writer.signalCode).toBe("SIGKILL");
}

async function check(ledger: Ledger, random: () => number): Promise<void> {
  const host = new StillHost();
  const hub = await MemoryHub.open(HUB_OPTIONS, {
    store: await RocksStore.open(directory),
    host,
    log: new MemoryLogger(),
    metrics: new NullMetrics(),
  });
  const found = new Map<string, Known>();
  for await (const sessionId of hub.sessions()) {
    const rebuilt = new SessionIndex({ hashDimension: 64 });
    const texts: string[] = [];
    const strengths = new Map<string, number>();
    for await (const { entry } of hub.export(sessionId)) {
      found.set(entry.id, { sessionId, text: searchText(entry) });
      texts.push(searchText(entry));
      strengths.set(entry.id, model.strength(entry.review, host.now()));
      rebuilt.add({ ...entry, at: entry.createdAt, text: searchText(entry) });
    }
    for (let n = 0; n < QUERIES; n++) {
      const text = (texts[Math.floor(random() * texts.length)] ?? "")
        .split(" ")
        .slice(0, 4)
        .join(" ");
      const { results } = await hub.retrieve({ sessionId, text, limit: 10 });
      const expected = rebuilt.search({
        text,
        limit: 10,
        embedderKind: "lexical",
        strengthOf: (id) => strengths.get(id) ?? 0,
      });
      expect(results.map(({ hit }) => hit.id)).toEqual(expected.map(({ id }) => id));
    }
  }
  for (const [id, known] of ledger.present) expect(found.get(id), id).toEqual(known);
  for (const id of ledger.gone) expect(found.has(id), id).toBe(false);
  const stats = await hub.stats();
  expect(stats.active + stats.dormant).toBe(found.size);
  await hub.close();
  host.close();
}

test(`${KILLS} × kill -9 while remembering and forgetting`, {
  timeout: KILLS * 30_000,
}, async () => {
  const random = prng(20_261_122);
  const ledger = new Ledger();
  for (let kill = 1; kill <= KILLS; kill++) {
    await live(kill, 1 + Math.floor(random() * 150), ledger);
    if (kill % 5 === 0 || kill === KILLS) await check(ledger, random);
  }
  expect(ledger.present.size).toBeGreaterThan(KILLS);
  expect(ledger.gone.size).toBeGreaterThan(KILLS);
});
