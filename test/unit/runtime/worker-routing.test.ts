/** Which worker gets which attempt: by name, version, labels, turn and affinity. */
import { expect, test } from "vitest";
import { WorkerBench } from "../../support/worker-bench.ts";

const served = (version: string, name = "summarize") => ({
  name,
  version,
  slotCost: 1,
  slotClass: "default",
});

/** The instance that gets the task, or what is missing. */
function placed(bench: WorkerBench, at = 0): string {
  const task = bench.task(at);
  return bench.pool.reserve(task) ?? bench.pool.workerOf(task) ?? "";
}

test.each([
  ["summarize", "new"],
  ["summarize@latest", "new"],
  ["summarize@1.0.0", "old"],
  ["summarize@^1", "mid"],
  ["summarize@~1.0", "old"],
  ["summarize@>=3", '"summarize@>=3"'],
  ["summarize@3.0.0-rc.1", "next"],
])("%s goes to %s", (agent, expected) => {
  const bench = new WorkerBench([{ agent }]);
  bench.connect("old", { agents: [served("1.0.0")] });
  bench.connect("new", { agents: [served("2.1.0")] });
  bench.connect("mid", { agents: [served("1.4.0")] });
  bench.connect("next", {
    agents: [served("3.0.0-rc.1", agent.includes("rc") ? "summarize" : "other")],
  });
  expect(placed(bench)).toBe(expected);
});

test("an older version serves while the newest has no room", () => {
  const bench = new WorkerBench([{}, {}]);
  bench.connect("new", { agents: [served("2.0.0")], capacity: { default: 1 } });
  bench.connect("old", { agents: [served("1.0.0")] });
  expect([placed(bench, 0), placed(bench, 1)]).toEqual(["new", "old"]);
});

test("equal workers take turns", () => {
  const bench = new WorkerBench([{}, {}, {}, {}]);
  for (const name of ["a", "b"]) bench.connect(name);
  expect([0, 1, 2, 3].map((at) => placed(bench, at))).toEqual(["a", "b", "a", "b"]);
});

test("labels: only workers that have them, and the status names them", () => {
  const bench = new WorkerBench([{ labels: { "worker.gpu": "a100", team: "blue" } }]);
  bench.connect("cpu");
  expect(placed(bench)).toBe('"summarize" with gpu=a100');
  expect(bench.pool.explain(bench.task())).toBe(
    'no worker serves agent "summarize" with gpu=a100; it is served in 1.0.0',
  );
  bench.connect("gpu", { labels: { gpu: "a100", zone: "b" } });
  expect(bench.pool.openings()).toEqual([{ need: '"summarize" with gpu=a100', room: 2 }]);
  expect(placed(bench)).toBe("gpu");
});

test("an agent that nobody serves: the nearest name is told, and its task starts when a worker comes", () => {
  const bench = new WorkerBench([{ agent: "summarise" }]);
  bench.connect("w1");
  expect(placed(bench)).toBe('"summarise"');
  expect(bench.pool.explain(bench.task())).toBe(
    'no worker serves agent "summarise"; did you mean "summarize"?',
  );
  expect(bench.rooms).toBe(0);
  bench.connect("w2", { agents: [served("1.0.0", "summarise")] });
  expect(bench.rooms).toBeGreaterThan(0);
  expect(bench.pool.openings()).toHaveLength(1);
  expect(placed(bench)).toBe("w2");
});

test("a task waits for an agent of the daemon as well, such as one whose file is being saved", () => {
  const bench = new WorkerBench([{}]);
  expect(placed(bench)).toBe('"summarize"');
  bench.local.add("summarize");
  bench.pool.localChanged();
  expect(bench.pool.openings()).toMatchObject([{ need: '"summarize"' }]);
});

test("affinity: the same instance again, waited for up to 200 ms, then anybody", async () => {
  const labels = { affinity: "book-1" };
  const bench = new WorkerBench([{ labels }, { labels }, { labels }]);
  const { session } = bench.connect("a", { capacity: { default: 1 } });
  const first = bench.start(0);
  session.ack(first);
  bench.connect("b");
  expect(placed(bench, 1)).toContain("at a until");
  session.complete(first, { json: "1" }, []);
  expect(bench.pool.openings()).toHaveLength(1);
  expect(placed(bench, 1)).toBe("a");
  expect(placed(bench, 2)).toContain("at a until");
  await bench.host.advance(199);
  expect(bench.pool.openings()).toEqual([]);
  await bench.host.advance(1);
  expect(bench.pool.openings()).toHaveLength(1);
  expect(placed(bench, 2)).toBe("b");
});
