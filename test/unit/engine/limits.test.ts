import { describe, expect, test } from "vitest";
import { FaultError } from "../../../src/base/fault.ts";
import { type Json, jsonPayload } from "../../../src/base/payload.ts";
import type { SignalContent } from "../../../src/core/run/message.ts";
import type { EngineLimits } from "../../../src/engine/limits.ts";
import { EngineBench } from "../../support/engine-bench.ts";
import { definitionOf } from "../../support/run-harness.ts";

const ONE = { name: "one", tasks: [{ id: "a", agent: "work" }] };
const CHAIN = {
  name: "chain",
  tasks: [
    { id: "a", agent: "work" },
    { id: "b", agent: "work", deps: ["a"] },
  ],
};

async function refused(promise: Promise<unknown>): Promise<FaultError["fault"]> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(error instanceof FaultError)) throw new Error(`not refused: ${String(error)}`);
  return error.fault;
}

const started = (limits: Partial<EngineLimits>) => new EngineBench({ limits }).start();

function warnings(bench: EngineBench): unknown[] {
  return bench.log.lines
    .filter(({ level }) => level === "warn")
    .map(({ level: _level, text: _text, ...fields }) => fields);
}

describe("a definition beyond the daemon's limits", () => {
  const labels = { k: "long" };
  const CASES: readonly [keyof EngineLimits, number, Json][] = [
    ["tasks", 1, CHAIN],
    ["edges", 1, { ...CHAIN, tasks: [...CHAIN.tasks, { id: "c", agent: "work", deps: ["a"] }] }],
    [
      "dependencies",
      1,
      { ...CHAIN, tasks: [...CHAIN.tasks, { id: "c", agent: "work", deps: ["a", "b"] }] },
    ],
    ["attempts", 3, ONE],
    ["definitionBytes", 50, ONE],
    ["labels", 1, { name: "l", tasks: [{ id: "a", agent: "work", labels: { a: "", b: "" } }] }],
    ["labelBytes", 3, { name: "l", tasks: [{ id: "a", agent: "work", labels }] }],
    ["timerMs", 5_000, { name: "t", tasks: [{ id: "a", agent: "work", timeout: "6s" }] }],
  ];

  test.each(CASES)(
    "%s: is refused, counted, and leaves nothing behind",
    async (limit, value, spec) => {
      const bench = await started({ [limit]: value });
      const before = bench.disk.bytes;
      const faults = [
        await refused(bench.run(spec)),
        await refused(bench.wait(bench.engine.registerDefinition("default", definitionOf(spec)))),
        await refused(Promise.resolve().then(() => bench.engine.plan(definitionOf(spec)))),
      ];
      for (const fault of faults) {
        expect(fault).toMatchObject({
          code: "DEFINITION_INVALID",
          violations: [{ limit, message: expect.stringContaining(`exceed the limit of ${value}`) }],
        });
      }
      expect(bench.metrics.limitsHit).toEqual([limit, limit, limit]);
      expect(bench.engine.openRuns()).toBe(0);
      expect(await bench.wait(bench.engine.definitions())).toEqual([]);
      expect(bench.disk.bytes).toBe(before);
    },
  );

  test("that was registered before it was lowered is refused, runs that exist go on", async () => {
    const first = await started({});
    await first.wait(first.engine.registerDefinition("default", definitionOf(CHAIN)));
    const runId = await first.run(CHAIN);
    const second = await first.restart({ tasks: 1 });
    const request = { namespace: "default", priority: 0, labels: {}, input: jsonPayload(null) };
    const fault = await refused(
      second.wait(second.engine.startRun({ definition: "chain", request })),
    );
    expect(fault.code).toBe("DEFINITION_INVALID");
    await second.host.advance(1_000);
    await second.settle();
    await second.answer(1);
    await second.answer(2);
    expect(await second.status(runId)).toMatchObject({ run: "COMPLETED" });
  });
});

