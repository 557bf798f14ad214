/**
 * Templates: `{{ path }}` inside the strings of an input mapping. A lone template keeps its value's type; inside text
 * it is printed, objects as JSON. Paths are own-property lookups only (no calls, no prototype), rendering is a single
 * pass (results are never templates again), iterative on user depth, and bounded in output size.
 */
import type { Json } from "../../base/payload.ts";
import type { Evaluated, Scope } from "./expression.ts";

/** A compiled mapping. */
export interface Template {
  /** Root names it reads, for the ancestor check. */
  readonly names: readonly string[];
  /** Fills the mapping. A path that leads nowhere is a problem naming the path. */
  readonly render: (scope: Scope) => Evaluated<Json>;
}
