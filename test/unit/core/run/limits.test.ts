import { describe, expect, test } from "vitest";
import { jsonPayload } from "../../../../src/base/payload.ts";
import { signalExcess } from "../../../../src/core/run/decide-signal.ts";
import { RUN_LIMITS, type RunLimits } from "../../../../src/core/run/limits.ts";
import type { SignalContent } from "../../../../src/core/run/message.ts";
import { weigh } from "../../../../src/core/run/weight.ts";
import { RunHarness } from "../../../support/run-harness.ts";

const PAIR = {
  name: "pair",
  tasks: [
    { id: "a", agent: "x" },
    { id: "b", agent: "x" },
  ],
};

function limited(lower: Partial<RunLimits>): RunHarness {
  const run = new RunHarness(PAIR);
  run.limits = { ...RUN_LIMITS, ...lower };
  return run;
}

describe("weigh", () => {
  test("counts text and bytes by length and everything else by slots", () => {
    expect(weigh("x".repeat(1_000)) - weigh("")).toBe(1_000);
    expect(weigh(new Uint8Array(1_000)) - weigh(new Uint8Array())).toBe(1_000);
    const event = (json: string) => ({ type: "task_completed", output: { json } });
    expect(weigh(event("x".repeat(500))) - weigh(event(""))).toBe(500);
    expect(weigh([1, null, true])).toBe(4 * weigh(0));
  });

  test("a field that is undefined weighs what an absent one does", () => {
    expect(weigh({ a: 1, b: undefined })).toBe(weigh({ a: 1 }));
  });
});

describe("the history of a run", () => {
  test("is as large as its events", () => {
    const run = new RunHarness(PAIR).complete("a", "x".repeat(1_000));
    expect(run.run.historyBytes).toBe(run.events.reduce((sum, event) => sum + weigh(event), 0));
    expect(run.run.historyBytes).toBeGreaterThan(1_000);
  });

  test("ends a run that has more events than it may", () => {
    const run = limited({ historyEvents: 6 }).start("a");
    expect(run.run.sequence).toBe(5);
    run.report("a", { kind: "success", output: jsonPayload(1) });
    expect(run.run.status).toBe("RUNNING");
    run.start("b");
    expect(run.events.find((event) => event.type === "run_ending")).toMatchObject({
      reason: "LIMIT_EXCEEDED",
      message: "the run has more than 6 events",
    });
    run.do({ type: "report", task: "b", lease: 1, outcome: { kind: "stopped" } });
    expect(run.run).toMatchObject({ status: "FAILED", ending: { reason: "LIMIT_EXCEEDED" } });
  });

  test("ends a run that has larger events than it may", () => {
    const run = limited({ historyBytes: 5_000 }).start("a", "b");
    expect(run.run.ending).toBeUndefined();
    run.report("a", { kind: "success", output: jsonPayload("x".repeat(5_000)) });
    expect(run.run.ending).toMatchObject({
      status: "FAILED",
      reason: "LIMIT_EXCEEDED",
      message: "the run has more than 5000 bytes of events",
    });
  });

  test("a run whose last task exceeds it has still completed", () => {
    const run = limited({ historyBytes: 5_000 }).complete("a").start("b");
    run.report("b", { kind: "success", output: jsonPayload("x".repeat(5_000)) });
    expect(run.run.status).toBe("COMPLETED");
  });

  test.each([
    ["events", { historyEvents: 12 }],
    ["bytes", { historyBytes: 2_600 }],
  ])("news stops at half of the %s, facts go on", (_, lower) => {
    const run = limited(lower).start("a");
    const tell = () =>
      run.do({ type: "progress", task: "a", lease: 1, percent: 1, note: "on it" }).length;
    const told: number[] = [];
    for (let turn = 0; turn < 12; turn++) told.push(tell());
    expect(told[0]).toBe(1);
    expect(told.at(-1)).toBe(0);
    const { sequence, historyBytes } = run.run;
    expect(sequence).toBeLessThanOrEqual(run.limits.historyEvents / 2);
    expect(historyBytes).toBeLessThan(run.limits.historyBytes / 2 + 200);
    run.report("a", { kind: "success", output: jsonPayload(1) });
    expect(run.task("a").status).toBe("COMPLETED");
    expect(run.run.ending).toBeUndefined();
  });
});

