import { describe, expect, test } from "vitest";
import { type Json, jsonPayload } from "../../../../src/base/payload.ts";
import type { Event } from "../../../../src/core/run/message.ts";
import { RunHarness } from "../../../support/run-harness.ts";

const chain = {
  name: "chain",
  tasks: [
    { id: "a", agent: "x" },
    { id: "b", agent: "x", deps: ["a"] },
  ],
};

function types(events: readonly Event[]): string[] {
  return events.map((event) => ("task" in event ? `${event.type}:${event.task}` : event.type));
}

describe("dependencies", () => {
  test("a task starts when its own dependencies are done, never when a layer is", () => {
    const run = new RunHarness({
      name: "two-chains",
      tasks: [
        { id: "a", agent: "x" },
        { id: "c", agent: "x" },
        { id: "b", agent: "x", deps: ["a"] },
        { id: "d", agent: "x", deps: ["c"] },
      ],
    });
    run.complete("a");
    expect(run.statuses()).toEqual({
      a: "COMPLETED",
      b: "SCHEDULED",
      c: "SCHEDULED",
      d: "PENDING",
    });
  });

  test("the whole story of a chain, event by event", () => {
    const run = new RunHarness(chain, { input: { x: 1 } });
    run.complete("a", { y: 2 }).complete("b", "end");
    expect(types(run.events)).toEqual([
      "run_accepted",
      "run_started",
      "task_scheduled:a",
      "task_started:a",
      "task_completed:a",
      "task_scheduled:b",
      "task_started:b",
      "task_completed:b",
      "run_completed",
    ]);
    expect(run.output()).toEqual({ b: "end" });
  });

  test("inputs: the run's input at the roots, outputs by dependency id below", () => {
    const run = new RunHarness(chain, { input: { x: 1 } });
    expect(run.input("a")).toEqual({ x: 1 });
    run.complete("a", [1, 2]);
    expect(run.input("b")).toEqual({ a: [1, 2] });
  });

  test("a run whose session is busy waits, and begins when told", () => {
    const run = new RunHarness(chain, { waiting: true });
    expect(run.run.status).toBe("PENDING");
    expect(types(run.do({ type: "begin" }))).toEqual(["run_started", "task_scheduled:a"]);
    expect(run.do({ type: "begin" })).toEqual([]);
  });
});

describe("conditions", () => {
  const branches = {
    name: "branches",
    tasks: [
      { id: "a", agent: "x" },
      { id: "yes", agent: "x", deps: ["a"], when: "a.ok" },
      { id: "after", agent: "x", deps: ["yes"] },
      { id: "no", agent: "x", deps: ["a"], when: "!a.ok" },
      { id: "join", agent: "x", deps: ["after", "no"] },
    ],
  };

  test("a false condition skips the task and what hangs on it alone; a join runs with null", () => {
    const run = new RunHarness(branches);
    run.complete("a", { ok: false });
    expect(run.statuses()).toMatchObject({ yes: "SKIPPED", after: "SKIPPED", no: "SCHEDULED" });
    expect(run.task("yes").reason).toBe("CONDITION_FALSE");
    expect(run.task("after").reason).toBe("UPSTREAM_FAILED");
    run.complete("no", 1);
    expect(run.input("join")).toEqual({ after: null, no: 1 });
    run.complete("join");
    expect(run.run.status).toBe("COMPLETED");
  });

  test("a condition that cannot be evaluated fails the task", () => {
    const run = new RunHarness(branches);
    run.complete("a", { ok: "perhaps" });
    expect(run.task("yes")).toMatchObject({ status: "FAILED", reason: "EXPRESSION_ERROR" });
    expect(run.run.status).toBe("FAILED");
  });

  test("a template that leads nowhere fails the task before it takes a slot", () => {
    const run = new RunHarness({
      name: "t",
      tasks: [
        { id: "a", agent: "x" },
        { id: "b", agent: "x", deps: ["a"], input: { v: "{{ a.missing }}" } },
      ],
    });
    run.complete("a", {});
    expect(run.task("b")).toMatchObject({
      status: "FAILED",
      reason: "EXPRESSION_ERROR",
      attempt: 0,
    });
    expect(run.task("b").message).toContain("a.missing");
  });
});

