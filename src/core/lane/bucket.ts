/**
 * The token bucket of a lane, as two numbers. Tokens are computed from elapsed time whenever somebody asks, so nothing
 * ticks and an idle lane costs nothing. "May I start now" and "when may I start" are one expression: a caller who
 * waits until `opensAt` is certain to be let through, whatever rounding did, and rounding is paid back as debt.
 */
import type { Instant } from "../../base/time.ts";
import type { RateLimit } from "./lane.ts";

/** How many tokens there were, and when. */
export interface Bucket {
  readonly tokens: number;
  readonly at: Instant;
}

/** A bucket nobody has taken from: the whole burst is there. */
export function fullBucket(rate: RateLimit): Bucket {
  return { tokens: rate.burst, at: 0 };
}

/** The first instant at which a token may be taken; in the past when one may be taken now. */
export function opensAt(rate: RateLimit, bucket: Bucket): Instant {
  return bucket.at + (Math.max(0, 1 - bucket.tokens) * rate.perMs) / rate.limit;
}

/** The bucket after one token was taken at `at`, which is not before {@link opensAt}. */
export function takeToken(rate: RateLimit, bucket: Bucket, at: Instant): Bucket {
  const earned = (Math.max(0, at - bucket.at) * rate.limit) / rate.perMs;
  return { tokens: Math.min(rate.burst, bucket.tokens + earned) - 1, at };
}

/** The same bucket under a new limit: what was saved is kept up to the new burst. */
export function adoptRate(rate: RateLimit, bucket: Bucket): Bucket {
  return { tokens: Math.min(rate.burst, bucket.tokens), at: bucket.at };
}
