import fc from "fast-check";
import { expect, test } from "vitest";
import type { ThreadCommand, ThreadReport } from "../../src/adapters/agents/plugin-protocol.ts";
import {
  packCommands,
  packReports,
  unpackCommands,
  unpackReports,
} from "../../src/adapters/agents/plugin-text.ts";
import type { RunId } from "../../src/base/ids.ts";
import type { Assignment } from "../../src/ports/agent.ts";

const json = fc.json({ maxDepth: 2 }).map((text) => ({ json: text }));
const binary = fc.uint8Array({ maxLength: 8 }).map((bytes) => ({ mediaType: "a/b", bytes }));
const payload = fc.oneof({ weight: 5, arbitrary: json }, binary);
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });

const assignment: fc.Arbitrary<Assignment> = fc
  .record({
    key: fc.string(),
    runId: fc.string() as unknown as fc.Arbitrary<RunId>,
    taskId: fc.string(),
    attempt: fc.nat(),
    lease: fc.nat(),
    agent: fc.string(),
    workflow: fc.string(),
    namespace: fc.string(),
    sessionId: maybe(fc.string()),
    input: payload,
    runInput: payload,
    idempotencyKey: fc.string(),
    traceId: fc.string(),
    deadlineAt: maybe(fc.integer({ min: 0 })),
    heartbeatTimeoutMs: maybe(fc.nat()),
    lastCheckpoint: maybe(fc.uint8Array({ maxLength: 4 })),
    signals: fc.constantFrom(
      [],
      [{ signal: "s", content: { kind: "steer", payload: { json: "1" }, text: "" } } as const],
    ),
  })
  .chain((one) => fc.boolean().map((same) => (same ? { ...one, runInput: one.input } : one)));

const command: fc.Arbitrary<ThreadCommand> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant("start" as const), ticket: fc.nat(), assignment }),
  },
  fc.record({ type: fc.constant("stop" as const), key: fc.string(), reason: fc.string() }),
);

const report: fc.Arbitrary<ThreadReport> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant("finish" as const),
      key: fc.string(),
      outcome: fc.oneof(
        {
          weight: 4,
          arbitrary: fc.record({ kind: fc.constant("success" as const), output: payload }),
        },
        fc.constant({ kind: "stopped" } as const),
      ),
    }),
  },
  fc.record({ type: fc.constant("beat" as const), key: fc.string() }),
);

test("commands arrive as they were sent", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 4 }), (sent) => {
      expect(unpackCommands(structuredClone(packCommands(sent)))).toEqual(sent);
    }),
  );
});

test("reports arrive as they were sent", () => {
  fc.assert(
    fc.property(fc.array(report, { maxLength: 4 }), (sent) => {
      expect(unpackReports(structuredClone(packReports(sent)))).toEqual(sent);
    }),
  );
});

test("plain starts and ends travel as text, and the input of a run only once", () => {
  const input = { json: '"the input"' };
  const plain: Assignment = {
    key: "k",
    runId: "r" as RunId,
    taskId: "t",
    attempt: 1,
    lease: 1,
    agent: "a",
    workflow: "w",
    namespace: "n",
    sessionId: undefined,
    input,
    runInput: input,
    idempotencyKey: "i",
    traceId: "x",
    deadlineAt: undefined,
    heartbeatTimeoutMs: undefined,
    lastCheckpoint: undefined,
    signals: [],
  };
  const text = packCommands([{ type: "start", ticket: 1, assignment: plain }]);
  expect(text).toBeTypeOf("string");
  expect(String(text).split("the input")).toHaveLength(2);
  const of = (ticket: number) => ({ type: "start", ticket, assignment: other }) as const;
  const other = { ...plain, input: { json: "1" } };
  expect(String(packCommands([of(1), of(2)])).split("the input")).toHaveLength(2);
  const end = { type: "finish", key: "k", outcome: { kind: "success", output: input } } as const;
  expect(packReports([end])).toBeTypeOf("string");
});