describe("for_each", () => {
  const fan = {
    name: "fan",
    tasks: [
      { id: "ls", agent: "x" },
      {
        id: "each",
        agent: "x",
        deps: ["ls"],
        for_each: "ls.items",
        on_error: "continue",
        retry: { max_attempts: 1 },
      },
      { id: "join", agent: "x", deps: ["each"] },
    ],
  };

  test("one instance per item, joined in the order of the list, null for a failed one", () => {
    const run = new RunHarness(fan);
    run.complete("ls", { items: [{ n: 1 }, { n: 2 }, { n: 3 }] });
    expect(run.task("each").status).toBe("WAITING");
    expect(run.input("each[1]")).toEqual({ n: 2 });
    run.complete("each[2]", "c").fail("each[1]").complete("each[0]", "a");
    expect(run.input("join")).toEqual({ each: ["a", null, "c"] });
    run.complete("join");
    expect(run.run.status).toBe("COMPLETED");
  });

  test("an empty list joins at once", () => {
    const run = new RunHarness(fan);
    run.complete("ls", { items: [] });
    expect(run.task("each").status).toBe("COMPLETED");
    expect(run.input("join")).toEqual({ each: [] });
  });

  test("item and index-free templates see their item", () => {
    const run = new RunHarness(
      {
        name: "fan",
        tasks: [
          { id: "each", agent: "x", for_each: "input.names", input: { hello: "hi {{ item }}" } },
        ],
      },
      { input: { names: ["Ann", "Bob"] } },
    );
    expect(run.input("each[1]")).toEqual({ hello: "hi Bob" });
  });

  test("something that is no list fails the task, so does a list beyond the limit", () => {
    const run = new RunHarness(fan);
    run.complete("ls", { items: 3 });
    expect(run.task("each")).toMatchObject({ status: "FAILED", reason: "EXPRESSION_ERROR" });
    const big = new RunHarness(fan);
    big.complete("ls", { items: Array.from({ length: 10_001 }, () => 0) });
    expect(big.task("each")).toMatchObject({ status: "FAILED", reason: "LIMIT_EXCEEDED" });
  });

  test("a fatal instance ends the run and its siblings", () => {
    const run = new RunHarness(
      {
        name: "fan",
        tasks: [{ id: "each", agent: "x", for_each: "input", retry: { max_attempts: 1 } }],
      },
      { input: [1, 2, 3] },
    );
    run.start("each[0]", "each[1]");
    run.report("each[0]", { kind: "failure", failure: "retryable", message: "no" });
    expect(run.statuses()).toEqual({
      each: "CANCELLED",
      "each[0]": "FAILED",
      "each[1]": "CANCELLED",
      "each[2]": "SKIPPED",
    });
    expect(run.run.status).toBe("RUNNING");
    run.report("each[1]", { kind: "stopped" });
    expect(run.run.status).toBe("FAILED");
  });
});

describe("retries", () => {
  test("three more attempts with doubling backoff, then the task fails", () => {
    const run = new RunHarness(chain);
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      run.fail("a", "retryable");
      expect(run.task("a").status).toBe("RETRYING");
      waits.push(run.task("a").dueAt - run.at);
      run.at = run.task("a").dueAt;
      run.do({ type: "timer", timer: "retry_due", task: "a" });
    }
    expect(waits[0]).toBeGreaterThanOrEqual(160);
    expect(waits[0]).toBeLessThanOrEqual(200);
    expect(waits[2]).toBeGreaterThanOrEqual(640);
    expect(waits[2]).toBeLessThanOrEqual(800);
    run.fail("a", "retryable");
    expect(run.task("a")).toMatchObject({ status: "FAILED", reason: "AGENT_ERROR", attempt: 4 });
    expect(run.task("b")).toMatchObject({ status: "SKIPPED", reason: "UPSTREAM_FAILED" });
    expect(run.run.status).toBe("FAILED");
  });

  test("how the latest 16 attempts ended is remembered, with the beginning of what they said", () => {
    const patient = { name: "p", tasks: [{ id: "a", agent: "A", retry: { maxAttempts: 100 } }] };
    const run = new RunHarness(patient);
    for (let attempt = 1; attempt <= 20; attempt++) {
      const message = `no ${attempt}${".".repeat(2_000)}`;
      run.start("a").report("a", { kind: "failure", failure: "retryable", message });
      run.at = run.task("a").dueAt;
      run.do({ type: "timer", timer: "retry_due", task: "a" });
    }
    const { ended } = run.task("a");
    expect(ended.map(({ attempt }) => attempt)).toEqual(
      Array.from({ length: 16 }, (_, n) => n + 5),
    );
    expect(ended[0]).toMatchObject({ reason: "AGENT_ERROR" });
    expect(ended[0]?.message.startsWith("no 5.")).toBe(true);
    expect(ended[0]?.message).toHaveLength(1_000);
  });

  test("non-retryable fails at once, retry-after is honoured", () => {
    const run = new RunHarness(chain);
    run
      .start("a")
      .report("a", { kind: "failure", failure: "throttled", message: "", retryAfterMs: 9_000 });
    expect(run.task("a").dueAt).toBe(run.at + 9_000);
    run.at += 9_000;
    run.do({ type: "timer", timer: "retry_due", task: "a" });
    run.fail("a", "terminal");
    expect(run.task("a")).toMatchObject({ status: "FAILED", reason: "NON_RETRYABLE" });
  });

  test("an early retry timer changes nothing", () => {
    const run = new RunHarness(chain);
    run.fail("a", "retryable");
    expect(run.do({ type: "timer", timer: "retry_due", task: "a" })).toEqual([]);
  });

  test("a restart does not use up an attempt, and finished tasks stay finished", () => {
    const run = new RunHarness({
      ...chain,
      tasks: chain.tasks.map((t) => ({ ...t, retry: { max_attempts: 1 } })),
    });
    run.complete("a", 1).start("b");
    run.do({ type: "recover" });
    expect(run.task("b")).toMatchObject({
      status: "RETRYING",
      reason: "WORKER_LOST",
      failures: 0,
      lease: 0,
    });
    run.do({ type: "timer", timer: "retry_due", task: "b" });
    run.complete("b");
    expect(run.run.status).toBe("COMPLETED");
    expect(run.task("a").attempt).toBe(1);
    expect(run.task("b").attempt).toBe(2);
  });
});

