/**
 * Which entries a search may answer with at all. Filters run before anything is cut off, so a search finds as many as it
 * was asked for whenever that many exist.
 */
import type { EntryFilter } from "./query.ts";

/** What a filter can look at. */
export interface Filterable {
  readonly taskId: string;
  readonly at: number;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Whether an entry meets every condition given. */
export function admits(filter: EntryFilter, entry: Filterable): boolean {
  const { metadata, kinds, taskIds, from, to } = filter;
  if (kinds !== undefined && !kinds.includes(entry.kind)) return false;
  if (taskIds !== undefined && !taskIds.includes(entry.taskId)) return false;
  if (from !== undefined && entry.at < from) return false;
  if (to !== undefined && entry.at >= to) return false;
  return Object.entries(metadata ?? {}).every(
    ([key, value]) => Object.hasOwn(entry.metadata, key) && entry.metadata[key] === value,
  );
}
