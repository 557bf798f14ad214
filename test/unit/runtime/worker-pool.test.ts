/** The rules of the worker protocol, one by one, on virtual time. Links and listener only remember. */
import { beforeEach, describe, expect, test } from "vitest";
import { FaultError } from "../../../src/base/fault.ts";
import { type Connected, short, WorkerBench } from "../../support/worker-bench.ts";

const TWO = [{}, {}, {}, {}];
const none: readonly never[] = [];

let bench: WorkerBench;
beforeEach(() => {
  bench = new WorkerBench(TWO);
});

/** Starts attempts of the first tasks and acknowledges them. */
function held({ session }: Connected, tasks: number): string[] {
  const leases = Array.from({ length: tasks }, (_, at) => bench.start(at));
  for (const lease of leases) session.ack(lease);
  return leases;
}

describe("credit", () => {
  test("no more than the capacity is out; what an end frees opens exactly as much", () => {
    const { session } = bench.connect("w1");
    const [first = ""] = held({ session } as Connected, 2);
    expect(bench.start(2)).toBe('"summarize"');
    expect(bench.pool.openings()).toEqual([]);
    expect(bench.pool.explain(bench.task(2))).toBe('all 1 workers of agent "summarize" are busy');
    session.complete(first, { json: "1" }, none);
    expect(bench.pool.openings()).toEqual([{ need: '"summarize"', room: 1 }]);
    expect(short(bench.start(2))).toBe("t2/1");
  });

  test("room that is reserved is taken, and given back when the task does not start", () => {
    bench.connect("w1", { capacity: { default: 1 } });
    expect(bench.pool.reserve(bench.task(0))).toBeUndefined();
    expect(bench.pool.reserve(bench.task(1))).toBe('"summarize"');
    bench.pool.release(bench.task(0));
    expect(bench.pool.openings()).toEqual([{ need: '"summarize"', room: 1 }]);
    expect(bench.pool.reserve(bench.task(1))).toBeUndefined();
  });

  test("slots are counted by class and cost", () => {
    const agents = [{ name: "summarize", version: "1.0.0", slotCost: 3, slotClass: "gpu" }];
    const { session } = bench.connect("w1", { agents, capacity: { default: 9, gpu: 7 } });
    held({ session } as Connected, 2);
    expect(bench.start(2)).toBe('"summarize"');
    expect(bench.pool.workers()[0]).toMatchObject({ taken: { gpu: 6 }, state: "READY" });
    session.capacity({ gpu: 9 });
    expect(bench.pool.openings()).toEqual([{ need: '"summarize"', room: 1 }]);
  });

  test("a capacity below what is taken takes nothing away", () => {
    const { session, link } = bench.connect("w1");
    const leases = held({ session } as Connected, 2);
    session.capacity({ default: 1 });
    for (const lease of leases) session.complete(lease, { json: "1" }, none);
    expect(link.told.filter((text) => text.startsWith("verdict"))).toHaveLength(2);
    expect(bench.pool.workers()[0]?.taken).toEqual({});
  });
});

describe("acknowledgement", () => {
  test("without one for 3 s the attempt goes back and the worker drops it", async () => {
    const { link } = bench.connect("w1");
    bench.start(0);
    await bench.host.advance(1_000);
    bench.start(1);
    await bench.host.advance(1_999);
    expect(bench.listener.heard).toEqual([]);
    await bench.host.advance(1);
    expect(bench.listener.heard).toEqual(["finish t0/1 returned"]);
    expect(link.told).toContain("drop t0/1");
    await bench.host.advance(1_000);
    expect(bench.listener.heard).toEqual(["finish t0/1 returned", "finish t1/1 returned"]);
    expect(bench.pool.workers()[0]?.taken).toEqual({});
  });

  test.each([
    ["an ack", (s: Connected["session"], lease: string) => s.ack(lease)],
    ["a beat", (s: Connected["session"], lease: string) => s.beat(0, [lease])],
    ["progress", (s: Connected["session"], lease: string) => s.progress(lease, {})],
    ["output", (s: Connected["session"], lease: string) => s.output(lease, 0, new Uint8Array(1))],
  ])("%s is one", async (_, say) => {
    const { session } = bench.connect("w1");
    say(session, bench.start(0));
    await bench.host.advance(4_000);
    expect(bench.listener.outcomes.size).toBe(0);
  });

  test("a reservation whose worker is gone comes back as if nobody had seen it", async () => {
    const { session } = bench.connect("w1");
    bench.pool.reserve(bench.task(0));
    session.closed();
    bench.pool.start({ ...startOf(bench), worker: "w1" });
    await bench.host.settle();
    expect(bench.listener.heard).toEqual(["finish t0/1 returned"]);
  });

  test("what no message can hold fails as invalid", async () => {
    const { link } = bench.connect("w1");
    link.takesAssigns = false;
    bench.start(0);
    await bench.host.settle();
    expect(bench.listener.outcomes.get("t0/1")).toMatchObject({
      kind: "failure",
      failure: "invalid",
    });
  });
});

