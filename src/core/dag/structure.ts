/**
 * Whether tasks form a graph that can run: ids are unique, dependencies exist, nothing waits for itself, fallbacks make
 * sense. Reports every problem and carries on with the edges that are sound, so that a typo does not hide a cycle.
 * Linear in tasks and edges, apart from guesses at what a name was meant to be.
 */
import { DEFINITION_LIMITS, type TaskDefinition } from "./definition.ts";
import { buildGraph, findCycles, type Graph, topologicalOrder } from "./graph.ts";
import { addGuards, type Links, withFallbackWaits } from "./links.ts";
import { RESERVED_NAMES } from "./schema.ts";
import type { Path, Place, Violations } from "./violations.ts";

/** Where a lower-camel path stands in what the author wrote. */
export type Locate = (path: Path) => Place | undefined;

/** The sound part of the graph. */
export interface Structure {
  readonly indexOf: ReadonlyMap<string, number>;
  readonly graph: Graph;
  /** Nodes that are neither on a cycle nor behind one. */
  readonly order: Uint32Array;
}

/** Checks ids, dependencies, fallbacks and cycles. */
export function checkStructure(
  tasks: readonly TaskDefinition[],
  found: Violations,
  locate: Locate,
): Structure {
  const links = checkLinks(tasks, found, locate);
  const graph = buildGraph(links.deps);
  const constrained = links.guards.size === 0 ? graph : buildGraph(withFallbackWaits(links));
  for (const cycle of findCycles(constrained)) reportCycle(cycle, tasks, links, found, locate);
  return { indexOf: links.indexOf, graph, order: topologicalOrder(graph) };
}

/** Checks ids, dependencies and fallbacks; returns the sound links. */
export function checkLinks(
  tasks: readonly TaskDefinition[],
  found: Violations,
  locate: Locate,
): Links {
  const indexOf = checkIds(tasks, found, locate);
  const deps = checkDeps(tasks, indexOf, found, locate);
  const guards = checkFallbacks(tasks, indexOf, found, locate);
  addGuards(deps, guards);
  return { indexOf, deps, guards };
}

function checkIds(
  tasks: readonly TaskDefinition[],
  found: Violations,
  locate: Locate,
): ReadonlyMap<string, number> {
  const indexOf = new Map<string, number>();
  for (const [index, { id }] of tasks.entries()) {
    if (id === "") continue;
    const first = indexOf.get(id);
    if (first === undefined) indexOf.set(id, index);
    else {
      found.add(
        locate(["tasks", index, "id"]),
        `the id "${id}" is already taken by tasks[${first}]`,
        "Give every task its own id.",
      );
    }
    if (RESERVED_NAMES.has(id)) {
      const remedy = "Choose another id; templates and conditions use this name.";
      found.add(locate(["tasks", index, "id"]), `the id "${id}" is reserved`, remedy);
    }
  }
  return indexOf;
}

/** Sound dependencies by index. */
function checkDeps(
  tasks: readonly TaskDefinition[],
  indexOf: ReadonlyMap<string, number>,
  found: Violations,
  locate: Locate,
): number[][] {
  let edges = 0;
  // The last task that named each task, so that one array serves all of them.
  const namedBy = new Int32Array(tasks.length).fill(-1);
  const deps = tasks.map((task, index) => {
    const row: number[] = [];
    edges += task.deps.length;
    for (let position = 0; position < task.deps.length; position++) {
      const dep = indexOf.get(task.deps[position] as string);
      if (dep !== undefined && dep !== index && namedBy[dep] !== index) {
        namedBy[dep] = index;
        row.push(dep);
      } else reportDep(index, position, dep);
    }
    return row;
  });
  function reportDep(index: number, position: number, dep: number | undefined): void {
    const id = tasks[index]?.deps[position] as string;
    if (id === "") return;
    const place = locate(["tasks", index, "deps", position]);
    if (dep === index) found.add(place, `"${id}" depends on itself`, "Remove it.");
    else if (dep !== undefined)
      found.add(place, `"${id}" is named twice`, "Name every dependency once.");
    else {
      const remedy = found.guess(id, indexOf, "Add such a task, or remove the dependency.");
      found.add(place, `no task is called "${id}"`, remedy);
    }
  }
  if (edges > DEFINITION_LIMITS.edges) {
    const message = `${edges} dependencies exceed the limit of ${DEFINITION_LIMITS.edges}`;
    found.add(locate(["tasks"]), message, "Split the definition into smaller ones.");
  }
  return deps;
}

