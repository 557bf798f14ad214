/**
 * Conditions (`when`) and lists (`for_each`): CEL over the run's input and the outputs of a task's ancestors. Regex
 * matching is refused at compile time, so evaluation time is bounded by the size of the data. This is the only
 * importer of the expression library.
 */
import type { Json } from "../../base/payload.ts";

/** The names an expression or template may read: `input`, `run`, `item` and ancestors' outputs by task id. */
export type Scope = (name: string) => Json | undefined;

/** What evaluating came to. A problem is a sentence for the task's failure message. */
export type Evaluated<T> = { readonly value: T } | { readonly problem: string };

/** A compiled expression. */
export interface Expression {
  readonly source: string;
  /** Root names it reads, for the ancestor check. */
  readonly names: readonly string[];
  /** Evaluates to any JSON value. Total: what goes wrong comes back as a problem. */
  readonly evaluate: (scope: Scope) => Evaluated<Json>;
}