test("a for_each expands up to the tasks a run may have", () => {
  const fan = { name: "fan", tasks: [{ id: "each", agent: "x", for_each: "input" }] };
  const ended = (items: number) => {
    const run = new RunHarness(fan, { input: Array(items).fill(0), waiting: true });
    run.limits = { ...RUN_LIMITS, tasks: 4 };
    run.do({ type: "begin" });
    return run.task("each");
  };
  expect(ended(3)).toMatchObject({ status: "WAITING", group: { count: 3 } });
  expect(ended(4)).toMatchObject({
    status: "FAILED",
    reason: "LIMIT_EXCEEDED",
    message: "for_each: 4 items would exceed 4 tasks in the run",
  });
});

describe("signals", () => {
  const steer: SignalContent = { kind: "steer", payload: jsonPayload(null), text: "" };
  const signal = (task: string, id: string) =>
    ({ type: "signal", task, signal: id, content: steer }) as const;

  test("as many wait in a task as configured, and a repeated id is no news", () => {
    const run = limited({ taskSignals: 2 }).start("a");
    run.do(signal("a", "s1"));
    run.do(signal("a", "s2"));
    expect(run.refused(signal("a", "s3"))).toMatchObject({
      code: "SIGNAL_MAILBOX_FULL",
      of: "task",
      limit: 2,
    });
    expect(run.do(signal("a", "s2"))).toEqual([]);
    run.do({ type: "receipt", task: "a", lease: 1, signal: "s1", receipt: "admitted" });
    expect(run.do(signal("a", "s3"))).toHaveLength(1);
  });

  test("as many wait in a run as configured, whichever task they are for", () => {
    const run = limited({ runSignals: 2 }).start("a", "b");
    run.do(signal("a", "s1"));
    run.do(signal("b", "s1"));
    expect(run.refused(signal("b", "s2"))).toMatchObject({ of: "run", limit: 2 });
    expect(run.do(signal("b", "s1"))).toEqual([]);
    run.do({ type: "receipt", task: "a", lease: 1, signal: "s1", receipt: "admitted" });
    expect(run.do(signal("b", "s2"))).toHaveLength(1);
  });

  const limits = { payloadBytes: 10, timerMs: 1_000 };
  const large = jsonPayload("x".repeat(9));
  const interrupt = { kind: "interrupt", reason: "", graceMs: 1_000 } as const;
  const collect = { kind: "collect", tasks: [], mode: { kind: "all" } } as const;

  test("what just fits is fine", () => {
    const small = jsonPayload("x".repeat(8));
    const fine: SignalContent[] = [
      { kind: "steer", payload: small, text: "x".repeat(10) },
      { ...interrupt, replaceWith: small },
      interrupt,
      { ...collect, deadlineMs: 1_000 },
      collect,
    ];
    for (const content of fine) expect(signalExcess(content, limits)).toBeUndefined();
  });

  test.each([
    ["steer.payload", 11, 10, { ...steer, payload: large }],
    ["steer.text", 12, 10, { ...steer, text: "ä".repeat(6) }],
    ["interrupt.replace_with", 11, 10, { ...interrupt, replaceWith: large }],
    ["interrupt.grace", 1_001, 1_000, { ...interrupt, graceMs: 1_001 }],
    ["collect.deadline", 1_001, 1_000, { ...collect, deadlineMs: 1_001 }],
  ] as const)("%s", (field, value, limit, content) => {
    expect(signalExcess(content as SignalContent, limits)?.fault).toMatchObject({
      code: "LIMIT_EXCEEDED",
      field,
      value,
      limit,
    });
  });
});
