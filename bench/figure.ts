/**
 * One figure of a benchmark as one JSON line: median, least and most of the repetitions, the settings, and the floor
 * measured in the same run where there is one. Readers compare ratios, because machines differ and are shared.
 */

export interface Figure {
  readonly bench: string;
  readonly metric: string;
  readonly samples: readonly number[];
  /** Items per repetition. */
  readonly n: number;
  /** What the bare means below the engine reached, in the same unit. */
  readonly floor?: readonly number[];
  readonly settings: { readonly [name: string]: string | number | boolean };
}

/** Median of a non-empty list. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** The sample that `share` of a non-empty list does not exceed (nearest rank). */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** The line a figure prints. */
export function figureLine({ bench, metric, samples, n, floor, settings }: Figure): string {
  const mid = median(samples);
  const base = floor === undefined ? undefined : median(floor);
  return JSON.stringify({
    bench,
    metric,
    median: rounded(mid),
    min: rounded(Math.min(...samples)),
    max: rounded(Math.max(...samples)),
    n,
    reps: samples.length,
    ...(base === undefined ? {} : { floor: rounded(base), ratio: rounded(mid / base) }),
    ...settings,
  });
}

/** Three significant digits below a thousand, whole numbers above. */
export function rounded(value: number): number {
  return Math.abs(value) >= 1_000 ? Math.round(value) : Number(value.toPrecision(3));
}
