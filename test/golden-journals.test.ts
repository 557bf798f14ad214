/**
 * Journals that earlier versions wrote, replayed by this one: every event reads back as it was, every run folds into the
 * state it had, and an engine that starts on them brings the open ones to their end. The files are never rewritten; a
 * change that breaks one needs a reader for the old form.
 */
import { describe, expect, test } from "vitest";
import type { RunId } from "../src/base/ids.ts";
import { type Json, jsonPayload } from "../src/base/payload.ts";
import { EngineBench } from "./support/engine-bench.ts";
import {
  diskOf,
  isRecorded,
  openRecorded,
  RECORDED_LANES,
  readRecorded,
  readRun,
  record,
} from "./support/recorded-journals.ts";

interface Scenario {
  readonly about: string;
  readonly agents: readonly string[];
  readonly play: (bench: EngineBench) => Promise<EngineBench>;
}

const work = (id: string, more: { readonly [field: string]: Json } = {}): Json => ({
  id,
  agent: "work",
  ...more,
});

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  "customer-support": {
    about: "three agents one after the other, in two lanes, with a memory wish",
    agents: ["IntakeAgent", "ClassifyAgent", "ResolveAgent"],
    play: async (bench) => {
      const retrieve = { vector_query: "{{classify.category}}", top_k: 5 };
      const tasks = [
        { id: "intake", agent: "IntakeAgent", lane: "io" },
        { id: "classify", agent: "ClassifyAgent", deps: ["intake"], lane: "cpu" },
        {
          id: "resolve",
          agent: "ResolveAgent",
          deps: ["classify"],
          lane: "cpu",
          memory: { retrieve },
        },
      ];
      await bench.run({ name: "customer_support", tasks }, { sessionId: "anna" }, { text: "help" });
      await bench.answer({ text: "help", lang: "en" });
      await bench.answer({ category: "billing" });
      await bench.answer("refunded");
      return bench;
    },
  },
  "for-each": {
    about: "a list of three, of which the second fails and is left out",
    agents: ["work"],
    play: async (bench) => {
      const each = work("each", {
        for_each: "input.items",
        on_error: "continue",
        retry: { max_attempts: 1 },
      });
      const sum = work("sum", { deps: ["each"] });
      await bench.run({ name: "list", tasks: [each, sum] }, {}, { items: [1, 2, 3] });
      await bench.answer("one");
      bench.calls.shift()?.fail("the second is broken");
      await bench.settle();
      await bench.answer("three");
      await bench.answer({ sum: 2 });
      return bench;
    },
  },
  retry: {
    about: "a failure, a backoff, progress, a checkpoint, a success",
    agents: ["work"],
    play: async (bench) => {
      await bench.run({ name: "again", tasks: [work("a", { retry: { backoff: "1s" } })] });
      bench.calls[0]?.ctx.progress(40, "almost");
      bench.calls[0]?.ctx.checkpoint(new Uint8Array([1, 2, 250]));
      await bench.settle();
      bench.calls.shift()?.fail("not this time");
      await bench.settle();
      await bench.host.advance(2_000);
      await bench.answer([1, 2]);
      return bench;
    },
  },
  replace: {
    about: "an interrupt with newer input takes over a running attempt",
    agents: ["work"],
    play: async (bench) => {
      const runId = await bench.run({ name: "newer", tasks: [work("a")] }, {}, { n: 1 });
      const content = {
        kind: "interrupt",
        reason: "newer input",
        graceMs: 1_000,
        replaceWith: jsonPayload({ n: 2 }),
      } as const;
      const target = { runId, taskId: "a" };
      await bench.wait(bench.engine.signal({ target, signalId: "s1", content }));
      await bench.answer("of the old input");
      await bench.host.advance(10);
      await bench.answer("of the new input");
      return bench;
    },
  },
  collect: {
    about: "a running task collects the results of two others and is steered",
    agents: ["work", "boss"],
    play: async (bench) => {
      const boss = { id: "boss", agent: "boss" };
      const runId = await bench.run({ name: "team", tasks: [boss, work("a"), work("b")] });
      const target = { runId, taskId: "boss" };
      const collect = { kind: "collect", tasks: ["a", "b"], mode: { kind: "all" } } as const;
      const steer = { kind: "steer", payload: jsonPayload({ to: "left" }), text: "left" } as const;
      await bench.wait(bench.engine.signal({ target, signalId: "c1", content: collect }));
      await bench.wait(bench.engine.signal({ target, signalId: "s1", content: steer }));
      const [first, second, third] = bench.calls;
      second?.answer("from a");
      third?.answer("from b");
      await bench.settle();
      first?.ctx.signals();
      await bench.settle();
      first?.answer("done");
      await bench.settle();
      return bench;
    },
  },
  fallback: {
    about: "plan b replaces a task that fails for good; a condition skips another",
    agents: ["work"],
    play: async (bench) => {
      await bench.run(
        {
          name: "plan-b",
          tasks: [
            work("a", { retry: { max_attempts: 1 }, on_error: { fallback: "b" } }),
            work("b"),
            work("c", { deps: ["a"] }),
            work("never", { when: "input.n > 3" }),
          ],
          output: { result: "{{ c }}", of: "plan {{ a }}" },
        },
        {},
        { n: 1 },
      );
      bench.calls.shift()?.fail("no");
      await bench.settle();
      await bench.answer("b");
      await bench.answer({ ok: true });
      return bench;
    },
  },
  cancel: {
    about: "a run of a session is cancelled while it works, another while it waits; a third fails",
    agents: ["work"],
    play: async (bench) => {
      const tasks = [work("a"), work("b", { deps: ["a"] })];
      const first = await bench.run({ name: "one", tasks }, { sessionId: "ben", key: "k1" });
      const second = await bench.run({ name: "one", tasks }, { sessionId: "ben" });
      await bench.wait(bench.engine.cancelRun(second, { reason: "not needed" }));
      await bench.wait(bench.engine.cancelRun(first, { reason: "enough" }));
      await bench.answer("too late");
      await bench.run({ name: "one", tasks: [work("a", { retry: { max_attempts: 1 } })] });
      bench.calls.shift()?.fail("no");
      await bench.settle();
      return bench;
    },
  },
  restart: {
    about: "a daemon dies twice; the finished task does not run again, the other is tried again",
    agents: ["work"],
    play: async (bench) => {
      await bench.run({ name: "long", tasks: [work("a"), work("b", { deps: ["a"] })] });
      await bench.answer("once");
      const second = await bench.restart();
      await second.host.advance(1);
      const third = await second.restart();
      await third.host.advance(1);
      await third.answer("at last");
      return third;
    },
  },
  open: {
    about:
      "open runs: a snapshot with later events, a backoff, a list, a mailbox, an input in bytes",
    agents: ["work"],
    play: async (bench) => {
      const bytes = { mediaType: "image/png", bytes: new Uint8Array([137, 80, 78, 71]) };
      const tasks = [
        work("each", { for_each: "[1, 2]", deadline: "1h" }),
        work("flaky", { retry: { backoff: "20s", max_backoff: "1m" } }),
        work("last", { deps: ["each", "flaky"] }),
      ];
      const runId = await bench.run({ name: "open", tasks }, { deadlineMs: 7_200_000 });
      const flaky = bench.calls.find(({ ctx }) => ctx.taskId === "flaky");
      flaky?.fail("later");
      await bench.settle();
      const content = { kind: "steer", payload: bytes, text: "look" } as const;
      const target = { runId, taskId: "last" };
      await bench.wait(bench.engine.signal({ target, signalId: "s1", content }));
      await bench.wait(bench.journal.snapshot(await bench.wait(bench.engine.getRun(runId))));
      bench.calls.find(({ ctx }) => ctx.taskId === "each[0]")?.answer("first");
      await bench.settle();
      return bench;
    },
  },
};

