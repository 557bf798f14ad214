/** How often a planted defect strikes: a counter of calls, so that it is the same in every repetition. */

/** Whether this call of the returned function is the n-th, 2n-th, … */
export function everyNth(n: number): () => boolean {
  let calls = 0;
  return () => ++calls % n === 0;
}
