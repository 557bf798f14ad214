/** What agents in threads do wrong, and who pays for it. Real threads; one, so that attempts share it. */
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Outcome } from "../../../../src/core/run/message.ts";
import { outputOf, steer } from "../../../support/attempts.ts";
import { type PluginRig, pluginRig } from "../../../support/plugin-rig.ts";

const AGENTS = `
import { connect } from "node:net";
import { threadId } from "node:worker_threads";

const turn = () => new Promise((resolve) => setImmediate(resolve));
const spin = (ms) => { const end = performance.now() + ms; while (performance.now() < end); };

export const echo = { name: "echo", run: (input) => input };
export const thread = { name: "thread", run: () => threadId };

/** Waits for a signal, then returns its thread. */
export const patient = { name: "patient", run: async (_, ctx) => {
  ctx.progress(1);
  while (ctx.signals().length === 0) await turn();
  return threadId;
} };

export const exits = { name: "exits", run: async () => { await turn(); process.exit(7); } };
export const exitsAtOnce = { name: "exits-at-once", run: () => process.exit(3) };
export const uncaught = { name: "uncaught", run: () => {
  setTimeout(() => { throw new Error("out of reach"); });
  return new Promise(() => {});
} };
export const floating = { name: "floating", run: async () => {
  Promise.reject(new Error("left behind"));
  await new Promise(() => {});
} };
export const lateFloating = { name: "late-floating", run: () => {
  turn().then(turn).then(() => Promise.reject(new Error("too late to matter")));
  return "done";
} };
export const memory = { name: "memory", run: () => {
  const held = [];
  for (;;) held.push(new Array(10_000).fill(held.length));
} };
export const loops = { name: "loops", run: async (_, ctx) => {
  ctx.progress(1);
  await turn();
  for (;;);
} };
export const loopsAtOnce = { name: "loops-at-once", run: () => { for (;;); } };
export const busy = { name: "busy", run: async (ms, ctx) => {
  ctx.progress(1);
  await turn();
  spin(ms);
  return threadId;
} };
/** Holds a connection as long as its thread lives. */
export const deaf = { name: "deaf", run: (port, ctx) => {
  connect(port, "127.0.0.1", () => ctx.progress(1));
  return new Promise(() => {});
} };
export const big = { name: "big", run: () => 1n };
export const bytes = { name: "bytes", run: ({ bytes }) => ({ mediaType: "of/" + bytes.buffer.byteLength, bytes: bytes.map((b) => b + 1) }) };
export const prints = { name: "prints", run: async () => {
  console.log("out %d", 1);
  await turn();
  console.error("err");
  await new Promise((resolve) => process.stdout.write("raw\\n", resolve));
} };
export const floods = { name: "floods", run: (_, { log }) => { for (let n = 0; n < 5000; n++) log.info("line " + n); } };
`;

let rig: PluginRig;

afterEach(() => rig.close());

const open = async (options: Parameters<typeof pluginRig>[1] = {}) => {
  rig = await pluginRig({ "agents.mjs": AGENTS }, options);
};

const release = async (key: string): Promise<Outcome> => {
  rig.transport.signal(key, steer("s", "go on"));
  return rig.recorder.finished(key);
};

const stop = (key: string, graceMs: number) =>
  rig.transport.stop(key, { reason: "TIMED_OUT", graceMs });

describe("an attempt that ends its thread", () => {
  test.each([
    ["exits", "the agent called process.exit(7)"],
    ["exits-at-once", "the agent called process.exit(3)"],
    ["uncaught", "the agent threw where nothing catches it: out of reach"],
  ])("%s: fails, and others in the thread are lost", async (agent, message) => {
    await open();
    const innocent = await rig.running("patient");
    expect(await rig.run(agent)).toEqual({ kind: "failure", failure: "retryable", message });
    expect(await rig.recorder.finished(innocent)).toEqual({
      kind: "lost",
      reason: "WORKER_LOST",
      message: `the thread of the agent ended: another attempt in it ${message.slice(10)}`,
    });
    expect(outputOf(await rig.run("echo", "alive"))).toBe("alive");
  });

  test("memory: fails, and others in the thread are lost", async () => {
    await open({ memoryMb: 32 });
    const innocent = await rig.running("patient");
    expect(await rig.run("memory")).toMatchObject({
      kind: "failure",
      message: "the agent ran out of memory (its thread has 32 MiB)",
    });
    expect(await rig.recorder.finished(innocent)).toMatchObject({ kind: "lost" });
    expect(outputOf(await rig.run("echo", "alive"))).toBe("alive");
  });

  test("after being asked to stop has stopped", async () => {
    await open();
    const key = rig.start("exits");
    stop(key, 60_000);
    expect(await rig.recorder.finished(key)).toEqual({ kind: "stopped" });
  });

  test("again and again is restarted more and more slowly", async () => {
    await open();
    for (let n = 0; n < 4; n++) await rig.run("exits-at-once");
    const waiting = rig.start("echo");
    expect(outputOf(await rig.recorder.finished(waiting))).toBeNull();
    expect(rig.host.delays.filter((ms) => [50, 100, 200].includes(ms))).toEqual([50, 100, 200]);
  });

  test("and is not back yet can be waited for, or not", async () => {
    await open();
    for (let n = 0; n < 3; n++) await rig.run("exits-at-once");
    const [waits, stops] = [rig.start("patient"), rig.start("patient")];
    rig.transport.signal(waits, steer("s", "early"));
    stop(stops, 60_000);
    expect(rig.recorder.outcomes(stops)).toEqual([]);
    expect(await rig.recorder.finished(stops)).toEqual({ kind: "stopped" });
    expect((await rig.recorder.finished(waits)).kind).toBe("success");
  });
});

