/**
 * The scribe against a real hub on a disk that outlives it and a journal that is a list of commits. A crash is a new
 * scribe and a hub opened again on what the disk holds.
 */
import { expect, test } from "vitest";
import { FaultError, fault } from "../../../src/base/fault.ts";
import type { RunId } from "../../../src/base/ids.ts";
import { jsonPayload } from "../../../src/base/payload.ts";
import type { RunEvents } from "../../../src/core/run/message.ts";
import type { MemoryOutcome } from "../../../src/core/run/recall.ts";
import { TaskScribe } from "../../../src/memory/task-scribe.ts";
import type { CompletedTask } from "../../../src/ports/task-memory.ts";
import { DAY, MemoryRig, session } from "../../support/memory-rig.ts";

const RUN = "01JD0000000000000000000000" as RunId;
const SESSION = session("s");

/** Commits, the first with cursor 1. */
class CommitList {
  readonly commits: RunEvents[][] = [];
  readonly cursors = new Map<string, bigint>();
  head = (): bigint => BigInt(this.commits.length);
  loadCursor = async (consumer: string) => this.cursors.get(consumer);
  saveCursor = async (consumer: string, cursor: bigint) => void this.cursors.set(consumer, cursor);
  commitsAfter = async (cursor: bigint | undefined) => {
    const at = Number(cursor ?? 0n);
    const runs = this.commits[at];
    return runs === undefined ? undefined : { runs, cursor: BigInt(at + 1) };
  };
}

function completed(memory: Partial<MemoryOutcome>): CompletedTask {
  return {
    type: "task_completed",
    at: 1_000,
    task: "a",
    attempt: 1,
    output: jsonPayload(null),
    memory: { session: SESSION, agent: "x", used: [], writes: [], note: "", ...memory },
  };
}

const tea = (content = "Maria likes tea") =>
  completed({ writes: [{ content, kind: "note", metadata: {}, importance: "normal" }] });

class Scene {
  readonly journal = new CommitList();
  readonly rig: MemoryRig;
  scribe!: TaskScribe;

  constructor(rig: MemoryRig) {
    this.rig = rig;
    this.begin();
  }

  begin(): void {
    const { journal, rig } = this;
    const { hub, host, log } = rig;
    this.scribe = new TaskScribe({ hub, journal, host, log, passedOn: async () => {} });
  }

  /** Commits an event as the only one, and hands it over unless the process dies first. */
  commit(sequence: number, event: CompletedTask, isHanded = true): void {
    this.journal.commits.push([{ runId: RUN, firstSequence: sequence, events: [event] }]);
    if (isHanded) this.scribe.committed(RUN, sequence, event);
  }

  /** Time passes while nothing runs. */
  async sleep(days: number): Promise<void> {
    await this.scribe.stop();
    await this.rig.host.advance(days * DAY);
    await this.crash();
  }

  async crash(): Promise<void> {
    await this.rig.crash();
    this.begin();
    await this.scribe.start();
  }

  recall(text: string, more = {}) {
    const question = { session: SESSION, text, limit: 5, latest: 0, leastStrength: 0, ...more };
    return this.scribe.recall(question);
  }
}

async function scene(): Promise<Scene> {
  const made = new Scene(await MemoryRig.open());
  await made.scribe.start();
  return made;
}

test("an answer knows what was handed over before the question, with its provenance", async () => {
  const s = await scene();
  s.commit(1, tea());
  const { memories, note } = await s.recall("tea");
  expect(note).toBe("");
  expect(memories).toMatchObject([{ kind: "note", text: "Maria likes tea" }]);
  const { entry } = await s.rig.hub.get(SESSION, memories[0]?.id ?? "");
  expect(entry).toMatchObject({
    createdAt: 1_000,
    provenance: { runId: RUN, taskId: "a", agent: "x", parents: [] },
  });
});

test("what was committed and not handed over is taken in after the next start, once", async () => {
  const s = await scene();
  s.commit(1, tea(), false);
  expect((await s.recall("tea")).memories).toEqual([]);
  await s.crash();
  const [first] = (await s.recall("tea")).memories;
  const before = await s.rig.hub.get(SESSION, first?.id ?? "");
  await s.crash();
  expect((await s.recall("tea")).memories).toHaveLength(1);
  expect((await s.rig.hub.get(SESSION, first?.id ?? "")).entry.review).toEqual(before.entry.review);
});

test("what a successful task was shown is a good review, once, whatever is read again", async () => {
  const s = await scene();
  s.commit(1, tea());
  const [shown] = (await s.recall("tea")).memories;
  const id = shown?.id ?? "";
  await s.sleep(20);
  s.commit(2, completed({ used: [id, "01J0000000000000000000000Z"] }));
  await s.recall("tea");
  const { entry } = await s.rig.hub.get(SESSION, id);
  expect(entry.review.reviews).toBe(2);
  await s.crash();
  await s.recall("tea");
  expect((await s.rig.hub.get(SESSION, id)).entry.review).toEqual(entry.review);
});

test("what a task only repeats of what it was shown is not remembered", async () => {
  const s = await scene();
  s.commit(1, tea());
  const used = (await s.recall("tea")).memories.map(({ id }) => id);
  s.commit(2, { ...tea(), memory: { ...(tea().memory as MemoryOutcome), used } });
  expect((await s.recall("tea")).memories).toHaveLength(1);
});

test("the latest entries come without a text, and weak ones not at all", async () => {
  const s = await scene();
  s.commit(1, tea("one thing"));
  s.commit(2, tea("another matter"));
  const shown = await s.recall("", { limit: 0, latest: 1 });
  expect(shown.memories).toHaveLength(1);
  await s.sleep(200);
  expect((await s.recall("thing matter", { leastStrength: 0.9 })).memories).toEqual([]);
});

test("what the memory refuses is said, and the next is remembered", async () => {
  const s = await scene();
  s.commit(1, tea("x".repeat(20_000)));
  s.commit(2, tea());
  expect((await s.recall("tea")).memories).toHaveLength(1);
  expect(JSON.stringify(s.rig.log.lines)).toContain("is not remembered");
});

test("stopping saves how far it came, and marks of runs do not pile up", async () => {
  const s = await scene();
  s.commit(1, tea());
  await s.scribe.stop();
  expect(s.journal.cursors.get("memory")).toBe(1n);
  expect(await s.rig.hub.consumers("run/")).toEqual([`run/${RUN}`]);
  await s.crash();
  s.commit(2, { type: "task_completed", at: 1_000, task: "b", attempt: 1 });
  await s.scribe.stop();
  expect(s.journal.cursors.get("memory")).toBe(2n);
  expect(await s.rig.hub.consumers("run/")).toEqual([]);
});

test("a store that fails is a refused question, and nothing is lost", async () => {
  const s = await scene();
  const broken = new FaultError(fault("STORE_FAILED", { operation: "write", detail: "full" }));
  const { hub, host, log } = s.rig;
  s.scribe = new TaskScribe({
    hub: {
      memorizeUpTo: async () => Promise.reject(broken),
      retrieve: (request) => hub.retrieve(request),
      latest: (id, count) => hub.latest(id, count),
      consumers: (prefix) => hub.consumers(prefix),
      dropCursors: (names) => hub.dropCursors(names),
    },
    journal: s.journal,
    host,
    log,
    passedOn: async () => {},
  });
  await s.scribe.start();
  s.commit(1, tea());
  await expect(s.recall("tea")).rejects.toMatchObject({ fault: { code: "STORE_FAILED" } });
  await s.scribe.stop();
  await s.crash();
  expect((await s.recall("tea")).memories).toHaveLength(1);
});
