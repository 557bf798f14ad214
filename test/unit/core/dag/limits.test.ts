import { describe, expect, test } from "vitest";
import { type Json, jsonPayload } from "../../../../src/base/payload.ts";
import { compile } from "../../../../src/core/dag/compile.ts";
import {
  PLAN_LIMITS,
  type PlanLimits,
  planViolations,
  requestExcess,
} from "../../../../src/core/dag/limits.ts";
import { definitionOf } from "../../../support/run-harness.ts";

function violations(spec: Json, lower: Partial<PlanLimits>) {
  const plan = compile(definitionOf(spec), { hash: "h" });
  return planViolations(plan, { ...PLAN_LIMITS, ...lower });
}

const SPEC = {
  name: "s",
  tasks: [
    { id: "a", agent: "x", timeout: "10s", labels: { k: "äöü", key4: "v" } },
    { id: "b", agent: "x", deps: ["a"], deadline: "20s", retry: { max_attempts: 9 } },
    { id: "c", agent: "x", deps: ["a", "b"], heartbeat_timeout: "30s" },
  ],
};

/** The limit, a value that just fits, and what one less refuses. */
const CASES: readonly [keyof PlanLimits, number, string, string][] = [
  ["tasks", 3, "tasks", "3 tasks exceed the limit of 2"],
  ["edges", 3, "tasks", "3 dependencies exceed the limit of 2"],
  ["dependencies", 2, "tasks[2].deps", "2 dependencies exceed the limit of 1"],
  ["attempts", 9, "tasks[1].retry.max_attempts", "9 attempts exceed the limit of 8"],
  ["labels", 2, "tasks[0].labels", "2 labels exceed the limit of 1"],
  ["labelBytes", 6, "tasks[0].labels.k", "6 bytes exceed the limit of 5"],
  ["timerMs", 30_000, "tasks[2].heartbeat_timeout", "30000 milliseconds exceed the limit of 29999"],
];

describe("a definition", () => {
  test.each(CASES)("%s", (limit, fits, field, message) => {
    expect(violations(SPEC, { [limit]: fits })).toEqual([]);
    expect(violations(SPEC, { [limit]: fits - 1 })).toEqual([
      {
        limit,
        field,
        message,
        remedy: `Make it smaller, or raise limits.${limit === "timerMs" ? "timer" : limit} in the daemon's configuration.`,
      },
    ]);
  });

  test("every place is named, each with its limit", () => {
    const found = violations(SPEC, { timerMs: 5_000, attempts: 3, labels: 1 });
    expect(found.map(({ field, limit }) => [field, limit])).toEqual([
      ["tasks[0].retry.max_attempts", "attempts"],
      ["tasks[0].timeout", "timerMs"],
      ["tasks[0].labels", "labels"],
      ["tasks[1].retry.max_attempts", "attempts"],
      ["tasks[1].deadline", "timerMs"],
      ["tasks[1].retry", "timerMs"],
      ["tasks[2].retry.max_attempts", "attempts"],
      ["tasks[2].heartbeat_timeout", "timerMs"],
    ]);
  });

  test("a retry is judged by the longest wait it comes to, not by a maximum it never reaches", () => {
    const retrying = (retry: Json) => ({ name: "s", tasks: [{ id: "a", agent: "x", retry }] });
    const waits = (retry: Json, timerMs: number) =>
      violations(retrying(retry), { timerMs }).map(({ message }) => message);
    expect(waits({}, 5_000)).toEqual([]);
    expect(waits({ max_attempts: 1, backoff: "1h", max_backoff: "1h" }, 5_000)).toEqual([]);
    const long = { max_attempts: 5, backoff: "2s", max_backoff: "1h" };
    expect(waits(long, 16_000)).toEqual([]);
    expect(waits(long, 15_999)).toEqual(["16000 milliseconds exceed the limit of 15999"]);
    expect(waits({ ...long, max_backoff: "3s" }, 3_000)).toEqual([]);
  });

  test("its size does not count what nobody wrote", () => {
    const size = (spec: Json): number =>
      Number(violations(spec, { definitionBytes: 1 })[0]?.message.split(" ")[0]);
    const short = { name: "s", tasks: [{ id: "a", agent: "x" }] };
    const written = JSON.stringify(short).length;
    expect(size(short)).toBeGreaterThanOrEqual(written);
    expect(size(short)).toBeLessThan(written + 60);
    const explicit = {
      name: "s",
      tasks: [{ id: "a", agent: "x", lane: "default", deps: [], priority: 0, retry: {} }],
    };
    expect(size(explicit)).toBe(size(short));
    expect(size({ ...short, output: "ä".repeat(1_000) })).toBe(size(short) + 2_000 + 12);
  });

  test("the largest definition that the validator passes is within the default limits", () => {
    const tasks = Array.from({ length: 10_000 }, (_, n) => ({ id: `task-${n}`, agent: "agent" }));
    expect(violations({ name: "s", tasks }, {})).toEqual([]);
  });

  test("no more places are listed than anybody reads", () => {
    const tasks = Array.from({ length: 2_000 }, (_, n) => ({ id: `t${n}`, agent: "x" }));
    expect(violations({ name: "s", tasks }, { attempts: 1 })).toHaveLength(1_000);
  });
});

describe("a request", () => {
  const limits = { payloadBytes: 100, timerMs: 1_000, labels: 2, labelBytes: 3 };
  const request = { input: jsonPayload("x".repeat(98)), labels: { abc: "äx", b: "" } };

  test("that just fits is fine", () => {
    expect(requestExcess({ ...request, deadlineMs: 1_000 }, limits)).toBeUndefined();
  });

  test.each([
    ["labels", "labels", 3, 2, "labels", { labels: { a: "", b: "", c: "" } }],
    ["labelBytes", "labels.a", 4, 3, "bytes", { labels: { a: "ää" } }],
    ["labelBytes", "labels.abcd", 4, 3, "bytes", { labels: { abcd: "" } }],
    ["payloadBytes", "input", 101, 100, "bytes", { input: jsonPayload("x".repeat(99)) }],
    ["timerMs", "deadline", 1_001, 1_000, "milliseconds", { deadlineMs: 1_001 }],
  ] as const)("%s of %s", (name, field, value, limit, unit, change) => {
    expect(requestExcess({ ...request, ...change }, limits)).toEqual({
      limit: name,
      fault: { code: "LIMIT_EXCEEDED", field, value, limit, unit },
    });
  });
});
