import { describe, expect, it } from "vitest";
import type { LaneStatus } from "../../../../src/core/lane/lane.ts";
import { explainWait } from "../../../../src/core/run/explain.ts";
import { RunHarness } from "../../../support/run-harness.ts";

const task = (id: string, more: object = {}) => ({ id, agent: "a", ...more });
const spec = (...tasks: object[]) => ({ name: "w", tasks }) as never;

const lane = (more: Partial<LaneStatus> = {}): LaneStatus => ({
  name: "default",
  kind: "named",
  concurrency: 4,
  capacity: 10,
  overflow: { kind: "block" },
  rate: undefined,
  paused: false,
  occupied: 4,
  queued: 7,
  blocked: 0,
  oldestSince: undefined,
  opensAt: undefined,
  ...more,
});

describe("why a task does not run", () => {
  it("names its session when an earlier run of it goes on", () => {
    const { run } = new RunHarness(spec(task("a")), { waiting: true });
    expect(explainWait(run.tasks[0] as never)).toBe("the run has not begun");
    Object.assign(run.request, { sessionId: "s" });
    expect(explainWait(run.tasks[0] as never)).toBe('an earlier run of session "s" has not ended');
  });

  it("names the dependencies that have not ended, and counts the rest", () => {
    const deps = ["a", "b", "c", "d", "e"];
    const harness = new RunHarness(spec(...deps.map((id) => task(id)), task("join", { deps })));
    harness.start("a").complete("b");
    expect(explainWait(harness.task("join"))).toBe(
      'waits for "a" (RUNNING), "c" (SCHEDULED), "d" (SCHEDULED) and 1 more',
    );
  });

  it("says that its lane is full", () => {
    const harness = new RunHarness(spec(task("a")), {
      verdict: () => ({ kind: "blocked", lane: "default" }),
    });
    expect(explainWait(harness.task("a"))).toBe('waits for room in lane "default"');
    expect(explainWait(harness.task("a"), () => lane({ queued: 10 }))).toBe(
      'waits for room in lane "default": 10 of 10 places of its queue are taken',
    );
  });

  it.each([
    [undefined, 'queued in lane "default"'],
    [lane(), '4 of 4 slots of lane "default" are taken, 7 queued'],
    [lane({ paused: true }), 'lane "default" is paused, 7 queued'],
    [lane({ opensAt: 5 }), 'the rate limit of lane "default" is used up, 7 queued'],
    [lane({ occupied: 1 }), 'next in lane "default", 7 queued in lane "default"'],
  ])("tells what its lane waits for (%#)", (status, sentence) => {
    const harness = new RunHarness(spec(task("a")));
    const only = (name: string) => (name === "default" ? status : undefined);
    expect(explainWait(harness.task("a"), only)).toBe(sentence);
  });

  it("names the global lane when that is what holds it up", () => {
    const harness = new RunHarness(spec(task("a")));
    const lanes = (name: string) =>
      name === "default" ? lane({ occupied: 1 }) : lane({ name, kind: "global" });
    expect(explainWait(harness.task("a"), lanes)).toBe(
      '4 of 4 slots of lane "global" are taken, 7 queued in lane "default"',
    );
  });

  it("counts the instances that are open", () => {
    const harness = new RunHarness(spec(task("each", { for_each: "input" })), { input: [1, 2, 3] });
    harness.complete("each[1]");
    expect(explainWait(harness.task("each"))).toBe("waits for 2 of its 3 instances");
  });

  it("says that it backs off", () => {
    const harness = new RunHarness(spec(task("a"))).fail("a", "retryable");
    expect(harness.task("a").status).toBe("RETRYING");
    expect(explainWait(harness.task("a"))).toBe("backs off after attempt 1");
  });

  it("has nothing to say of a task that runs or has ended", () => {
    const harness = new RunHarness(spec(task("a"), task("b"))).start("a").complete("b");
    expect(harness.run.tasks.map((of) => explainWait(of))).toEqual(["", ""]);
  });
});
