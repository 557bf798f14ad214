/**
 * When two entries say the same, and how to show different ones. Entries are compared by their sets of stems, without
 * order or frequency: nearly equal sets are one memory told twice. Reordering for diversity (maximal marginal relevance,
 * Carbonell and Goldstein, SIGIR 1998) is offered and off by default, because it costs precision on expert questions.
 */

/** From this share of common stems on, two entries are duplicates. */
export const DUPLICATE_JACCARD = 0.9;

/** Shared elements over all elements; two empty sets share nothing. */
export function jaccard<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): number {
  const [small, large] = a.size <= b.size ? [a, b] : [b, a];
  if (small.size === 0) return 0;
  let shared = 0;
  for (const element of small) if (large.has(element)) shared++;
  return shared / (a.size + b.size - shared);
}

/** Whether two sets of stems are nearly the same. */
export function nearlySame<T>(a: ReadonlySet<T>, b: ReadonlySet<T>): boolean {
  if (Math.min(a.size, b.size) < DUPLICATE_JACCARD * Math.max(a.size, b.size)) return false;
  return jaccard(a, b) >= DUPLICATE_JACCARD;
}

/** The first of a group of near-duplicates, and the others that came up before the answer was full. */
export interface Group<T> {
  readonly first: T;
  readonly others: T[];
}

/** Groups a ranked list by near-duplicates until `limit` groups are there or the list ends. */
export function collapsed<T, W>(
  ranked: Iterable<T>,
  words: (item: T) => ReadonlySet<W>,
  limit: number,
): Group<T>[] {
  const groups: Group<T>[] = [];
  for (const item of ranked) {
    const same = groups.find(({ first }) => nearlySame(words(first), words(item)));
    if (same !== undefined) same.others.push(item);
    else if (groups.length === limit) break;
    else groups.push({ first: item, others: [] });
  }
  return groups;
}

/**
 * Reorders a ranked list so that each next item is good and unlike those before.
 * @param lambda 1 keeps the order, lower values want more difference.
 * @param score at least 0; compared with likeness after division by the highest.
 */
export function diverse<T, W>(
  ranked: readonly T[],
  lambda: number,
  score: (item: T) => number,
  words: (item: T) => ReadonlySet<W>,
): T[] {
  const most = Math.max(...ranked.map(score), Number.MIN_VALUE);
  const left = ranked.map((item) => ({ item, gain: lambda * (score(item) / most), likeness: 0 }));
  const chosen: T[] = [];
  while (left.length > 0) {
    const worth = left.map(({ gain, likeness }) => gain - (1 - lambda) * likeness);
    const [next] = left.splice(worth.indexOf(Math.max(...worth)), 1);
    if (next === undefined) break;
    chosen.push(next.item);
    for (const other of left) {
      other.likeness = Math.max(other.likeness, jaccard(words(other.item), words(next.item)));
    }
  }
  return chosen;
}
