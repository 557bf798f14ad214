/**
 * What happens in the background: vectors from an embedder that is slow, wrong or down, and a vector store that is away.
 * Neither may lose an entry, bring back a deleted one, or turn a search into an error.
 */
import { describe, expect, test } from "vitest";
import { FaultError, fault } from "../../../src/base/fault.ts";
import type { Embedder } from "../../../src/ports/memory.ts";
import { DAY, MemoryRig, session } from "../../support/memory-rig.ts";
import { MemoryVectorIndex } from "../../support/memory-vector-index.ts";

const A = session("a");

/** Knows that boats and ships are the same; can be told to fail or to wait. */
class Topics implements Embedder {
  readonly kind = "semantic";
  readonly dimension = 2;
  readonly batchMax = 2;
  readonly id: string;
  calls: (readonly string[])[] = [];
  isDown = false;
  gate: Promise<void> | undefined;

  constructor(id = "topics") {
    this.id = id;
  }

  async embed(texts: readonly string[]): Promise<readonly Float32Array[]> {
    this.calls.push(texts);
    await this.gate;
    if (this.isDown)
      throw new FaultError(fault("EMBEDDER_FAILED", { embedder: this.id, detail: "down" }));
    return texts.map((text) => new Float32Array(/boat|ship/.test(text) ? [1, 0] : [0, 1]));
  }
}

const open = (embedder: Embedder, cold?: MemoryVectorIndex) =>
  MemoryRig.open({ vectors: { kind: "embedder", embedder } }, cold);

