/** Workers and the engine together, on virtual time: what the journal says of leases, lanes that wait for workers. */
import { expect, test } from "vitest";
import type { RunId } from "../../../src/base/ids.ts";
import type { Json } from "../../../src/base/payload.ts";
import type { WorkerHello } from "../../../src/ports/worker.ts";
import { EngineBench } from "../../support/engine-bench.ts";
import { type Connected, ListLink } from "../../support/worker-bench.ts";

const task = (id: string, agent: string, rest: Json = {}) => ({ id, agent, ...(rest as object) });
const ONE = { name: "one", tasks: [task("a", "remote")] };

function connect(bench: EngineBench, instance: string, rest: Partial<WorkerHello> = {}): Connected {
  const link = new ListLink();
  const session = bench.workers?.open(
    {
      name: "",
      instance,
      surface: "session",
      labels: {},
      agents: [{ name: "remote", version: "1.0.0", slotCost: 1, slotClass: "default" }],
      capacity: { default: 1 },
      takesSignals: true,
      ...rest,
    },
    link,
  );
  if (session === undefined) throw new Error("the bench has no workers");
  return { link, session };
}

async function ready(lanes = 4): Promise<EngineBench> {
  const named = [
    { name: "default", concurrency: lanes, capacity: 100, overflow: { kind: "block" } },
  ] as const;
  const config = {
    global: { concurrency: 100 },
    named,
    session: { scope: "run", concurrency: 1 },
  } as const;
  return new EngineBench({ workers: true, lanes: config }).start();
}

async function typesOf(bench: EngineBench, runId: RunId): Promise<string[]> {
  const items = await bench.watched(runId);
  return items.map((item) => (item.kind === "event" ? item.event.type : item.kind));
}

test("a task without a worker holds no slot, and others of its lane pass it", async () => {
  const bench = await ready(1);
  const waiting = await bench.run(ONE);
  const passing = await bench.run({ name: "two", tasks: [task("b", "work")] });
  expect(await bench.status(waiting)).toMatchObject({ a: "SCHEDULED" });
  expect(await bench.status(passing)).toMatchObject({ b: "RUNNING" });
  expect(bench.engine.lanes().at(-1)).toMatchObject({ occupied: 1, queued: 1 });
  const stuck = await bench.wait(bench.engine.getTask(waiting, "a"));
  expect(bench.engine.explain(stuck)).toBe('no worker serves agent "remote"');
  await bench.answer();
  const { link } = connect(bench, "w1");
  await bench.settle();
  expect(link.told).toEqual(["assign a/1 attempt 1 version 1.0.0"]);
});

test("an attempt that nobody took up starts again with its number under a new lease", async () => {
  const bench = await ready();
  const { link, session } = connect(bench, "w1");
  const runId = await bench.run(ONE);
  await bench.host.advance(3_000);
  await bench.settle();
  expect(link.told).toEqual([
    "assign a/1 attempt 1 version 1.0.0",
    "drop a/1",
    "assign a/2 attempt 1 version 1.0.0",
  ]);
  session.complete(`${runId}/a/2`, { json: "1" }, []);
  await bench.settle();
  expect(link.told.at(-1)).toBe("verdict a/2 COMMITTED");
  expect(await typesOf(bench, runId)).toEqual([
    "run_accepted",
    "run_started",
    "task_scheduled",
    "task_started",
    "task_returned",
    "task_started",
    "task_completed",
    "run_completed",
  ]);
  session.complete(`${runId}/a/1`, { json: "2" }, []);
  session.complete(`${runId}/a/3`, { json: "2" }, []);
  await bench.settle();
  expect(link.told.slice(-2).sort()).toEqual(["verdict a/1 LATE_STORED", "verdict a/3 REFUSED"]);
  expect(await bench.wait(bench.engine.lateResults(runId))).toMatchObject([
    { lease: 1, worker: "w1", output: { json: "2" } },
  ]);
  expect(bench.lanes.audit([]).diverged).toBe(0);
});

test("a cancelled task keeps its slot until the worker answers; the output comes late", async () => {
  const bench = await ready();
  const { link, session } = connect(bench, "w1");
  const runId = await bench.run(ONE);
  session.ack(`${runId}/a/1`);
  await bench.wait(bench.engine.cancelRun(runId, { reason: "enough", graceMs: 2_000 }));
  await bench.settle();
  expect(link.told.at(-1)).toBe("cancel a/1 CANCELLED_BY_USER 2000");
  expect(await bench.status(runId)).toEqual({ run: "RUNNING", a: "CANCELLED" });
  expect(bench.workers?.workers()[0]?.taken).toEqual({ default: 1 });
  session.complete(`${runId}/a/1`, { json: "7" }, []);
  await bench.settle();
  expect(link.told.at(-1)).toBe("verdict a/1 LATE_STORED");
  expect(await bench.status(runId)).toEqual({ run: "CANCELLED", a: "CANCELLED" });
  expect(bench.workers?.workers()[0]?.taken).toEqual({});
});

test("a restart keeps leases of workers, and loses the others", async () => {
  const first = await ready();
  const before = connect(first, "w1");
  const remote = await first.run(ONE);
  const local = await first.run({ name: "two", tasks: [task("b", "work")] });
  before.session.ack(`${remote}/a/1`);
  before.session.progress(`${remote}/a/1`, { deeds: [{ name: "mail", value: { json: "7" } }] });
  await first.settle();

  const second = await first.restart();
  expect(await second.status(remote)).toMatchObject({ a: "RUNNING" });
  expect((await second.wait(second.engine.getTask(local, "b"))).attempt).toBe(2);
  const lease = `${remote}/a/1`;
  const { link, session } = connect(second, "w1", { resume: { token: "", leases: [lease] } });
  expect(session.welcome).toMatchObject({ kept: [lease], dropped: [] });
  session.complete(lease, { json: "1" }, []);
  await second.settle();
  expect(link.told.at(-1)).toBe("verdict a/1 COMMITTED");
  expect(await second.status(remote)).toMatchObject({ run: "COMPLETED" });
  session.complete(lease, { json: "1" }, []);
  expect(link.told.at(-1)).toBe("verdict a/1 DUPLICATE");
});

test("after a restart nobody comes back: the attempt is lost without being counted, deeds are handed on", async () => {
  const first = await ready();
  const before = connect(first, "w1");
  const runId = await first.run({
    name: "one",
    tasks: [task("a", "remote", { retry: { max_attempts: 1 } })],
  });
  before.session.progress(`${runId}/a/1`, { deeds: [{ name: "mail", value: { json: "7" } }] });
  await first.settle();
  const second = await first.restart();
  await second.host.advance(10_000);
  await second.settle();
  const { link } = connect(second, "w2");
  await second.settle();
  expect(link.told).toEqual(["assign a/2 attempt 2 version 1.0.0"]);
  const retried = await second.wait(second.engine.getTask(runId, "a"));
  expect(retried).toMatchObject({ failures: 0, worker: "w2", deeds: [{ name: "mail" }] });
  expect(retried.ended).toMatchObject([{ attempt: 1, reason: "WORKER_LOST" }]);
});
