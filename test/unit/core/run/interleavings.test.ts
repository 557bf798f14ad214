/**
 * What two things happening to the same task at nearly the same time must not break: an interrupt and a timeout, a
 * failure that lets others finish and a cancellation, a fallback that was taken away before it was needed.
 */
import { describe, expect, test } from "vitest";
import { type Json, jsonPayload } from "../../../../src/base/payload.ts";
import type { SignalContent } from "../../../../src/core/run/message.ts";
import { timersOf } from "../../../../src/core/run/react.ts";
import { RunHarness } from "../../../support/run-harness.ts";

const interrupt = (replaceWith?: Json, graceMs = 60_000): SignalContent => ({
  kind: "interrupt",
  reason: "newer",
  graceMs,
  ...(replaceWith === undefined ? {} : { replaceWith: jsonPayload(replaceWith) }),
});

function receipts(run: RunHarness, task: string): string[] {
  return (run.task(task).mailbox ?? []).map((entry) => `${entry.signal}:${entry.receipt}`);
}

const timed = { name: "t", tasks: [{ id: "a", agent: "x", timeout: "1s" }] };

describe("an interrupt whose agent does not stop before its timeout", () => {
  test("still cancels the task, which keeps its slot until the agent answers", () => {
    const run = new RunHarness(timed).start("a");
    run.do({ type: "signal", task: "a", signal: "i", content: interrupt() });
    run.do({ type: "timer", timer: "attempt_timeout", task: "a", lease: 1 });
    expect(run.task("a")).toMatchObject({ status: "CANCELLED", reason: "INTERRUPTED", lease: 1 });
    expect(run.effects.at(-1)).toMatchObject({ type: "stop", task: "a", lease: 1 });
    run.report("a", { kind: "stopped" });
    expect(run.run.status).toBe("FAILED");
  });

  test("still gives its input to the next attempt", () => {
    const run = new RunHarness(timed).start("a");
    run.do({ type: "signal", task: "a", signal: "i", content: interrupt(7) });
    run.do({ type: "timer", timer: "attempt_timeout", task: "a", lease: 1 });
    expect(run.task("a")).toMatchObject({ status: "RETRYING", reason: "INTERRUPTED", failures: 0 });
    run.report("a", { kind: "stopped" });
    expect(run.task("a").status).toBe("SCHEDULED");
    expect(run.input("a")).toBe(7);
  });
});

test("an interrupt that comes between a timeout and the agent's answer replaces the input", () => {
  const run = new RunHarness(timed).start("a");
  run.do({ type: "timer", timer: "attempt_timeout", task: "a", lease: 1 });
  expect(run.task("a")).toMatchObject({ status: "RETRYING", lease: 1 });
  run.do({ type: "signal", task: "a", signal: "i", content: interrupt(7) });
  expect(run.input("a")).toBe(7);
});

test("interrupts that took effect are admitted: they do not fill the mailbox, nor expire", () => {
  const run = new RunHarness(timed);
  for (let n = 1; n <= 20; n++) {
    run.start("a");
    run.do({ type: "signal", task: "a", signal: `i${n}`, content: interrupt(n) });
    run.report("a", { kind: "stopped" });
    run.do({ type: "timer", timer: "retry_due", task: "a" });
  }
  expect(run.input("a")).toBe(20);
  run.start("a");
  run.do({ type: "signal", task: "a", signal: "last", content: interrupt() });
  run.report("a", { kind: "stopped" });
  expect(run.task("a").status).toBe("CANCELLED");
  expect(new Set(receipts(run, "a").map((receipt) => receipt.split(":")[1]))).toEqual(
    new Set(["admitted"]),
  );
});

test("an agent may ask for a fraction of a millisecond before its next attempt", () => {
  const run = new RunHarness(timed).start("a");
  const failure = {
    kind: "failure",
    failure: "throttled",
    message: "",
    retryAfterMs: 1.5,
  } as const;
  run.report("a", failure);
  const { dueAt } = run.task("a");
  expect(dueAt).toBe(run.at + 2);
  run.at = dueAt;
  run.do({ type: "timer", timer: "retry_due", task: "a" });
  expect(run.task("a").status).toBe("SCHEDULED");
});

test("a fallback that was interrupted before it was needed holds nobody up", () => {
  const run = new RunHarness({
    name: "f",
    tasks: [
      { id: "a", agent: "x", on_error: { fallback: "b" } },
      { id: "b", agent: "x", on_error: "continue" },
      { id: "c", agent: "x", deps: ["a"] },
    ],
  });
  run.do({ type: "signal", task: "b", signal: "i", content: interrupt() });
  expect(run.task("b").status).toBe("CANCELLED");
  run.fail("a");
  expect(run.task("c").status).toBe("SCHEDULED");
  expect(run.input("c")).toEqual({ a: null });
  run.complete("c");
  expect(run.run.status).toBe("COMPLETED");
});

