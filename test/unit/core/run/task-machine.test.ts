import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { evolve } from "../../../../src/core/run/evolve.ts";
import type { Event } from "../../../../src/core/run/message.ts";
import { isTerminalTask, TASK_STATUSES, type TaskStatus } from "../../../../src/core/run/status.ts";
import {
  MOVE_OF_EVENT,
  nextStatus,
  stateDiagram,
  TASK_TABLE,
  type TaskMove,
  transitions,
} from "../../../../src/core/run/task-machine.ts";
import { RunHarness } from "../../../support/run-harness.ts";

const DOC = new URL("../../../../docs/state-machine.md", import.meta.url);
const MOVES = Object.values(MOVE_OF_EVENT);

const SPEC = { name: "one", tasks: [{ id: "a", agent: "x" }] };

/** An event that makes a move, whatever the state. */
const EVENT_OF_MOVE: Record<TaskMove, Event> = {
  schedule: { type: "task_scheduled", at: 1, task: "a", lane: "default" },
  start: { type: "task_started", at: 1, task: "a", attempt: 1 },
  return: { type: "task_returned", at: 1, task: "a", attempt: 1 },
  complete: { type: "task_completed", at: 1, task: "a", attempt: 1 },
  retry: {
    type: "task_retrying",
    at: 1,
    task: "a",
    attempt: 1,
    reason: "AGENT_ERROR",
    message: "",
    dueAt: 2,
    counted: true,
  },
  fail: { type: "task_failed", at: 1, task: "a", attempt: 1, reason: "AGENT_ERROR", message: "" },
  cancel: { type: "task_cancelled", at: 1, task: "a", reason: "CANCELLED_BY_USER", message: "" },
  skip: { type: "task_skipped", at: 1, task: "a", reason: "CONDITION_FALSE" },
  expand: { type: "task_expanded", at: 1, task: "a", items: [] },
  suspend: { type: "task_waiting", at: 1, task: "a", note: "" },
  resume: { type: "task_resumed", at: 1, task: "a" },
};

describe("the transition table", () => {
  const cases = TASK_STATUSES.flatMap((from) =>
    [...new Set(MOVES)].map((move) => ({ from, move })),
  );

  test.each(cases)("$from × $move is what the table says", ({ from, move }) => {
    const { run } = new RunHarness(SPEC);
    const task = run.tasks[0];
    if (task === undefined) throw new Error("no task");
    task.status = from;
    const to: TaskStatus | undefined = nextStatus(from, move);
    const event = EVENT_OF_MOVE[move];
    if (to === undefined) {
      expect(() => evolve(run, event)).toThrow("is not possible from");
    } else {
      evolve(run, event);
      expect(task.status).toBe(to);
    }
  });

  test("terminal states have no way out, all others have one", () => {
    for (const status of TASK_STATUSES) {
      expect(Object.keys(TASK_TABLE[status]).length === 0, status).toBe(isTerminalTask(status));
    }
  });

  test("every status but the first can be reached", () => {
    const reached = new Set(transitions().map(({ to }) => to));
    expect(TASK_STATUSES.filter((status) => !reached.has(status))).toEqual(["PENDING"]);
  });

  test("docs/state-machine.md shows this table", () => {
    const diagram = `\`\`\`mermaid\n${stateDiagram()}\n\`\`\``;
    const text = readFileSync(DOC, "utf8");
    const updated = text.replace(/```mermaid\n[\s\S]*?```/, () => diagram);
    expect(updated).toContain(diagram);
    if (process.env.UPDATE_DOCS) writeFileSync(DOC, updated);
    expect(text, "run UPDATE_DOCS=1 make unit").toBe(updated);
  });
});
