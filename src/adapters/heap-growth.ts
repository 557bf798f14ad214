/**
 * How far the heap may grow between two full collections. V8 lets it grow to a multiple of what lives, which is fast
 * and, while little lives, small; with a million waiting runs it would be hundreds of megabytes of garbage. So where
 * much lives, it may grow by a fifth only. This is a setting of the whole process, and so only the daemon sets it, not
 * an engine inside another program.
 */
import { constants, PerformanceObserver } from "node:perf_hooks";
import { getHeapStatistics, setFlagsFromString } from "node:v8";

/** From here on much lives. */
const MUCH_BYTES = 64 * 1024 * 1024;
/** Growth in percent where much lives; 0 leaves it to V8. */
const GROWTH_OF_MUCH = 20;

/** What an entry about a collection says; Node.js has no type for it. */
interface GcEntry {
  readonly detail: { readonly kind: number };
}

/** Looks after every full collection of this thread's heap; what it sets holds from the next one on. */
export function boundHeapGrowth(): void {
  let growth = 0;
  const observer = new PerformanceObserver((list) => {
    const { NODE_PERFORMANCE_GC_MAJOR: full } = constants;
    if (!list.getEntries().some((entry) => (entry as unknown as GcEntry).detail.kind === full))
      return;
    const wanted = getHeapStatistics().used_heap_size > MUCH_BYTES ? GROWTH_OF_MUCH : 0;
    if (wanted === growth) return;
    growth = wanted;
    setFlagsFromString(`--heap-growing-percent=${growth}`);
  });
  observer.observe({ entryTypes: ["gc"] });
}