describe("an endless loop", () => {
  test("called directly is cut off at the grace, and costs its neighbours an attempt", async () => {
    await open({ blockedMs: 3_600_000 });
    const innocent = await rig.running("patient");
    const key = rig.start("loops-at-once");
    stop(key, 20);
    expect(await rig.recorder.finished(key)).toEqual({ kind: "stopped" });
    expect(await rig.recorder.finished(innocent)).toMatchObject({
      kind: "lost",
      message: "the thread of the agent ended: blocked its thread",
    });
    expect(outputOf(await rig.run("echo", "alive"))).toBe("alive");
  });

  test("after an await is cut off as well when it is alone", async () => {
    await open({ blockedMs: 3_600_000 });
    const key = await rig.running("loops");
    stop(key, 20);
    expect(await rig.recorder.finished(key)).toEqual({ kind: "stopped" });
    expect(outputOf(await rig.run("echo", "alive"))).toBe("alive");
  });

  test("that might be a neighbour's gets the time to turn out as none", async () => {
    await open({ blockedMs: 1_000 });
    const innocent = await rig.running("patient");
    const key = await rig.running("loops");
    stop(key, 20);
    expect(await rig.recorder.finished(key)).toEqual({ kind: "stopped" });
    expect(rig.recorder.outcomes(innocent)).toEqual([]);
    const next = rig.start("echo", "alive");
    expect(await rig.recorder.finished(innocent)).toMatchObject({ kind: "lost" });
    expect(outputOf(await rig.recorder.finished(next))).toBe("alive");
  });

  test("is charged to the attempt that is in it, when another one is stopped", async () => {
    await open({ blockedMs: 500 });
    const stopped = await rig.running("patient");
    const looping = rig.start("loops-at-once");
    stop(stopped, 20);
    expect(await rig.recorder.finished(stopped)).toEqual({ kind: "stopped" });
    expect(await rig.recorder.finished(looping)).toEqual({
      kind: "failure",
      failure: "retryable",
      message: "the agent blocked its thread",
    });
  });
});

test("a thread that is only busy is not killed", async () => {
  await open({ blockedMs: 7_777 });
  const stopped = await rig.running("patient");
  const neighbour = await rig.running("patient");
  const busy = await rig.running("busy", 900);
  stop(stopped, 20);
  expect(await rig.recorder.finished(stopped)).toEqual({ kind: "stopped" });
  expect(rig.recorder.outcomes(busy)).toEqual([]);
  expect((await rig.recorder.finished(busy)).kind).toBe("success");
  // What is left of the 7,777 ms after the thread had 400 ms to answer: it is not waited for any more.
  expect(rig.host.delays).toContain(7_377);
  expect(rig.host.cancelled).toContain(7_377);
  expect((await release(neighbour)).kind).toBe("success");
});

test("a deaf attempt costs its neighbours nothing, and its thread ends after them", async () => {
  await open();
  const closed = Promise.withResolvers<void>();
  const server = createServer((socket) => socket.on("error", () => {}).on("close", closed.resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const before = outputOf(await rig.run("thread"));
  const neighbour = await rig.running("patient");
  const deaf = await rig.running("deaf", (server.address() as AddressInfo).port);
  stop(deaf, 20);
  expect(await rig.recorder.finished(deaf)).toEqual({ kind: "stopped" });
  expect(outputOf(await rig.run("thread"))).not.toBe(before);
  expect(outputOf(await release(neighbour))).toBe(before);
  await closed.promise;
  server.close();
});

describe("a promise nobody looks at", () => {
  test("fails its attempt only", async () => {
    await open();
    const neighbour = await rig.running("patient");
    expect(await rig.run("floating")).toMatchObject({ kind: "failure", message: "left behind" });
    expect((await release(neighbour)).kind).toBe("success");
  });

  test("after the end of its attempt is only logged", async () => {
    await open();
    expect(outputOf(await rig.run("late-floating"))).toBe("done");
    expect(await rig.log.until("too late to matter")).toMatch(/^warn: unhandled rejection/);
    expect(outputOf(await rig.run("echo", "alive"))).toBe("alive");
  });
});

describe("values", () => {
  test("that are not JSON fail the attempt for good", async () => {
    await open();
    expect(await rig.run("big")).toMatchObject({ kind: "failure", failure: "invalid" });
  });

  test("of bytes cross both ways, without what is around them in memory", async () => {
    await open();
    const around = new Uint8Array(1_000_000).fill(7);
    const input = { mediaType: "a/b", bytes: around.subarray(10, 13) };
    expect(await rig.run("bytes", null, { input })).toEqual({
      kind: "success",
      output: { mediaType: "of/3", bytes: new Uint8Array([8, 8, 8]) },
    });
  });
});

describe("what agents print", () => {
  test("goes to the log of their attempt", async () => {
    await open();
    const key = rig.start("prints");
    await rig.recorder.finished(key);
    expect(rig.recorder.of(key).slice(0, -1)).toEqual([
      ["log", "info", "out 1"],
      ["log", "warn", "err"],
      ["log", "info", "raw"],
    ]);
  });

  test("is bounded", async () => {
    await open();
    const key = rig.start("floods");
    await rig.recorder.finished(key);
    expect(rig.recorder.of(key)).toHaveLength(1_001);
    expect(await rig.log.until("4000 lines or progress reports dropped")).toMatch(/^warn/);
  });
});
