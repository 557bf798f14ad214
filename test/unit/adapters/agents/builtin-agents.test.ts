/** The built-in agents, in virtual time. `http` has its own tests. */
import { beforeEach, describe, expect, test } from "vitest";
import { builtinAgents } from "../../../../src/adapters/agents/builtin-agents.ts";
import type { FunctionTransport } from "../../../../src/adapters/agents/function-transport.ts";
import type { Outcome } from "../../../../src/core/run/message.ts";
import { assignment, outputOf, Recorder } from "../../../support/attempts.ts";
import { VirtualHost } from "../../../support/virtual-host.ts";

let host: VirtualHost;
let recorder: Recorder;
let transport: FunctionTransport;

beforeEach(async () => {
  host = new VirtualHost();
  recorder = new Recorder();
  transport = builtinAgents({ httpAllow: [] }, { host });
  await transport.open(recorder, () => {});
});

async function run(agent: string, input: unknown, attempt = 1): Promise<Outcome | undefined> {
  const given = assignment(agent, input, { attempt });
  transport.start(given);
  await host.settle();
  return recorder.outcomes(given.key)[0];
}

test("echo returns its input", async () => {
  expect(outputOf((await run("echo", { a: [1] })) as Outcome)).toEqual({ a: [1] });
});

describe("sleep", () => {
  test("returns its input after the time", async () => {
    const given = assignment("sleep", { ms: 2_000, label: "x" });
    transport.start(given);
    await host.advance(1_999);
    expect(recorder.outcomes(given.key)).toEqual([]);
    await host.advance(1);
    expect(recorder.outcomes(given.key).map(outputOf)).toEqual([{ ms: 2_000, label: "x" }]);
  });

  test("wakes when it is to stop", async () => {
    const given = assignment("sleep", { ms: 3_600_000 });
    transport.start(given);
    await host.settle();
    transport.stop(given.key, { reason: "CANCELLED_BY_USER", graceMs: 60_000 });
    await host.settle();
    expect(recorder.outcomes(given.key)).toEqual([{ kind: "stopped" }]);
    expect(host.timers).toBe(0);
  });

  test.each([null, {}, { ms: "5" }, { ms: -1 }])("refuses %j for good", async (input) => {
    expect(await run("sleep", input)).toMatchObject({ failure: "terminal" });
  });
});

describe("fail", () => {
  test("fails the first attempts, then returns its input", async () => {
    const input = { times: 2, message: "not yet" };
    const failure = { kind: "failure", failure: "retryable", message: "not yet" };
    expect(await run("fail", input, 1)).toEqual(failure);
    expect(await run("fail", input, 2)).toEqual(failure);
    expect(outputOf((await run("fail", input, 3)) as Outcome)).toEqual(input);
  });

  test("fails once by default", async () => {
    expect(await run("fail", null, 1)).toMatchObject({
      message: "failed as asked, attempt 1 of 1",
    });
    expect(outputOf((await run("fail", null, 2)) as Outcome)).toBeNull();
  });

  test.each([
    [{ class: "terminal" }, { failure: "terminal" }],
    [{ class: "throttled" }, { failure: "throttled", retryAfterMs: 1_000 }],
    [
      { class: "throttled", retryAfterMs: 5 },
      { failure: "throttled", retryAfterMs: 5 },
    ],
    [{ class: "sometimes" }, { failure: "terminal", message: expect.stringContaining("class") }],
    [{ times: "2" }, { failure: "terminal", message: expect.stringContaining("times") }],
  ])("%j", async (input, facts) => {
    expect(await run("fail", input)).toMatchObject({ kind: "failure", ...facts });
  });
});