describe.for(Object.entries(SCENARIOS))("%s", ([name, { about, agents, play }]) => {
  test("reads back as it was recorded", async () => {
    if (process.env.RECORD_JOURNALS !== undefined && !isRecorded(name)) {
      await record(name, about, agents, play);
    }
    const recorded = readRecorded(name);
    const { journal } = await openRecorded(diskOf(recorded));
    for (const [runId, { events, state }] of Object.entries(recorded.runs)) {
      const found = await readRun(journal, runId as RunId);
      expect(found.events).toEqual(events);
      expect(found.state).toMatchObject(state);
    }
  });

  test("an engine starts on it, keeps what has ended and ends what is open", async () => {
    const recorded = readRecorded(name);
    const { open } = await openRecorded(diskOf(recorded));
    const bench = await new EngineBench({
      disk: diskOf(recorded),
      agents: recorded.agents,
      lanes: RECORDED_LANES,
    }).start();
    for (let turn = 0; turn < 10; turn++) {
      await bench.host.advance(60_000);
      while (bench.calls.length > 0) await bench.answer("today");
    }
    for (const [runId, { state }] of Object.entries(recorded.runs)) {
      const run = await bench.wait(bench.engine.getRun(runId as RunId));
      if (open.includes(run.id)) expect(run.status).toBe("COMPLETED");
      else expect({ status: run.status, sequence: run.sequence }).toMatchObject(pick(state));
    }
    expect(bench.engine.openRuns()).toBe(0);
  });
});

function pick(state: object): { status: unknown; sequence: unknown } {
  const { status, sequence } = state as { status: unknown; sequence: unknown };
  return { status, sequence };
}
