import { describe, expect, test } from "vitest";
import { FaultError } from "../../../src/base/fault.ts";
import { jsonPayload } from "../../../src/base/payload.ts";
import { EngineBench } from "../../support/engine-bench.ts";
import { definitionOf } from "../../support/run-harness.ts";

const one = { name: "one", tasks: [{ id: "a", agent: "work" }] };
const chain = {
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

describe("a run", () => {
  test("goes from agent to agent and ends with its output", async () => {
    const bench = await new EngineBench().start();
    const runId = await bench.run(chain, {}, { x: 1 });
    expect(bench.calls[0]?.input).toEqual({ x: 1 });
    expect((await bench.answer({ y: 2 })).ctx.idempotencyKey).toBe(`${runId}/a/0`);
    expect(bench.calls[0]?.input).toEqual({ a: { y: 2 } });
    await bench.answer("end");
    expect(await bench.status(runId)).toEqual({ run: "COMPLETED", a: "COMPLETED", b: "COMPLETED" });
    const items = await bench.watched(runId);
    expect(items.map((item) => item.sequence)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(items.at(-1)).toMatchObject({
      event: { type: "run_completed" },
      runOutput: { json: '{"b":"end"}' },
    });
  });

  test("fails after its retries on virtual time", async () => {
    const bench = await new EngineBench().start();
    const runId = await bench.run(one);
    for (let attempt = 1; attempt <= 4; attempt++) {
      expect(bench.calls[0]?.ctx.attempt).toBe(attempt);
      bench.calls.shift()?.fail("no luck");
      await bench.host.advance(30_000);
      await bench.settle();
    }
    expect(await bench.status(runId)).toEqual({ run: "FAILED", a: "FAILED" });
    expect(bench.host.timers).toBe(0);
  });

  test("watchers replay from any sequence and follow to the end", async () => {
    const bench = await new EngineBench().start();
    const runId = await bench.run(one);
    const live = bench.watched(runId, 2);
    await bench.answer(7);
    expect((await live).map((item) => item.sequence)).toEqual([3, 4, 5, 6]);
    expect(await bench.watched(runId, 6)).toEqual([]);
    expect((await refused(bench.watched("01JD0000000000000000000099" as never))).code).toBe(
      "RUN_NOT_FOUND",
    );
  });
});

describe("a trimmed history", () => {
  test("an old cursor gets a gap with the run as it is, then what follows", async () => {
    const bench = await new EngineBench({
      shard: { snapshotEvery: 20, trimsHistory: true },
    }).start();
    const items = Array.from({ length: 10 }, (_, n) => n);
    const runId = await bench.run(
      { name: "fan", tasks: [{ id: "each", agent: "work", for_each: "input" }] },
      {},
      items,
    );
    await bench.settle();
    const late = bench.watched(runId, 0);
    while (bench.calls.length > 0) await bench.answer();
    const [first, second, ...rest] = await late;
    expect(first).toMatchObject({ kind: "gap", run: { status: "RUNNING", id: runId } });
    expect(second).toMatchObject({ kind: "event", sequence: (first?.sequence ?? 0) + 1 });
    expect(rest.at(-1)).toMatchObject({ event: { type: "run_completed" } });
    expect(await bench.status(runId)).toMatchObject({ run: "COMPLETED" });
  });
});

describe("a restart", () => {
  test("finished tasks do not run again, the open one does, with a new attempt", async () => {
    const first = await new EngineBench().start();
    const runId = await first.run(chain);
    await first.answer("kept");
    expect(first.calls).toHaveLength(1);
    const second = await first.restart();
    await second.host.advance(1_000);
    await second.settle();
    expect(second.calls.map((call) => [call.ctx.taskId, call.ctx.attempt])).toEqual([["b", 2]]);
    expect(second.calls[0]?.input).toEqual({ a: "kept" });
    await second.answer("end");
    expect(await second.status(runId)).toMatchObject({ run: "COMPLETED" });
    expect((await second.watched(runId)).map((item) => item.sequence)).toEqual(
      [...Array(12).keys()].map((n) => n + 1),
    );
    const third = await second.restart();
    expect(await third.status(runId)).toMatchObject({ run: "COMPLETED", a: "COMPLETED" });
    expect(
      (await third.wait(third.engine.listRuns({ pageSize: 5 }))).runs.map((run) => run.runId),
    ).toEqual([runId]);
  });

  test("a checkpoint reaches the next attempt", async () => {
    const first = await new EngineBench().start();
    await first.run(one);
    first.calls[0]?.ctx.checkpoint(new Uint8Array([1, 2, 3]));
    await first.settle();
    const second = await first.restart();
    await second.host.advance(1_000);
    await second.settle();
    expect(second.calls[0]?.ctx.lastCheckpoint).toEqual(new Uint8Array([1, 2, 3]));
  });

  test("deadlines keep their instant", async () => {
    const first = await new EngineBench().start();
    const runId = await first.run(one, { deadlineMs: 10_000 });
    const second = await first.restart();
    await second.host.advance(9_000);
    expect(await second.status(runId)).toMatchObject({ run: "RUNNING" });
    await second.host.advance(1_100);
    await second.host.advance(6_000);
    await second.settle();
    expect(await second.status(runId)).toEqual({ run: "FAILED", a: "CANCELLED" });
  });
});

describe("sessions", () => {
  test("runs of one session go one at a time, in order, also after a restart", async () => {
    const bench = await new EngineBench().start();
    const ids = [];
    for (let n = 0; n < 3; n++) ids.push(await bench.run(one, { sessionId: "s" }, n as never));
    expect(bench.calls.map((call) => call.input)).toEqual([0]);
    await bench.answer();
    expect(bench.calls.map((call) => call.input)).toEqual([1]);
    const next = await bench.restart();
    await next.host.advance(1_000);
    await next.settle();
    expect(next.calls.map((call) => call.input)).toEqual([1]);
    await next.answer();
    expect(next.calls.map((call) => call.input)).toEqual([2]);
    await next.answer();
    for (const id of ids) expect(await next.status(id)).toMatchObject({ run: "COMPLETED" });
  });

  test("a session is its namespace's: the same name elsewhere is another one", async () => {
    const bench = await new EngineBench().start();
    await bench.run(one, { sessionId: "s", namespace: "elsewhere" });
    const content = { kind: "steer", payload: jsonPayload(1), text: "left" } as const;
    const signal = (namespace: string) =>
      bench.wait(bench.engine.signal({ target: { sessionId: "s", namespace }, content }));
    expect((await refused(signal("default"))).code).toBe("SESSION_IDLE");
    expect(await signal("elsewhere")).toHaveLength(1);
  });

  test("a signal by session reaches its running task; an idle one is told so", async () => {
    const bench = await new EngineBench().start();
    await bench.run(one, { sessionId: "s" });
    const content = { kind: "steer", payload: jsonPayload(1), text: "left" } as const;
    const answers = await bench.wait(
      bench.engine.signal({ target: { sessionId: "s", namespace: "default" }, content }),
    );
    expect(answers).toMatchObject([{ taskId: "a", receipt: "accepted" }]);
    await bench.settle();
    expect(bench.calls[0]?.ctx.signals()).toMatchObject([
      { kind: "steer", text: "left", payload: 1 },
    ]);
    expect(
      (
        await refused(
          bench.wait(
            bench.engine.signal({ target: { sessionId: "t", namespace: "default" }, content }),
          ),
        )
      ).code,
    ).toBe("SESSION_IDLE");
  });
});

describe("admission", () => {
  test("one run per idempotency key, across restarts; another request is refused", async () => {
    const bench = await new EngineBench().start();
    const first = await bench.run(one, { key: "k" });
    expect(await bench.run(one, { key: "k" })).toBe(first);
    const next = await bench.restart();
    expect(await next.run(one, { key: "k" })).toBe(first);
    expect((await refused(next.run(chain, { key: "k" }))).code).toBe("IDEMPOTENCY_CONFLICT");
  });

  test("unknown agents and lanes are refused with the nearest name", async () => {
    const bench = await new EngineBench().start();
    const spec = { name: "x", tasks: [{ id: "a", agent: "wrok", lane: "defualt" }] };
    const fault = await refused(bench.run(spec));
    expect(fault).toMatchObject({
      code: "DEFINITION_INVALID",
      violations: [
        { field: "tasks[0].agent", remedy: 'Did you mean "work"?' },
        { field: "tasks[0].lane", remedy: 'Did you mean "default"?' },
      ],
    });
  });

  test("a draining engine takes nothing, waits for what runs, and leaves the rest resumable", async () => {
    const bench = await new EngineBench().start();
    const runId = await bench.run(chain);
    const drained = bench.engine.drain(30_000);
    expect((await refused(bench.run(one))).code).toBe("ENGINE_DRAINING");
    await bench.answer("a");
    await bench.wait(drained);
    expect(bench.calls).toEqual([]);
    await bench.wait(bench.engine.stop());
    const next = await bench.restart();
    expect(next.calls.map((call) => [call.ctx.taskId, call.ctx.attempt])).toEqual([["b", 1]]);
    await next.answer();
    expect(await next.status(runId)).toMatchObject({ run: "COMPLETED" });
  });

  test("registered definitions are found by name and version, also after a restart", async () => {
    const bench = await new EngineBench().start();
    await bench.wait(
      bench.engine.registerDefinition("default", definitionOf({ ...one, version: "1" })),
    );
    await bench.wait(
      bench.engine.registerDefinition(
        "default",
        definitionOf({ ...chain, name: "one", version: "2" }),
      ),
    );
    const next = await bench.restart();
    const request = { namespace: "default", priority: 0, labels: {}, input: jsonPayload(null) };
    const start = (definition: string) => next.wait(next.engine.startRun({ definition, request }));
    const { runId } = await start("one@1");
    expect(await next.status(runId)).toEqual({ run: "RUNNING", a: "RUNNING" });
    expect(Object.keys(await next.status((await start("one")).runId))).toEqual(["run", "a", "b"]);
    expect(await refused(start("onne"))).toMatchObject({
      code: "DEFINITION_NOT_FOUND",
      nearest: "one",
    });
  });
});

describe("stopping", () => {
  test("cancel: the agent is told, the run ends when it answers", async () => {
    const bench = await new EngineBench().start();
    const runId = await bench.run(chain);
    await bench.wait(bench.engine.cancelRun(runId, { reason: "enough" }));
    await bench.settle();
    expect(bench.calls[0]?.ctx.signal.aborted).toBe(true);
    expect(await bench.status(runId)).toMatchObject({
      run: "RUNNING",
      a: "CANCELLED",
      b: "CANCELLED",
    });
    await bench.answer("too late");
    expect(await bench.status(runId)).toMatchObject({ run: "CANCELLED" });
    expect((await refused(bench.wait(bench.engine.cancelRun(runId, { reason: "" })))).code).toBe(
      "RUN_TERMINAL",
    );
  });

  test("an agent that does not listen is given up after the grace, and its slot is free", async () => {
    const bench = await new EngineBench({
      lanes: { global: { concurrency: 1 }, named: [], session: { scope: "run", concurrency: 1 } },
    }).start();
    const runId = await bench.run(one);
    const other = await bench.run(one);
    await bench.wait(bench.engine.cancelRun(runId, { reason: "enough", graceMs: 100 }));
    await bench.host.advance(10_000);
    await bench.settle();
    expect(await bench.status(runId)).toMatchObject({ run: "CANCELLED" });
    expect(await bench.status(other)).toMatchObject({ a: "RUNNING" });
    expect(bench.lanes.audit([await bench.wait(bench.engine.getRun(other))]).diverged).toBe(0);
  });
});

describe("collect", () => {
  test("waits for all, answers with what is there at the deadline", async () => {
    const bench = await new EngineBench().start();
    const runId = await bench.run(chain);
    const ask = { runId, tasks: ["a", "b"], mode: { kind: "all" }, deadlineMs: 5_000 } as const;
    const partial = bench.engine.collect(ask);
    const any = bench.engine.collect({ ...ask, mode: { kind: "any" } });
    await bench.answer(1);
    expect(await bench.wait(any)).toMatchObject({ complete: true, missing: ["b"] });
    await bench.host.advance(5_000);
    expect(await bench.wait(partial)).toMatchObject({ complete: false, missing: ["b"] });
    const all = bench.engine.collect(ask);
    await bench.answer(2);
    expect((await bench.wait(all)).finished.map((task) => task.id)).toEqual(["a", "b"]);
    expect(await bench.wait(bench.engine.collect(ask))).toMatchObject({ complete: true });
  });
});

describe("listing", () => {
  test("pages never overlap and never skip, whatever ends in between", async () => {
    const bench = await new EngineBench().start();
    const ids: string[] = [];
    for (let n = 0; n < 7; n++) ids.push(await bench.run(one, { labels: { n: String(n % 2) } }));
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await bench.wait(bench.engine.listRuns({ pageSize: 3, pageToken }));
      seen.push(...page.runs.map((run) => run.runId));
      pageToken = page.nextPageToken;
      if (bench.calls.length > 0) await bench.answer();
    } while (pageToken !== "");
    expect(seen).toEqual([...ids].reverse());
    const odd = await bench.wait(bench.engine.listRuns({ pageSize: 10, labels: { n: "1" } }));
    expect(odd.runs).toHaveLength(3);
    const done = await bench.wait(bench.engine.listRuns({ pageSize: 10, statuses: ["COMPLETED"] }));
    expect(done.runs.length).toBeGreaterThan(0);
    expect(
      (await refused(bench.wait(bench.engine.listRuns({ pageSize: 1, pageToken: "x" })))).code,
    ).toBe("ARGUMENT_INVALID");
  });
});

describe("a store that fails", () => {
  test("nothing is acknowledged any more, and a restart finds everything that was", async () => {
    const bench = await new EngineBench().start();
    const runId = await bench.run(one);
    bench.disk.sync = () => Promise.reject(new Error("EIO"));
    expect((await refused(bench.run(one))).code).toBe("STORE_FAILED");
    expect(bench.failures).toHaveLength(1);
    expect(bench.engine.readiness()).toMatchObject({ ready: false, reason: "STORE_FAILED" });
    expect((await refused(bench.wait(bench.engine.getRun(runId)))).code).toBe("STORE_FAILED");
    Reflect.deleteProperty(bench.disk, "sync");
    const next = await bench.restart();
    expect(await next.status(runId)).toMatchObject({ run: "RUNNING" });
  });

  test("a write that fails while no command is written stops everything as well", async () => {
    const bench = await new EngineBench().start();
    bench.disk.sync = () => Promise.reject(new Error("ENOSPC"));
    const saved = bench.journal.saveCursor("nats", 1n).catch((error: Error) => error.message);
    expect(await bench.wait(saved)).toContain("ENOSPC");
    expect(bench.failures).toHaveLength(1);
    expect(bench.engine.readiness()).toMatchObject({ ready: false, reason: "STORE_FAILED" });
    expect((await refused(bench.run(one))).code).toBe("STORE_FAILED");
    expect(bench.failures).toHaveLength(1);
  });
});
