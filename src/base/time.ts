/**
 * Time is data here. Instants are whole or fractional milliseconds since the Unix epoch and durations are
 * milliseconds; both are plain numbers so that they cost nothing in a hot loop, and names carry the unit
 * (`at`, `dueAt` are instants, `…Ms` are durations). Nothing in this file asks what time it is.
 */

/** Milliseconds since the Unix epoch. */
export type Instant = number;

/** A duration in milliseconds. */
export type Millis = number;

/** The longest timer the engine accepts: one year. */
export const TIMER_MAX_MS: Millis = 365 * 24 * 3_600_000;

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Parses a duration such as `250ms`, `1.5s`, `2m`, `1h30m` or `7d`, also protobuf's JSON form (`3.5s`).
 * Returns `undefined` when the text is not a duration; `0` needs a unit like every other value.
 */
export function parseDuration(text: string): Millis | undefined {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (UNIT_MS[unit ?? ""] ?? 0);
  }
  return total;
}

/** Prints a duration for people: the largest units that keep it exact, `0ms` for zero. */
export function formatDuration(durationMs: Millis): string {
  let rest = Math.round(durationMs);
  if (rest === 0) return "0ms";
  let text = "";
  for (const unit of ["d", "h", "m", "s", "ms"]) {
    const size = UNIT_MS[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}
