/**
 * The embedded engine through the public entry: typed runs, failures, handles, and what a second opening of the same
 * directory goes on with.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agent, Engine, GoClawError, leveldb, memory, RunFailedError, workflow } from "goclaw";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { collected, rejection } from "../../support/sdk-calls.ts";

const page = agent("page", async (input: { url: string }) => ({ html: `<${input.url}>` }));
const words = agent("words", (input: { page: { html: string } }) => ({
  words: input.page.html.length,
}));
const line = workflow("line")
  .task("page", page, { lane: "io", timeout: "5s" })
  .task("words", words, { deps: ["page"], lane: "cpu" });

const opened: Engine[] = [];
afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close();
});

async function open(options: Partial<Parameters<typeof Engine.open>[0]> = {}): Promise<Engine> {
  const engine = await Engine.open({ store: memory(), log: "error", ...options });
  opened.push(engine);
  return engine;
}

function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), "goclaw-sdk-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** An agent that waits until it is stopped, and a promise of its having begun. */
function waiting(name = "wait") {
  const begun = Promise.withResolvers<void>();
  const wait = agent(name, (_input: unknown, ctx) => {
    begun.resolve();
    return new Promise<string>((_resolve, reject) => {
      ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason));
    });
  });
  return { wait, begun: begun.promise };
}

describe("execute", () => {
  test("results in the outputs of the sinks", async () => {
    const engine = await open({ lanes: { cpu: 8 } });
    const { words: result } = await engine.execute(line, { url: "x" });
    expect(result).toEqual({ words: 3 });
  });

  test("results in the output mapping where there is one", async () => {
    const engine = await open();
    const mapped = line.output<{ n: number }>({ n: "{{ words.words }}" });
    expect(await engine.execute(mapped, { url: "x" })).toEqual({ n: 3 });
  });

  test("gives a fan-out its items and joins their outputs", async () => {
    const engine = await open();
    const fan = workflow<{ list: number[] }>("fan").task(
      "double",
      agent("double", (item: number) => 2 * item),
      { forEach: "input.list" },
    );
    expect(await engine.execute(fan, { list: [1, 2, 3] })).toEqual({ double: [2, 4, 6] });
  });

  test("has what a fallback gave, null for what was skipped or failed, as its types say", async () => {
    const engine = await open();
    const failing = agent("failing", (_input: { url: string }): string => {
      throw Object.assign(new Error("never"), { retryable: false });
    });
    const forgiving = workflow("forgiving")
      .task(
        "spare",
        agent("spare", (input: { url: string }) => input.url.length),
      )
      .task("saved", failing, { onError: { fallback: "spare" } })
      .task("lost", failing, { onError: "continue" })
      .task("skipped", failing, { when: "input.url == 'y'" })
      .task("behind", "echo", { deps: ["skipped"] });
    const result: { saved: string | number; lost: string | null; behind: unknown } =
      await engine.execute(forgiving, { url: "x" });
    expect(result).toEqual({ saved: 1, lost: null, behind: null });
  });

  test("rejects with the task and reason of a failure", async () => {
    const engine = await open();
    const broken = workflow("broken").task(
      "bad",
      agent("bad", () => {
        throw Object.assign(new Error("no such page"), { retryable: false });
      }),
    );
    const error = await rejection(engine.execute(broken, undefined));
    expect(error).toBeInstanceOf(RunFailedError);
    expect(error).toMatchObject({
      status: "FAILED",
      reason: "NON_RETRYABLE",
      taskId: "bad",
      message: expect.stringContaining("no such page"),
    });
  });

  test("refuses a wrong definition with every field", async () => {
    const engine = await open();
    const wrong = workflow("wrong")
      .task("page", page, { timeout: "soon" })
      .task("later", "NoSuchAgent", { deps: ["page"], when: "nobody.is == 1" });
    const error = await rejection(engine.execute(wrong, { url: "x" }));
    expect(error).toBeInstanceOf(GoClawError);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", reason: "DEFINITION_INVALID" });
    const { violations } = error as GoClawError;
    expect(violations.map(({ field }) => field)).toEqual(
      expect.arrayContaining([expect.stringContaining("timeout"), expect.stringContaining("when")]),
    );
  });

  test("refuses an agent nobody has", async () => {
    const engine = await open();
    const error = await rejection(
      engine.execute(workflow("w").task("a", "NoSuchAgent"), undefined),
    );
    expect(error).toMatchObject({ name: "GoClawError" });
    expect(String(error)).toContain("NoSuchAgent");
  });

  test("refuses two functions under one name", async () => {
    const engine = await open();
    await engine.execute(line, { url: "x" });
    const other = workflow("other").task(
      "page",
      agent("page", () => 1),
    );
    expect(await rejection(engine.execute(other, undefined))).toMatchObject({
      reason: "AGENT_DUPLICATE",
    });
  });

  test("refuses settings that are wrong", async () => {
    const error = await rejection(open({ lanes: { io: { concurrency: 0 } } }));
    expect(error).toMatchObject({ name: "GoClawError", reason: "CONFIG_INVALID" });
  });
});