describe("the embedding outbox", () => {
  test("vectors follow; until then words are found", async () => {
    const embedder = new Topics();
    const { promise, resolve } = Promise.withResolvers<void>();
    embedder.gate = promise;
    const rig = await open(embedder);
    await rig.add(A, "a boat in the bay");
    expect((await rig.hub.stats()).embeddingBacklog).toBe(1);
    resolve();
    await rig.hub.settled();
    expect(await rig.find(A, "ship")).toEqual(["a boat in the bay"]);
    expect((await rig.hub.stats()).embeddingBacklog).toBe(0);
    await rig.restart();
    expect(await rig.find(A, "ship")).toEqual(["a boat in the bay"]);
  });

  test("waits on disk while the embedder is down, and searches go by words and say so", async () => {
    const embedder = new Topics();
    embedder.isDown = true;
    const rig = await open(embedder);
    await rig.add(A, "a boat in the bay");
    await rig.hub.settled();
    const { results, degraded } = await rig.hub.retrieve({ sessionId: A, text: "boat" });
    expect(results).toHaveLength(1);
    expect(results[0]?.hit.vector).toBeUndefined();
    expect(degraded).toContain("embedder topics made no vectors: down");
    await rig.crash();
    embedder.isDown = false;
    await rig.add(A, "a tree on the hill");
    await rig.hub.settled();
    expect(await rig.find(A, "ship")).toEqual(["a boat in the bay"]);
  });

  test("tries again by itself, later each time", async () => {
    const embedder = new Topics();
    embedder.isDown = true;
    const rig = await open(embedder);
    await rig.add(A, "a boat in the bay");
    await rig.hub.settled();
    const before = embedder.calls.length;
    await rig.host.advance(10_000);
    expect(embedder.calls.length - before).toBeGreaterThan(2);
    expect(embedder.calls.length - before).toBeLessThan(8);
    expect(rig.log.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
    embedder.isDown = false;
    await rig.host.advance(60_000);
    await rig.hub.settled();
    expect((await rig.hub.stats()).embeddingBacklog).toBe(0);
  });

  test("a vector for an entry that was deleted meanwhile is thrown away", async () => {
    const embedder = new Topics();
    const { promise, resolve } = Promise.withResolvers<void>();
    embedder.gate = promise;
    const rig = await open(embedder);
    const id = await rig.add(A, "a boat in the bay");
    await rig.hub.forget({ sessionId: A, ids: [id] });
    resolve();
    await rig.hub.settled();
    expect(await rig.find(A, "ship", { deep: true })).toEqual([]);
    const vectors = [...rig.disk.contents.range({ from: "v", to: "w" })];
    expect(vectors).toEqual([]);
  });

  test("sends no more texts at once than the embedder takes, and equal ones once", async () => {
    const embedder = new Topics();
    const rig = await open(embedder);
    const texts = ["one boat", "two trees", "three ships", "four hills", "five clouds"];
    await rig.hub.memorize(texts.map((text) => ({ sessionId: A, content: { text } })));
    await rig.hub.settled();
    expect(embedder.calls.map((call) => call.length)).toEqual([2, 2, 1]);
    expect(await rig.find(A, "ship")).toHaveLength(2);
  });

  test("another embedder's vectors are never compared; entries are embedded anew on first use", async () => {
    const first = await open(new Topics());
    await first.add(A, "a boat in the bay");
    await first.hub.settled();
    await first.hub.close();
    const other = new Topics("others");
    const rig = await MemoryRig.open(
      { vectors: { kind: "embedder", embedder: other } },
      undefined,
      first.disk,
    );
    expect(other.calls).toEqual([]);
    expect(await rig.find(A, "ship")).toEqual([]);
    await rig.hub.settled();
    expect(await rig.find(A, "ship")).toEqual(["a boat in the bay"]);
  });

  test("a session that is loaded again and again while the embedder is down is queued once", async () => {
    const embedder = new Topics();
    embedder.isDown = true;
    const rig = await MemoryRig.open({ vectors: { kind: "embedder", embedder }, cacheBytes: 1 });
    await rig.add(A, "a boat in the bay");
    for (let n = 0; n < 10; n++) {
      await rig.find(session("b"), "boat");
      await rig.find(A, "boat");
    }
    await rig.hub.settled();
    expect((await rig.hub.stats()).embeddingBacklog).toBeLessThanOrEqual(2);
  });

  test("vectors given by the caller need no embedder", async () => {
    const rig = await MemoryRig.open({
      vectors: { kind: "caller", dimension: 2, means: "semantic" },
    });
    await rig.add(A, "first", { vector: new Float32Array([3, 0]) });
    await rig.add(A, "second", { vector: new Float32Array([0, 5]) });
    await rig.restart();
    expect(await rig.find(A, "", { vector: new Float32Array([0.1, 9]), limit: 1 })).toEqual([
      "second",
    ]);
  });
});

describe("the vector store of dormant entries", () => {
  const asleep = async (rig: MemoryRig) => {
    await rig.hub.settled();
    await rig.host.advance(299 * DAY);
    await rig.hub.sweep();
    await rig.hub.settled();
  };

  test("holds what sleeps and nothing else, also with the built-in embedder", async () => {
    for (const rigOf of [
      (cold: MemoryVectorIndex) => open(new Topics(), cold),
      (cold: MemoryVectorIndex) => MemoryRig.open({}, cold),
    ]) {
      const cold = new MemoryVectorIndex();
      const rig = await rigOf(cold);
      const id = await rig.add(A, "a boat in the bay");
      await rig.add(A, "a tree on the hill", { pinned: true });
      await rig.hub.settled();
      expect(await cold.count()).toBe(0);
      await asleep(rig);
      expect(await cold.count()).toBe(1);
      expect(await rig.find(A, "boat", { deep: true })).toContain("a boat in the bay");
      expect(cold.searches).toBe(1);
      await rig.hub.review(A, [{ id, verdict: "essential" }]);
      await rig.hub.settled();
      expect(await cold.count()).toBe(0);
      expect(await rig.find(A, "boat")).toContain("a boat in the bay");
    }
  });

  test("what it still knows of a deleted entry is not shown", async () => {
    const cold = new MemoryVectorIndex();
    const rig = await open(new Topics(), cold);
    const id = await rig.add(A, "a boat in the bay");
    await rig.add(A, "a ship at sea");
    await asleep(rig);
    cold.isDown = true;
    await rig.hub.forget({ sessionId: A, ids: [id] });
    await rig.hub.settled();
    expect(await cold.count()).toBe(2);
    cold.isDown = false;
    expect(await rig.find(A, "boat", { deep: true })).toEqual(["a ship at sea"]);
    await rig.host.advance(120_000);
    await rig.hub.settled();
    expect(await cold.count()).toBe(1);
  });

  test("while it is away a deep search looks at the entries themselves and says so", async () => {
    const cold = new MemoryVectorIndex();
    const rig = await open(new Topics(), cold);
    await rig.add(A, "a boat in the bay");
    await asleep(rig);
    cold.isDown = true;
    const { results, degraded } = await rig.hub.retrieve({
      sessionId: A,
      text: "ship",
      deep: true,
    });
    expect(results).toHaveLength(1);
    expect(degraded).toContain("vector store memory failed to search: down");
  });

  test("erasing a session reaches it, also over a crash", async () => {
    const cold = new MemoryVectorIndex();
    const rig = await open(new Topics(), cold);
    await rig.add(A, "a boat in the bay");
    await rig.add(session("b"), "another ship");
    await asleep(rig);
    cold.isDown = true;
    await rig.hub.eraseSession(A);
    await rig.hub.settled();
    cold.isDown = false;
    await rig.crash();
    await rig.hub.settled();
    expect(await cold.count()).toBe(1);
    expect(await rig.find(session("b"), "ship", { deep: true })).toEqual(["another ship"]);
  });
});
