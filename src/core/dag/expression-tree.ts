/**
 * Turns a parsed CEL expression into one the engine is willing to evaluate. Names of tasks and roots become numbered
 * slots, so that an id such as `a.b` can never be taken for a field of `a`; functions outside the list are refused; and
 * every comprehension gets a meter on its loop and a list it may append to, because the library's own `map` and `filter`
 * build a chain of lists as deep as they are long. It knows the parser's tree by shape only and never evaluates.
 */
import { nearestName } from "../../base/ids.ts";

/** The parser's tree, as far as it is read here. */
export interface Tree {
  id: bigint;
  exprKind:
    | { case: "constExpr"; value: { constantKind: { case: string | undefined; value?: unknown } } }
    | { case: "identExpr"; value: { name: string } }
    | { case: "selectExpr"; value: { operand?: Tree; field: string; testOnly: boolean } }
    | { case: "callExpr"; value: Call }
    | { case: "listExpr"; value: { elements: Tree[] } }
    | {
        case: "structExpr";
        value: {
          messageName: string;
          entries: { keyKind: { case: string | undefined; value?: unknown }; value?: Tree }[];
        };
      }
    | { case: "comprehensionExpr"; value: Fold }
    | { case: undefined; value?: undefined };
}

interface Call {
  target?: Tree;
  function: string;
  args: Tree[];
}

interface Fold {
  iterVar: string;
  accuVar: string;
  iterRange?: Tree;
  accuInit?: Tree;
  loopCondition?: Tree;
  loopStep?: Tree;
  result?: Tree;
}

/** Functions this file puts into trees; `expression.ts` defines them. User text cannot spell a name with `@`. */
export const INTERNAL = { list: "@list", append: "@append", tick: "@tick" } as const;

const OPERATORS =
  "_+_ _-_ _*_ _/_ _%_ -_ !_ _==_ _!=_ _<_ _<=_ _>_ _>=_ _&&_ _||_ _?_:_ _[_]".split(" ");
const FUNCTIONS =
  "size contains startsWith endsWith int uint double string bool type dyn timestamp duration".split(
    " ",
  );
const MACROS = ["has", "all", "exists", "exists_one", "existsOne", "map", "filter"];
const ALLOWED: ReadonlySet<string> = new Set([
  ...OPERATORS,
  ...FUNCTIONS,
  "@in",
  "@not_strictly_false",
  ...Object.values(INTERNAL),
]);
const TYPES: ReadonlySet<string> = new Set(
  "int uint double bool string bytes list map null_type type".split(" "),
);

const DEPTH_MAX = 250;

/** Variables of the comprehensions around a node. */
interface Locals {
  readonly name: string;
  readonly outer: Locals | undefined;
}

interface Visit {
  readonly tree: Tree;
  readonly locals: Locals | undefined;
  readonly depth: number;
}

/** Ends the walk at the first problem; never leaves this file. */
class Refusal extends Error {}

/** Binding name of the n-th free name. */
export function slotName(position: number): string {
  return `@${position}`;
}

/**
 * Rewrites `root` in place. Returns the free names in order of their slots: roots and task ids, with `tasks.x` and
 * `tasks["x"]` counted as `x`.
 */
export function prepareTree(
  root: Tree,
): { readonly names: readonly string[] } | { readonly problem: string } {
  const names: string[] = [];
  const visits: Visit[] = [{ tree: root, locals: undefined, depth: 1 }];
  try {
    for (let visit = visits.pop(); visit !== undefined; visit = visits.pop()) {
      if (visit.depth > DEPTH_MAX) throw new Refusal(`it nests deeper than ${DEPTH_MAX} levels`);
      prepareNode(visit, names, visits);
    }
    return { names };
  } catch (error) {
    if (error instanceof Refusal) return { problem: error.message };
    throw error;
  }
}

function prepareNode({ tree, locals, depth }: Visit, names: string[], visits: Visit[]): void {
  const enter = (child: Tree | undefined, scope = locals) => {
    if (child !== undefined) visits.push({ tree: child, locals: scope, depth: depth + 1 });
  };
  const kind = tree.exprKind;
  switch (kind.case) {
    case "constExpr":
      return;
    case "identExpr":
      return prepareName(tree, kind.value.name, locals, names);
    case "selectExpr": {
      const { operand, field, testOnly } = kind.value;
      if (isTasks(operand, locals)) return bind(tree, testOnly ? undefined : field, names);
      refuseType(operand, locals);
      return enter(operand);
    }
    case "callExpr": {
      const { function: name, target, args } = kind.value;
      checkFunction(name, args);
      if (name === "_[_]" && isTasks(args[0], locals)) return bind(tree, textOf(args[1]), names);
      if (name === "_[_]") refuseType(args[0], locals);
      enter(target);
      for (const arg of args) enter(arg);
      return;
    }
    case "listExpr":
      for (const element of kind.value.elements) enter(element);
      return;
    case "structExpr":
      if (kind.value.messageName !== "")
        throw new Refusal(`there is no type "${kind.value.messageName}"`);
      for (const { keyKind, value } of kind.value.entries) {
        if (keyKind.case === "mapKey") enter(keyKind.value as Tree);
        enter(value);
      }
      return;
    case "comprehensionExpr": {
      const fold = kind.value;
      const accumulating: Locals = { name: fold.accuVar, outer: locals };
      const looping: Locals = { name: fold.iterVar, outer: accumulating };
      appendInPlace(fold);
      meter(fold);
      enter(fold.iterRange);
      enter(fold.accuInit);
      enter(fold.loopCondition, looping);
      enter(fold.loopStep, looping);
      return enter(fold.result, accumulating);
    }
    case undefined:
      throw new Refusal("it has an empty part");
  }
}