describe("fencing", () => {
  test("reports of stale attempts and of finished tasks change nothing", () => {
    const run = new RunHarness(chain);
    run.fail("a", "retryable");
    run.at = run.task("a").dueAt;
    run.do({ type: "timer", timer: "retry_due", task: "a" });
    run.start("a");
    const late = { kind: "success", output: jsonPayload("late") } as const;
    expect(run.do({ type: "report", task: "a", lease: 1, outcome: late })).toEqual([]);
    expect(run.do({ type: "progress", task: "a", lease: 1, percent: 1, note: "" })).toEqual([]);
    run.report("a", { kind: "success", output: jsonPayload("right") });
    expect(run.do({ type: "report", task: "a", lease: 2, outcome: late })).toEqual([]);
    expect(run.task("a").output).toEqual(jsonPayload("right"));
  });
});

describe("time", () => {
  test("a timed out attempt keeps its slot until its agent answers, then the next one starts", () => {
    const run = new RunHarness(chain);
    run.start("a");
    run.do({ type: "timer", timer: "attempt_timeout", task: "a", lease: 1 });
    expect(run.task("a")).toMatchObject({ status: "RETRYING", reason: "TIMED_OUT", lease: 1 });
    expect(run.run.leases).toBe(1);
    run.at = run.task("a").dueAt;
    expect(run.do({ type: "timer", timer: "retry_due", task: "a" })).toEqual([]);
    expect(
      types(run.do({ type: "report", task: "a", lease: 1, outcome: { kind: "stopped" } })),
    ).toEqual(["lease_ended:a", "task_scheduled:a"]);
    expect(run.effects).toContainEqual(
      expect.objectContaining({ type: "stop", reason: "TIMED_OUT", lease: 1 }),
    );
  });

  test("a task deadline fails it whatever it waits for; a run deadline ends the run", () => {
    const run = new RunHarness({ name: "d", tasks: [{ id: "a", agent: "x", deadline: "1s" }] });
    run.do({ type: "timer", timer: "task_deadline", task: "a" });
    expect(run.task("a")).toMatchObject({ status: "FAILED", reason: "DEADLINE" });
    const slow = new RunHarness(chain, { deadlineMs: 10 });
    expect(slow.effects[0]).toEqual({ type: "arm", timer: "run_deadline", dueAt: 1_010 });
    slow.start("a").do({ type: "timer", timer: "run_deadline" });
    expect(slow.statuses()).toEqual({ a: "CANCELLED", b: "SKIPPED" });
    slow.report("a", { kind: "stopped" });
    expect(slow.run).toMatchObject({ status: "FAILED", ending: { reason: "DEADLINE" } });
  });
});

