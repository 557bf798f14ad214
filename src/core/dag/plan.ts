/**
 * The compiled form of a definition: indexes instead of names, edges in both directions, templates and conditions
 * parsed. One plan is shared by all runs of a definition, so it is immutable and knows nothing about a run. Layers,
 * hot path and lane demand are views for people and live in `layers.ts`; scheduling needs only the edges, because a
 * task starts when its own dependencies are done.
 */
import type { Definition, TaskDefinition } from "./definition.ts";
import type { Expression } from "./expression.ts";
import type { Template } from "./template.ts";

/** One task of a plan. */
export interface PlanNode {
  readonly index: number;
  readonly task: TaskDefinition;
  /** Indexes of dependencies in the definition's order, the guarded task of a fallback included (last). */
  readonly deps: readonly number[];
  /** Indexes of the nodes that wait for this one, ascending. */
  readonly dependents: readonly number[];
  /** The node whose failure this one replaces, when it is a fallback. */
  readonly guards?: number;
  /** The node that runs when this one fails, when `on_error` names one. */
  readonly fallback?: number;
  /** Weight of the longest path from here to a sink, this node included; the lane order prefers large ones. */
  readonly remainingMs: number;
  readonly when?: Expression;
  readonly forEach?: Expression;
  readonly input?: Template;
  readonly vectorQuery?: Template;
  readonly memorize?: Template;
}

/** A compiled definition. */
export interface Plan {
  /** SHA-256 of the definition's canonical JSON, lower-case hex. */
  readonly hash: string;
  readonly definition: Definition;
  readonly nodes: readonly PlanNode[];
  readonly indexOf: ReadonlyMap<string, number>;
  /** A topological order of the node indexes: every dependency before its dependents. */
  readonly order: Uint32Array;
  /** Nodes nobody depends on (fallback tasks excluded); their outputs make the run's output. */
  readonly sinks: readonly number[];
  readonly output?: Template;
}
