/**
 * Whether what clients were told could have happened one thing after another: the search of Wing and Gong ("Testing and
 * Verifying Concurrent Objects", 1993) with the memory of visited states that Lowe added, for one small object. Each
 * operation takes effect somewhere between its call and its answer; one without an answer may take effect at any time
 * after its call, or never. Histories of one idempotency key are short, so this costs nothing.
 */

/** One call as its client saw it. `S` is the object's state, which must be comparable by its text. */
export interface Operation<S> {
  readonly calledAt: number;
  /** Infinity while there is no answer. */
  readonly answeredAt: number;
  /** The state after it, or undefined when it cannot have happened in this one. Ignores its answer when it has none. */
  readonly apply: (state: S) => S | undefined;
}

/** Whether some order of the operations explains all answers. */
export function isLinearizable<S>(operations: readonly Operation<S>[], initial: S): boolean {
  const visited = new Set<string>();
  const search = (left: readonly Operation<S>[], state: S): boolean => {
    if (left.every(({ answeredAt }) => answeredAt === Number.POSITIVE_INFINITY)) return true;
    const place = `${left.map((operation) => operations.indexOf(operation)).join()}|${JSON.stringify(state)}`;
    if (visited.has(place)) return false;
    visited.add(place);
    const firstAnswer = Math.min(...left.map(({ answeredAt }) => answeredAt));
    return left.some((operation) => {
      if (operation.calledAt > firstAnswer) return false;
      const next = operation.apply(state);
      return (
        next !== undefined &&
        search(
          left.filter((other) => other !== operation),
          next,
        )
      );
    });
  };
  return search(operations, initial);
}
