/**
 * Templates: `{{ path }}` inside the strings of an input mapping. A lone template keeps its value's type; inside text
 * it is printed, objects as JSON. Paths are own-property lookups only (no calls, no prototype), rendering is a single
 * pass (results are never templates again), iterative on user depth, and bounded in output size.
 */
import { FORBIDDEN_KEYS } from "../../base/ids.ts";
import type { Json } from "../../base/payload.ts";
import { DEFINITION_LIMITS } from "./definition.ts";
import type { Evaluated, Scope } from "./expression.ts";
import { type Path, type Piece, parsePieces } from "./template-syntax.ts";

/** A compiled mapping. */
export interface Template {
  /** Names of tasks and roots (`input`, `run`, `item`) it reads, for the ancestor check. */
  readonly names: readonly string[];
  /** Fills the mapping. A path that leads nowhere is a problem naming the path. */
  readonly render: (scope: Scope) => Evaluated<Json>;
}

/** What is wrong with a mapping, and where in it. */
export interface TemplateProblem {
  readonly problem: string;
  readonly path: readonly (string | number)[];
}

/** One value of the mapping. Children have larger indexes than their parent. */
type Slot =
  | { readonly kind: "constant"; readonly value: Json }
  | { readonly kind: "text"; readonly pieces: readonly Piece[] }
  | { readonly kind: "list"; readonly children: readonly number[] }
  | {
      readonly kind: "object";
      readonly keys: readonly string[];
      readonly children: readonly number[];
    };

/** A value on its way through the compiler, and where it was found. */
interface Found {
  readonly value: Json;
  readonly key: string | number;
  readonly parent: Found | undefined;
}

/** What compiling gives: the template when there is no problem, and what is read in any case. */
export interface CompiledTemplate {
  readonly template: Template | undefined;
  /** Each name once, with the place of its first use. */
  readonly uses: readonly { readonly name: string; readonly path: readonly (string | number)[] }[];
  readonly problems: readonly TemplateProblem[];
}

/** Compiles a mapping: any JSON value whose strings may hold templates. Keys are literal. */
export function compileTemplate(mapping: Json): CompiledTemplate {
  const found: Found[] = [{ value: mapping, key: "", parent: undefined }];
  const slots: Slot[] = [];
  const problems: TemplateProblem[] = [];
  const uses = new Map<string, Found>();
  // Breadth first: a child's index is its place in `found`, so it is known before the child is compiled.
  for (let at = 0; at < found.length; at++) {
    const self = found[at] as Found;
    const refuse = (problem: string) => problems.push({ problem, path: pathOf(self) });
    const add = (key: string | number, value: Json) => found.push({ value, key, parent: self }) - 1;
    const use = (name: string) => uses.has(name) || uses.set(name, self);
    slots.push(slotOf(self.value, add, refuse, use));
  }
  foldConstants(slots, found);
  const template = { names: [...uses.keys()], render: (scope: Scope) => render(slots, scope) };
  return {
    template: problems.length === 0 ? template : undefined,
    uses: [...uses].map(([name, self]) => ({ name, path: pathOf(self) })),
    problems,
  };
}

function slotOf(
  value: Json,
  add: (key: string | number, value: Json) => number,
  refuse: (problem: string) => void,
  use: (name: string) => void,
): Slot {
  if (typeof value === "string") return textSlot(value, refuse, use);
  if (typeof value !== "object" || value === null) return { kind: "constant", value };
  if (Array.isArray(value)) {
    return { kind: "list", children: value.map((inner: Json, index) => add(index, inner)) };
  }
  const entries = Object.entries(value);
  for (const [key] of entries) {
    if (FORBIDDEN_KEYS.has(key)) refuse(`the key "${key}" is not allowed`);
  }
  return {
    kind: "object",
    keys: entries.map(([key]) => key),
    children: entries.map(([key, inner]) => add(key, inner)),
  };
}

/** What holds no template is not copied for every rendering. */
function foldConstants(slots: Slot[], found: readonly Found[]): void {
  for (let at = slots.length - 1; at >= 0; at--) {
    const slot = slots[at] as Slot;
    if (slot.kind !== "list" && slot.kind !== "object") continue;
    if (slot.children.every((child) => slots[child]?.kind === "constant")) {
      slots[at] = { kind: "constant", value: (found[at] as Found).value };
    }
  }
}

