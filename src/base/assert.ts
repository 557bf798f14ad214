/**
 * Assertions are for bugs: a broken invariant means that continuing could write a lie to disk, so it throws and the
 * process stops. What the world can do wrong (bad input, a full disk, a late agent) is a fault, never an assertion.
 */

/** Thrown only when the program itself is wrong. Nothing may catch it to continue. */
export class BugError extends Error {
  override readonly name = "BugError";
}

/** Throws {@link BugError} unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new BugError(message);
}

/** Returns `value` unless it is null or undefined, which is a bug named by `what`. */
export function present<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new BugError(`${what} is missing`);
  return value;
}

/** Closes a switch over a union: the compiler refuses a forgotten case, and run time names the stray value. */
export function unreachable(value: never): never {
  throw new BugError(`unreachable value: ${JSON.stringify(value)}`);
}
