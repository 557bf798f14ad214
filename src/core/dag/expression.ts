/**
 * Conditions (`when`) and lists (`for_each`): CEL over the run's input and the outputs of a task's ancestors. Values are
 * JSON: numbers of data are doubles, literals without a point are ints, and arithmetic may mix the two. Regex matching is
 * refused at compile time and work is metered, so evaluation time is bounded. This is the only importer of the
 * expression library.
 */
import {
  type CelFunc,
  type CelInput,
  type CelList,
  type CelResult,
  CelScalar,
  type CelType,
  type CelValue,
  celEnv,
  celFunc,
  celList,
  celMethod,
  isCelError,
  isCelList,
  isCelMap,
  listType,
  mapType,
  parse,
  plan,
} from "@bufbuild/cel";
import type { Json } from "../../base/payload.ts";
import { INTERNAL, prepareTree, slotName, type Tree } from "./expression-tree.ts";

/** The names an expression or template may read: `input`, `run`, `item` and ancestors' outputs by task id. */
export type Scope = (name: string) => Json | undefined;

/** What evaluating came to. A problem is a sentence for the task's failure message. */
export type Evaluated<T> = { readonly value: T } | { readonly problem: string };

/** A compiled expression. */
export interface Expression {
  readonly source: string;
  /** Names of tasks and roots (`input`, `run`, `item`) it reads, for the ancestor check. */
  readonly names: readonly string[];
  /** Evaluates to any JSON value. Total: what goes wrong comes back as a problem. */
  readonly evaluate: (scope: Scope) => Evaluated<Json>;
}

/** Longest source, in characters. */
const SOURCE_MAX = 4_096;
/** Brackets and `?` open at once, counted also inside text: the parser recurses on them. */
const NESTING_MAX = 64;
/** Parts of the expression evaluated, values compared and characters read (16 a step) by one evaluation. */
const STEPS_MAX = 250_000;

/** Compiles CEL source. The problem, if any, is a sentence without the source in it. */
export function compileExpression(source: string): Expression | { readonly problem: string } {
  if (source.trim() === "") return { problem: "the expression is empty" };
  if (source.length > SOURCE_MAX) {
    return {
      problem: `the expression has ${source.length} characters, at most ${SOURCE_MAX} are allowed`,
    };
  }
  if (nesting(source) > NESTING_MAX)
    return { problem: `it nests deeper than ${NESTING_MAX} levels` };
  const parsed = parsedTree(source);
  if ("problem" in parsed) return parsed;
  const prepared = prepareTree(parsed.tree as Tree);
  if ("problem" in prepared) return prepared;
  const { names } = prepared;
  const run = plan(ENVIRONMENT, parsed.tree);
  return { source, names, evaluate: (scope) => evaluate(run, names, scope) };
}

type ParsedTree = ReturnType<typeof parse>["expr"];

function parsedTree(source: string): { readonly tree: ParsedTree } | { readonly problem: string } {
  try {
    return { tree: parse(source).expr };
  } catch (error) {
    return { problem: parseProblem(error instanceof Error ? error.message : String(error)) };
  }
}

/** The parser says `<input>:1:3: found b but expecting …`, with a list of everything that could have come. */
function parseProblem(message: string): string {
  const found = /^<input>:(\d+):(\d+): found ([\s\S]*?) but expecting/.exec(message);
  if (found === null) return message.replace(/^<input>:\d+:\d+: /, "");
  const [, line, column, what] = found;
  const place = `${line === "1" ? "" : `line ${line}, `}character ${column}`;
  return what === "end of input"
    ? `it ends too early, at ${place}`
    : `unexpected "${what}" at ${place}`;
}

/** Deepest nesting of brackets, plus every `?`, in any text. */
function nesting(source: string): number {
  let depth = 0;
  let deepest = 0;
  let choices = 0;
  for (const char of source) {
    if ("([{".includes(char)) depth++;
    else if (")]}".includes(char)) depth--;
    else if (char === "?") choices++;
    if (depth > deepest) deepest = depth;
  }
  return deepest + choices;
}

/** Work left for the evaluation under way; evaluations never overlap because they never wait. */
const meter = { left: 0 };

