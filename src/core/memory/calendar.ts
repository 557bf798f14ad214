/**
 * The calendar day of an instant, in UTC, by arithmetic alone: what is printed into a context must not depend on where a
 * process runs. The algorithm is Howard Hinnant's `civil_from_days`, valid for all days a clock of ours can show.
 */
import type { Instant } from "../../base/time.ts";

const DAY_MS = 86_400_000;
/** Days of 400 years, after which the calendar repeats, and from 0000-03-01 to 1970-01-01. */
const ERA_DAYS = 146_097;
const EPOCH_SHIFT_DAYS = 719_468;

/** `2023-05-08`. */
export function calendarDay(at: Instant): string {
  const days = Math.floor(at / DAY_MS) + EPOCH_SHIFT_DAYS;
  const era = Math.floor(days / ERA_DAYS);
  const dayOfEra = days - era * ERA_DAYS;
  const leapDays =
    Math.floor(dayOfEra / 1_460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leapDays) / 365);
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  // Months are counted from March, so that the leap day is the last of a year.
  const month = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * month + 2) / 5) + 1;
  const civilMonth = month < 10 ? month + 3 : month - 9;
  const year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0);
  return `${padded(year, 4)}-${padded(civilMonth, 2)}-${padded(day, 2)}`;
}

function padded(value: number, width: number): string {
  return String(value).padStart(width, "0");
}
