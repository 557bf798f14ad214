/** Names and ids. */
import { describe, expect, test } from "vitest";
import {
  idempotencyKey,
  instanceId,
  isName,
  nearestName,
  parseRunId,
  type RunId,
} from "../../../src/base/ids.ts";

describe("names", () => {
  test.each(["a", "A-b_c.9", "-", ".", "0", "x".repeat(128), "toString"])("%s is one", (text) => {
    expect(isName(text)).toBe(true);
  });

  test.each([
    "",
    "a b",
    "a/b",
    "ä",
    "a[0]",
    "x".repeat(129),
    "a\n",
    "__proto__",
    "constructor",
    "prototype",
  ])("%j is none", (text) => {
    expect(isName(text)).toBe(false);
  });
});

describe("run ids", () => {
  test("are ULIDs in capitals", () => {
    expect(parseRunId("01JD0000000000000000000000")).toBe("01JD0000000000000000000000");
    expect(parseRunId("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")).toBe("7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
  });

  test.each([
    "",
    "01JD000000000000000000000",
    "01jd0000000000000000000000",
    "81JD0000000000000000000000",
    "01JD000000000000000000000U",
    "01JD0000000000000000000000\n",
  ])("%j is none", (text) => {
    expect(parseRunId(text)).toBeUndefined();
  });
});

test("ids of instances cannot be names of tasks", () => {
  expect(instanceId("analyze", 3)).toBe("analyze[3]");
  expect(isName(instanceId("analyze", 3))).toBe(false);
});

test("idempotency keys differ by run, task and generation", () => {
  const run = "01JD0000000000000000000000" as RunId;
  const keys = [idempotencyKey(run, "a"), idempotencyKey(run, "b"), idempotencyKey(run, "a", 1)];
  expect(new Set(keys).size).toBe(3);
  expect(idempotencyKey(run, "a", 0)).toBe(keys[0]);
});

describe("nearestName", () => {
  const known = ["intake", "classify", "resolve", "io"];

  test.each([
    ["intke", "intake"],
    ["intkae", "intake"],
    ["Intake", "intake"],
    ["clasify", "classify"],
    ["resolver", "resolve"],
    ["oi", "io"],
    ["i", "io"],
    ["intake", "intake"],
  ])("%s is near %s", (wanted, name) => {
    expect(nearestName(wanted, known)).toBe(name);
  });

  test.each(["", "xyz", "something-else", "classical music"])("nothing is near %j", (wanted) => {
    expect(nearestName(wanted, known)).toBeUndefined();
  });

  test("prefers the closest, then the first", () => {
    expect(nearestName("tasks", ["task", "tusks", "tasks-2"])).toBe("task");
    expect(nearestName("aab", ["aac", "aad"])).toBe("aac");
  });
});