function spend(steps: number): void {
  meter.left -= steps;
  if (meter.left < 0) throw new Error(EXHAUSTED);
}

const EXHAUSTED = `the evaluation takes more than ${STEPS_MAX} steps`;

type Run = (bindings: { readonly [name: string]: CelInput }) => CelResult;

function evaluate(run: Run, names: readonly string[], scope: Scope): Evaluated<Json> {
  const bindings: { [name: string]: CelInput } = Object.create(null);
  for (const [position, name] of names.entries()) {
    const value = scope(name);
    if (value === undefined) return { problem: `"${name}" is not known here` };
    bindings[slotName(position)] = celInput(value);
  }
  meter.left = STEPS_MAX;
  const result = run(bindings);
  if (meter.left < 0) return { problem: EXHAUSTED };
  if (!isCelError(result)) return jsonOf(result);
  return {
    problem: result.message.replace(/ out of bounds \[0, -?\d+\)$/, " is outside the list"),
  };
}

/** The library's form of a JSON value: maps instead of objects, whose keys it would look up through the prototype. */
function celInput(root: Json): CelInput {
  const open: (() => void)[] = [];
  const convert = (value: Json): CelInput => {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) {
      const items: CelInput[] = [];
      open.push(() => {
        for (const inner of value as readonly Json[]) items.push(convert(inner));
      });
      return items;
    }
    const entries = new Map<string, CelInput>();
    open.push(() => {
      for (const [key, inner] of Object.entries(value)) entries.set(key, convert(inner));
    });
    return entries;
  };
  const converted = convert(root);
  for (let fill = open.pop(); fill !== undefined; fill = open.pop()) fill();
  return converted;
}