/** Sound fallbacks: the guarded task by the index of its fallback. */
function checkFallbacks(
  tasks: readonly TaskDefinition[],
  indexOf: ReadonlyMap<string, number>,
  found: Violations,
  locate: Locate,
): Map<number, number> {
  const guards = new Map<number, number>();
  for (const [index, task] of tasks.entries()) {
    if (task.onError.kind !== "fallback") continue;
    const { taskId } = task.onError;
    const fallback = indexOf.get(taskId);
    const target = fallback === undefined ? undefined : tasks[fallback];
    const problem = fallbackProblem(
      task,
      taskId,
      target,
      fallback === undefined ? undefined : guards.get(fallback),
      tasks,
    );
    if (problem === undefined) guards.set(fallback as number, index);
    else {
      const remedy = problem.remedy ?? found.guess(taskId, indexOf, "Add such a task.");
      found.add(locate(["tasks", index, "onError"]), problem.message, remedy);
    }
  }
  return guards;
}

function fallbackProblem(
  task: TaskDefinition,
  taskId: string,
  target: TaskDefinition | undefined,
  guarded: number | undefined,
  tasks: readonly TaskDefinition[],
): { readonly message: string; readonly remedy?: string } | undefined {
  if (taskId === task.id) {
    return { message: `"${taskId}" is its own fallback`, remedy: "Name another task." };
  }
  if (target === undefined) return { message: `no task is called "${taskId}"` };
  if (guarded !== undefined) {
    const message = `"${taskId}" is already the fallback of "${tasks[guarded]?.id}"`;
    return { message, remedy: "Give every guarded task its own fallback." };
  }
  if (task.forEach !== undefined) {
    return { message: "a for_each task cannot have a fallback", remedy: "Use on_error: continue." };
  }
  if (target.forEach !== undefined) {
    const message = `"${taskId}" is a for_each task, which cannot be a fallback`;
    return { message, remedy: "Name a plain task." };
  }
  if (target.onError.kind === "fallback") {
    const message = `"${taskId}" has a fallback itself`;
    return { message, remedy: "Fallbacks do not chain; let it fail or continue." };
  }
  return undefined;
}

/** Longest cycle printed in full, in tasks. */
const CYCLE_SHOWN = 20;

/** Reports a cycle at the dependency that closes it. */
export function reportCycle(
  cycle: readonly number[],
  tasks: readonly TaskDefinition[],
  { guards }: Links,
  found: Violations,
  locate: Locate,
): void {
  const first = cycle[0] as number;
  const last = cycle.at(-1) as number;
  const ids = cycle.map((index) => tasks[index]?.id ?? "");
  const shown =
    ids.length <= CYCLE_SHOWN
      ? ids
      : [
          ...ids.slice(0, CYCLE_SHOWN - 2),
          `(${ids.length - CYCLE_SHOWN + 1} more)`,
          ids.at(-1) as string,
        ];
  const position = tasks[first]?.deps.indexOf(tasks[last]?.id ?? "") ?? -1;
  const guarded = guards.get(first) === last ? last : guards.get(last);
  const place =
    position >= 0 || guarded === undefined
      ? ["tasks", first, "deps", ...(position >= 0 ? [position] : [])]
      : ["tasks", guarded, "onError"];
  const remedy = cycle.some((index) => guards.has(index))
    ? "Break it; a fallback runs after the task it guards and before those that wait for it."
    : "Remove one of these dependencies.";
  found.add(locate(place), `tasks wait for each other: ${[...shown, ids[0]].join(" → ")}`, remedy);
}
