/**
 * Views of a plan for people: layers, the hot path, what may run side by side, what each lane may be asked for. Nothing
 * here schedules anything: a task starts when its own dependencies are done, never when a layer is. All are linear in
 * tasks and edges.
 */
import type { Millis } from "../../base/time.ts";
import type { Plan, PlanNode } from "./plan.ts";

/**
 * Kahn layers, as task ids in the definition's order: a task stands in the first layer after all its dependencies.
 * Tasks of one layer never depend on each other.
 */
export function layers(plan: Plan): readonly (readonly string[])[] {
  return layerNodes(plan).map((layer) => layer.map(({ task }) => task.id));
}

/** Layers of two or more tasks: sets that may run at the same time. */
export function parallelGroups(plan: Plan): readonly (readonly string[])[] {
  return layers(plan).filter((layer) => layer.length > 1);
}

/**
 * The heaviest path from a task without dependencies to a sink, and its weight: expected durations, else timeouts, else
 * 1 ms per task, nothing for fallbacks. Among equals the task that comes first in the definition.
 */
export function hotPath(plan: Plan): { readonly ids: readonly string[]; readonly totalMs: Millis } {
  const first = heaviest(plan.nodes.filter(({ deps }) => deps.length === 0));
  const ids: string[] = [];
  for (let node = first; node !== undefined; node = heaviest(after(node, plan))) {
    ids.push(node.task.id);
  }
  return { ids, totalMs: first?.remainingMs ?? 0 };
}

/** Who waits for a node, except a fallback that nobody waits for. */
function after({ dependents }: PlanNode, { nodes }: Plan): readonly PlanNode[] {
  const waiting = dependents.map((dependent) => nodes[dependent] as PlanNode);
  return waiting.filter(({ guards, remainingMs }) => guards === undefined || remainingMs > 0);
}

/** For each lane the most slots its tasks of a single layer take together, `cost` counted, by lane name. */
export function laneDemand(plan: Plan): ReadonlyMap<string, number> {
  const demand = new Map<string, number>();
  for (const layer of layerNodes(plan)) {
    const wanted = new Map<string, number>();
    for (const { task } of layer) wanted.set(task.lane, (wanted.get(task.lane) ?? 0) + task.cost);
    for (const [lane, slots] of wanted) demand.set(lane, Math.max(demand.get(lane) ?? 0, slots));
  }
  return new Map([...demand].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function layerNodes(plan: Plan): PlanNode[][] {
  const level = new Uint32Array(plan.nodes.length);
  for (const index of plan.order) {
    for (const dependent of (plan.nodes[index] as PlanNode).dependents) {
      level[dependent] = Math.max(level[dependent] as number, (level[index] as number) + 1);
    }
  }
  const found: PlanNode[][] = [];
  for (const node of plan.nodes) {
    const at = level[node.index] as number;
    while (found.length <= at) found.push([]);
    found[at]?.push(node);
  }
  return found;
}

function heaviest(nodes: readonly PlanNode[]): PlanNode | undefined {
  let best: PlanNode | undefined;
  for (const node of nodes) {
    if (node !== undefined && (best === undefined || node.remainingMs > best.remainingMs))
      best = node;
  }
  return best;
}
