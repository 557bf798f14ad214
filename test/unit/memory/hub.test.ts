/**
 * The memory as its callers see it, on a disk in memory and a clock that is turned by hand: what is kept, what is taken
 * for a repetition, what is forgotten when, and that a restart or a crash changes none of it.
 */
import { describe, expect, test } from "vitest";
import type { FaultError } from "../../../src/base/fault.ts";
import type { MemorizeRequest } from "../../../src/memory/api.ts";
import { DAY, MemoryRig, session } from "../../support/memory-rig.ts";

const A = session("a");
const B = session("b");
const HARBOUR = "The harbour opens at dawn for the fishing boats of the village";
const TEA = "Maria prefers green tea over coffee every morning";
const fails = (code: string) =>
  expect.objectContaining({ fault: expect.objectContaining({ code }) });

const outcomeOf = async (rig: MemoryRig, text: string, more: Partial<MemorizeRequest> = {}) => {
  const [result] = await rig.hub.memorize([{ sessionId: A, content: { text }, ...more }]);
  return result;
};

describe("memorize", () => {
  test("what is acknowledged is found by its words at once, and after a restart or a crash", async () => {
    const rig = await MemoryRig.open();
    await rig.add(A, HARBOUR);
    expect(await rig.find(A, "when does the harbour open?")).toEqual([HARBOUR]);
    await rig.restart();
    expect(await rig.find(A, "harbour")).toEqual([HARBOUR]);
    await rig.add(A, TEA);
    await rig.crash();
    expect(await rig.find(A, "coffee")).toEqual([TEA]);
  });

  test("keeps every field over a restart", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, HARBOUR, {
      taskId: "t",
      kind: "fact",
      metadata: { colour: "blue", __proto__x: "y" },
      importance: "important",
      ttlMs: DAY,
      forgetThreshold: 0.5,
      provenance: { runId: "r", agent: "scout", parents: ["p"] },
      createdAt: rig.host.now() - DAY,
    });
    const before = await rig.hub.get(A, id);
    await rig.restart();
    expect(await rig.hub.get(A, id)).toEqual(before);
    expect(before.entry).toMatchObject({
      kind: "fact",
      metadata: { colour: "blue" },
      provenance: { runId: "r", taskId: "", agent: "scout", parents: ["p"] },
      review: { stability: 8.2956 },
    });
    expect(before.strength).toBeLessThan(1);
  });

  test("keeps bytes, found by their metadata", async () => {
    const rig = await MemoryRig.open();
    const bytes = Uint8Array.from({ length: 300 }, (_, at) => at & 255);
    const content = { mediaType: "image/png", bytes };
    const request = { sessionId: A, content, metadata: { caption: "a red lighthouse" } };
    const [first] = await rig.hub.memorize([request]);
    await rig.restart();
    const { entry } = await rig.hub.get(A, first?.id ?? "");
    expect(entry.content).toEqual(content);
    expect(await rig.find(A, "lighthouse")).toEqual(["(bytes)"]);
    expect(await rig.hub.memorize([request])).toMatchObject([{ outcome: "reviewed" }]);
  });

  test("the same again is a review, not a copy", async () => {
    const rig = await MemoryRig.open();
    const first = await outcomeOf(rig, TEA);
    await rig.host.advance(3 * DAY);
    expect(await outcomeOf(rig, TEA)).toEqual({ id: first?.id, outcome: "reviewed" });
    const { entry } = await rig.hub.get(A, first?.id ?? "");
    expect(entry.review).toMatchObject({ reviews: 2 });
    expect(entry.review.stability).toBeGreaterThan(5);
    expect((await rig.hub.stats(A)).active).toBe(1);
    expect(
      await rig.hub.memorize([TEA, TEA].map((text) => ({ sessionId: B, content: { text } }))),
    ).toMatchObject([{ outcome: "stored" }, { outcome: "reviewed" }]);
  });

  test("nearly the same reinforces and links", async () => {
    const rig = await MemoryRig.open();
    const first = await outcomeOf(rig, TEA);
    const echo = await outcomeOf(rig, `${TEA}!`, { provenance: { agent: "second" } });
    expect(echo).toEqual({ id: first?.id, outcome: "reinforced" });
    const { entry } = await rig.hub.get(A, first?.id ?? "");
    expect(entry.echoes).toMatchObject([{ agent: "second" }]);
    expect(entry.content).toEqual({ text: TEA });
  });

  test("what was recalled is not learned again", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, TEA);
    const before = await rig.hub.get(A, id);
    await rig.host.advance(3 * DAY);
    for (const text of [TEA, `${TEA}.`]) {
      expect(await outcomeOf(rig, text, { provenance: { parents: [id] } })).toEqual({
        id,
        outcome: "recalled",
      });
    }
    expect((await rig.hub.get(A, id)).entry).toEqual(before.entry);
  });

  test("a successor takes its predecessor out of sight, even if it says nearly the same", async () => {
    const rig = await MemoryRig.open();
    const old = await rig.add(A, TEA);
    const text = `${TEA}!`;
    const next = await outcomeOf(rig, text, { supersedes: [old, "01JD9999999999999999999999"] });
    expect(next).toMatchObject({ outcome: "stored" });
    expect(await rig.find(A, "green tea")).toEqual([text]);
    expect(await rig.find(A, "green tea", { deep: true })).toHaveLength(1);
    const replaced = await rig.hub.get(A, old);
    expect(replaced.entry).toMatchObject({ supersededBy: next?.id, review: { lapses: 1 } });
    expect((await rig.hub.get(A, next?.id ?? "")).entry.supersedes).toEqual([old]);
    await rig.restart();
    expect(await rig.find(A, "green tea")).toEqual([text]);
  });

  test("over the quota the weakest leave, pinned ones stay", async () => {
    const rig = await MemoryRig.open({ sessionEntries: 5 });
    const words = ["apple", "brick", "cloud", "drum", "eagle", "flute", "glove"];
    const pinned = await rig.add(A, "ancient pinned anchor", { pinned: true, importance: "noise" });
    for (const [at, word] of words.entries()) {
      await rig.host.advance(DAY);
      await rig.add(A, `${word} number ${at}`, word === "cloud" ? { importance: "important" } : {});
    }
    const left = (await rig.hub.list({ sessionId: A })).map(({ entry }) => entry);
    expect(left).toHaveLength(5);
    expect(left.map(({ id }) => id)).toContain(pinned);
    expect(
      left.map(({ content }) => ("text" in content ? content.text.split(" ")[0] : "")),
    ).toEqual(expect.arrayContaining(["cloud", "flute", "glove"]));
    expect((await rig.hub.stats(A)).active).toBe(5);
  });

  test("a batch over sessions is one step, and one bad entry refuses all of it", async () => {
    const rig = await MemoryRig.open();
    const bad = rig.hub.memorize([
      { sessionId: A, content: { text: HARBOUR } },
      { sessionId: B, content: { text: " " }, ttlMs: 0, forgetThreshold: 1 },
      { sessionId: "default/", content: { text: "x".repeat(10_001) }, vector: new Float32Array(3) },
      { sessionId: "default/\ud800", content: { text: "x" } },
    ]);
    const error = (await bad.catch((caught: unknown) => caught)) as FaultError;
    expect(error.fault).toMatchObject({
      code: "REQUEST_INVALID",
      violations: [
        { field: "entries[1].content" },
        { field: "entries[1].ttl" },
        { field: "entries[1].forget_threshold" },
        { field: "entries[2].session_id" },
        { field: "entries[2].content" },
        { field: "entries[2].vector" },
        { field: "entries[3].session_id" },
      ],
    });
    expect((await rig.hub.stats()).active).toBe(0);
  });

  test("a consumer's batch is applied once, whatever happens between", async () => {
    const rig = await MemoryRig.open();
    const batch = [{ sessionId: A, content: { text: HARBOUR } }];
    expect(await rig.hub.appliedCursor("journal")).toBeUndefined();
    expect(await rig.hub.memorizeUpTo("journal", 7n, batch)).toMatchObject([{ outcome: "stored" }]);
    await rig.crash();
    expect(await rig.hub.appliedCursor("journal")).toBe(7n);
    expect(await rig.hub.memorizeUpTo("journal", 7n, batch)).toEqual([]);
    expect(await rig.hub.memorizeUpTo("journal", 9n, [])).toEqual([]);
    expect(await rig.hub.appliedCursor("journal")).toBe(9n);
    expect((await rig.hub.stats(A)).active).toBe(1);
  });
});