describe("on_error", () => {
  const guarded = (onError: Json): Json => ({
    name: "guarded",
    tasks: [
      { id: "a", agent: "x", on_error: onError, retry: { max_attempts: 1 } },
      { id: "stand-in", agent: "x" },
      { id: "b", agent: "x", deps: ["a"] },
    ],
  });

  test("continue: dependents see null", () => {
    const run = new RunHarness({
      name: "c",
      tasks: [
        { id: "a", agent: "x", on_error: "continue" },
        { id: "b", agent: "x", deps: ["a"] },
      ],
    });
    run.fail("a");
    expect(run.input("b")).toEqual({ a: null });
    run.complete("b");
    expect(run.run.status).toBe("COMPLETED");
  });

  test("fallback: it runs with the failed task's input, and its output stands in", () => {
    const run = new RunHarness(guarded({ fallback: "stand-in" }), { input: { q: 1 } });
    expect(run.statuses()).toEqual({ a: "SCHEDULED", "stand-in": "PENDING", b: "PENDING" });
    run.fail("a");
    expect(run.statuses()).toEqual({ a: "FAILED", "stand-in": "SCHEDULED", b: "PENDING" });
    expect(run.input("stand-in")).toEqual({ q: 1 });
    run.complete("stand-in", "plan B");
    expect(run.input("b")).toEqual({ a: "plan B" });
    run.complete("b", 1);
    expect(run.run.status).toBe("COMPLETED");
    expect(run.output()).toEqual({ b: 1 });
  });

  test("fallback: a task that succeeds never calls it", () => {
    const run = new RunHarness(guarded({ fallback: "stand-in" }));
    run.complete("a", "plan A");
    expect(run.statuses()).toMatchObject({ "stand-in": "SKIPPED", b: "SCHEDULED" });
    expect(run.input("b")).toEqual({ a: "plan A" });
  });

  test("fallback: when it fails too, its own policy decides", () => {
    const run = new RunHarness(guarded({ fallback: "stand-in" }));
    run.fail("a").fail("stand-in");
    expect(run.run).toMatchObject({ status: "FAILED", ending: { task: "stand-in" } });
  });

  test("fail_fast: false lets running siblings finish and starts nothing new", () => {
    const run = new RunHarness({
      name: "slow",
      fail_fast: false,
      tasks: [
        { id: "a", agent: "x" },
        { id: "b", agent: "x" },
        { id: "c", agent: "x", deps: ["b"] },
      ],
    });
    run.start("a", "b").report("a", { kind: "failure", failure: "terminal", message: "no" });
    expect(run.statuses()).toEqual({ a: "FAILED", b: "RUNNING", c: "SKIPPED" });
    run.report("b", { kind: "success", output: jsonPayload(1) });
    expect(run.run.status).toBe("FAILED");
    expect(run.task("b").status).toBe("COMPLETED");
  });
});

describe("cancel", () => {
  test("everything ends at once, the run when the last agent has answered", () => {
    const run = new RunHarness(chain);
    run.start("a").do({ type: "cancel", reason: "changed my mind", graceMs: 100 });
    expect(run.statuses()).toEqual({ a: "CANCELLED", b: "CANCELLED" });
    expect(run.task("a").lease).toBe(1);
    expect(run.run.status).toBe("RUNNING");
    expect(run.do({ type: "cancel", reason: "again", graceMs: 0 })).toEqual([]);
    run.report("a", { kind: "success", output: jsonPayload("too late") });
    expect(run.run.status).toBe("CANCELLED");
    expect(run.task("a").output).toBeUndefined();
    expect(run.refused({ type: "cancel", reason: "", graceMs: 0 }).code).toBe("RUN_TERMINAL");
  });

  test("a run that waits for its session is cancelled without ever beginning", () => {
    const run = new RunHarness(chain, { waiting: true });
    run.do({ type: "cancel", reason: "", graceMs: 0 });
    expect(run.run.status).toBe("CANCELLED");
    expect(run.run.startedAt).toBe(0);
  });
});

describe("lanes", () => {
  test("dropped fails the task, redirected goes to the other lane, blocked stays pending", () => {
    const one = { name: "l", tasks: [{ id: "a", agent: "x", lane: "io" }] };
    const dropped = new RunHarness(one, { verdict: () => ({ kind: "dropped", lane: "io" }) });
    expect(dropped.task("a")).toMatchObject({ status: "FAILED", reason: "DROPPED" });
    const sent = new RunHarness(one, {
      verdict: () => ({ kind: "redirected", lane: "cpu", from: "io" }),
    });
    expect(sent.task("a")).toMatchObject({ status: "SCHEDULED", lane: "cpu" });
    const held = new RunHarness(one, { verdict: () => ({ kind: "blocked", lane: "io" }) });
    expect(held.task("a").status).toBe("PENDING");
    expect(held.blocked.map((task) => task.id)).toEqual(["a"]);
  });

  test("a queued task that its lane gives up fails as DROPPED", () => {
    const run = new RunHarness(chain);
    run.do({ type: "drop", task: "a", lane: "default" });
    expect(run.task("a")).toMatchObject({ status: "FAILED", reason: "DROPPED" });
  });
});