describe("a run that failed and lets its running tasks finish", () => {
  const patient = {
    name: "p",
    fail_fast: false,
    tasks: [
      { id: "bad", agent: "x" },
      { id: "long", agent: "x" },
    ],
  };
  const failing = (): RunHarness => {
    const run = new RunHarness(patient, { deadlineMs: 60_000 }).start("long").fail("bad");
    expect(run.statuses()).toEqual({ bad: "FAILED", long: "RUNNING" });
    return run;
  };

  test("can be cancelled", () => {
    const run = failing();
    run.do({ type: "cancel", reason: "enough", graceMs: 100 });
    expect(run.task("long")).toMatchObject({ status: "CANCELLED", lease: 1 });
    expect(run.do({ type: "cancel", reason: "again", graceMs: 100 })).toEqual([]);
    run.report("long", { kind: "stopped" });
    expect(run.run.status).toBe("CANCELLED");
  });

  test("keeps its deadline", () => {
    const run = failing();
    run.do({ type: "timer", timer: "run_deadline" });
    expect(run.task("long")).toMatchObject({ status: "CANCELLED", reason: "RUN_FAILED" });
    run.report("long", { kind: "stopped" });
    expect(run.run).toMatchObject({ status: "FAILED", ending: { reason: "DEADLINE" } });
  });

  test("keeps the limit of its history", () => {
    const run = failing();
    run.limits = { ...run.limits, historyEvents: run.events.length };
    const data = new Uint8Array(1);
    run.do({ type: "checkpoint", task: "long", lease: 1, data });
    expect(run.task("long").status).toBe("CANCELLED");
    run.report("long", { kind: "stopped" });
    expect(run.run).toMatchObject({ status: "FAILED", ending: { reason: "LIMIT_EXCEEDED" } });
  });

  test("does not call a for_each task completed whose instances it skipped", () => {
    const run = new RunHarness({
      ...patient,
      tasks: [...patient.tasks, { id: "each", agent: "x", for_each: "[1, 2]" }],
    });
    run.start("long", "each[0]").fail("bad");
    expect(run.statuses()).toMatchObject({ each: "WAITING", "each[1]": "SKIPPED" });
    run.report("each[0]", { kind: "success", output: jsonPayload(1) });
    expect(run.task("each")).toMatchObject({ status: "CANCELLED", reason: "RUN_FAILED" });
  });

  test("stays as it failed when only a stopped agent has to answer", () => {
    const run = failing();
    run.do({ type: "timer", timer: "task_deadline", task: "long" });
    expect(run.run).toMatchObject({ open: 0, leases: 1 });
    expect(run.do({ type: "cancel", reason: "late", graceMs: 100 })).toEqual([]);
    expect(run.do({ type: "timer", timer: "run_deadline" })).toEqual([]);
    run.report("long", { kind: "stopped" });
    expect(run.run).toMatchObject({ status: "FAILED", ending: { task: "bad" } });
  });
});

test("a for_each task makes its own inputs: nobody is told that one was replaced", () => {
  const run = new RunHarness({
    name: "fan",
    tasks: [
      { id: "a", agent: "x" },
      { id: "each", agent: "x", deps: ["a"], for_each: "[1]" },
    ],
  });
  const signal = { type: "signal", task: "each", signal: "i" } as const;
  expect(run.refused({ ...signal, content: interrupt(7) })).toMatchObject({
    code: "ARGUMENT_INVALID",
    field: "interrupt.replace_with",
  });
  run.do({ ...signal, content: interrupt() });
  expect(run.task("each").status).toBe("CANCELLED");
});

test("a cancellation gives agents the time that it names", () => {
  const run = new RunHarness(timed).start("a");
  run.do({ type: "cancel", reason: "enough", graceMs: 123 });
  expect(run.effects.at(-1)).toEqual({
    type: "stop",
    task: "a",
    lease: 1,
    reason: "CANCELLED_BY_USER",
    graceMs: 123,
  });
});

test("the deadline of a for_each task is its instances', before and after a restart", () => {
  const run = new RunHarness({
    name: "fan",
    tasks: [{ id: "each", agent: "x", for_each: "[1, 2]", deadline: "10s" }],
  });
  const live = run.effects.filter(({ type }) => type === "arm");
  expect(live).toHaveLength(2);
  expect(timersOf(run.run)).toEqual(live);
});