describe("retrieve", () => {
  test("is no review, and says why", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, HARBOUR);
    const before = await rig.hub.get(A, id);
    const { results, degraded } = await rig.hub.retrieve({ sessionId: A, text: "harbour boats" });
    expect(degraded).toBe("");
    expect(results[0]?.hit).toMatchObject({ id, text: { rank: 1 }, strength: 1 });
    expect(results[0]?.hit.matchedTerms.length).toBe(2);
    expect(await rig.hub.get(A, id)).toEqual(before);
  });

  test("answers a caller's question only with vectors of the right size", async () => {
    const rig = await MemoryRig.open();
    const asked = rig.hub.retrieve({ sessionId: A, text: "x", vector: new Float32Array(3) });
    await expect(asked).rejects.toEqual(fails("ARGUMENT_INVALID"));
  });

  test("a context has the newest and the best, in order of time, within the budget", async () => {
    const rig = await MemoryRig.open();
    for (const text of [
      HARBOUR,
      TEA,
      "The keeper sleeps at noon",
      "Snow fell on the northern road",
    ]) {
      await rig.add(A, text);
      await rig.host.advance(60_000);
    }
    const question = { sessionId: A, text: "harbour", budgetTokens: 200 };
    const found = await rig.hub.assembleContext(question);
    expect(found.shown.map(({ entry }) => entry.content)).toEqual([{ text: HARBOUR }]);
    const recent = await rig.hub.assembleContext({ ...question, retrieveLastN: 1 });
    expect(recent.text.indexOf("Snow")).toBeGreaterThan(recent.text.indexOf("harbour"));
    expect(recent.tokens).toBeLessThanOrEqual(200);
    const none = await rig.hub.assembleContext({ ...question, leastStrength: 1.1 });
    expect(none.shown).toEqual([]);
  });
});

