/** Verdicts along redirect chains, and the settings under which no verdict could be given. */
import { describe, expect, it } from "vitest";
import {
  admit,
  checkLanes,
  type LaneRoom,
  REDIRECT_HOPS_MAX,
} from "../../../../src/core/lane/admission.ts";
import type { LaneConfig, LanesConfig, Overflow } from "../../../../src/core/lane/lane.ts";
import { laneConfig, lanesConfig } from "../../../support/lane-tasks.ts";

const redirect = (to: string): Overflow => ({ kind: "redirect", to });
const dropNewest: Overflow = { kind: "drop", which: "newest" };
const dropOldest: Overflow = { kind: "drop", which: "oldest" };

const full = (overflow: Overflow): LaneRoom => ({ room: false, overflow });
const open: LaneRoom = { room: true, overflow: { kind: "block" } };

const look =
  (lanes: Record<string, LaneRoom>) =>
  (lane: string): LaneRoom => {
    const found = lanes[lane];
    if (found === undefined) throw new Error(`nobody knows ${lane}`);
    return found;
  };

describe("admit", () => {
  it.each([
    ["room", { a: open }, { kind: "accepted", lane: "a" }],
    ["full, block", { a: full({ kind: "block" }) }, { kind: "blocked", lane: "a" }],
    ["full, drop newest", { a: full(dropNewest) }, { kind: "dropped", lane: "a" }],
    ["full, drop oldest", { a: full(dropOldest) }, { kind: "accepted", lane: "a" }],
    [
      "full, redirect to room",
      { a: full(redirect("b")), b: open },
      { kind: "redirected", lane: "b", from: "a" },
    ],
    [
      "full, redirect to drop",
      { a: full(redirect("b")), b: full(dropNewest) },
      { kind: "dropped", lane: "b" },
    ],
    [
      "full, redirect to drop oldest",
      { a: full(redirect("b")), b: full(dropOldest) },
      { kind: "redirected", lane: "b", from: "a" },
    ],
    [
      "full, redirect to block",
      { a: full(redirect("b")), b: full({ kind: "block" }) },
      { kind: "blocked", lane: "b" },
    ],
    [
      "a chain of three",
      { a: full(redirect("b")), b: full(redirect("c")), c: open },
      { kind: "redirected", lane: "c", from: "a" },
    ],
  ] as const)("%s", (_, lanes, verdict) => {
    expect(admit("a", look(lanes))).toEqual(verdict);
  });

  it("ends with a bug report should a cycle ever get past the checks", () => {
    expect(() => admit("a", look({ a: full(redirect("b")), b: full(redirect("a")) }))).toThrow(
      "do not end",
    );
  });
});

describe("checkLanes", () => {
  it("accepts every sensible setting", () => {
    const config = lanesConfig(
      [
        laneConfig("io", {
          overflow: redirect("default"),
          rate: { limit: 5, perMs: 1_000, burst: 10 },
        }),
        laneConfig("cpu", { overflow: redirect("io") }),
        laneConfig("gpu", { capacity: 1, concurrency: 1, overflow: dropOldest }),
      ],
      { order: { agingMs: 1_000, weights: { gold: 2.5, default: 1 } } },
    );
    expect(checkLanes(config)).toBeUndefined();
  });

  const rate = { limit: 1, perMs: 1, burst: 1 };
  const wrong: readonly [string, readonly LaneConfig[], Partial<LanesConfig>][] = [
    ["lanes.global.concurrency", [], { global: { concurrency: 0 } }],
    ["lanes.global.rate.limit", [], { global: { concurrency: 1, rate: { ...rate, limit: 0 } } }],
    ["lanes.session.concurrency", [], { session: { scope: "run", concurrency: 0 } }],
    ["lanes.named[a].concurrency", [laneConfig("a", { concurrency: 0 })], {}],
    [
      "lanes.named[a].concurrency",
      [laneConfig("a", { concurrency: Number.POSITIVE_INFINITY })],
      {},
    ],
    ["lanes.named[a].capacity", [laneConfig("a", { capacity: 0 })], {}],
    ["lanes.named[a].capacity", [laneConfig("a", { capacity: 2.5 })], {}],
    ["lanes.named[a].rate.perMs", [laneConfig("a", { rate: { ...rate, perMs: 0 } })], {}],
    ["lanes.named[a].rate.burst", [laneConfig("a", { rate: { ...rate, burst: Number.NaN } })], {}],
    ["lanes.order.agingMs", [], { order: { agingMs: 0, weights: {} } }],
    ["lanes.order.weights[gold]", [], { order: { agingMs: 1, weights: { gold: 0 } } }],
    ["lanes.named", [laneConfig("a"), laneConfig("a")], {}],
    ["lanes.named", [laneConfig("no spaces")], {}],
    ["lanes.named", [laneConfig("global")], {}],
    ["lanes.named", [laneConfig("session")], {}],
  ];
  it.each(wrong)("refuses a wrong %s", (field, named, wish) => {
    expect(checkLanes(lanesConfig(named, wish))).toMatchObject({ code: "ARGUMENT_INVALID", field });
  });

  it("refuses an unknown redirect target, with the nearest name", () => {
    const named = [laneConfig("slow"), laneConfig("fast", { overflow: redirect("slowe") })];
    expect(checkLanes(lanesConfig(named))).toEqual({
      code: "LANE_UNKNOWN",
      lane: "slowe",
      nearest: "slow",
    });
  });

  it("refuses a redirect cycle, naming its path", () => {
    const named = [
      laneConfig("z", { overflow: redirect("a") }),
      laneConfig("a", { overflow: redirect("b") }),
      laneConfig("b", { overflow: redirect("c") }),
      laneConfig("c", { overflow: redirect("a") }),
    ];
    expect(checkLanes(lanesConfig(named))).toMatchObject({
      code: "ARGUMENT_INVALID",
      field: "lanes.named[z].overflow",
      value: "z → a → b → c → a",
    });
    expect(checkLanes(lanesConfig([laneConfig("a", { overflow: redirect("a") })]))).toMatchObject({
      value: "a → a",
    });
  });

  it("refuses a chain that is longer than admit follows, and accepts the longest that is not", () => {
    const chain = (lanes: number): LaneConfig[] =>
      Array.from({ length: lanes }, (_, n) =>
        laneConfig(`l${n}`, n === lanes - 1 ? {} : { overflow: redirect(`l${n + 1}`) }),
      );
    const longest = chain(REDIRECT_HOPS_MAX + 1);
    expect(checkLanes(lanesConfig(longest))).toBeUndefined();
    const overflows = new Map(longest.map(({ name, overflow }) => [name, overflow]));
    const verdict = admit("l0", (lane) => full(overflows.get(lane) as Overflow));
    expect(verdict).toEqual({ kind: "blocked", lane: `l${REDIRECT_HOPS_MAX}` });
    expect(checkLanes(lanesConfig(chain(REDIRECT_HOPS_MAX + 2)))).toMatchObject({
      field: "lanes.named[l0].overflow",
    });
  });
});