describe("a handle", () => {
  test("watches from the beginning and from the middle", async () => {
    const engine = await open();
    const run = await engine.start(line, { url: "x" });
    const all = await collected(run.watch());
    expect(all.map(({ sequence }) => sequence)).toEqual(all.map((_, index) => index + 1));
    expect(all[0]).toMatchObject({ type: "run_accepted", runId: run.runId });
    expect(all.at(-1)).toMatchObject({
      type: "run_completed",
      runState: "COMPLETED",
      output: { words: { words: 3 } },
    });
    expect(await collected(run.watch({ afterSequence: 3 }))).toEqual(all.slice(3));
    expect(await engine.run(run.runId).result()).toEqual({ words: { words: 3 } });
  });

  test("cancels", async () => {
    const engine = await open();
    const { wait, begun } = waiting();
    const run = await engine.start(workflow("w").task("wait", wait), undefined);
    await begun;
    await run.cancel({ reason: "changed my mind" });
    expect(await rejection(run.result())).toMatchObject({
      status: "CANCELLED",
      runId: run.runId,
      message: expect.stringContaining("changed my mind"),
    });
    expect(await rejection(engine.run(run.runId).result())).toMatchObject({ status: "CANCELLED" });
    expect(await rejection(run.cancel())).toMatchObject({ reason: "RUN_TERMINAL" });
  });

  test("signals a task", async () => {
    const engine = await open();
    const begun = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const listener = agent("listener", async (_input: unknown, ctx) => {
      begun.resolve();
      await finish.promise;
      return ctx
        .signals()
        .map((signal) => (signal.kind === "steer" ? signal.payload : signal.kind));
    });
    const run = await engine.start(workflow("w").task("listen", listener), undefined);
    await begun.promise;
    const standing = await run.signal("listen", { steer: { to: "the left" }, text: "left" });
    expect(["accepted", "queued", "delivered"]).toContain(standing);
    for await (const event of run.watch()) {
      if (event.type === "signal_receipt") break;
    }
    finish.resolve();
    expect(await run.result()).toEqual({ listen: [{ to: "the left" }] });
    expect(await rejection(run.signal("nobody", { interrupt: "stop" }))).toMatchObject({
      name: "GoClawError",
    });
  });

  test("of a run that does not exist says so", async () => {
    const engine = await open();
    expect(await rejection(engine.run("nonsense").result())).toMatchObject({
      code: "NOT_FOUND",
      reason: "RUN_NOT_FOUND",
    });
  });
});

test("equal idempotency keys are one run", async () => {
  const engine = await open();
  const first = await engine.start(line, { url: "x" }, { idempotencyKey: "k" });
  await first.result();
  const second = await engine.start(line, { url: "x" }, { idempotencyKey: "k" });
  expect(second.runId).toBe(first.runId);
  expect(await second.result()).toEqual({ words: { words: 3 } });
  const other = engine.start(line, { url: "y" }, { idempotencyKey: "k" });
  expect(await rejection(other)).toMatchObject({ reason: "IDEMPOTENCY_CONFLICT" });
});

test("a directory that is opened again goes on with its open runs and keeps the finished ones", async () => {
  const directory = scratch();
  const first = await open({ store: leveldb(directory), settings: { drain_timeout: "0ms" } });
  const done = await first.start(line, { url: "x" });
  await done.result();
  const { wait, begun } = waiting();
  const open1 = await first.start(
    workflow("two")
      .task("page", page)
      .task("wait", wait, { deps: ["page"] }),
    { url: "x" },
  );
  await begun;
  await first.close();

  let pages = 0;
  const second = await open({
    store: leveldb(directory),
    agents: [agent("page", () => ++pages), agent("wait", () => "went on")],
  });
  expect(await second.run(open1.runId).result()).toEqual({ wait: "went on" });
  expect(pages).toBe(0);
  expect(await second.run(done.runId).result()).toEqual({ words: { words: 3 } });
});

test("after close nothing is taken, and closing twice is harmless", async () => {
  const engine = await open();
  await engine.close();
  await engine.close();
  expect(await rejection(engine.execute(line, { url: "x" }))).toMatchObject({
    name: "GoClawError",
    code: "UNAVAILABLE",
  });
});

test("whoever waits for a run when its engine closes is told", async () => {
  const engine = await open({ settings: { drain_timeout: "0ms" } });
  const { wait, begun } = waiting();
  const run = await engine.start(workflow("w").task("wait", wait), undefined);
  await begun;
  const waitingForIt = rejection(run.result());
  await engine.close();
  expect(await waitingForIt).toMatchObject({ name: "GoClawError", reason: "ENGINE_DRAINING" });
});