function startOf(of: WorkerBench) {
  const { run, id } = of.task(0);
  const base = { agent: "summarize", workflow: "w", namespace: "default", sessionId: undefined };
  return {
    ...base,
    key: of.lease(0),
    runId: run.id,
    taskId: id,
    attempt: 1,
    lease: 1,
    input: { json: "1" },
    runInput: { json: "1" },
    idempotencyKey: "",
    traceId: "",
    deadlineAt: undefined,
    heartbeatTimeoutMs: undefined,
    lastCheckpoint: undefined,
    signals: [],
  };
}

describe("probes", () => {
  test("come every 5 s; three without an answer make a worker silent, one answer brings it back", async () => {
    const { link, session } = bench.connect("w1");
    for (let n = 0; n < 3; n++) {
      await bench.host.advance(5_000);
      session.beat(link.nonce, []);
    }
    expect(link.nonce).toBe(3);
    await bench.host.advance(20_000);
    expect(bench.pool.workers()[0]?.state).toBe("SILENT");
    expect(bench.start(0)).toBe('"summarize"');
    expect(bench.pool.explain(bench.task(0))).toContain("away, silent or draining");
    session.beat(link.nonce - 1, []);
    expect(bench.pool.workers()[0]?.state).toBe("SILENT");
    session.beat(link.nonce, []);
    expect(bench.pool.workers()[0]?.state).toBe("READY");
    expect(bench.pool.openings()).toEqual([{ need: '"summarize"', room: 2 }]);
  });

  test("a worker that never answered the first one is silent as well", async () => {
    bench.connect("w1");
    await bench.host.advance(20_000);
    expect(bench.pool.workers()[0]?.state).toBe("SILENT");
  });
});

describe("leases", () => {
  test("end 30 s after they were last listed; their result comes late", async () => {
    const { link, session } = bench.connect("w1");
    const [first = "", second = ""] = held({ session } as Connected, 2);
    await bench.host.advance(20_000);
    session.beat(link.nonce, [second]);
    await bench.host.advance(10_000);
    expect(bench.listener.heard).toEqual(["finish t0/1 lost"]);
    expect(link.told).toContain("drop t0/1");
    await bench.host.advance(20_000);
    expect(bench.listener.heard).toEqual(["finish t0/1 lost", "finish t1/1 lost"]);
    session.complete(first, { json: "1" }, none);
    expect(bench.listener.heard.at(-1)).toBe("late t0/1 of w1");
    expect(link.told.at(-1)).toBe("verdict t0/1 LATE_STORED");
  });

  test("of others are dropped when named, and refused when ended", () => {
    const one = bench.connect("w1", { capacity: { default: 1 } });
    const [lease = ""] = held(one, 1);
    const two = bench.connect("w2");
    two.session.ack(lease);
    two.session.progress(lease, { percent: 5 });
    two.session.complete(lease, { json: "1" }, none);
    expect(two.link.told).toEqual(["drop t0/1", "drop t0/1", "verdict t0/1 REFUSED"]);
    expect(bench.listener.heard).toEqual([]);
    one.session.complete(lease, { json: "1" }, none);
    expect(one.link.told.at(-1)).toBe("verdict t0/1 COMMITTED");
  });
});