function prepareName(tree: Tree, name: string, locals: Locals | undefined, names: string[]): void {
  if (isLocal(name, locals) || name.startsWith("@") || TYPES.has(name)) return;
  bind(tree, name === "tasks" ? undefined : name, names);
}

/** Makes `tree` read the slot of `name`. */
function bind(tree: Tree, name: string | undefined, names: string[]): void {
  if (name === undefined) {
    throw new Refusal(
      '"tasks" must be followed by the id of a task, as in tasks.fetch or tasks["fetch-1"]',
    );
  }
  let slot = names.indexOf(name);
  if (slot === -1) slot = names.push(name) - 1;
  tree.exprKind = { case: "identExpr", value: { name: slotName(slot) } };
}

function isLocal(name: string, locals: Locals | undefined): boolean {
  for (let at = locals; at !== undefined; at = at.outer) if (at.name === name) return true;
  return false;
}

function isTasks(tree: Tree | undefined, locals: Locals | undefined): boolean {
  return nameOf(tree) === "tasks" && !isLocal("tasks", locals);
}

function nameOf(tree: Tree | undefined): string | undefined {
  return tree?.exprKind.case === "identExpr" ? tree.exprKind.value.name : undefined;
}

function textOf(tree: Tree | undefined): string | undefined {
  if (tree?.exprKind.case !== "constExpr") return undefined;
  const { case: kind, value } = tree.exprKind.value.constantKind;
  return kind === "stringValue" ? String(value) : undefined;
}

/** `list.x` reads a field of the type `list`, which is never what was meant. */
function refuseType(operand: Tree | undefined, locals: Locals | undefined): void {
  const name = nameOf(operand);
  if (name === undefined || !TYPES.has(name) || isLocal(name, locals)) return;
  throw new Refusal(`"${name}" is a type here; a task of that name is tasks.${name}`);
}

function checkFunction(name: string, args: readonly Tree[]): void {
  if (ALLOWED.has(name)) return;
  if (name === "matches") {
    throw new Refusal("matches() is not offered, because a pattern can take unbounded time");
  }
  if (MACROS.includes(name)) {
    throw new Refusal(`${name}() cannot be used like this with ${args.length} argument(s)`);
  }
  const nearest = nearestName(name, [...FUNCTIONS, ...MACROS]);
  throw new Refusal(
    `there is no function ${name}()${nearest ? `; did you mean ${nearest}()?` : ""}`,
  );
}

/** `map` and `filter` start from `[]` and step by `result + [x]`: both become one list that grows in place. */
function appendInPlace(fold: Fold): void {
  const init = fold.accuInit?.exprKind;
  if (init?.case !== "listExpr" || init.value.elements.length > 0) return;
  const step = fold.loopStep?.exprKind;
  if (step?.case !== "callExpr") return;
  const sum = step.value.function === "_?_:_" ? step.value.args[1]?.exprKind : step;
  if (sum?.case !== "callExpr" || sum.value.function !== "_+_") return;
  const [result, addition] = sum.value.args;
  if (result === undefined || addition?.exprKind.case !== "listExpr") return;
  sum.value.function = INTERNAL.append;
  sum.value.args = [result, ...addition.exprKind.value.elements];
  if (fold.accuInit !== undefined) {
    fold.accuInit.exprKind = { case: "callExpr", value: { function: INTERNAL.list, args: [] } };
  }
}

/** Charges every turn of the loop for the nodes it may evaluate. */
function meter(fold: Fold): void {
  const { loopCondition } = fold;
  if (loopCondition === undefined) return;
  const cost =
    countNodes(loopCondition) + (fold.loopStep === undefined ? 0 : countNodes(fold.loopStep));
  const price: Tree = {
    id: loopCondition.id,
    exprKind: {
      case: "constExpr",
      value: { constantKind: { case: "int64Value", value: BigInt(cost) } },
    },
  };
  fold.loopCondition = {
    id: loopCondition.id,
    exprKind: {
      case: "callExpr",
      value: { function: INTERNAL.tick, args: [loopCondition, price] },
    },
  };
}

function countNodes(root: Tree): number {
  const open = [root];
  let count = 0;
  for (let tree = open.pop(); tree !== undefined; tree = open.pop()) {
    count++;
    open.push(...childrenOf(tree));
  }
  return count;
}

function childrenOf({ exprKind: kind }: Tree): Tree[] {
  const some = (...trees: readonly (Tree | undefined)[]) =>
    trees.filter((tree) => tree !== undefined);
  switch (kind.case) {
    case "selectExpr":
      return some(kind.value.operand);
    case "callExpr":
      return some(kind.value.target, ...kind.value.args);
    case "listExpr":
      return kind.value.elements;
    case "structExpr":
      return kind.value.entries.flatMap(({ keyKind, value }) =>
        some(keyKind.case === "mapKey" ? (keyKind.value as Tree) : undefined, value),
      );
    case "comprehensionExpr": {
      const { iterRange, accuInit, loopCondition, loopStep, result } = kind.value;
      return some(iterRange, accuInit, loopCondition, loopStep, result);
    }
    case "constExpr":
    case "identExpr":
    case undefined:
      return [];
  }
}
