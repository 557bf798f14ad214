/**
 * What the compiler knows about a workflow while it is built: for each task the type of its output and whether it can
 * be missing. From that follow what a task's agent is given, what a run needs as input and what it results in. Types
 * only; the rules are those of `core/run/binding.ts` and of the decision on skipped dependencies.
 */
import type { Json } from "../base/payload.ts";

/** A task as later ones see it. */
export interface TaskType {
  /** What dependents receive when it succeeds. */
  readonly output: unknown;
  /** It may be skipped: it has a condition, or all its dependencies may be skipped. */
  readonly skippable: boolean;
  /** It may fail and the run goes on without it. */
  readonly failable: boolean;
}

/** Tasks by id. */
export type TaskTypes = { readonly [id: string]: TaskType };

/** Ids that a task may depend on. */
export type KnownId<Tasks> = keyof Tasks & string;

/** An id that is not taken; a taken one becomes the complaint. */
export type NewId<Id extends string, Tasks> = Id extends keyof Tasks
  ? `the task ${Id} is defined already`
  : Id;

/** What a failure of a task means, as the builder takes it. A fallback is a task defined before. */
export type OnErrorOption<Id extends string> = "fail" | "continue" | { readonly fallback: Id };

type Missing<T extends TaskType> = T["failable"] extends true ? null : never;
type Skipped<T extends TaskType> = T["skippable"] extends true ? null : never;

/** Null for a dependency that may have been skipped; an only dependency that was skipped skips its dependent as well. */
type Seen<T, Deps extends readonly unknown[]> = T extends TaskType
  ? T["output"] | Missing<T> | (Deps extends readonly [unknown] ? never : Skipped<T>)
  : never;

/** The natural input of a task with dependencies. */
export type DependencyInput<Tasks, Deps extends readonly (keyof Tasks)[]> = {
  readonly [Id in Deps[number]]: Seen<Tasks[Id], Deps>;
};

/** The outputs of tasks as the run's result shows them. */
export type ResultOf<Tasks, Ids extends keyof Tasks> = {
  readonly [Id in Ids]: Tasks[Id] extends TaskType
    ? Tasks[Id]["output"] | Missing<Tasks[Id]> | Skipped<Tasks[Id]>
    : never;
};

/** Whether the input of a task is the natural one, so that the compiler can check it. */
type IsNatural<Mapping, Each> = [Mapping] extends [undefined]
  ? [Each] extends [undefined]
    ? true
    : false
  : false;

/** Nothing, or a property that nobody has, named after the complaint. */
export type Fits<Tasks, Deps extends readonly (keyof Tasks)[], Input, Mapping, Each> =
  IsNatural<Mapping, Each> extends true
    ? Deps extends readonly []
      ? unknown
      : [DependencyInput<Tasks, Deps>] extends [Input]
        ? unknown
        : {
            readonly "the agent's input does not fit what its dependencies give": {
              readonly given: DependencyInput<Tasks, Deps>;
              readonly wanted: Input;
            };
          }
    : unknown;

/** What the run's input must be, now that there is one more task. */
export type RunInputWith<RunInput, Deps extends readonly unknown[], Input, Mapping, Each> =
  IsNatural<Mapping, Each> extends true
    ? Deps extends readonly []
      ? RunInput & Input
      : RunInput
    : RunInput;

type AllSkippable<Tasks, Deps extends readonly (keyof Tasks)[]> = Deps extends readonly []
  ? false
  : false extends {
        [Id in Deps[number]]: Tasks[Id] extends { readonly skippable: true } ? true : false;
      }[Deps[number]]
    ? false
    : true;

type FallbackOutput<Tasks, OnError> = OnError extends { readonly fallback: infer Id }
  ? Id extends keyof Tasks
    ? Tasks[Id] extends TaskType
      ? Tasks[Id]["output"]
      : never
    : never
  : never;

/** The type of a new task. */
export interface TaskTypeOf<
  Tasks,
  Deps extends readonly (keyof Tasks)[],
  Output,
  When,
  Each,
  OnError,
> {
  readonly output: [Each] extends [undefined]
    ? Output | FallbackOutput<Tasks, OnError>
    : readonly (OnError extends "continue" ? Output | null : Output)[];
  readonly skippable: [When] extends [undefined] ? AllSkippable<Tasks, Deps> : true;
  readonly failable: OnError extends "continue"
    ? [Each] extends [undefined]
      ? true
      : false
    : false;
}

/** Options of a task. Durations are text such as `250ms`, `5s`, `1h30m`. */
export interface TaskOptions<Id extends string, Deps, Mapping, When, Each, OnError> {
  /** Tasks that must be done first. */
  readonly deps?: Deps;
  /** Lane whose slots it takes. Default `default`. */
  readonly lane?: string;
  /** Replaces the natural input; strings may hold `{{ templates }}`. */
  readonly input?: Mapping;
  /** CEL condition; the task is skipped when it is false. */
  readonly when?: When;
  /** CEL expression yielding a list; the task runs once per item, its output is the list of outputs. */
  readonly forEach?: Each;
  /** Longest attempt. */
  readonly timeout?: string;
  /** Longest time from ready to done, over all attempts. */
  readonly deadline?: string;
  /** An attempt silent for longer is lost. */
  readonly heartbeatTimeout?: string;
  readonly retry?: {
    /** Attempts in all, the first included. Default 4. */
    readonly maxAttempts?: number;
    readonly backoff?: string;
    readonly maxBackoff?: string;
    readonly jitter?: number;
  };
  /** -100 to 100, higher first. */
  readonly priority?: number;
  /** Slots it takes. Default 1. */
  readonly cost?: number;
  readonly onError?: OnError & OnErrorOption<Id>;
  readonly labels?: { readonly [key: string]: string };
  readonly memory?: {
    readonly retrieve?: {
      readonly vectorQuery: string;
      readonly topK?: number;
      readonly filter?: { readonly [key: string]: string };
    };
    readonly memorize?: { readonly content: string; readonly kind?: string };
  };
  readonly compensate?: { readonly agent: string; readonly input?: Json };
}
