/**
 * When an entry is looked at again, and what becomes of it then. An entry that grew weak falls dormant, and is deleted
 * when its grace is over; a time to live deletes whatever the strength; a pinned entry never grows too weak. The moment
 * is a function of the entry, so it can stand in a sorted key and nobody has to search for what is due.
 */
import type { Instant, Millis } from "../../base/time.ts";
import type { MemoryEntry } from "./entry.ts";
import type { StrengthModel } from "./strength.ts";

/** How much weakness is tolerated, and for how long. */
export interface ForgettingRules {
  /** Strength below which an entry falls dormant, in (0, 1). */
  readonly threshold: number;
  /** From dormant to deleted. */
  readonly graceMs: Millis;
}

/** What is to be done with an entry that is due. */
export type Fate = "delete" | "sleep" | "keep";

/** When an active entry falls below the threshold; undefined while it is pinned. */
export function forgetAt(
  entry: MemoryEntry,
  rules: ForgettingRules,
  model: StrengthModel,
): Instant | undefined {
  if (entry.pinned) return undefined;
  return model.fallsTo(entry.review, entry.forgetThreshold ?? rules.threshold);
}

/** When an entry must be looked at: its end of life, of grace or of strength, whichever comes first. */
export function dueAt(
  entry: MemoryEntry,
  rules: ForgettingRules,
  model: StrengthModel,
): Instant | undefined {
  const weakAt =
    entry.dormantAt === undefined ? forgetAt(entry, rules, model) : entry.dormantAt + rules.graceMs;
  if (weakAt === undefined || entry.expiresAt === undefined) return weakAt ?? entry.expiresAt;
  return Math.min(weakAt, entry.expiresAt);
}

/** What becomes of an entry at `now`, looked at afresh: the rules may have changed since its key was written. */
export function fateOf(
  entry: MemoryEntry,
  now: Instant,
  rules: ForgettingRules,
  model: StrengthModel,
): Fate {
  if (entry.expiresAt !== undefined && entry.expiresAt <= now) return "delete";
  if (entry.dormantAt !== undefined)
    return entry.dormantAt + rules.graceMs <= now ? "delete" : "keep";
  const weakAt = forgetAt(entry, rules, model);
  return weakAt !== undefined && weakAt <= now ? "sleep" : "keep";
}