describe("grace", () => {
  test("a closed stream keeps its leases 10 s; the same instance goes on with those it names", async () => {
    const { session } = bench.connect("w1");
    const [first = "", second = ""] = held({ session } as Connected, 2);
    session.closed();
    expect(bench.pool.workers()[0]?.state).toBe("AWAY");
    await bench.host.advance(9_999);
    expect(bench.listener.heard).toEqual([]);
    const back = bench.connect("w1", { resume: { token: "", leases: [first, "unknown/a/1"] } });
    expect(back.session.welcome).toMatchObject({
      epoch: 2,
      kept: [first],
      dropped: ["unknown/a/1"],
    });
    expect(bench.listener.heard).toEqual(["finish t1/1 lost"]);
    await bench.host.advance(15_000);
    expect(bench.listener.heard).toEqual(["finish t1/1 lost"]);
    back.session.complete(first, { json: "1" }, none);
    expect(back.link.told.at(-1)).toBe("verdict t0/1 COMMITTED");
    expect(second).not.toBe(first);
  });

  test("after it leases are lost, those nobody acknowledged go back", async () => {
    const { session } = bench.connect("w1");
    session.ack(bench.start(0));
    bench.start(1);
    session.closed();
    await bench.host.advance(10_000);
    expect(bench.listener.heard).toEqual(["finish t0/1 lost", "finish t1/1 returned"]);
    expect(bench.pool.workers()).toEqual([]);
    expect(bench.pool.agents()).toEqual([]);
  });

  test("a silent instance may be replaced without its token, and keeps what it names", async () => {
    const first = bench.connect("w1");
    const [lease = ""] = held(first, 1);
    await bench.host.advance(3 * 5_000);
    expect(() => bench.connect("w1", { resume: { token: "", leases: [lease] } })).toThrow(
      FaultError,
    );
    await bench.host.advance(5_000);
    const back = bench.connect("w1", { resume: { token: "", leases: [lease] } });
    expect(back.session.welcome.kept).toEqual([lease]);
    expect(first.session.isOpen).toBe(false);
    expect(bench.pool.workers()[0]?.state).toBe("READY");
  });

  test("a second stream needs the token of the first", () => {
    const { link, session } = bench.connect("w1");
    const [lease = ""] = held({ session } as Connected, 1);
    expect(() => bench.connect("w1")).toThrow(FaultError);
    const token = session.welcome.resumeToken;
    const next = bench.connect("w1", { resume: { token, leases: [lease] } });
    expect(link.isClosed).toBe(true);
    session.closed();
    session.complete(lease, { json: "1" }, none);
    expect(bench.listener.heard).toEqual([]);
    next.session.complete(lease, { json: "1" }, none);
    expect(next.link.told).toEqual(["verdict t0/1 COMMITTED"]);
  });
});

describe("a restart of the daemon", () => {
  test("leaves leases with their instance for the grace, and loses none of them on its account", async () => {
    bench.pool.adopt({ ...startOf(bench), worker: "w1" });
    expect(bench.pool.workers()).toMatchObject([{ instance: "w1", state: "AWAY" }]);
    await bench.host.advance(10_000);
    expect(bench.listener.outcomes.get("t0/1")).toMatchObject({ kind: "lost", counted: false });
  });

  test("a lease that is named goes on and takes the slots of its agent", () => {
    bench.pool.adopt({ ...startOf(bench), worker: "w1" });
    const agents = [{ name: "summarize", version: "1.0.0", slotCost: 2, slotClass: "gpu" }];
    const resume = { token: "lost", leases: [bench.lease(0)] };
    const { session } = bench.connect("w1", { agents, capacity: { gpu: 2 }, resume });
    expect(session.welcome.kept).toEqual([bench.lease(0)]);
    expect(bench.pool.workers()[0]?.taken).toEqual({ gpu: 2 });
    expect(bench.start(1)).toBe('"summarize"');
  });
});

describe("verdicts", () => {
  test("come when the end is durable; until then the slot is taken and a repetition says nothing", () => {
    bench.listener.isSlow = true;
    const { link, session } = bench.connect("w1", { capacity: { default: 1 } });
    const [lease = ""] = held({ session } as Connected, 1);
    link.told.length = 0;
    session.complete(lease, { json: "1" }, none);
    session.complete(lease, { json: "1" }, none);
    expect(link.told).toEqual([]);
    expect(bench.start(1)).toBe('"summarize"');
    bench.listener.settle();
    session.complete(lease, { json: "1" }, none);
    expect(link.told).toEqual(["verdict t0/1 COMMITTED", "verdict t0/1 DUPLICATE"]);
    expect(bench.listener.heard).toEqual(["finish t0/1 success"]);
  });

  test("an end that the engine had given up is judged by the journal", () => {
    bench.listener.isCommitted = false;
    bench.listener.lateVerdict = "FENCED";
    const { link, session } = bench.connect("w1");
    const [lease = ""] = held({ session } as Connected, 1);
    session.fail(lease, { failure: "retryable", message: "no" }, none);
    expect(link.told.at(-1)).toBe("verdict t0/1 FENCED");
  });

  test("a result that cannot be kept fails its attempt and is refused", () => {
    const { link, session } = bench.connect("w1");
    const [lease = ""] = held({ session } as Connected, 1);
    session.reject(lease, "output: no JSON");
    expect(bench.listener.outcomes.get("t0/1")).toMatchObject({ failure: "invalid" });
    expect(link.told.at(-1)).toBe("verdict t0/1 REFUSED");
    session.complete("what/ever", { json: "1" }, none);
    expect(bench.listener.heard.at(-1)).toContain("late");
  });

  test("deeds come before the end that tells of them", () => {
    const { session } = bench.connect("w1");
    const [lease = ""] = held({ session } as Connected, 1);
    session.complete(lease, { json: "1" }, [{ name: "mail", value: { json: "7" } }]);
    expect(bench.listener.heard).toEqual(["deeds t0/1 mail", "finish t0/1 success"]);
  });
});

