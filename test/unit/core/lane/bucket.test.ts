/** The token bucket: what it lets through in any window, and that its own announcement can be trusted. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { adoptRate, fullBucket, opensAt, takeToken } from "../../../../src/core/lane/bucket.ts";
import type { RateLimit } from "../../../../src/core/lane/lane.ts";

const rates: fc.Arbitrary<RateLimit> = fc.record({
  limit: fc.integer({ min: 1, max: 100_000 }),
  perMs: fc.integer({ min: 1, max: 86_400_000 }),
  burst: fc.integer({ min: 1, max: 50 }),
});

/** Takes as early as allowed after each pause; answers the instants of the starts. */
function starts(rate: RateLimit, pauses: readonly number[]): number[] {
  let bucket = fullBucket(rate);
  let at = 1_700_000_000_000;
  return pauses.map((pause) => {
    at = Math.max(at + pause, opensAt(rate, bucket));
    bucket = takeToken(rate, bucket, at);
    return at;
  });
}

describe("token bucket", () => {
  it("lets the burst through at once and then one per interval", () => {
    const rate = { limit: 4, perMs: 1_000, burst: 3 };
    const [first = 0, ...rest] = starts(rate, [0, 0, 0, 0, 0, 0]);
    expect(rest.map((at) => at - first)).toEqual([0, 0, 250, 500, 750]);
  });

  it("saves tokens while idle, up to the burst and no further", () => {
    const rate = { limit: 1, perMs: 100, burst: 2 };
    const [first = 0, ...rest] = starts(rate, [0, 100_000, 0, 0]);
    expect(rest.map((at) => at - first)).toEqual([100_000, 100_000, 100_100]);
  });

  it("never lets more than burst + limit × elapsed / per through, whatever the pauses", () => {
    fc.assert(
      fc.property(
        rates,
        fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 2, maxLength: 80, size: "max" }),
        (rate, pauses) => {
          const taken = starts(rate, pauses);
          for (let from = 0; from < taken.length; from++) {
            const elapsed = (taken.at(-1) as number) - (taken[from] as number);
            const allowed = rate.burst + (elapsed * rate.limit) / rate.perMs;
            // An instant of 2024 has a resolution of 0.00024 ms, which is what rounding may hide.
            expect(taken.length - from).toBeLessThanOrEqual(
              allowed + (0.001 * rate.limit) / rate.perMs + 1e-6,
            );
          }
        },
      ),
      { seed: 1 },
    );
  });

  it("keeps its rate to within a thousandth when it is never idle", () => {
    const rate = { limit: 3_333, perMs: 1_000, burst: 1 };
    const taken = starts(rate, Array(10_000).fill(0));
    const tookMs = (taken.at(-1) as number) - (taken[0] as number);
    expect(tookMs).toBeGreaterThanOrEqual(2_999.99);
    expect(tookMs).toBeLessThan(3_003);
  });

  it("keeps saved tokens up to the new burst when the rate changes", () => {
    const wide = { limit: 10, perMs: 1_000, burst: 10 };
    const narrow = { limit: 1, perMs: 1_000, burst: 2 };
    expect(adoptRate(narrow, fullBucket(wide)).tokens).toBe(2);
    expect(adoptRate(wide, fullBucket(narrow)).tokens).toBe(2);
  });
});
