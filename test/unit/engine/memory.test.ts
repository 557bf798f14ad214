/** Tasks and their memory on virtual time: what is asked when, what a later attempt is shown, what success leaves. */
import { expect, test } from "vitest";
import type { RunId } from "../../../src/base/ids.ts";
import type { Recall, ShownMemory } from "../../../src/core/run/recall.ts";
import type { CompletedTask, TaskMemory, TaskQuestion } from "../../../src/ports/task-memory.ts";
import { EngineBench } from "../../support/engine-bench.ts";

type Answer = Pick<Recall, "memories" | "note">;

/** Answers when the test says so, or at once with the number of the question. */
class FakeMemory implements TaskMemory {
  readonly asked: TaskQuestion[] = [];
  readonly committedTasks: { runId: RunId; sequence: number; event: CompletedTask }[] = [];
  answer: (n: number) => Promise<Answer> = async (n) => ({ memories: [entry(`m${n}`)], note: "" });

  recall(question: TaskQuestion): Promise<Answer> {
    return this.answer(this.asked.push(question));
  }

  committed(runId: RunId, sequence: number, event: CompletedTask): void {
    this.committedTasks.push({ runId, sequence, event });
  }
}

function entry(text: string): ShownMemory {
  return {
    id: `01J00000000000000000000${text.padEnd(3, "0").toUpperCase()}`,
    kind: "note",
    text,
    strength: 1,
  };
}

const asking = {
  name: "asking",
  tasks: [
    {
      id: "a",
      agent: "work",
      memory: { retrieve: { vector_query: "about {{ input }}" }, memorize: { content: "{{ a }}" } },
    },
  ],
};

const texts = (bench: EngineBench) => bench.calls[0]?.ctx.memory.shown.map(({ text }) => text);

async function started(): Promise<{ bench: EngineBench; memory: FakeMemory; runId: RunId }> {
  const memory = new FakeMemory();
  const bench = await new EngineBench({ memory }).start();
  const runId = await bench.run(asking, { sessionId: "s" }, "tea");
  return { bench, memory, runId };
}

test("an attempt is shown what the memory says, and its success goes to the memory", async () => {
  const { bench, memory, runId } = await started();
  expect(memory.asked).toEqual([
    { text: "about tea", limit: 5, session: "default/s", latest: 0, leastStrength: 0 },
  ]);
  expect(texts(bench)).toEqual(["m1"]);
  bench.calls[0]?.ctx.memory.remember("staged", { kind: "fact" });
  await bench.answer("done");
  const items = await bench.watched(runId);
  expect(items.map((item) => item.kind === "event" && item.event.type)).toContain("task_recalled");
  expect(memory.committedTasks).toMatchObject([
    {
      runId,
      event: {
        task: "a",
        memory: {
          session: "default/s",
          agent: "work",
          used: [entry("m1").id],
          writes: [
            { content: "staged", kind: "fact" },
            { content: "done", kind: "note" },
          ],
        },
      },
    },
  ]);
  const { sequence } = memory.committedTasks[0] as { sequence: number };
  expect(items[sequence - 1]).toMatchObject({ sequence, event: { type: "task_completed" } });
});

test("a retry is shown the same, and what the failed attempt staged is gone", async () => {
  const { bench, memory } = await started();
  bench.calls[0]?.ctx.memory.remember("staged by the first");
  bench.calls.shift()?.fail("no luck");
  await bench.host.advance(1_000);
  await bench.settle();
  expect(bench.calls[0]?.ctx.attempt).toBe(2);
  expect(texts(bench)).toEqual(["m1"]);
  expect(memory.asked).toHaveLength(1);
  await bench.answer("done");
  expect(memory.committedTasks[0]?.event.memory?.writes.map(({ content }) => content)).toEqual([
    "done",
  ]);
});

test("so is the attempt after a restart", async () => {
  const { bench, memory } = await started();
  const second = await bench.restart();
  await second.host.advance(1_000);
  await second.settle();
  expect(texts(second)).toEqual(["m1"]);
  expect(memory.asked).toHaveLength(1);
});

