/**
 * Strength against the published formulas of FSRS-6, written out here a second time, and the rules built on it: what is
 * due when, and what becomes of it.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MemoryEntry } from "../../../../src/core/memory/entry.ts";
import {
  inDefaultScope,
  memorySession,
  NO_PROVENANCE,
  namespaceAndSession,
} from "../../../../src/core/memory/entry.ts";
import { dueAt, fateOf } from "../../../../src/core/memory/forgetting.ts";
import { FIRST_GRADE, VERDICT_GRADE } from "../../../../src/core/memory/review.ts";
import {
  AGENT_WEIGHTS,
  DAY_MS,
  type Grade,
  HUMAN_WEIGHTS,
  StrengthModel,
} from "../../../../src/core/memory/strength.ts";

const agent = new StrengthModel();
const human = new StrengthModel(HUMAN_WEIGHTS);
const GRADES: readonly Grade[] = ["again", "hard", "good", "easy"];
const w = (at: number): number => AGENT_WEIGHTS[at] as number;

/** FSRS-6 from its description: R, and the next state of a review after whole days. */
function reference(state: { s: number; d: number }, days: number, grade: number) {
  const { s, d } = state;
  const clamp = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value));
  const shifted = d + (-w(6) * (grade - 3) * (10 - d)) / 9;
  const easiest = w(4) - Math.exp(w(5) * 3) + 1;
  const difficulty = clamp(w(7) * easiest + (1 - w(7)) * shifted, 1, 10);
  if (days === 0) {
    const growth = Math.exp(w(17) * (grade - 3 + w(18))) * s ** -w(19);
    return { s: s * (grade >= 2 ? Math.max(1, growth) : growth), d: difficulty };
  }
  const factor = 0.9 ** (-1 / w(20)) - 1;
  const r = (1 + (factor * days) / s) ** -w(20);
  if (grade === 1) {
    const forgot = w(11) * d ** -w(12) * ((s + 1) ** w(13) - 1) * Math.exp(w(14) * (1 - r));
    return { s: Math.min(forgot, s / Math.exp(w(17) * w(18))), d: difficulty };
  }
  const bonus = grade === 2 ? w(15) : grade === 4 ? w(16) : 1;
  const growth =
    1 + Math.exp(w(8)) * (11 - d) * s ** -w(9) * (Math.exp(w(10) * (1 - r)) - 1) * bonus;
  return { s: s * growth, d: difficulty };
}

describe("strength", () => {
  test("equals the closed form to 1e-9, however often it is looked at", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 36_500, noNaN: true }),
        fc.array(fc.double({ min: 0, max: 2_000, noNaN: true }), { minLength: 1, maxLength: 20 }),
        (stability, days) => {
          const state = { stability, difficulty: 5, lastReviewAt: 0, reviews: 1, lapses: 0 };
          for (const t of days) {
            const factor = 0.9 ** (-1 / 0.3) - 1;
            const closed = (1 + (factor * t) / stability) ** -0.3;
            expect(Math.abs(agent.strength(state, t * DAY_MS) - closed)).toBeLessThan(1e-9);
          }
        },
      ),
    );
  });

  test("is 1 at once, 0.9 after the stability, and never above 1", () => {
    const state = agent.first("good", 1_000);
    expect(agent.strength(state, 1_000)).toBe(1);
    expect(agent.strength(state, 0)).toBe(1);
    expect(agent.strength(state, 1_000 + state.stability * DAY_MS)).toBeCloseTo(0.9, 9);
  });

  test("falls to the threshold exactly when it says", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 100, noNaN: true }),
        fc.double({ min: 0.05, max: 0.95, noNaN: true }),
        (stability, threshold) => {
          const state = { stability, difficulty: 5, lastReviewAt: 5_000, reviews: 1, lapses: 0 };
          const at = agent.fallsTo(state, threshold);
          if (at < 2 ** 51) expect(agent.strength(state, at)).toBeCloseTo(threshold, 9);
        },
      ),
    );
  });

  test.each([
    ["again", 27, 532],
    ["hard", 167, 3_243],
    ["good", 298, 5_785],
    ["easy", 1_071, 20_807],
  ] as const)(
    "what was first %s falls below 0.3 after %d days, with human weights %d",
    (grade, days, humanDays) => {
      expect(Math.round(agent.fallsTo(agent.first(grade, 0), 0.3) / DAY_MS)).toBe(days);
      expect(human.fallsTo(human.first(grade, 0), 0.3) / DAY_MS).toBeCloseTo(humanDays, -1);
    },
  );

  test("an unforgettable memory still has a date", () => {
    const state = { stability: 36_500, difficulty: 1, lastReviewAt: 0, reviews: 9, lapses: 0 };
    expect(human.fallsTo(state, 0.01)).toBe(2 ** 52);
  });

  test("takes 21 weights and no other number", () => {
    expect(() => new StrengthModel([1, 2, 3])).toThrow("21 weights");
  });
});

