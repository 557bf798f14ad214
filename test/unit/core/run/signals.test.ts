import { describe, expect, test } from "vitest";
import { jsonPayload } from "../../../../src/base/payload.ts";
import type { SignalContent } from "../../../../src/core/run/message.ts";
import { RunHarness } from "../../../support/run-harness.ts";

const spec = {
  name: "s",
  tasks: [
    { id: "a", agent: "x" },
    { id: "b", agent: "x" },
    { id: "c", agent: "x", deps: ["a"] },
  ],
};

const steer = (text: string): SignalContent => ({
  kind: "steer",
  payload: jsonPayload(null),
  text,
});
const interrupt = (graceMs = 100, replaceWith?: unknown): SignalContent => ({
  kind: "interrupt",
  reason: "stop it",
  graceMs,
  ...(replaceWith === undefined ? {} : { replaceWith: jsonPayload(replaceWith as never) }),
});

function receipts(run: RunHarness, task: string): string[] {
  return (run.task(task).mailbox ?? []).map((entry) => `${entry.signal}:${entry.receipt}`);
}

describe("steer", () => {
  test("a running agent gets it, a queued one finds it at the start", () => {
    const run = new RunHarness(spec).start("a");
    run.do({ type: "signal", task: "a", signal: "s1", content: steer("left") });
    expect(run.effects).toContainEqual({ type: "deliver", task: "a", lease: 1, signal: "s1" });
    run.do({ type: "signal", task: "c", signal: "s2", content: steer("later") });
    expect(receipts(run, "c")).toEqual(["s2:queued"]);
  });

  test("receipts move forward only, and only for the attempt that runs", () => {
    const run = new RunHarness(spec).start("a");
    run.do({ type: "signal", task: "a", signal: "s1", content: steer("left") });
    const receipt = (kind: "delivered" | "admitted", attempt = 1) =>
      run.do({ type: "receipt", task: "a", lease: attempt, signal: "s1", receipt: kind }).length;
    expect([receipt("delivered", 7), receipt("delivered"), receipt("delivered")]).toEqual([
      0, 1, 0,
    ]);
    expect([receipt("admitted"), receipt("delivered"), receipt("admitted")]).toEqual([1, 0, 0]);
  });

  test("the same id again is the same signal", () => {
    const run = new RunHarness(spec).start("a");
    run.do({ type: "signal", task: "a", signal: "s1", content: steer("left") });
    expect(run.do({ type: "signal", task: "a", signal: "s1", content: steer("left") })).toEqual([]);
    expect(run.task("a").mailbox).toHaveLength(1);
  });

  test("sixteen wait, the seventeenth is refused until one is admitted", () => {
    const run = new RunHarness(spec).start("a");
    for (let n = 0; n < 16; n++)
      run.do({ type: "signal", task: "a", signal: `s${n}`, content: steer("") });
    const refusal = run.refused({ type: "signal", task: "a", signal: "more", content: steer("") });
    expect(refusal).toMatchObject({ code: "SIGNAL_MAILBOX_FULL", limit: 16 });
    run.do({ type: "receipt", task: "a", lease: 1, signal: "s0", receipt: "admitted" });
    expect(run.do({ type: "signal", task: "a", signal: "more", content: steer("") })).toHaveLength(
      1,
    );
  });

  test("distinct answers: unknown, finished task, finished run, group; and expiry of what nobody read", () => {
    const run = new RunHarness(spec).start("a");
    run.do({ type: "signal", task: "a", signal: "s1", content: steer("") });
    run.report("a", { kind: "success", output: jsonPayload(1) });
    expect(receipts(run, "a")).toEqual(["s1:expired"]);
    const refused = (task: string) =>
      run.refused({ type: "signal", task, signal: "x", content: steer("") }).code;
    expect(refused("nobody")).toBe("TASK_NOT_FOUND");
    expect(refused("a")).toBe("TASK_TERMINAL");
    run.complete("b").complete("c");
    expect(refused("a")).toBe("RUN_TERMINAL");
    const fan = new RunHarness({ name: "f", tasks: [{ id: "g", agent: "x", for_each: "[1]" }] });
    expect(
      fan.refused({ type: "signal", task: "g", signal: "x", content: steer("") }),
    ).toMatchObject({
      code: "ARGUMENT_INVALID",
      field: "task_id",
    });
  });
});