test("an agent's own question is journaled, and answered alike by the next attempt", async () => {
  const { bench, memory, runId } = await started();
  const [first] = await bench.wait(
    bench.calls[0]?.ctx.memory.recall("why?", { limit: 2 }) ?? never(),
  );
  expect(first?.text).toBe("m2");
  bench.calls.shift()?.fail("no luck");
  await bench.host.advance(1_000);
  await bench.settle();
  const ask = bench.calls[0]?.ctx.memory.recall;
  const [again] = await bench.wait(ask?.("why?", { limit: 2 }) ?? never());
  const [other] = await bench.wait(ask?.("why not?", { limit: 2 }) ?? never());
  expect([again?.text, other?.text]).toEqual(["m2", "m3"]);
  expect(memory.asked).toHaveLength(3);
  await bench.answer("done");
  const recalled = (await bench.watched(runId)).filter(
    (item) => item.kind === "event" && item.event.type === "task_recalled",
  );
  expect(recalled).toHaveLength(3);
  expect(memory.committedTasks[0]?.event.memory?.used).toHaveLength(3);
});

test("a memory that fails, and one that is too slow, are empty answers with a note", async () => {
  const memory = new FakeMemory();
  memory.answer = (n) => (n === 1 ? Promise.reject(new Error("broken")) : new Promise(() => {}));
  const bench = await new EngineBench({ memory }).start();
  const runId = await bench.run(asking, {}, "tea");
  expect(texts(bench)).toEqual([]);
  const asked = bench.calls[0]?.ctx.memory.recall("slow") ?? never();
  await bench.settle();
  await bench.host.advance(5_000);
  expect(await bench.wait(asked)).toEqual([]);
  await bench.answer("done");
  expect(JSON.stringify(await bench.watched(runId))).toContain("the memory failed: Error: broken");
  expect(JSON.stringify(bench.log.lines)).toContain("did not answer within 5000 ms");
});

test("without a memory a task runs and says that it was shown nothing", async () => {
  const bench = await new EngineBench().start();
  const runId = await bench.run(asking, {}, "tea");
  expect(texts(bench)).toEqual([]);
  await bench.answer("done");
  expect(await bench.status(runId)).toMatchObject({ run: "COMPLETED" });
  expect(JSON.stringify(await bench.watched(runId))).toContain("this daemon has no memory");
});

test("a task that waits for its memory can be cancelled, and its slot comes back", async () => {
  const memory = new FakeMemory();
  memory.answer = () => new Promise(() => {});
  const bench = await new EngineBench({ memory }).start();
  const runId = await bench.run(asking, {}, "tea");
  expect(bench.calls).toEqual([]);
  await bench.wait(bench.engine.cancelRun(runId, { reason: "enough" }));
  await bench.settle();
  expect(await bench.status(runId)).toEqual({ run: "CANCELLED", a: "CANCELLED" });
  expect(bench.engine.lanes().every(({ occupied }) => occupied === 0)).toBe(true);
  await bench.host.advance(10_000);
  expect(bench.calls).toEqual([]);
});

test("a signal for a task that waits for its memory is in its mailbox at the start", async () => {
  const memory = new FakeMemory();
  const answered = Promise.withResolvers<Answer>();
  memory.answer = () => answered.promise;
  const bench = await new EngineBench({ memory }).start();
  const runId = await bench.run(asking, {}, "tea");
  const content = { kind: "steer", payload: { json: "1" }, text: "hurry" } as const;
  await bench.wait(bench.engine.signal({ target: { runId, taskId: "a" }, content }));
  answered.resolve({ memories: [], note: "" });
  await bench.settle();
  expect(bench.calls[0]?.ctx.signals()).toMatchObject([{ kind: "steer", text: "hurry" }]);
});

test("tasks that wish for nothing ask nothing and leave nothing", async () => {
  const memory = new FakeMemory();
  const bench = await new EngineBench({ memory }).start();
  await bench.run({ name: "plain", tasks: [{ id: "a", agent: "work" }] });
  await bench.answer("done");
  expect([memory.asked, memory.committedTasks]).toEqual([[], []]);
});

function never(): never {
  throw new Error("no call waits");
}