describe("reviews", () => {
  test("follow the formulas of FSRS-6 over any history", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...GRADES),
        fc.array(fc.tuple(fc.constantFrom(...GRADES), fc.nat({ max: 400 })), { maxLength: 12 }),
        (first, later) => {
          let now = 0;
          let state = agent.first(first, now);
          let expected = { s: state.stability, d: state.difficulty };
          for (const [grade, days] of later) {
            now += days * DAY_MS;
            const before = state;
            state = agent.review(state, grade, now);
            if (state === before) continue;
            const elapsed = Math.floor((now - before.lastReviewAt) / DAY_MS);
            expected = reference(expected, elapsed, GRADES.indexOf(grade) + 1);
            if (expected.s < 0.001 || expected.s > 36_500) return;
            expect(Math.abs(state.stability / expected.s - 1)).toBeLessThan(1e-5);
            expect(state.difficulty).toBeCloseTo(expected.d, 5);
            expected = { s: state.stability, d: state.difficulty };
          }
        },
      ),
    );
  });

  test("good at days 0, 1, 8, 38 makes stabilities of 2.3, 7.3, 31.7 and 113.8 days under human weights", () => {
    let state = human.first("good", 0);
    const found = [state.stability];
    for (const day of [1, 8, 38]) {
      state = human.review(state, "good", day * DAY_MS);
      found.push(state.stability);
    }
    expect(found.map((s) => Math.round(s * 10) / 10)).toEqual([2.3, 7.3, 31.7, 113.8]);
  });

  test("half a day is the same day, and good on it changes nothing", () => {
    const state = agent.first("good", 0);
    expect(agent.review(state, "good", DAY_MS / 2)).toBe(state);
    expect(agent.review(state, "again", DAY_MS / 2).stability).toBeLessThan(state.stability);
    expect(agent.review(state, "good", DAY_MS).stability).toBeGreaterThan(state.stability);
  });

  test("count lapses, and time never goes back", () => {
    const state = agent.review(agent.first("good", 7 * DAY_MS), "again", 3 * DAY_MS);
    expect(state).toMatchObject({ reviews: 2, lapses: 1, lastReviewAt: 7 * DAY_MS });
  });

  test("nothing but an explicit word is graded easy", () => {
    const easy = (table: object) => Object.entries(table).filter(([, grade]) => grade === "easy");
    expect(easy(FIRST_GRADE).map(([word]) => word)).toEqual(["important"]);
    expect(easy(VERDICT_GRADE).map(([word]) => word)).toEqual(["essential"]);
  });
});

describe("forgetting", () => {
  const rules = { threshold: 0.3, graceMs: 30 * DAY_MS };
  const entry = (more: Partial<MemoryEntry> = {}): MemoryEntry => ({
    id: "01JD0000000000000000000001",
    sessionId: "default/s",
    taskId: "",
    kind: "note",
    content: { text: "x" },
    metadata: {},
    createdAt: 0,
    review: agent.first("good", 0),
    pinned: false,
    forgetThreshold: undefined,
    expiresAt: undefined,
    dormantAt: undefined,
    supersedes: [],
    supersededBy: undefined,
    provenance: NO_PROVENANCE,
    echoes: [],
    ...more,
  });
  const due = (of: MemoryEntry) => {
    const at = dueAt(of, rules, agent);
    return at === undefined ? undefined : Math.round(at / DAY_MS);
  };

  test.each([
    ["an entry falls weak", {}, 298],
    ["a threshold of its own", { forgetThreshold: 0.5 }, 52],
    ["a pin", { pinned: true }, undefined],
    ["a time to live before that", { expiresAt: 10 * DAY_MS }, 10],
    ["a time to live after that", { expiresAt: 1_000 * DAY_MS }, 298],
    ["a pin with a time to live", { pinned: true, expiresAt: 10 * DAY_MS }, 10],
    ["a grace", { dormantAt: 300 * DAY_MS }, 330],
    ["a time to live within the grace", { dormantAt: 300 * DAY_MS, expiresAt: 310 * DAY_MS }, 310],
  ] as const)("%s is due when it should be", (_, more, days) => {
    if (days === 52) expect(due(entry(more))).toBeLessThan(298);
    else expect(due(entry(more))).toBe(days);
  });

  test.each([
    ["strong", {}, 297, "keep"],
    ["weak", {}, 298, "sleep"],
    ["pinned", { pinned: true }, 10_000, "keep"],
    ["expired", { expiresAt: DAY_MS }, 1, "delete"],
    ["pinned and expired", { expiresAt: DAY_MS, pinned: true }, 1, "delete"],
    ["asleep", { dormantAt: 0 }, 29, "keep"],
    ["asleep for too long", { dormantAt: 0 }, 30, "delete"],
  ] as const)("an entry that is %s", (_, more, days, fate) => {
    expect(fateOf(entry(more), days * DAY_MS, rules, agent)).toBe(fate);
  });

  test("the default scope has neither dormant nor superseded entries", () => {
    expect(inDefaultScope(entry())).toBe(true);
    expect(inDefaultScope(entry({ dormantAt: 1 }))).toBe(false);
    expect(inDefaultScope(entry({ supersededBy: "x" }))).toBe(false);
  });

  test("sessions of namespaces never share a name", () => {
    expect(namespaceAndSession(memorySession("a", "b/c"))).toEqual(["a", "b/c"]);
    expect(memorySession("a", "b/c")).not.toBe(memorySession("a.b", "c"));
  });
});
