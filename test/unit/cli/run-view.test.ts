import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  Reason,
  type RunInfo,
  RunInfoSchema,
  RunState,
  type TaskEvent,
  TaskEventSchema,
  TaskEventType,
  TaskState,
} from "../../../gen/goclaw/v1/run_pb.ts";
import type { Canvas } from "../../../src/cli/dag-view.ts";
import { dagLines, tally } from "../../../src/cli/dag-view.ts";
import { jsonLine, plainLine } from "../../../src/cli/event-line.ts";
import { painter, widthOf } from "../../../src/cli/layout.ts";
import { RunModel } from "../../../src/cli/run-model.ts";

const START = Date.UTC(2026, 0, 1);
const RUN = "01KDW3YZ00000000000000RUN1";

type EventParts = Omit<MessageInitShape<typeof TaskEventSchema>, "sequence" | "$typeName">;

/** A snapshot of a run that was just accepted, and a maker of the events after it. */
function fresh(tasks: readonly { id: string; deps?: string[] }[]): {
  model: RunModel;
  emit: (atMs: number, parts: EventParts) => void;
} {
  const snapshot: RunInfo = create(RunInfoSchema, {
    runId: RUN,
    workflow: "support",
    state: RunState.RUNNING,
    sequence: 2n,
    accepted: timestampFromMs(START),
    tasks: tasks.map(({ id, deps = [] }) => ({
      taskId: id,
      agent: `${id}Agent`,
      deps,
      state: TaskState.PENDING,
    })),
  });
  const model = new RunModel(snapshot);
  return {
    model,
    emit: (atMs, parts) => model.apply(event(model.sequence + 1n, atMs, parts)),
  };
}

function event(sequence: bigint, atMs: number, parts: EventParts): TaskEvent {
  return create(TaskEventSchema, {
    runId: RUN,
    sequence,
    time: timestampFromMs(START + atMs),
    ...parts,
  });
}

const started = (taskId: string, attempt = 1): EventParts => ({
  type: TaskEventType.TASK_STARTED,
  taskId,
  attempt,
  taskState: TaskState.RUNNING,
});
const completed = (taskId: string): EventParts => ({
  type: TaskEventType.TASK_COMPLETED,
  taskId,
  attempt: 1,
  taskState: TaskState.COMPLETED,
});

function canvas(atMs: number, size: Partial<Canvas> = {}): Canvas {
  return { now: START + atMs, columns: 80, rows: 24, paint: painter(false), ...size };
}

const SUPPORT = [
  { id: "intake" },
  { id: "classify", deps: ["intake"] },
  { id: "lookup", deps: ["intake"] },
  { id: "resolve", deps: ["classify", "lookup"] },
];