describe("a request beyond the daemon's limits", () => {
  test.each([
    ["labels", 1, "labels", { labels: { a: "", b: "" } }, null],
    ["labelBytes", 3, "labels.a", { labels: { a: "four" } }, null],
    ["timerMs", 5_000, "deadline", { deadlineMs: 5_001 }, null],
    ["payloadBytes", 10, "input", {}, "x".repeat(10)],
  ] as const)("%s", async (name, limit, field, request, input) => {
    const bench = await started({ [name]: limit });
    expect(await refused(bench.run(ONE, request, input))).toMatchObject({
      code: "LIMIT_EXCEEDED",
      field,
      limit,
    });
    expect(bench.metrics.limitsHit).toEqual([name]);
    expect(bench.engine.openRuns()).toBe(0);
    await bench.run(ONE);
    expect(bench.engine.openRuns()).toBe(1);
  });

  test("commands and pendingTasks: come back later", async () => {
    const bench = await started({ pendingTasks: 2, commands: 1 });
    await bench.run(ONE);
    expect(await refused(bench.run(CHAIN))).toMatchObject({
      code: "ENGINE_OVERLOADED",
      what: "pending tasks",
      limit: 2,
    });
    const request = { namespace: "default", priority: 0, labels: {}, input: jsonPayload(null) };
    const ask = () => bench.engine.startRun({ definition: definitionOf(ONE), request });
    const both = await bench.wait(Promise.allSettled([ask(), ask()]));
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(bench.metrics.limitsHit).toEqual(["pendingTasks", "commands"]);
  });
});

describe("payloads", () => {
  test("an output that is too large fails the task and is not kept", async () => {
    const bench = await started({ payloadBytes: 100 });
    const runId = await bench.run(CHAIN);
    await bench.answer("x".repeat(99));
    const task = await bench.wait(bench.engine.getTask(runId, "a"));
    expect(task).toMatchObject({
      status: "FAILED",
      reason: "NON_RETRYABLE",
      message: "output: 101 bytes exceeds the limit of 100",
      output: undefined,
    });
    expect(bench.metrics.limitsHit).toEqual(["payloadBytes"]);
  });

  test("an input that outputs add up to is refused before its agent sees it", async () => {
    const bench = await started({ payloadBytes: 100 });
    const runId = await bench.run(CHAIN);
    await bench.answer("x".repeat(98));
    expect(bench.calls).toEqual([]);
    expect(await bench.wait(bench.engine.getTask(runId, "b"))).toMatchObject({
      status: "FAILED",
      message: "input: 106 bytes exceed the limit of 100",
    });
    expect(bench.metrics.limitsHit).toEqual(["payloadBytes"]);
  });

  test("a checkpoint that is too large is not kept, the attempt goes on", async () => {
    const bench = await started({ payloadBytes: 100 });
    const runId = await bench.run(ONE);
    bench.calls[0]?.ctx.checkpoint(new Uint8Array(101));
    bench.calls[0]?.ctx.checkpoint(new Uint8Array(100));
    await bench.settle();
    const { checkpoint } = await bench.wait(bench.engine.getTask(runId, "a"));
    expect(checkpoint?.byteLength).toBe(100);
    expect(bench.metrics.limitsHit).toEqual(["payloadBytes"]);
    await bench.answer(1);
    expect(await bench.status(runId)).toMatchObject({ run: "COMPLETED" });
  });

  test("large ones are logged once, with run, task and bytes", async () => {
    const bench = await started({ payloadWarnBytes: 100 });
    const runId = await bench.run(CHAIN, {}, "i".repeat(200));
    expect(warnings(bench)).toEqual([{ runId, bytes: 202 }]);
    await bench.answer("o".repeat(150));
    expect(warnings(bench).slice(1)).toEqual([
      { runId, task: "a", bytes: 152 },
      { runId, task: "b", bytes: 158 },
    ]);
    bench.calls.shift()?.fail("again");
    await bench.host.advance(10_000);
    await bench.settle();
    await bench.answer("small");
    expect(await bench.status(runId)).toMatchObject({ run: "COMPLETED" });
    expect(warnings(bench)).toHaveLength(3);
    await bench.run(ONE, {}, "i".repeat(98));
    expect(warnings(bench)).toHaveLength(3);
  });
});