describe("cancel", () => {
  test("asks; after the grace the lease is taken away, a stop in time is one", async () => {
    const { link, session } = bench.connect("w1");
    const [first = "", second = ""] = held({ session } as Connected, 2);
    bench.pool.stop(first, { reason: "TIMED_OUT", graceMs: 1_000 });
    bench.pool.stop(second, { reason: "INTERRUPTED", graceMs: 5_000 });
    bench.pool.stop(second, { reason: "INTERRUPTED", graceMs: 9_000 });
    expect(link.told).toContain("cancel t0/1 TIMED_OUT 1000");
    expect(bench.pool.workers()[0]?.taken).toEqual({ default: 2 });
    session.fail(second, { failure: "cancelled", message: "" }, none);
    expect(bench.listener.outcomes.get("t1/1")).toEqual({ kind: "stopped" });
    await bench.host.advance(1_000);
    expect(bench.listener.outcomes.get("t0/1")).toEqual({ kind: "stopped" });
    expect(link.told.at(-1)).toBe("drop t0/1");
  });

  test("is said again after a reconnect, with the time that is left", async () => {
    const { session } = bench.connect("w1");
    const [lease = ""] = held({ session } as Connected, 1);
    session.closed();
    bench.pool.stop(lease, { reason: "TIMED_OUT", graceMs: 3_000 });
    await bench.host.advance(1_000);
    const { link } = bench.connect("w1", { resume: { token: "", leases: [lease] } });
    await bench.host.settle();
    expect(link.told).toEqual(["cancel t0/1 TIMED_OUT 2000"]);
  });
});

describe("signals", () => {
  const steer = (signal: string) =>
    ({ signal, content: { kind: "steer", payload: { json: "1" }, text: "" } }) as const;

  test("come in order and again after a reconnect until they are admitted", async () => {
    const { link, session } = bench.connect("w1");
    const [lease = ""] = held({ session } as Connected, 1);
    bench.pool.signal(lease, steer("s1"));
    bench.pool.signal(lease, steer("s2"));
    session.receipt(lease, "s1", "delivered");
    session.receipt(lease, "s1", "admitted");
    expect(link.told.slice(1)).toEqual(["signal t0/1 s1", "signal t0/1 s2"]);
    session.closed();
    const back = bench.connect("w1", { resume: { token: "", leases: [lease] } });
    await bench.host.settle();
    expect(back.link.told).toEqual(["signal t0/1 s2"]);
  });

  test("are kept from a worker that does not take any", async () => {
    const { link, session } = bench.connect("w1", { takesSignals: false });
    const [lease = ""] = held({ session } as Connected, 1);
    bench.pool.signal(lease, steer("s1"));
    expect(link.told).toHaveLength(1);
  });
});

describe("drain", () => {
  test("asks for no more work; what runs goes on, and is given to others when the stream ends", () => {
    const { link, session } = bench.connect("w1");
    const [first = ""] = held({ session } as Connected, 2);
    session.drain(false);
    expect(bench.start(2)).toBe('"summarize"');
    session.complete(first, { json: "1" }, none);
    expect(link.told.at(-1)).toBe("verdict t0/1 COMMITTED");
    session.closed();
    expect(bench.listener.outcomes.get("t1/1")).toMatchObject({ kind: "lost", counted: false });
    expect(bench.pool.workers()).toEqual([]);
  });

  test("of the daemon tells every worker, also those that come later", async () => {
    const { link } = bench.connect("w1");
    bench.pool.drain("restart");
    expect(link.told).toEqual(["go away"]);
    const later = bench.connect("w2");
    await bench.host.settle();
    expect(later.link.told).toEqual(["go away"]);
  });
});

test("agents of the daemon are refused, the others are listed in their newest version", () => {
  bench.local.add("summarize");
  const agent = (name: string, version: string) => ({
    name,
    version,
    slotCost: 1,
    slotClass: "default",
  });
  const { session } = bench.connect("w1", {
    agents: [agent("summarize", "1.0.0"), agent("rank", "1.9.0")],
  });
  bench.connect("w2", { agents: [agent("rank", "1.10.0")] });
  expect(session.welcome.refused).toMatchObject([{ name: "summarize" }]);
  expect(bench.pool.agents()).toMatchObject([
    { name: "rank", version: "1.10.0", transport: "worker" },
  ]);
});
