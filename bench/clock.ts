/**
 * Time that processes and threads of one machine can compare: the monotonic clock of the operating system, which no
 * correction of the wall clock touches.
 */

/** Milliseconds since some moment that is the same for the whole machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
