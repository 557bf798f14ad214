/**
 * Who waits for whom, by index. Besides the dependencies that tasks declare, a fallback waits for the task it guards,
 * and whoever waits for a guarded task waits for its fallback too, because either may deliver the output. The last kind
 * constrains the order but is no edge of the plan: it matters only after a failure.
 */
import { present } from "../../base/assert.ts";
import type { TaskDefinition } from "./definition.ts";

/** Tasks by index instead of by name. */
export interface Links {
  readonly indexOf: ReadonlyMap<string, number>;
  /** Each task's dependencies in its own order, the task it guards last. */
  readonly deps: readonly (readonly number[])[];
  /** The task that each fallback guards, by the fallback's index. */
  readonly guards: ReadonlyMap<number, number>;
}

/** Resolves the names of valid tasks. */
export function linkTasks(tasks: readonly TaskDefinition[]): Links {
  const indexOf = new Map(tasks.map(({ id }, index) => [id, index]));
  const find = (id: string) => present(indexOf.get(id), `task "${id}"`);
  const deps = tasks.map((task) => task.deps.map(find));
  const guards = new Map<number, number>();
  for (const [index, { onError }] of tasks.entries()) {
    if (onError.kind === "fallback") guards.set(find(onError.taskId), index);
  }
  addGuards(deps, guards);
  return { indexOf, deps, guards };
}

/** Makes every fallback wait for the task it guards. */
export function addGuards(deps: readonly number[][], guards: ReadonlyMap<number, number>): void {
  for (const [fallback, guarded] of guards) {
    const row = deps[fallback] as number[];
    if (!row.includes(guarded)) row.push(guarded);
  }
}

/** `deps` with the waits for fallbacks: what must be free of cycles. */
export function withFallbackWaits({ deps, guards }: Links): readonly (readonly number[])[] {
  if (guards.size === 0) return deps;
  const fallbackOf = new Map([...guards].map(([fallback, guarded]) => [guarded, fallback]));
  return deps.map((row, index) => {
    const waits = row
      .map((dep) => fallbackOf.get(dep))
      .filter((fallback) => fallback !== undefined);
    const added = waits.filter((fallback) => fallback !== index && !row.includes(fallback));
    return added.length === 0 ? row : [...row, ...added];
  });
}
