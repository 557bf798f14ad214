/** The open loop of the latency benchmarks: every request is sent, in order, and due when the rate says. */
import { expect, test } from "vitest";
import { monotonicMs } from "../../../bench/clock.ts";
import { openLoop } from "../../../bench/open-loop.ts";

test("sends on although nothing is answered, and counts lateness from the due time", async () => {
  const dues: number[] = [];
  const sentMs: number[] = [];
  let answer = (): void => {};
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const lateMs = await openLoop({
    perSecond: 2_000,
    seconds: 0.02,
    send: (index, dueMs) => {
      expect(index).toBe(dues.length);
      dues.push(dueMs);
      sentMs.push(monotonicMs());
      if (dues.length === 40) answer();
      return answered;
    },
  });
  expect(dues).toHaveLength(40);
  for (const [at, dueMs] of dues.slice(1).entries())
    expect(dueMs - (dues[at] ?? 0)).toBeCloseTo(0.5);
  for (const [at, late] of lateMs.entries()) {
    expect(late).toBeGreaterThanOrEqual(0);
    expect(sentMs[at]).toBeGreaterThanOrEqual((dues[at] ?? 0) + late);
  }
});

test("a request that fails fails the loop", async () => {
  const send = async (): Promise<void> => {
    throw new Error("refused");
  };
  await expect(openLoop({ perSecond: 1_000, seconds: 0.003, send })).rejects.toThrow("refused");
});
