/**
 * What happens while a commit is on its way to disk, or between two commits: the drain of an engine, its stop, refusals,
 * and whoever asks for the same thing twice. The disk is held until the test lets it go on.
 */
import { describe, expect, test } from "vitest";
import type { MemoryDisk } from "../../../src/adapters/memory-store.ts";
import { FaultError } from "../../../src/base/fault.ts";
import { type Json, jsonPayload } from "../../../src/base/payload.ts";
import type { StartedRun } from "../../../src/engine/api.ts";
import { EngineBench } from "../../support/engine-bench.ts";
import { definitionOf } from "../../support/run-harness.ts";

const one = { name: "one", tasks: [{ id: "a", agent: "work", timeout: "1m" }] };
const two = {
  name: "two",
  tasks: [
    { id: "a", agent: "work" },
    { id: "b", agent: "work" },
  ],
};

/** Lets nothing become durable until the returned function is called. */
function hold(disk: MemoryDisk): () => void {
  const sync = disk.sync.bind(disk);
  const { promise, resolve } = Promise.withResolvers<void>();
  disk.sync = async (batch) => {
    await promise;
    await sync(batch);
  };
  return resolve;
}

interface Asked {
  readonly labels?: Record<string, string>;
  readonly input?: Json;
}

function start(bench: EngineBench, spec: Json | string, key = "", asked: Asked = {}) {
  return bench.engine.startRun({
    definition: typeof spec === "string" ? spec : definitionOf(spec),
    request: {
      namespace: "default",
      priority: 0,
      labels: asked.labels ?? {},
      input: jsonPayload(asked.input ?? null),
    },
    idempotencyKey: key,
  });
}

/** How a promise stands. */
function standing(promise: Promise<unknown>): () => string {
  let now = "pending";
  promise.then(
    () => {
      now = "resolved";
    },
    (error: unknown) => {
      now = error instanceof FaultError ? error.fault.code : String(error);
    },
  );
  return () => now;
}

describe("while a commit is on its way", () => {
  test("a drain waits for the attempt that the commit starts", async () => {
    const bench = await new EngineBench().start();
    const release = hold(bench.disk);
    void start(bench, one);
    await bench.settle();
    const drained = bench.engine.drain(30_000);
    const isDrained = standing(drained);
    await bench.settle();
    release();
    await bench.settle();
    expect(bench.calls).toHaveLength(1);
    expect(isDrained()).toBe("pending");
    await bench.answer(1);
    await bench.wait(drained);
  });

  test("a lane sheds what it has no room for while the engine drains, too", async () => {
    const feed = {
      name: "feed",
      concurrency: 1,
      capacity: 1,
      overflow: { kind: "drop", which: "oldest" },
    } as const;
    const lanes = {
      global: { concurrency: 9 },
      named: [feed],
      session: { scope: "run", concurrency: 1 },
    } as const;
    const bench = await new EngineBench({ lanes }).start();
    const task = { agent: "work", lane: "feed", on_error: "continue" };
    const tasks = ["a", "b", "c"].map((id) => ({ id, ...task }));
    void start(bench, { name: "flood", tasks });
    const drained = bench.engine.drain(0);
    await bench.wait(drained);
    expect(bench.engine.lanes().find(({ name }) => name === "feed")).toMatchObject({ queued: 1 });
    await bench.wait(bench.engine.stop());
  });

  test("a stop starts no attempt and leaves no timer, and the next engine goes on", async () => {
    const bench = await new EngineBench().start();
    const release = hold(bench.disk);
    const started = start(bench, one);
    await bench.settle();
    const stopped = bench.engine.stop();
    release();
    await bench.wait(stopped);
    expect(bench.calls).toEqual([]);
    expect(bench.host.timers).toBe(0);
    const { runId } = await started;
    const next = await bench.restart();
    await next.settle();
    expect(await next.status(runId)).toMatchObject({ run: "RUNNING", a: "RUNNING" });
  });

  test("a refusal waits for what it tells of", async () => {
    const bench = await new EngineBench().start();
    const release = hold(bench.disk);
    const first = start(bench, one, "k");
    const other = standing(start(bench, two, "k"));
    await bench.settle();
    expect(other()).toBe("pending");
    release();
    await bench.wait(first);
    await bench.settle();
    expect(other()).toBe("IDEMPOTENCY_CONFLICT");
  });
});