describe("forgetting", () => {
  test("weak entries fall dormant, are found deep, wake by a good word, and are deleted after their grace", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, HARBOUR);
    await rig.add(A, TEA, { pinned: true });
    await rig.host.advance(299 * DAY);
    expect(await rig.hub.sweep()).toEqual({ dormant: 1, deleted: 0 });
    expect(await rig.hub.sweep()).toEqual({ dormant: 0, deleted: 0 });
    expect(await rig.find(A, "harbour")).toEqual([]);
    expect(await rig.find(A, "harbour", { deep: true })).toEqual([HARBOUR]);
    expect(await rig.hub.stats(A)).toMatchObject({ active: 1, dormant: 1 });
    await rig.hub.review(A, [{ id, verdict: "used" }]);
    expect(await rig.find(A, "harbour")).toEqual([HARBOUR]);
    const { forgetAt = 0 } = await rig.hub.get(A, id);
    await rig.host.advance(forgetAt - rig.host.now() - 1_000);
    expect(await rig.hub.sweep()).toEqual({ dormant: 0, deleted: 0 });
    await rig.host.advance(1_000);
    expect(await rig.hub.sweep()).toEqual({ dormant: 1, deleted: 0 });
    await rig.restart();
    await rig.host.advance(29 * DAY);
    expect(await rig.hub.sweep()).toEqual({ dormant: 0, deleted: 0 });
    await rig.host.advance(1.1 * DAY);
    expect(await rig.hub.sweep()).toEqual({ dormant: 0, deleted: 1 });
    await expect(rig.hub.get(A, id)).rejects.toEqual(fails("MEMORY_NOT_FOUND"));
    expect(await rig.find(A, "tea")).toEqual([TEA]);
  });

  test("what is said again wakes its dormant original", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, HARBOUR);
    await rig.host.advance(299 * DAY);
    await rig.hub.sweep();
    await rig.restart();
    expect(await outcomeOf(rig, HARBOUR)).toEqual({ id, outcome: "reviewed" });
    expect(await rig.find(A, "harbour")).toEqual([HARBOUR]);
    expect(await rig.hub.stats(A)).toMatchObject({ active: 1, dormant: 0 });
  });

  test("a time to live deletes what is strong or pinned", async () => {
    const rig = await MemoryRig.open();
    await rig.add(A, HARBOUR, { ttlMs: DAY, pinned: true, importance: "important" });
    await rig.host.advance(DAY - 1);
    expect(await rig.hub.sweep()).toEqual({ dormant: 0, deleted: 0 });
    await rig.host.advance(2);
    expect(await rig.hub.sweep()).toEqual({ dormant: 0, deleted: 1 });
    expect(await rig.hub.stats()).toMatchObject({ sessions: 0, active: 0, contentBytes: 0 });
  });

  test("sweeps by itself", async () => {
    const rig = await MemoryRig.open({ sweepEveryMs: 60_000 });
    await rig.add(A, HARBOUR, { ttlMs: 30_000 });
    await rig.host.advance(61_000);
    expect(await rig.find(A, "harbour")).toEqual([]);
    expect(rig.log.lines).toMatchObject([{ text: "memories forgotten", deleted: 1 }]);
  });

  test("however often it is swept, strength stays what the formula says", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, HARBOUR);
    for (let n = 0; n < 50; n++) {
      await rig.host.advance(DAY);
      await rig.hub.sweep();
    }
    const factor = 0.9 ** (-1 / 0.3) - 1;
    const closed = (1 + (factor * 50) / 2.3065) ** -0.3;
    expect(Math.abs((await rig.hub.get(A, id)).strength - closed)).toBeLessThan(1e-9);
  });

  test("deletes by id, filter and weakness, never what is not meant", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, HARBOUR);
    await rig.add(A, TEA, { kind: "taste" });
    await rig.add(A, "noise of a tool", { importance: "noise" });
    await rig.add(A, "pinned noise of the sea", { importance: "noise", pinned: true });
    const other = await rig.add(B, HARBOUR);
    expect(await rig.hub.forget({ sessionId: A })).toBe(0);
    expect(await rig.hub.forget({ sessionId: A, ids: [other, "nonsense"] })).toBe(0);
    expect(await rig.hub.forget({ sessionId: A, ids: [id, id] })).toBe(1);
    expect(await rig.hub.forget({ sessionId: A, filter: { kinds: ["taste"] } })).toBe(1);
    await rig.host.advance(10 * DAY);
    expect(await rig.hub.forget({ sessionId: A, belowStrength: 0.6 })).toBe(1);
    expect((await rig.hub.list({ sessionId: A })).map(({ entry }) => entry.pinned)).toEqual([true]);
    await rig.crash();
    expect(await rig.find(A, "harbour tea noise tool", { deep: true })).toEqual([
      "pinned noise of the sea",
    ]);
    expect(await rig.find(B, "harbour")).toEqual([HARBOUR]);
  });

  test("erasing a session leaves no key of it, nor of a session like it untouched", async () => {
    const rig = await MemoryRig.open({
      vectors: { kind: "caller", dimension: 2, means: "semantic" },
    });
    const vector = new Float32Array([3, 4]);
    await rig.add(A, HARBOUR, { vector });
    await rig.add(session("aa"), TEA, { vector });
    await rig.add(session("a/"), TEA);
    await rig.host.advance(299 * DAY);
    await rig.hub.sweep();
    await rig.add(A, TEA, { vector, pinned: true });
    expect(await rig.hub.eraseSession(A)).toBe(2);
    expect(await rig.hub.eraseSession(A)).toBe(0);
    expect(await rig.find(A, "harbour tea", { deep: true })).toEqual([]);
    await rig.host.advance(100 * DAY);
    await rig.hub.sweep();
    const keys = [...rig.disk.contents.range({ from: "", to: "\uffff" })].map(([key]) => key);
    expect(
      keys.filter((key) => key.includes("\u0000\u0009default/a") && !/default\/a[a/]/.test(key)),
    ).toEqual([]);
    expect(await rig.hub.stats()).toMatchObject({ sessions: 0 });
  });

  test("an erasure that a crash interrupted is finished at the next start", async () => {
    const rig = await MemoryRig.open();
    await rig.add(A, HARBOUR);
    const erased = rig.hub.eraseSession(A);
    // The note is written, the rest is not.
    await Promise.resolve();
    await rig.crash();
    await erased.catch(() => {});
    const { active } = await rig.hub.stats(A);
    const found = await rig.find(A, "harbour");
    expect(found).toHaveLength(active);
  });
});

