/**
 * A snapshot restores the state it was taken of. States are driven through the core by random commands, so that they
 * have attempts, failures, groups, mailboxes and endings; each is stored, restored on its plan, and compared.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FaultError } from "../../src/base/fault.ts";
import { jsonPayload } from "../../src/base/payload.ts";
import type { SignalContent } from "../../src/core/run/message.ts";
import type { RunState, TaskState } from "../../src/core/run/state.ts";
import { isTerminalRun, isTerminalTask } from "../../src/core/run/status.ts";
import { snapshotKey } from "../../src/journal/keys.ts";
import { RunPacker } from "../../src/journal/packed-run.ts";
import { decodeSnapshot, encodeSnapshot } from "../../src/journal/snapshot.ts";
import { ByteWriter } from "../../src/journal/wire.ts";
import { RUN_ID, RunHarness } from "../support/run-harness.ts";

const SPEC = {
  name: "flow",
  tasks: [
    { id: "split", agent: "x" },
    { id: "each", agent: "x", deps: ["split"], for_each: "split" },
    { id: "maybe", agent: "x", deps: ["split"], when: "size(split) > 1" },
    { id: "risky", agent: "x", retry: { max_attempts: 3 }, on_error: "fallback: backup" },
    { id: "backup", agent: "x" },
    { id: "join", agent: "x", deps: ["each", "maybe", "risky"] },
  ],
};

const POSITION = { sequence: 0, high: -5, low: 7, bytes: 900 };

const CONTENTS: readonly SignalContent[] = [
  { kind: "steer", payload: { mediaType: "a/b", bytes: Uint8Array.of(0, 255) }, text: "left" },
  { kind: "interrupt", reason: "newer input", graceMs: 50, replaceWith: { json: "[1]" } },
  { kind: "interrupt", reason: "stop", graceMs: 0 },
  { kind: "collect", tasks: ["split", "risky"], mode: { kind: "quorum", count: 2 } },
];

/** Does something to a run that its state permits; refusals are part of life. */
function poke(harness: RunHarness, choice: number, turn: number): void {
  if (isTerminalRun(harness.run.status)) return;
  const moving = harness.run.tasks.filter(
    ({ status }) => status !== "PENDING" && !isTerminalTask(status),
  );
  const task = moving[choice % moving.length];
  const action = Math.floor(choice / 64) % 32;
  if (task === undefined) return;
  harness.at += 500;
  try {
    if (action === 0) harness.do({ type: "cancel", reason: "enough", graceMs: 100 });
    else if (action < 5) {
      const content = CONTENTS[choice % CONTENTS.length] as SignalContent;
      harness.do({ type: "signal", task: task.id, signal: `s${turn}`, content });
    } else move(harness, task, action);
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("refused: "))) throw error;
  }
}

function move(harness: RunHarness, task: TaskState, action: number): void {
  const attempt = task.lease;
  if (task.status === "SCHEDULED") harness.start(task.id);
  else if (task.status === "RETRYING") {
    harness.do({ type: "timer", timer: "retry_due", task: task.id });
  } else if (attempt === 0) return;
  else if (action < 10) {
    harness.do({ type: "progress", task: task.id, lease: attempt, percent: action, note: "on it" });
    harness.do({ type: "checkpoint", task: task.id, lease: attempt, data: Uint8Array.of(action) });
  } else if (action < 16) failed(harness, task.id);
  else harness.report(task.id, { kind: "success", output: jsonPayload(["a", "b"]) });
}

function failed(harness: RunHarness, id: string): void {
  harness.report(id, { kind: "failure", failure: "retryable", message: "no luck" });
}

const FEATURES = [
  "CANCELLED run",
  "RUNNING run",
  "RETRYING task",
  "WAITING task",
  "checkpoint",
  "collect to come",
  "collected",
  "ending",
  "group",
  "instance",
  "mailbox",
  "replaced input",
  "stopping",
];

/** Which of the rarer parts of a state this one has. */
function featuresOf(run: RunState): string[] {
  const found = [`${run.status} run`, ...run.tasks.map((task) => `${task.status} task`)];
  if (run.ending !== undefined) found.push("ending");
  if (run.agenda.collecting.length > 0) found.push("collect to come");
  for (const task of run.tasks) {
    if (task.checkpoint !== undefined) found.push("checkpoint");
    if (task.group !== undefined) found.push("group");
    if (task.item !== undefined) found.push("instance");
    if (task.mailbox !== undefined) found.push("mailbox");
    if (task.mailbox?.some((entry) => entry.collected !== undefined)) found.push("collected");
    if (task.replacedInput !== undefined) found.push("replaced input");
    if (task.stopping !== undefined) found.push("stopping");
  }
  return found.filter((feature) => FEATURES.includes(feature));
}

const packer = new RunPacker();

function store(run: RunState): Uint8Array {
  const position = { ...POSITION, sequence: run.sequence };
  return encodeSnapshot(new ByteWriter(), snapshotKey(RUN_ID), run, position, 3).slice();
}

describe("snapshots", () => {
  test("restore what they were taken of, and so does a packed run", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(fc.array(fc.nat(10_000), { maxLength: 60 }), (choices) => {
        const harness = new RunHarness(SPEC);
        for (const [turn, choice] of choices.entries()) poke(harness, choice, turn);
        const found = decodeSnapshot(RUN_ID, snapshotKey(RUN_ID), store(harness.run));
        expect(found.stored).toMatchObject({
          definition: harness.run.plan.hash,
          sequence: harness.run.sequence,
        });
        expect(found.header).toMatchObject({ commit: 3, bytes: 900, low: 7 });
        expect(found.stored.restore(harness.run.plan)).toEqual(harness.run);
        const packed = packer.pack(harness.run);
        expect(packer.unpack(RUN_ID, harness.run.plan, packed)).toEqual(harness.run);
        for (const feature of featuresOf(harness.run)) seen.add(feature);
      }),
      { numRuns: 200, seed: 20_261_122 },
    );
    expect([...seen].sort()).toEqual([...FEATURES].sort());
  });

  test("have one hidden shape: every field is there, even when undefined", () => {
    const { run } = new RunHarness(SPEC);
    const restored = decodeSnapshot(RUN_ID, snapshotKey(RUN_ID), store(run)).stored.restore(
      run.plan,
    );
    expect(Object.keys(restored)).toEqual(Object.keys(run));
    expect(Object.keys(restored.tasks[0] ?? {})).toEqual(Object.keys(run.tasks[0] ?? {}));
  });

  test("refuse the plan of another definition", () => {
    const { run } = new RunHarness(SPEC);
    const { stored } = decodeSnapshot(RUN_ID, snapshotKey(RUN_ID), store(run));
    expect(() => stored.restore({ ...run.plan, hash: "1".repeat(64) })).toThrow(FaultError);
    const shorter = { ...run.plan, nodes: run.plan.nodes.slice(1) };
    expect(() => stored.restore(shorter)).toThrow(/damaged at snapshot/);
  });
});