describe("an equal idempotency key", () => {
  const again = async (
    bench: EngineBench,
    spec: Json | string,
    asked: Asked,
  ): Promise<StartedRun> => bench.wait(start(bench, spec, "k", asked));

  test("is an equal request in whatever order its labels and keys are sent", async () => {
    const bench = await new EngineBench().start();
    const first = await again(bench, one, {
      labels: { x: "1", y: "2" },
      input: { p: { a: 1, b: [{ c: 1, d: 2 }] }, q: 2 },
    });
    const second = await again(bench, one, {
      labels: { y: "2", x: "1" },
      input: { q: 2, p: { b: [{ d: 2, c: 1 }], a: 1 } },
    });
    expect(second).toEqual({ ...first, existing: true });
  });

  test("starts one run although that ends in the commit that accepts it", async () => {
    const bench = await new EngineBench().start();
    const skipped = { name: "skipped", tasks: [{ id: "a", agent: "work", when: "false" }] };
    const release = hold(bench.disk);
    const first = start(bench, skipped, "k");
    await bench.settle();
    const second = start(bench, skipped, "k");
    await bench.settle();
    release();
    const { runId } = await bench.wait(first);
    expect(await bench.wait(second)).toEqual({ runId, sequence: 1, existing: true });
  });

  test("starts another run when retention deletes the first while it is looked up", async () => {
    const bench = await new EngineBench().start();
    const first = await bench.wait(start(bench, one, "key"));
    await bench.settle();
    await bench.answer(1);
    const next = await bench.restart();
    const load = next.journal.load.bind(next.journal);
    next.journal.load = async (runId) => {
      await next.journal.retain({ maxCount: 0 }, 0);
      return load(runId);
    };
    const ends: string[] = [];
    const request = { namespace: "default", priority: 0, labels: {}, input: jsonPayload(null) };
    const second = await next.wait(
      next.engine.startRun(
        { definition: definitionOf(one), request, idempotencyKey: "key" },
        (end) => ends.push(end.runId),
      ),
    );
    expect(second).toMatchObject({ existing: false });
    expect(second.runId).not.toBe(first.runId);
    await next.settle();
    await next.answer(1);
    expect(ends).toEqual([second.runId]);
  });

  test("is an equal request although its agent is gone", async () => {
    const bench = await new EngineBench().start();
    const first = await again(bench, one, {});
    bench.disk.unlock();
    const { disk, host } = bench;
    const next = await new EngineBench({ disk, host, agents: ["other"] }).start();
    expect(await again(next, one, {})).toEqual({ ...first, existing: true });
    await expect(next.wait(start(next, one, "new"))).rejects.toThrow(FaultError);
  });

  test("is an equal request although its definition has a newer version by now", async () => {
    const bench = await new EngineBench().start();
    const register = (spec: Json) =>
      bench.wait(bench.engine.registerDefinition("default", definitionOf(spec)));
    await register({ ...one, version: "1" });
    const first = await again(bench, "one", {});
    await register({ ...two, name: "one", version: "2" });
    expect(await again(bench, "one", {})).toEqual({ ...first, existing: true });
    await expect(again(bench, "one@1", {})).rejects.toThrow(FaultError);
  });
});

test("an attempt finds only those signals at its start that are durable", async () => {
  const bench = await new EngineBench().start();
  const releases: (() => void)[] = [];
  const sync = bench.disk.sync.bind(bench.disk);
  bench.disk.sync = async (batch) => {
    await new Promise<void>((resolve) => releases.push(resolve));
    await sync(batch);
  };
  const runId = bench.host.newRunId();
  bench.host.newRunId = () => runId;
  const started = start(bench, one);
  await bench.settle();
  const content = { kind: "steer", payload: jsonPayload(1), text: "" } as const;
  const answer = bench.engine.signal({ target: { runId, taskId: "a" }, content });
  await bench.settle();
  releases.shift()?.();
  await bench.wait(started);
  await bench.settle();
  expect(bench.calls[0]?.ctx.signals()).toEqual([]);
  while (releases.length > 0) releases.shift()?.();
  await bench.wait(answer);
  await bench.settle();
  expect(bench.calls[0]?.ctx.signals()).toHaveLength(1);
});

test("a signal to a session passes over a task that ends meanwhile", async () => {
  const bench = await new EngineBench().start();
  await bench.run(two, { sessionId: "s" });
  const content = { kind: "steer", payload: jsonPayload(1), text: "" } as const;
  const answers = bench.engine.signal({
    target: { sessionId: "s", namespace: "default" },
    content,
  });
  bench.calls[1]?.answer(1);
  expect(await bench.wait(answers)).toMatchObject([{ taskId: "a", receipt: "accepted" }]);
});

test("a collect whose client has left before it was asked does not wait", async () => {
  const bench = await new EngineBench().start();
  const runId = await bench.run(one);
  const ask = { runId, tasks: ["a"], mode: { kind: "all" } } as const;
  expect(await bench.wait(bench.engine.collect(ask, AbortSignal.abort()))).toMatchObject({
    complete: false,
    missing: ["a"],
  });
});