describe("signals", () => {
  const steer = (text = ""): SignalContent => ({ kind: "steer", payload: jsonPayload(null), text });
  const send = (bench: EngineBench, runId: never, content: SignalContent, signalId?: string) =>
    bench.wait(
      bench.engine.signal({
        target: { runId, taskId: "a" },
        content,
        ...(signalId === undefined ? {} : { signalId }),
      }),
    );

  test.each([
    ["taskSignals", "task"],
    ["runSignals", "run"],
  ] as const)("%s: a full mailbox refuses news and knows what it has", async (limit, of) => {
    const bench = await started({ [limit]: 2 });
    const runId = (await bench.run(CHAIN)) as never;
    await send(bench, runId, steer(), "s1");
    await send(bench, runId, steer(), "s2");
    expect(await refused(send(bench, runId, steer(), "s3"))).toMatchObject({
      code: "SIGNAL_MAILBOX_FULL",
      of,
      limit: 2,
    });
    expect(bench.metrics.limitsHit).toEqual([limit]);
    expect(await send(bench, runId, steer(), "s2")).toMatchObject([{ signalId: "s2" }]);
    expect(bench.calls[0]?.ctx.signals()).toHaveLength(2);
  });

  test("payloads and durations beyond the limits", async () => {
    const bench = await started({ payloadBytes: 10, timerMs: 5_000 });
    const runId = (await bench.run(ONE)) as never;
    const interrupt = { kind: "interrupt", reason: "", graceMs: 5_001 } as const;
    expect(await refused(send(bench, runId, interrupt))).toMatchObject({
      field: "interrupt.grace",
    });
    expect(await refused(send(bench, runId, steer("x".repeat(11))))).toMatchObject({
      field: "steer.text",
    });
    const cancel = bench.engine.cancelRun(runId, { reason: "", graceMs: 5_001 });
    expect(await refused(bench.wait(cancel))).toMatchObject({
      code: "LIMIT_EXCEEDED",
      field: "grace",
    });
    expect(bench.metrics.limitsHit).toEqual(["timerMs", "payloadBytes", "timerMs"]);
    await bench.wait(bench.engine.cancelRun(runId, { reason: "", graceMs: 5_000 }));
  });

  test("a collect waits no longer than the longest timer", async () => {
    const bench = await started({ timerMs: 5_000 });
    const runId = await bench.run(ONE);
    const mode = { kind: "all" } as const;
    const answer = bench.engine.collect({ runId, tasks: ["a"], mode, deadlineMs: 60_000 });
    await bench.settle();
    await bench.host.advance(5_000);
    expect(await bench.wait(answer)).toMatchObject({ complete: false, missing: ["a"] });
  });
});

describe("a history beyond the daemon's limits", () => {
  test.each([
    ["historyEvents", 6, "small"],
    ["historyBytes", 3_000, "x".repeat(3_000)],
  ] as const)(
    "%s: the run fails, and is found so after a restart",
    async (limit, value, output) => {
      const bench = await started({ [limit]: value });
      const runId = await bench.run(CHAIN);
      await bench.answer(output);
      await bench.host.advance(10_000);
      await bench.settle();
      if (bench.calls.length > 0) await bench.answer("stopped");
      const failed = { status: "FAILED", ending: { reason: "LIMIT_EXCEEDED" } };
      const run = await bench.wait(bench.engine.getRun(runId));
      expect(run).toMatchObject(failed);
      expect(bench.metrics.limitsHit).toEqual([limit]);
      const next = await bench.restart();
      const found = await next.wait(next.engine.getRun(runId));
      expect(found).toMatchObject({ ...failed, historyBytes: run.historyBytes });
    },
  );

  test("what was there before a restart counts", async () => {
    const first = await started({ historyBytes: 6_000 });
    const runId = await first.run(CHAIN);
    await first.answer("x".repeat(3_000));
    const before = await first.wait(first.engine.getRun(runId));
    expect(before.ending).toBeUndefined();
    const second = await first.restart();
    await second.host.advance(1_000);
    await second.settle();
    second.calls[0]?.ctx.checkpoint(new Uint8Array(3_000));
    await second.settle();
    const after = await second.wait(second.engine.getRun(runId));
    expect(after.ending).toMatchObject({ reason: "LIMIT_EXCEEDED" });
    expect(after.historyBytes).toBeGreaterThan(before.historyBytes + 3_000);
  });

  test("tasks: a for_each that expands too far fails", async () => {
    const bench = await started({ tasks: 4 });
    const fan = { name: "fan", tasks: [{ id: "each", agent: "work", for_each: "input" }] };
    const runId = await bench.run(fan, {}, [1, 2, 3, 4]);
    expect(await bench.status(runId)).toEqual({ run: "FAILED", each: "FAILED" });
    expect(bench.metrics.limitsHit).toEqual(["tasks"]);
  });
});
