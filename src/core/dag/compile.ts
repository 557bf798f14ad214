/**
 * From a valid definition to its plan, and between a definition and the canonical text that is hashed and stored. It
 * assumes that the validator passed the definition and treats what the validator would have refused as a bug. Linear in
 * tasks and edges.
 */
import { assert, present } from "../../base/assert.ts";
import type { Json } from "../../base/payload.ts";
import type { Millis } from "../../base/time.ts";
import type { Definition, ExpectedDuration, TaskDefinition } from "./definition.ts";
import { buildGraph, dependentsOf, type Graph, topologicalOrder } from "./graph.ts";
import { outputTemplate, partsOf } from "./parts.ts";
import type { Plan, PlanNode } from "./plan.ts";

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
  const order = topologicalOrder(graph);
  assert(order.length === graph.size, `the definition "${definition.name}" has a cycle`);
  const remainingMs = remainingWeights(definition.tasks, graph, order, options.expectedMs);
  const nodes = definition.tasks.map((task, index) =>
    planNode(task, index, links, graph, remainingMs[index] as number),
  );
  return planOf(definition, options.hash, nodes, links.indexOf, order);
}

/** Puts a plan together from its nodes. */
export function planOf(
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
    if (onError.kind !== "fallback") continue;
    const fallback = find(onError.taskId);
    guards.set(fallback, index);
    const row = deps[fallback] as number[];
    if (!row.includes(index)) row.push(index);
  }
  return { indexOf, deps, guards };
}

/**
 * Weight of the longest path from each task to a sink, itself included: the sum of expected durations, else timeouts,
 * else 1 ms each.
 */
export function remainingWeights(
  tasks: readonly TaskDefinition[],
  graph: Graph,
  order: Uint32Array,
  expectedMs: ExpectedDuration | undefined,
): Float64Array {
  const remaining = new Float64Array(graph.size);
  for (let place = order.length - 1; place >= 0; place--) {
    const node = order[place] as number;
    let longest = 0;
    for (const dependent of dependentsOf(graph, node)) {
      longest = Math.max(longest, remaining[dependent] as number);
    }
    remaining[node] = longest + weightOf(tasks[node] as TaskDefinition, expectedMs);
  }
  return remaining;
}

/** Expected duration of one task. */
export function weightOf(task: TaskDefinition, expectedMs: ExpectedDuration | undefined): Millis {
  return expectedMs?.(task.agent) ?? task.timeoutMs ?? 1;
}

/** Compiles one node. */
export function planNode(
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