describe("interrupt", () => {
  test("the agent is asked to stop; without a result the task is cancelled and the run fails", () => {
    const run = new RunHarness(spec).start("a");
    run.do({ type: "signal", task: "a", signal: "i", content: interrupt() });
    expect(run.task("a").status).toBe("RUNNING");
    expect(run.effects).toContainEqual({
      type: "stop",
      task: "a",
      lease: 1,
      reason: "INTERRUPTED",
      graceMs: 100,
    });
    run.report("a", { kind: "stopped" });
    expect(run.task("a")).toMatchObject({ status: "CANCELLED", reason: "INTERRUPTED" });
    expect(run.run).toMatchObject({
      status: "FAILED",
      ending: { reason: "INTERRUPTED", task: "a" },
    });
  });

  test("a result inside the grace still counts", () => {
    const run = new RunHarness(spec).start("a");
    run.do({ type: "signal", task: "a", signal: "i", content: interrupt() });
    run.report("a", { kind: "success", output: jsonPayload("wrapped up") });
    expect(run.task("a").status).toBe("COMPLETED");
  });

  test("replace_with starts a new attempt with the newest input, whatever the old one answers", () => {
    const run = new RunHarness(spec).start("a");
    run.do({ type: "signal", task: "a", signal: "i1", content: interrupt(100, { v: 1 }) });
    run.do({ type: "signal", task: "a", signal: "i2", content: interrupt(100, { v: 2 }) });
    run.report("a", { kind: "success", output: jsonPayload("old") });
    expect(run.task("a")).toMatchObject({ status: "RETRYING", reason: "INTERRUPTED", failures: 0 });
    run.do({ type: "timer", timer: "retry_due", task: "a" });
    expect(run.input("a")).toEqual({ v: 2 });
    run.complete("a", "new");
    expect(run.task("a").output).toEqual(jsonPayload("new"));
  });

  test("a task that waits leaves its queue at once, or changes its input", () => {
    const run = new RunHarness(spec);
    run.do({ type: "signal", task: "b", signal: "i", content: interrupt(0, 7) });
    expect(run.input("b")).toBe(7);
    run.do({ type: "signal", task: "c", signal: "j", content: interrupt() });
    expect(run.task("c")).toMatchObject({ status: "CANCELLED", reason: "INTERRUPTED" });
  });
});

describe("collect", () => {
  const collect = (
    mode: Extract<SignalContent, { kind: "collect" }>["mode"],
    deadlineMs?: number,
  ): SignalContent => ({
    kind: "collect",
    tasks: ["a", "b"],
    mode,
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  });
  const gather = {
    name: "g",
    tasks: [
      { id: "a", agent: "x" },
      { id: "b", agent: "x" },
      { id: "judge", agent: "x" },
    ],
  };

  test("all: delivered when the last one ends; finished ones count", () => {
    const run = new RunHarness(gather).start("judge").complete("a", 1);
    run.do({ type: "signal", task: "judge", signal: "k", content: collect({ kind: "all" }) });
    expect(receipts(run, "judge")).toEqual(["k:queued"]);
    run.complete("b", 2);
    expect(run.task("judge").mailbox?.[0]?.collected).toEqual({
      finished: ["a", "b"],
      missing: [],
    });
    expect(run.effects.at(-1)).toEqual({ type: "deliver", task: "judge", lease: 1, signal: "k" });
  });

  test("any and quorum are satisfied early", () => {
    const run = new RunHarness(gather).start("judge").complete("a", 1);
    run.do({ type: "signal", task: "judge", signal: "any", content: collect({ kind: "any" }) });
    run.do({
      type: "signal",
      task: "judge",
      signal: "two",
      content: collect({ kind: "quorum", count: 2 }),
    });
    expect(run.task("judge").mailbox?.map((e) => e.collected?.missing)).toEqual([["b"], undefined]);
  });

  test("the deadline delivers what is there and names the missing", () => {
    const run = new RunHarness(gather).start("judge").complete("a", 1);
    run.do({ type: "signal", task: "judge", signal: "k", content: collect({ kind: "all" }, 500) });
    expect(run.effects).toContainEqual({
      type: "arm",
      timer: "collect_deadline",
      task: "judge",
      signal: "k",
      dueAt: run.at + 500,
    });
    run.do({ type: "timer", timer: "collect_deadline", task: "judge", signal: "k" });
    expect(run.task("judge").mailbox?.[0]?.collected).toEqual({ finished: ["a"], missing: ["b"] });
  });

  test("a task that does not exist is refused by name", () => {
    const run = new RunHarness(gather).start("judge");
    const content = { ...collect({ kind: "all" }), tasks: ["a", "bb"] } as SignalContent;
    expect(run.refused({ type: "signal", task: "judge", signal: "k", content })).toMatchObject({
      code: "TASK_NOT_FOUND",
      taskId: "bb",
      nearest: "b",
    });
  });
});