describe("reviews", () => {
  test("all or none", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, HARBOUR);
    await rig.host.advance(3 * DAY);
    const unknown = "01JD9999999999999999999999";
    const both = [{ id, verdict: "essential" as const }, { id: unknown }];
    await expect(rig.hub.review(A, both)).rejects.toEqual(fails("MEMORY_NOT_FOUND"));
    expect((await rig.hub.get(A, id)).entry.review.reviews).toBe(1);
    const [reviewed] = await rig.hub.review(A, [
      { id, verdict: "essential" },
      { id, pinned: true },
    ]);
    expect(reviewed?.entry).toMatchObject({ pinned: true, review: { reviews: 2 } });
    expect(reviewed?.forgetAt).toBeUndefined();
    await rig.restart();
    expect((await rig.hub.get(A, id)).entry).toEqual(reviewed?.entry);
  });

  test("a wrong entry fades sooner, an essential one later", async () => {
    const rig = await MemoryRig.open();
    const wrong = await rig.add(A, HARBOUR);
    const plain = await rig.add(A, TEA);
    const essential = await rig.add(A, "Snow fell on the northern road");
    await rig.host.advance(7 * DAY);
    await rig.hub.review(A, [
      { id: wrong, verdict: "wrong" },
      { id: essential, verdict: "essential" },
    ]);
    const dates = await Promise.all(
      [wrong, plain, essential].map(async (id) => (await rig.hub.get(A, id)).forgetAt ?? 0),
    );
    expect(dates).toEqual([...dates].sort((a, b) => a - b));
    expect(new Set(dates).size).toBe(3);
  });
});