describe("the drawing", () => {
  test("shows every task by layer, with what is worth saying in its state", () => {
    const { model, emit } = fresh(SUPPORT);
    emit(0, started("intake"));
    emit(1_500, completed("intake"));
    emit(1_600, {
      type: TaskEventType.TASK_SCHEDULED,
      taskId: "lookup",
      lane: "io",
      taskState: TaskState.SCHEDULED,
    });
    emit(1_700, started("classify", 2));
    emit(2_000, {
      type: TaskEventType.TASK_PROGRESS,
      taskId: "classify",
      attempt: 2,
      percent: 50,
      message: "reading\u001b[2J mail",
    });
    expect(dagLines(model, canvas(4_700))).toEqual([
      "support  01KDW3YZ00000000000000RUN1  running  4.7s",
      " ─ ✔ intake    intakeAgent    1.5s",
      " ┌ ● classify  classifyAgent  █████      50%  3.0s  attempt 2  reading[2J mail",
      " └ ◌ lookup    lookupAgent    in lane io  3.1s",
      " ─ · resolve   resolveAgent   after classify, lookup",
      "4 tasks: 1 running, 1 queued, 1 pending, 1 completed",
    ]);
  });

  test("shows why tasks retry, fail, are skipped or cancelled, and freezes the clock at the end", () => {
    const { model, emit } = fresh([{ id: "a" }, { id: "b" }, { id: "c" }, { id: "d" }]);
    emit(1_000, {
      type: TaskEventType.TASK_RETRYING,
      taskId: "a",
      attempt: 1,
      taskState: TaskState.RETRYING,
      reason: Reason.AGENT_ERROR,
      message: "no route",
      due: timestampFromMs(START + 3_000),
    });
    emit(1_000, {
      type: TaskEventType.TASK_FAILED,
      taskId: "b",
      taskState: TaskState.FAILED,
      reason: Reason.TIMED_OUT,
    });
    emit(1_000, {
      type: TaskEventType.TASK_SKIPPED,
      taskId: "c",
      taskState: TaskState.SKIPPED,
      reason: Reason.CONDITION_FALSE,
    });
    emit(1_000, {
      type: TaskEventType.TASK_CANCELLED,
      taskId: "d",
      taskState: TaskState.CANCELLED,
      reason: Reason.RUN_FAILED,
    });
    emit(2_000, {
      type: TaskEventType.RUN_FAILED,
      taskId: "b",
      runState: RunState.FAILED,
      reason: Reason.TIMED_OUT,
      message: "task b",
    });
    expect(dagLines(model, canvas(2_000))).toEqual([
      "support  01KDW3YZ00000000000000RUN1  failed  2.0s",
      " ┌ ↻ a  aAgent  attempt 2 in 1.0s  agent_error: no route",
      " │ ✖ b  bAgent  timed_out",
      " │ ↷ c  cAgent  condition_false",
      " └ ■ d  dAgent  run_failed",
      "4 tasks: 1 failed, 1 retrying, 1 cancelled, 1 skipped",
    ]);
    expect(dagLines(model, canvas(90_000))[0]).toContain("failed  2.0s");
    expect([model.failedTask, model.message]).toEqual(["b", "task b"]);
  });

  test("a for_each task is one line with the state of its instances", () => {
    const { model, emit } = fresh([{ id: "list" }, { id: "scan", deps: ["list"] }]);
    emit(0, {
      type: TaskEventType.TASK_EXPANDED,
      taskId: "scan",
      instances: 4,
      taskState: TaskState.WAITING,
    });
    emit(1, started("scan[0]"));
    emit(2, started("scan[1]"));
    emit(3, completed("scan[0]"));
    expect(model.tasks.get("scan")?.instances.get("scan[1]")?.agent).toBe("scanAgent");
    expect(dagLines(model, canvas(10))[2]).toBe(" ─ ◐ scan  scanAgent  ██▌         1/4  1 running");
    expect([...tally(model).values()].reduce((a, b) => a + b, 0)).toBe(5);
    expect(tally(model).get(TaskState.PENDING)).toBe(3);
  });

  test("on a small screen what runs stays and what is done goes first", () => {
    const { model, emit } = fresh(Array.from({ length: 30 }, (_, at) => ({ id: `t${at}` })));
    for (let at = 0; at < 20; at++) emit(at, completed(`t${at}`));
    emit(30, started("t25"));
    const lines = dagLines(model, canvas(40, { rows: 8 }));
    expect(lines).toHaveLength(7);
    expect(lines.join("\n")).toMatch(/● t25/);
    expect(lines.join("\n")).not.toMatch(/✔/);
    expect(lines.at(-2)).toBe("   … 26 more tasks");
    expect(lines.at(-1)).toBe("30 tasks: 1 running, 9 pending, 20 completed");
  });

  test("no line is wider than the screen and no drawing higher, whatever the names and notes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "grapheme", maxLength: 60 }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 30, max: 120 }),
        fc.integer({ min: 5, max: 30 }),
        (notes, columns, rows) => {
          const { model, emit } = fresh(
            notes.map((_, at) => ({
              id: `task-with-a-long-name-${at}`,
              deps: at > 0 ? [`task-with-a-long-name-${at - 1}`] : [],
            })),
          );
          for (const [at, note] of notes.entries()) {
            emit(at, { ...started(`task-with-a-long-name-${at}`) });
            emit(at, {
              type: TaskEventType.TASK_PROGRESS,
              taskId: `task-with-a-long-name-${at}`,
              percent: 5,
              message: note,
            });
          }
          const lines = dagLines(model, canvas(100, { columns, rows }));
          expect(lines.length).toBeLessThanOrEqual(rows);
          for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(columns);
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("the model", () => {
  test("an event seen twice changes nothing", () => {
    const { model } = fresh([{ id: "a" }]);
    model.apply(event(3n, 10, started("a")));
    model.apply(event(4n, 20, completed("a")));
    model.apply(event(3n, 10, started("a")));
    expect(model.tasks.get("a")?.state).toBe(TaskState.COMPLETED);
    expect(model.sequence).toBe(4n);
  });

  test("a gap replaces everything by its snapshot", () => {
    const { model } = fresh([{ id: "a" }]);
    model.apply(
      create(TaskEventSchema, {
        runId: RUN,
        sequence: 50n,
        type: TaskEventType.GAP,
        runState: RunState.RUNNING,
        snapshot: {
          runId: RUN,
          workflow: "support",
          state: RunState.RUNNING,
          sequence: 50n,
          tasks: [
            { taskId: "a", agent: "A", state: TaskState.WAITING, instances: 2 },
            { taskId: "a[0]", agent: "A", state: TaskState.COMPLETED },
            { taskId: "a[1]", agent: "A", state: TaskState.RUNNING, note: "half" },
          ],
        },
      }),
    );
    expect(model.sequence).toBe(50n);
    expect(model.tasks.get("a")?.instances.get("a[1]")?.message).toBe("half");
    expect(tally(model)).toEqual(
      new Map([
        [TaskState.RUNNING, 1],
        [TaskState.COMPLETED, 1],
      ]),
    );
  });
});

describe("event lines", () => {
  test("json is one line of protobuf JSON", () => {
    const line = jsonLine(event(3n, 10, { ...started("a"), message: "two\nlines" }));
    expect(line).not.toContain("\n");
    expect(JSON.parse(line)).toEqual({
      runId: RUN,
      sequence: "3",
      time: "2026-01-01T00:00:00.010Z",
      type: "TASK_EVENT_TYPE_TASK_STARTED",
      taskId: "a",
      attempt: 1,
      taskState: "TASK_STATE_RUNNING",
      message: "two\nlines",
    });
  });

  test("plain lines count time from acceptance and hold one event", () => {
    const line = (atMs: number, parts: EventParts): string =>
      plainLine(event(3n, atMs, parts), START);
    expect(line(0, { type: TaskEventType.RUN_ACCEPTED, workflow: "support" })).toBe(
      "    0ms  run_accepted      support",
    );
    expect(line(1_250, started("a", 2))).toBe("   1.3s  task_started      a  attempt 2");
    expect(
      line(61_000, {
        type: TaskEventType.TASK_RETRYING,
        taskId: "a",
        reason: Reason.AGENT_ERROR,
        message: "no\nroute\u0007",
      }),
    ).toBe("  1m01s  task_retrying     a  agent_error: no route");
    expect(
      line(5, {
        type: TaskEventType.TASK_SCHEDULED,
        taskId: "a",
        lane: "cpu",
        redirectedFrom: "gpu",
      }),
    ).toBe("    5ms  task_scheduled    a  lane cpu  instead of gpu");
    expect(
      line(5, { type: TaskEventType.TASK_PROGRESS, taskId: "a", percent: 33.9, message: "n" }),
    ).toBe("    5ms  task_progress     a  33%  n");
    expect(
      line(5, { type: TaskEventType.SIGNAL_ACCEPTED, taskId: "a", signal: { signalId: "s1" } }),
    ).toBe("    5ms  signal_accepted   a  signal s1");
  });
});