function pathOf(self: Found): (string | number)[] {
  const path: (string | number)[] = [];
  for (let at = self; at.parent !== undefined; at = at.parent) path.push(at.key);
  return path.reverse();
}

function textSlot(
  text: string,
  refuse: (problem: string) => void,
  use: (name: string) => void,
): Slot {
  if (!text.includes("{{")) return { kind: "constant", value: text };
  const parsed = parsePieces(text);
  if ("problem" in parsed) {
    refuse(parsed.problem);
    return { kind: "constant", value: null };
  }
  for (const piece of parsed.pieces) if (typeof piece !== "string") use(piece.name);
  return { kind: "text", pieces: parsed.pieces };
}

/** Ends a rendering early; never leaves this file. */
class Refusal extends Error {}

function render(slots: readonly Slot[], scope: Scope): Evaluated<Json> {
  const values: Json[] = new Array(slots.length);
  const budget = { left: DEFINITION_LIMITS.templateOutputBytes };
  try {
    for (let at = slots.length - 1; at >= 0; at--)
      values[at] = fill(slots[at] as Slot, values, scope, budget);
    return { value: values[0] as Json };
  } catch (error) {
    if (error instanceof Refusal) return { problem: error.message };
    throw error;
  }
}

function fill(slot: Slot, values: readonly Json[], scope: Scope, budget: { left: number }): Json {
  switch (slot.kind) {
    case "constant":
      return slot.value;
    case "list":
      return slot.children.map((child) => values[child] as Json);
    case "object":
      return Object.fromEntries(
        slot.keys.map((key, at) => [key, values[slot.children[at] as number] as Json]),
      );
    case "text":
      return fillText(slot.pieces, scope, budget);
  }
}

function fillText(pieces: readonly Piece[], scope: Scope, budget: { left: number }): Json {
  const [only] = pieces;
  if (pieces.length === 1 && only !== undefined && typeof only !== "string") {
    return spend(lookUp(only, scope), only, budget);
  }
  return pieces
    .map((piece) => (typeof piece === "string" ? piece : print(piece, scope, budget)))
    .join("");
}

function print(path: Path, scope: Scope, budget: { left: number }): string {
  const value = spend(lookUp(path, scope), path, budget);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function lookUp(path: Path, scope: Scope): Json {
  let value = scope(path.name);
  if (value === undefined)
    throw new Refusal(`{{ ${path.source} }}: "${path.name}" is not known here`);
  for (const key of path.keys) {
    const inner = ownValue(value, key);
    if (inner === undefined) {
      throw new Refusal(`{{ ${path.source} }}: ${whatIs(value)} has no ${whichKey(key)}`);
    }
    value = inner;
  }
  return value;
}

function ownValue(value: Json, key: string | number): Json | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value))
    return typeof key === "number" ? (value as readonly Json[])[key] : undefined;
  if (typeof key === "number" || !Object.hasOwn(value, key)) return undefined;
  return (value as { readonly [key: string]: Json })[key];
}

function whatIs(value: Json): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" ? "the object" : `a ${typeof value}`;
}

function whichKey(key: string | number): string {
  return typeof key === "number" ? `item [${key}]` : `field "${key}"`;
}

/**
 * Takes the size of `value` out of the budget, walking it no further than the budget lasts. Sizes are UTF-16 units of
 * its JSON text, a little less than its bytes. Depth is checked too, because printing recurses on it.
 */
function spend(value: Json, path: Path, budget: { left: number }): Json {
  let level: Json[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > DEFINITION_LIMITS.jsonDepth) {
      throw new Refusal(
        `{{ ${path.source} }}: the value nests deeper than ${DEFINITION_LIMITS.jsonDepth} levels`,
      );
    }
    const next: Json[] = [];
    for (const inner of level) {
      budget.left -= costOf(inner, next);
      if (budget.left < 0) {
        const limit = DEFINITION_LIMITS.templateOutputBytes;
        throw new Refusal(`{{ ${path.source} }}: the filled mapping exceeds ${limit} bytes`);
      }
    }
    level = next;
  }
  return value;
}

/** Size of a value without its children, which are added to `next`. */
function costOf(value: Json, next: Json[]): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 5;
  if (Array.isArray(value)) {
    for (const inner of value as readonly Json[]) next.push(inner);
    return 2 + value.length;
  }
  let cost = 2;
  for (const [key, inner] of Object.entries(value)) {
    cost += key.length + 4;
    next.push(inner);
  }
  return cost;
}
