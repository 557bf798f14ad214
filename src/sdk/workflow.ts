/**
 * The typed builder of workflow definitions. It collects what the author says and checks nothing at run time: the one
 * validator of definitions does, in `toDefinition` here and again in every engine. A workflow is immutable; each call
 * returns a new one, so a common beginning can be shared.
 */
import { FaultError, fault } from "../base/fault.ts";
import type { Json } from "../base/payload.ts";
import type { Definition } from "../core/dag/definition.ts";
import { readDefinition } from "../core/dag/validate.ts";
import type { Agent } from "../ports/agent-context.ts";
import type {
  Fits,
  KnownId,
  NewId,
  OnErrorOption,
  ResultOf,
  RunInputWith,
  TaskOptions,
  TaskTypeOf,
} from "./workflow-types.ts";

type JsonObject = { readonly [key: string]: Json };

interface Parts {
  readonly head: JsonObject;
  readonly tasks: readonly JsonObject[];
  readonly agents: readonly Agent[];
}

/** Any workflow, whatever its types. */
export type AnyWorkflow = Pick<
  Workflow<unknown, object, never, unknown>,
  "name" | "agents" | "toSpec" | "toDefinition"
>;

/**
 * A workflow under construction or finished; there is no difference.
 *
 * @typeParam RunInput what a run needs as input
 * @typeParam Tasks the tasks by id
 * @typeParam Sinks ids nobody depends on
 * @typeParam Output type of the `output` mapping; `never` when there is none
 */
export class Workflow<RunInput, Tasks extends object, Sinks extends keyof Tasks, Output = never> {
  declare readonly types: {
    readonly input: RunInput;
    readonly result: [Output] extends [never] ? ResultOf<Tasks, Sinks> : Output;
  };
  readonly #parts: Parts;

  /** Use {@link workflow}. */
  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get name(): string {
    return String(this.#parts.head.name);
  }

  /** Agents that were given as objects and not by name. */
  get agents(): readonly Agent[] {
    return this.#parts.agents;
  }

  /**
   * Adds a task. `by` is an agent, or the name of one that the engine knows; then nothing is known about its types.
   * An agent's input is checked against the outputs of its dependencies, unless `input` or `forEach` decide it.
   */
  task<
    const Id extends string,
    Input,
    Result,
    const Deps extends readonly KnownId<Tasks>[] = readonly [],
    const Mapping extends Json | undefined = undefined,
    When extends string | undefined = undefined,
    Each extends string | undefined = undefined,
    const OnError extends OnErrorOption<KnownId<Tasks>> = "fail",
  >(
    id: NewId<Id, Tasks>,
    by: Agent<Input, Result> | string,
    options?: TaskOptions<KnownId<Tasks>, Deps, Mapping, When, Each, OnError> &
      Fits<Tasks, Deps, Input, Mapping, Each>,
  ): Workflow<
    RunInputWith<RunInput, Deps, Input, Mapping, Each>,
    Tasks & { readonly [Name in Id]: TaskTypeOf<Tasks, Deps, Result, When, Each, OnError> },
    | Exclude<Sinks, Deps[number] | (OnError extends { readonly fallback: infer F } ? F : never)>
    | Id,
    Output
  > {
    const { agents, tasks } = this.#parts;
    const isName = typeof by === "string";
    // What is not JSON in the options is refused by the validator like any other wrong value.
    const task = { id, agent: isName ? by : by.name, ...(options as JsonObject | undefined) };
    return this.#with({
      tasks: [...tasks, task as JsonObject],
      agents: isName || agents.includes(by as Agent) ? agents : [...agents, by as Agent],
    }) as never;
  }

  /**
   * The run's output: a mapping whose strings may hold templates. Without it a run results in the outputs of the tasks
   * nobody depends on, by id.
   */
  output<Mapped = unknown>(mapping: Json): Workflow<RunInput, Tasks, Sinks, Mapped> {
    return this.#head({ output: mapping }) as never;
  }

  /** Memory of the whole run. */
  memory(policy: { readonly retrieveLastN?: number; readonly forgetThreshold?: number }): this {
    return this.#head({ memory: policy });
  }

  /** After a failure running tasks are cancelled (`true`, default) or finish (`false`); no new ones start. */
  failFast(failFast: boolean): this {
    return this.#head({ failFast });
  }

  /** Free text such as `1.4.0`. */
  version(version: string): this {
    return this.#head({ version });
  }

  /** The JSON form of `WorkflowSpec`: what a definition file would hold. */
  toSpec(): JsonObject {
    return { ...this.#parts.head, tasks: this.#parts.tasks };
  }

  /** The checked definition. Throws a `FaultError` of `DEFINITION_INVALID` with every problem. */
  toDefinition(): Definition {
    const read = readDefinition(this.toSpec());
    if ("definition" in read) return read.definition;
    throw new FaultError(
      fault("DEFINITION_INVALID", { name: this.name, violations: read.violations }),
    );
  }

  #head(fields: JsonObject): this {
    return this.#with({ head: { ...this.#parts.head, ...fields } });
  }

  #with(parts: Partial<Parts>): this {
    return new Workflow({ ...this.#parts, ...parts }) as this;
  }
}

/** Begins a workflow. `RunInput` may be named; what the agents of its first tasks need is added to it. */
export function workflow<RunInput = unknown>(name: string): Workflow<RunInput, object, never> {
  return new Workflow({ head: { name }, tasks: [], agents: [] });
}
