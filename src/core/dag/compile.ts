/**
 * From a valid definition to its plan, from a plan to a grown one, and between a definition and the canonical text that
 * is hashed and stored. Compiling assumes that the validator passed the definition and treats what it would have refused
 * as a bug; growing checks what is new. Linear in tasks and edges.
 */
import { assert } from "../../base/assert.ts";
import type { Violation } from "../../base/fault.ts";
import type { Json } from "../../base/payload.ts";
import type { Millis } from "../../base/time.ts";
import {
  DEFINITION_LIMITS,
  type Definition,
  type ExpectedDuration,
  type TaskDefinition,
} from "./definition.ts";
import {
  buildGraph,
  dependentsOf,
  depsOf,
  type Graph,
  IncrementalOrder,
  topologicalOrder,
} from "./graph.ts";
import { type Links, linkTasks, withFallbackWaits } from "./links.ts";
import { outputTemplate, partsOf } from "./parts.ts";
import type { Plan, PlanNode } from "./plan.ts";
import { checkReferences } from "./references.ts";
import { checkLinks, type Locate, reportCycle } from "./structure.ts";
import { checkTaskParts, placeIn } from "./validate.ts";
import { type Place, Violations } from "./violations.ts";

/** What a definition does not say about its plan. */
export interface CompileOptions {
  /** SHA-256 of {@link canonicalJson} of the definition, lower-case hex. */
  readonly hash: string;
  /** Observed duration of agents; absent: weights are timeouts, else 1. */
  readonly expectedMs?: ExpectedDuration;
}

/** Compiles a valid definition. */
export function compile(definition: Definition, options: CompileOptions): Plan {
  const links = linkTasks(definition.tasks);
  const graph = buildGraph(links.deps);
  const waits = withFallbackWaits(links);
  const order = topologicalOrder(waits === links.deps ? graph : buildGraph(waits));
  assert(order.length === graph.size, `the definition "${definition.name}" has a cycle`);
  const remainingMs = remainingWeights(definition.tasks, links, graph, order, options.expectedMs);
  const nodes = definition.tasks.map((task, index) =>
    planNode(task, index, links, graph, remainingMs[index] as number),
  );
  return planOf(definition, options.hash, nodes, links.indexOf, order);
}

function planOf(
  definition: Definition,
  hash: string,
  nodes: readonly PlanNode[],
  indexOf: ReadonlyMap<string, number>,
  order: Uint32Array,
): Plan {
  return {
    hash,
    definition,
    nodes,
    indexOf,
    order,
    sinks: nodes.filter(isSink).map(({ index }) => index),
    ...(definition.output === undefined ? {} : { output: outputTemplate(definition.output) }),
  };
}

/**
 * Weight of the longest path from each task to a sink, itself included: the sum of expected durations, else timeouts,
 * else 1 ms each. A fallback weighs nothing: nobody expects it to run.
 */
function remainingWeights(
  tasks: readonly TaskDefinition[],
  { guards }: Links,
  graph: Graph,
  order: Uint32Array,
  expectedMs: ExpectedDuration | undefined,
): Float64Array {
  const remaining = new Float64Array(graph.size);
  for (let place = order.length - 1; place >= 0; place--) {
    const node = order[place] as number;
    const { agent, timeoutMs } = tasks[node] as TaskDefinition;
    let longest = 0;
    for (const dependent of dependentsOf(graph, node)) {
      longest = Math.max(longest, remaining[dependent] as number);
    }
    remaining[node] = longest + (guards.has(node) ? 0 : (expectedMs?.(agent) ?? timeoutMs ?? 1));
  }
  return remaining;
}

/** Compiles one node. */
function planNode(
  task: TaskDefinition,
  index: number,
  links: Links,
  graph: Graph,
  remainingMs: Millis,
): PlanNode {
  const guards = links.guards.get(index);
  const { onError } = task;
  return {
    index,
    task,
    deps: links.deps[index] as readonly number[],
    dependents: Array.from(dependentsOf(graph, index)),
    ...(guards === undefined ? {} : { guards }),
    ...(onError.kind === "fallback"
      ? { fallback: links.indexOf.get(onError.taskId) as number }
      : {}),
    remainingMs,
    ...partsOf(task),
  };
}

/** Nobody waits for it, except perhaps its own fallback, and it is not a fallback. */
function isSink({ dependents, fallback, guards }: PlanNode): boolean {
  return guards === undefined && dependents.every((dependent) => dependent === fallback);
}

/** What a plan may grow by. */
export interface Addition {
  readonly tasks?: readonly TaskDefinition[];
  /** New dependencies: `to` waits for `from`. Either may be an old or a new task. */
  readonly edges?: readonly { readonly from: string; readonly to: string }[];
}

/** What growing needs besides the plan. */
export interface GrowOptions {
  /** SHA-256 of a text, lower-case hex. */
  readonly hashOf: (canonical: string) => string;
  readonly expectedMs?: ExpectedDuration;
}

/**
 * Adds tasks and dependencies to a plan, or says why not. The result equals compiling the grown definition, but only
 * what is new is searched for cycles and compiled. Violations name new tasks by their place in the addition.
 */
