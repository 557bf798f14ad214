import { toJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RunInfoSchema, TaskStatusSchema } from "../../../gen/goclaw/v1/run_pb.ts";
import { jsonPayload } from "../../../src/base/payload.ts";
import { runInfo, taskStatus } from "../../../src/server/wire-run.ts";
import { RUN_ID, RunHarness } from "../../support/run-harness.ts";

const shown = (harness: RunHarness, detail = {}) =>
  toJson(RunInfoSchema, runInfo(harness.run, detail)) as Record<string, never>;

describe("a run on the wire", () => {
  it("shows a completed run with input, output and tasks in reading order", () => {
    const harness = new RunHarness(
      {
        name: "w",
        version: "1.2",
        tasks: [
          { id: "items", agent: "a" },
          { id: "each", agent: "a", deps: ["items"], for_each: "items" },
          { id: "join", agent: "b", deps: ["each"] },
        ],
      },
      { input: { n: 1 } },
    );
    harness.complete("items", ["x", "y"]).complete("each[0]", 10).complete("each[1]", 11);
    harness.complete("join", { done: true });
    expect(shown(harness)).toMatchObject({
      runId: RUN_ID,
      namespace: "default",
      workflow: "w",
      version: "1.2",
      definitionHash: "0".repeat(64),
      state: "RUN_STATE_COMPLETED",
      accepted: "1970-01-01T00:00:01Z",
      input: { n: 1 },
      output: { join: { done: true } },
      sequence: String(harness.events.length),
      traceId: "0".repeat(32),
    });
    const { tasks } = runInfo(harness.run);
    expect(tasks.map(({ taskId }) => taskId)).toEqual([
      "items",
      "each",
      "each[0]",
      "each[1]",
      "join",
    ]);
    // A group's output is that of its instances, which are there already.
    expect(tasks[1]?.output).toBeUndefined();
    expect(tasks[1]?.instances).toBe(2);
    const each = toJson(TaskStatusSchema, taskStatus(harness.task("each")));
    expect(each).toMatchObject({ output: [10, 11], deps: ["items"] });
  });

  it("says why and where a run failed", () => {
    const harness = new RunHarness({ name: "w", tasks: [{ id: "a", agent: "a" }] }).fail("a");
    expect(shown(harness)).toMatchObject({
      state: "RUN_STATE_FAILED",
      reason: "REASON_NON_RETRYABLE",
      failedTask: "a",
      message: "a failed",
      tasks: [{ taskId: "a", state: "TASK_STATE_FAILED", reason: "REASON_NON_RETRYABLE" }],
    });
    expect(runInfo(harness.run).output).toBeUndefined();
  });

  it("leaves out what a summary does not need", () => {
    const harness = new RunHarness({ name: "w", tasks: [{ id: "a", agent: "a" }] }, { input: 1 });
    const summary = runInfo(harness.run, { summaryOnly: true });
    expect(summary.workflow).toBe("w");
    expect(summary.tasks).toEqual([]);
    expect(summary.input).toBeUndefined();
  });

  it("shows a retrying task with the time it is due, and a running one without", () => {
    const harness = new RunHarness({ name: "w", tasks: [{ id: "a", agent: "a" }] });
    harness.fail("a", "retryable");
    const status = taskStatus(harness.task("a"));
    expect(status.due).toBeDefined();
    expect(status.waitingFor).toBe("backs off after attempt 1");
    harness.at = harness.task("a").dueAt;
    harness.do({ type: "timer", timer: "retry_due", task: "a", lease: 1 });
    harness.start("a");
    const running = taskStatus(harness.task("a"));
    expect(running.due).toBeUndefined();
    expect(running.attempt).toBe(2);
    expect(running.waitingFor).toBe("");
  });

  it("shows the signals of a task's mailbox", () => {
    const harness = new RunHarness({ name: "w", tasks: [{ id: "a", agent: "a" }] }).start("a");
    const payload = jsonPayload(null);
    harness.do({
      type: "signal",
      task: "a",
      signal: "s1",
      content: { kind: "steer", payload, text: "hurry" },
    });
    expect(toJson(TaskStatusSchema, taskStatus(harness.task("a")))).toMatchObject({
      signals: [{ signalId: "s1", kind: "SIGNAL_KIND_STEER", receipt: "SIGNAL_RECEIPT_ACCEPTED" }],
    });
  });
});
