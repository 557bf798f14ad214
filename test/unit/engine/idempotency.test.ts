import { expect, test } from "vitest";
import type { RunId } from "../../../src/base/ids.ts";
import type { RunState } from "../../../src/core/run/state.ts";
import { IdempotencyKeys } from "../../../src/engine/idempotency.ts";

const FIRST = "01JD0000000000000000000001" as RunId;
const SECOND = "01JD0000000000000000000002" as RunId;
const key = (fingerprint: string) => ({ key: "k", fingerprint });

function setUp() {
  const stored = new Map<string, { runId: RunId; fingerprint: string }>();
  const held = new Set<RunId>();
  const journal = { findIdempotent: async (_: string, name: string) => stored.get(name) };
  return { stored, held, keys: new IdempotencyKeys(journal, (runId) => held.has(runId)) };
}

const runOf = (id: RunId): RunState =>
  ({ id, idempotency: key("f"), request: { namespace: "default" } }) as unknown as RunState;

test("a key is found in the journal, and a different request with it is a conflict", async () => {
  const { stored, keys } = setUp();
  stored.set("k", { runId: FIRST, fingerprint: "f" });
  expect(keys.check("default", key("f"))).toBeUndefined();
  await keys.load("default", "k");
  expect(keys.check("default", key("f"))).toBe(FIRST);
  expect(() => keys.check("default", key("g"))).toThrow("already started run");
});

test("a key whose run retention has deleted is free again, unless the run is still in memory", async () => {
  const { stored, held, keys } = setUp();
  stored.set("k", { runId: FIRST, fingerprint: "f" });
  await keys.load("default", "k");
  stored.clear();
  held.add(FIRST);
  await keys.load("default", "k");
  expect(keys.check("default", key("f"))).toBe(FIRST);
  held.clear();
  await keys.load("default", "k");
  expect(keys.check("default", key("f"))).toBeUndefined();
});

test("a run started while the journal was asked is not forgotten", async () => {
  const { stored, keys } = setUp();
  stored.set("k", { runId: FIRST, fingerprint: "f" });
  await keys.load("default", "k");
  stored.clear();
  const loading = keys.load("default", "k");
  keys.remember(runOf(SECOND), false);
  await loading;
  expect(keys.check("default", key("f"))).toBe(SECOND);
});

test("a run that ended in the commit that accepted it is not forgotten before that is durable", async () => {
  const { stored, keys } = setUp();
  keys.remember(runOf(FIRST), false);
  await keys.load("default", "k");
  expect(keys.check("default", key("f"))).toBe(FIRST);
  stored.set("k", { runId: FIRST, fingerprint: "f" });
  keys.accepted(runOf(FIRST));
  await keys.load("default", "k");
  expect(keys.check("default", key("f"))).toBe(FIRST);
  stored.clear();
  await keys.load("default", "k");
  expect(keys.check("default", key("f"))).toBeUndefined();
});