export function addNodes(
  plan: Plan,
  addition: Addition,
  options: GrowOptions,
): Plan | { readonly violations: readonly Violation[] } {
  const found = new Violations();
  const tasks = grownTasks(plan, addition, found);
  const locate = locateIn(plan);
  const links = checkLinks(tasks, found, locate);
  const order = grownOrder(plan, links, (cycle) => reportCycle(cycle, tasks, links, found, locate));
  const graph = buildGraph(links.deps);
  const fresh = checkTaskParts(tasks.slice(plan.nodes.length), found, locate, plan.nodes.length);
  checkReferences(tasks, { indexOf: links.indexOf, graph, order }, fresh, found, locate);
  if (found.count > 0) return { violations: found.list() };
  const definition = { ...plan.definition, tasks };
  const remainingMs = remainingWeights(tasks, links, graph, order, options.expectedMs);
  const nodes = tasks.map((task, index) => {
    const node = planNode(task, index, links, graph, remainingMs[index] as number);
    const old = plan.nodes[index];
    return old !== undefined && isSameNode(old, node) ? old : node;
  });
  const hash = options.hashOf(canonicalJson(definition));
  return planOf(definition, hash, nodes, links.indexOf, order);
}

/** All tasks of the grown definition; what cannot be added is reported and left out. */
function grownTasks(plan: Plan, addition: Addition, found: Violations): readonly TaskDefinition[] {
  const tasks = [...plan.definition.tasks, ...(addition.tasks ?? [])];
  checkLimit(tasks.length, DEFINITION_LIMITS.tasks, "tasks", placeIn(undefined, ["tasks"]), found);
  const indexOf = new Map(tasks.map(({ id }, index) => [id, index]));
  for (const [at, { from, to }] of (addition.edges ?? []).entries()) {
    const index = indexOf.get(to);
    const task = index === undefined ? undefined : (tasks[index] as TaskDefinition);
    if (index === undefined || task === undefined) {
      const remedy = found.guess(to, indexOf, "Add such a task, or leave the edge out.");
      found.add(placeIn(undefined, ["edges", at, "to"]), `no task is called "${to}"`, remedy);
    } else {
      const deps = [...task.deps, from];
      const place = placeIn(undefined, ["edges", at]);
      checkLimit(deps.length, DEFINITION_LIMITS.deps, `dependencies of "${to}"`, place, found);
      tasks[index] = { ...task, deps };
    }
  }
  return tasks;
}

function checkLimit(
  count: number,
  limit: number,
  what: string,
  place: Place | undefined,
  found: Violations,
): void {
  if (count <= limit) return;
  const remedy = "Start another run for the rest.";
  found.add(place, `${count} ${what} exceed the limit of ${limit}`, remedy);
}

/** New tasks by their place in the addition, old ones as `plan.tasks[n]`. */
function locateIn({ nodes }: Plan): Locate {
  return ([root = "tasks", index, ...rest]) => {
    if (typeof index !== "number") return placeIn(undefined, [root]);
    const isOld = index < nodes.length;
    const path = isOld ? ["plan", root, index] : [root, index - nodes.length];
    return placeIn(undefined, [...path, ...rest]);
  };
}

/** The plan's order, repaired for what is new. Each edge that would close a cycle is reported and left out. */
function grownOrder(
  plan: Plan,
  links: Links,
  report: (cycle: readonly number[]) => void,
): Uint32Array {
  const oldWaits = withFallbackWaits(linksOf(plan));
  const old = buildGraph(oldWaits);
  const isOld = (node: number) => node < old.size;
  const order = new IncrementalOrder(
    plan.order,
    links.deps.length,
    (node) => (isOld(node) ? dependentsOf(old, node) : []),
    (node) => (isOld(node) ? depsOf(old, node) : []),
  );
  for (const [node, row] of withFallbackWaits(links).entries()) {
    const before = oldWaits[node];
    if (before?.length === row.length) continue;
    const known = new Set(before);
    for (const dep of row) {
      const cycle = known.has(dep) ? undefined : order.add(dep, node);
      if (cycle !== undefined) report(cycle);
    }
  }
  return order.order;
}

function linksOf({ nodes, indexOf }: Plan): Links {
  const guards = new Map<number, number>();
  for (const node of nodes) if (node.guards !== undefined) guards.set(node.index, node.guards);
  return { indexOf, deps: nodes.map(({ deps }) => deps), guards };
}

/** Edges are only ever added, so equal counts mean equal edges. */
function isSameNode(a: PlanNode, b: PlanNode): boolean {
  return (
    a.task === b.task &&
    a.guards === b.guards &&
    a.remainingMs === b.remainingMs &&
    a.deps.length === b.deps.length &&
    a.dependents.length === b.dependents.length
  );
}

/**
 * The text of a definition that is hashed and stored: one spelling per definition, whatever built it. Keys are sorted,
 * except inside `input` and `output`, where the author's order shows in the payloads that come out.
 */
export function canonicalJson(definition: Definition): string {
  return JSON.stringify(sortedKeys(definition as unknown as Json));
}

/** Reads what {@link canonicalJson} wrote; the text is trusted. */
export function parseCanonical(json: string): Definition {
  return JSON.parse(json) as Definition;
}

/** Recursive on the depth of the schema, not of what the author wrote. */
function sortedKeys(value: Json): Json {
  if (!isContainer(value)) return value;
  if (Array.isArray(value)) return value.some(isContainer) ? value.map(sortedKeys) : value;
  const source = value as { readonly [key: string]: Json };
  const sorted: { [key: string]: Json } = {};
  for (const key of Object.keys(source).sort()) {
    const inner = source[key] as Json;
    sorted[key] = key === "input" || key === "output" ? inner : sortedKeys(inner);
  }
  return sorted;
}

function isContainer(value: Json): boolean {
  return typeof value === "object" && value !== null;
}
