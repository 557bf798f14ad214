/**
 * How well something is remembered, by FSRS-6: strength now, the change by a review, and the moment it falls below a
 * threshold. The formulas of a review come from ts-fsrs, of which this is the only importer; its curve is written out
 * here, because the library rounds to eight decimals and its card API to whole days. Strength is a function of the last
 * review and the moment, so looking at it, however often, changes nothing.
 */
import { default_w, FSRSAlgorithm } from "ts-fsrs";
import { assert } from "../../base/assert.ts";
import type { Instant } from "../../base/time.ts";
import type { ReviewState } from "./entry.ts";

/** How a review went. */
export type Grade = "again" | "hard" | "good" | "easy";

const RATING: Readonly<Record<Grade, number>> = { again: 1, hard: 2, good: 3, easy: 4 };

export const DAY_MS = 86_400_000;

/** Index of the weight that bends the forgetting curve. */
const DECAY = 20;

/** Every instant a clock of ours can show, so that a very strong memory does not overflow a key. */
const FAR_FUTURE: Instant = 2 ** 52;

/** The 21 weights of FSRS-6 as fitted on people (ts-fsrs 5.4, `default_w`). */
export const HUMAN_WEIGHTS: readonly number[] = default_w;

/**
 * The default: the fitted weights with a steeper curve. Under theirs an entry that nobody uses takes 15.8 years to fall
 * below 0.3, under these 298 days.
 */
export const AGENT_WEIGHTS: readonly number[] = HUMAN_WEIGHTS.with(DECAY, 0.3);

/** FSRS-6 with one set of weights. */
export class StrengthModel {
  readonly #fsrs: FSRSAlgorithm;
  readonly #decay: number;
  readonly #factor: number;

  /** `weights`: 21 numbers; those outside FSRS-6's bounds are clipped to them. */
  constructor(weights: readonly number[] = AGENT_WEIGHTS) {
    assert(weights.length === 21, "FSRS-6 has 21 weights");
    this.#fsrs = new FSRSAlgorithm({ w: [...weights] });
    this.#decay = this.#fsrs.parameters.w[DECAY] as number;
    this.#factor = 0.9 ** (-1 / this.#decay) - 1;
  }

  /** The state of something met for the first time. */
  first(grade: Grade, at: Instant): ReviewState {
    const { stability, difficulty } = this.#fsrs.next_state(null, 0, RATING[grade]);
    return { stability, difficulty, lastReviewAt: at, reviews: 1, lapses: 0 };
  }

  /**
   * The state after a review. Reviews count whole days since the last one (t = 0.5 would count as a full review); on the
   * same day a good review of something stable changes nothing, and then the very same state is returned.
   */
  review(state: ReviewState, grade: Grade, at: Instant): ReviewState {
    const days = Math.max(0, Math.floor((at - state.lastReviewAt) / DAY_MS));
    const { stability, difficulty } = this.#fsrs.next_state(state, days, RATING[grade]);
    if (days === 0 && stability === state.stability && grade === "good") return state;
    return {
      stability,
      difficulty,
      lastReviewAt: Math.max(at, state.lastReviewAt),
      reviews: state.reviews + 1,
      lapses: state.lapses + (grade === "again" ? 1 : 0),
    };
  }

  /** Strength in [0, 1]: R(t, S) = (1 + (0.9^(−1/w20) − 1)·t/S)^(−w20), t in days since the last review. */
  strength({ stability, lastReviewAt }: ReviewState, now: Instant): number {
    const days = Math.max(0, now - lastReviewAt) / DAY_MS;
    return (1 + (this.#factor * days) / stability) ** -this.#decay;
  }

  /** When strength falls to `threshold`, in (0, 1), if nothing is reviewed before. */
  fallsTo({ stability, lastReviewAt }: ReviewState, threshold: number): Instant {
    const days = (stability / this.#factor) * (threshold ** (-1 / this.#decay) - 1);
    return Math.min(FAR_FUTURE, lastReviewAt + days * DAY_MS);
  }
}