/** JSON of a result; a problem when it holds something JSON has no word for, or is too large. */
function jsonOf(root: CelValue): Evaluated<Json> {
  const open: (() => void)[] = [];
  const convert = (value: CelValue): Json => {
    spend(1);
    if (isCelList(value)) {
      const items: Json[] = [];
      open.push(() => {
        for (const inner of value) items.push(convert(inner));
      });
      return items;
    }
    if (!isCelMap(value)) return jsonScalar(value);
    const object: { [key: string]: Json } = {};
    open.push(() => {
      for (const [key, inner] of value) {
        if (typeof key !== "string") throw new Error("the result has a map key that is not text");
        const json = convert(inner);
        Object.defineProperty(object, key, {
          value: json,
          enumerable: true,
          writable: true,
          configurable: true,
        });
      }
    });
    return object;
  };
  try {
    const value = convert(root);
    for (let fill = open.pop(); fill !== undefined; fill = open.pop()) fill();
    return { value };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

function jsonScalar(value: CelValue): Json {
  if (typeof value === "string") {
    spend(value.length >> 4);
    return value;
  }
  if (value === null || typeof value === "boolean") return value;
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number !== "number")
    throw new Error("the result is a type, time or bytes, which JSON does not have");
  if (!Number.isFinite(number)) throw new Error(`the result ${number} is not a number of JSON`);
  if (typeof value === "bigint" && !Number.isSafeInteger(number)) {
    throw new Error(`the result ${value} is too large for an exact number`);
  }
  return number;
}

const { BOOL, DOUBLE, DYN, INT, STRING, UINT } = CelScalar;
const LIST = listType(DYN);
const MAP = mapType(DYN, DYN);

const STANDARD = celEnv().funcs;

/** Lists that {@link INTERNAL.append} may extend: made by a comprehension and seen by nothing else until it ends. */
const growing = new WeakMap<CelList, CelValue[]>();

const INTERNAL_FUNCTIONS: readonly CelFunc[] = [
  celFunc(INTERNAL.list, [], LIST, () => {
    const items: CelValue[] = [];
    const list = celList(items);
    growing.set(list, items);
    return list;
  }),
  celFunc(INTERNAL.append, [LIST, DYN], LIST, (list, item) => {
    growing.get(list)?.push(item as CelValue);
    return list;
  }),
  celFunc(INTERNAL.tick, [DYN, INT], DYN, (condition, cost) => {
    spend(Number(cost));
    return condition;
  }),
];

/** Arithmetic between the doubles of data and int literals, which CEL itself refuses. */
const MIXED_ARITHMETIC: readonly CelFunc[] = [
  ...mixed("_+_", (left, right) => left + right),
  ...mixed("_-_", (left, right) => left - right),
  ...mixed("_*_", (left, right) => left * right),
  ...mixed("_/_", (left, right) => left / right),
  ...mixed("_%_", remainder),
  celFunc("_%_", [DOUBLE, DOUBLE], DOUBLE, remainder),
];

function mixed(name: string, compute: (left: number, right: number) => number): CelFunc[] {
  return [
    celFunc(name, [INT, DOUBLE], DOUBLE, (left, right) => compute(Number(left), right)),
    celFunc(name, [DOUBLE, INT], DOUBLE, (left, right) => compute(left, Number(right))),
  ];
}

function remainder(left: number, right: number): number {
  if (right === 0) throw new Error("modulus by zero");
  return left % right;
}

/** Whatever reads whole lists or maps, counted by what it reads. */
const METERED_COLLECTIONS: readonly CelFunc[] = [
  celFunc("_==_", [DYN, DYN], BOOL, (left, right) => same(left as CelValue, right as CelValue)),
  celFunc("_!=_", [DYN, DYN], BOOL, (left, right) => !same(left as CelValue, right as CelValue)),
  celFunc("@in", [DYN, LIST], BOOL, (value, list) => {
    for (const item of list) if (same(item, value as CelValue)) return true;
    return false;
  }),
  ...[STRING, DOUBLE, INT, BOOL, UINT].map((key) =>
    celFunc("@in", [key, MAP], BOOL, (value, map) => map.get(value as string) !== undefined),
  ),
  celFunc("_+_", [LIST, LIST], LIST, (left, right) => {
    spend(left.size + right.size);
    return celList([...left, ...right]);
  }),
];

/** CEL equality: numbers by value, everything else by type and value, lists and maps by content. */
function same(left: CelValue, right: CelValue): boolean {
  const open: [CelValue, CelValue][] = [[left, right]];
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    const [a, b] = pair;
    spend(1);
    if (isCelList(a) && isCelList(b)) {
      if (a.size !== b.size) return false;
      const others = b.values();
      for (const item of a) open.push([item, others.next().value as CelValue]);
    } else if (isCelMap(a) && isCelMap(b)) {
      if (a.size !== b.size) return false;
      for (const [key, item] of a) {
        const other = b.get(key);
        if (other === undefined) return false;
        open.push([item, other]);
      }
    } else if (standardCall("_==_", undefined, [a, b]) !== true) {
      return false;
    }
  }
  return true;
}

function standardCall(
  name: string,
  target: CelValue | undefined,
  args: CelValue[],
): CelValue | undefined {
  const result = STANDARD.find(name)?.call(0, target, args);
  if (isCelError(result)) throw result;
  return result;
}

/** The standard functions over text, counted by its length. */
const METERED_TEXT: readonly CelFunc[] = [...STANDARD]
  .filter(
    ({ target, arguments: types }) => target === STRING || types.some((type) => type === STRING),
  )
  .map(metered);

function metered(standard: CelFunc): CelFunc {
  const { name, target, arguments: types, result } = standard;
  const call = (self: CelValue | undefined, args: readonly CelValue[]): CelInput => {
    for (const value of [self, ...args]) if (typeof value === "string") spend(value.length >> 4);
    const answer = standard.call(0, self, [...args]);
    if (isCelError(answer)) throw answer;
    return answer as CelValue;
  };
  return target === undefined
    ? celFunc(name, types as readonly CelType[], result, (...args) => call(undefined, args))
    : celMethod(
        name,
        target,
        types as readonly CelType[],
        result,
        function (this: CelValue, ...args) {
          return call(this, args);
        },
      );
}

const ENVIRONMENT = celEnv({
  funcs: [...METERED_TEXT, ...METERED_COLLECTIONS, ...MIXED_ARITHMETIC, ...INTERNAL_FUNCTIONS],
});