describe("export and import", () => {
  test("carry a session over as it was, twice without harm", async () => {
    const from = await MemoryRig.open();
    await from.add(A, HARBOUR, { taskId: "t", metadata: { a: "b" } });
    await from.host.advance(299 * DAY);
    await from.hub.sweep();
    await from.add(A, TEA, { pinned: true });
    const exported = [];
    for await (const one of from.hub.export(A)) exported.push(one);
    expect(exported).toHaveLength(2);
    const to = await MemoryRig.open();
    to.host.notBefore(from.host.now());
    expect(await to.hub.import(exported)).toBe(2);
    expect(await to.hub.import(exported)).toBe(0);
    const again = [];
    for await (const one of to.hub.export(A)) again.push(one);
    expect(again).toEqual(exported);
    expect(await to.find(A, "harbour", { deep: true })).toEqual([HARBOUR]);
    expect(await to.find(A, "tea")).toEqual([TEA]);
  });
});

describe("the cache", () => {
  test("drops the least recently used sessions and answers the same", async () => {
    const rig = await MemoryRig.open({ cacheBytes: 40_000 });
    const names = Array.from({ length: 30 }, (_, n) => session(`s${n}`));
    for (const name of names) await rig.add(name, `${HARBOUR} of ${name}`);
    const { residentSessions, residentBytes } = await rig.hub.stats();
    expect(residentSessions).toBeLessThan(20);
    expect(residentBytes).toBeLessThan(60_000);
    for (const name of names)
      expect(await rig.find(name, "harbour")).toEqual([`${HARBOUR} of ${name}`]);
    expect((await rig.hub.stats()).residentBytes).toBeLessThan(60_000);
  });
});

describe("damage", () => {
  test("a changed record is said to be damaged, not served", async () => {
    const rig = await MemoryRig.open();
    const id = await rig.add(A, HARBOUR);
    await rig.hub.close();
    for (const [key, value] of rig.disk.contents.range({ from: "e", to: "f" })) {
      const changed = value.slice();
      changed[changed.length - 3] = (changed[changed.length - 3] ?? 0) ^ 1;
      rig.disk.contents.set(key, changed);
    }
    await rig.start();
    await expect(rig.hub.get(A, id)).rejects.toEqual(fails("MEMORY_DAMAGED"));
    await expect(rig.find(A, "harbour")).rejects.toEqual(fails("MEMORY_DAMAGED"));
    expect(await rig.hub.eraseSession(A)).toBe(1);
    expect(await rig.find(A, "harbour")).toEqual([]);
  });
});
