import { describe, expect, test } from "vitest";
import { MEMORY_LIMITS } from "../../../../src/base/memory-limits.ts";
import { jsonPayload } from "../../../../src/base/payload.ts";
import type { Event, Outcome } from "../../../../src/core/run/message.ts";
import type { MemoryWrite, Recall } from "../../../../src/core/run/recall.ts";
import { wishesMemories, wishOf } from "../../../../src/core/run/task-memory.ts";
import { RunHarness } from "../../../support/run-harness.ts";

const TEA: Recall = {
  question: "",
  memories: [{ id: "01J0000000000000000000000A", kind: "note", text: "tea", strength: 1 }],
  note: "",
};

const WRITE: MemoryWrite = {
  content: "likes tea",
  kind: "note",
  metadata: {},
  importance: "normal",
};

const asking = {
  name: "asking",
  memory: { forget_threshold: 0.4 },
  tasks: [
    {
      id: "a",
      agent: "x",
      memory: {
        retrieve: { vector_query: "about {{ input.who }}", top_k: 3, filter: { lang: "en" } },
        memorize: { content: "{{ input.who }} said {{ a.text }}", kind: "quote" },
      },
    },
  ],
};

function started(recall?: Recall): RunHarness {
  const run = new RunHarness(asking, { input: { who: "Ann" } });
  run.start("a");
  if (recall !== undefined) run.do({ type: "recall", task: "a", lease: 1, recall });
  return run;
}

function end(
  run: RunHarness,
  outcome: Outcome,
): Extract<Event, { type: "task_completed" }> | undefined {
  run.do({ type: "report", task: "a", lease: run.task("a").lease, outcome });
  return run.events.find((event) => event.type === "task_completed");
}

const said: Outcome = { kind: "success", output: jsonPayload({ text: "hello" }) };

describe("what a task asks", () => {
  test("is rendered like an input, with the definition's bounds", () => {
    const run = started();
    expect(wishOf(run.run, run.task("a"))).toEqual({
      value: { text: "about Ann", limit: 3, filter: { lang: "en" } },
    });
  });

  test("is a problem, never a fault, when it cannot be rendered", () => {
    const run = new RunHarness(asking, { input: {} });
    expect(wishOf(run.run, run.task("a"))).toMatchObject({
      problem: expect.stringContaining("memory.retrieve"),
    });
  });

  test("is nothing without a wish, and the latest entries when the run wishes for those", () => {
    const plain = { name: "p", tasks: [{ id: "a", agent: "x" }] };
    const none = new RunHarness(plain);
    const latest = new RunHarness({ ...plain, memory: { retrieve_last_n: 2 } });
    expect(wishesMemories(none.run, none.task("a"))).toBe(false);
    expect(wishesMemories(latest.run, latest.task("a"))).toBe(true);
    expect(wishOf(latest.run, latest.task("a"))).toEqual({ value: { text: "", limit: 0 } });
  });
});

describe("an answer", () => {
  test("is kept for later attempts and answered once", () => {
    const run = started(TEA);
    run.do({ type: "recall", task: "a", lease: 1, recall: { ...TEA, memories: [] } });
    expect(run.task("a").recalls).toEqual([TEA]);
    run.fail("a", "retryable");
    expect(run.task("a").recalls).toEqual([TEA]);
  });

  test("for an attempt that is over changes nothing", () => {
    const run = started();
    run.do({ type: "recall", task: "a", lease: 7, recall: TEA });
    expect(run.task("a").recalls).toEqual([]);
  });

  test("comes only so often for one task", () => {
    const run = started();
    for (let n = 0; n < MEMORY_LIMITS.questions + 3; n++) {
      run.do({ type: "recall", task: "a", lease: 1, recall: { ...TEA, question: `q${n}` } });
    }
    expect(run.task("a").recalls).toHaveLength(MEMORY_LIMITS.questions);
  });
});

describe("a success", () => {
  test("reviews what was shown and remembers what agent and definition wish", () => {
    expect(end(started(TEA), { ...said, memories: [WRITE] } as Outcome)?.memory).toEqual({
      session: `default/${started().run.id}`,
      agent: "x",
      forgetThreshold: 0.4,
      used: ["01J0000000000000000000000A"],
      writes: [
        WRITE,
        { content: "Ann said hello", kind: "quote", metadata: {}, importance: "normal" },
      ],
      note: "",
    });
  });

  test("is one although what it should be remembered by cannot be rendered", () => {
    const event = end(started(), { kind: "success", output: jsonPayload(1) });
    expect(event?.memory).toMatchObject({
      writes: [],
      note: expect.stringContaining("memory.memorize"),
    });
  });

  test("means nothing to the memory without a wish", () => {
    const run = new RunHarness({ name: "p", tasks: [{ id: "a", agent: "x" }] });
    run.complete("a");
    expect(run.events.find(({ type }) => type === "task_completed")).not.toHaveProperty("memory");
  });
});

test("a failure remembers and reviews nothing", () => {
  const run = started(TEA);
  run.fail("a", "terminal");
  expect(run.task("a").status).toBe("FAILED");
  expect(JSON.stringify(run.events)).not.toContain("writes");
});
