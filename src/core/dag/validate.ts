/**
 * The one way into a definition, for files, requests and the typed builder alike: from a JSON value to a complete
 * definition with every default filled in, or to the list of everything that is wrong with it. Nothing past this file
 * checks a definition again. Values come from strangers: nothing here recurses on their depth.
 */
import type { Violation } from "../../base/fault.ts";
import { FORBIDDEN_KEYS } from "../../base/ids.ts";
import type { Json } from "../../base/payload.ts";
import type { Millis } from "../../base/time.ts";
import {
  DEFAULTS,
  DEFINITION_LIMITS,
  type Definition,
  type RetryPolicy,
  type TaskDefinition,
  type TaskMemory,
} from "./definition.ts";
import { compileExpression, type Expression } from "./expression.ts";
import { checkParts, type ExpressionSource } from "./parts.ts";
import { type Read, readFields } from "./read-fields.ts";
import { checkOutput, checkReferences, type TaskReadings } from "./references.ts";
import {
  DOCUMENT_FIELDS,
  type RUN_FIELDS,
  snakeCase,
  type TASK_FIELDS,
  type TASK_MEMORY_FIELDS,
} from "./schema.ts";
import { checkStructure, type Locate } from "./structure.ts";
import { compileTemplate } from "./template.ts";
import { type Path, type Place, type Position, Violations } from "./violations.ts";

/** Fields of a file that belong to the runs started from it. */
export interface RunDefaults {
  readonly input?: Json;
  readonly sessionId?: string;
  readonly namespace?: string;
  readonly priority?: number;
  readonly deadlineMs?: Millis;
  readonly labels?: { readonly [key: string]: string };
}

/** A valid definition with the run fields of its file, or everything that is wrong. */
export type ReadDefinition =
  | { readonly definition: Definition; readonly run: RunDefaults }
  | { readonly violations: readonly Violation[] };

/** Reads the JSON form of a `WorkflowSpec`. `position` gives violations their line and column. */
export function readDefinition(
  source: Json,
  options: { readonly position?: Position } = {},
): ReadDefinition {
  const found = new Violations(options.position);
  checkJson(source, found);
  if (found.count > 0) return { violations: found.list() };
  const read = readFields(source, DOCUMENT_FIELDS, undefined, found);
  const definition = definitionOf(read);
  checkDefinition(definition, found, (path) => placeIn(source, path));
  if (found.count > 0) return { violations: found.list() };
  return { definition, run: runDefaults(read) };
}

/** Refuses depth and keys that later code could stumble over, anywhere in the value. */
function checkJson(source: Json, found: Violations): void {
  const open: {
    readonly value: object;
    readonly place: Place | undefined;
    readonly depth: number;
  }[] = [];
  const enter = (value: Json | undefined, place: Place | undefined, depth: number) => {
    if (typeof value !== "object" || value === null) return;
    if (depth <= DEFINITION_LIMITS.jsonDepth) open.push({ value, place, depth });
    else
      found.add(
        place,
        `the value nests deeper than ${DEFINITION_LIMITS.jsonDepth} levels`,
        "Flatten it.",
      );
  };
  enter(source, undefined, 1);
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const { value, place, depth } = at;
    if (Array.isArray(value)) {
      for (let key = 0; key < value.length; key++) {
        if (typeof value[key] === "object") enter(value[key], { key, parent: place }, depth + 1);
      }
      continue;
    }
    for (const key of Object.keys(value)) {
      const inner = (value as { readonly [key: string]: Json })[key];
      if (FORBIDDEN_KEYS.has(key)) {
        found.add({ key, parent: place }, `the key "${key}" is not allowed`, "Choose another key.");
      }
      if (typeof inner === "object") enter(inner, { key, parent: place }, depth + 1);
    }
  }
}

/** Checks what the table of fields cannot say: names, graph, templates, conditions. */
function checkDefinition(definition: Definition, found: Violations, locate: Locate): void {
  const { tasks } = definition;
  const structure = checkStructure(tasks, found, locate);
  for (const [index, { retry }] of tasks.entries()) {
    if (retry.maxBackoffMs >= retry.backoffMs) continue;
    const message = `the longest wait, ${retry.maxBackoffMs} ms, is shorter than the first, ${retry.backoffMs} ms`;
    found.add(locate(["tasks", index, "retry"]), message, "Raise max_backoff.");
  }
  const readings = checkTaskParts(tasks, found, locate);
  checkReferences(tasks, structure, readings, found, locate);
  if (definition.output === undefined) return;
  const output = compileTemplate(definition.output);
  checkOutput(output.uses, structure, found, locate);
  for (const { path, problem } of output.problems)
    found.add(locate(["output", ...path]), problem, TEMPLATE_REMEDY);
}

const TEMPLATE_REMEDY = "Write {{ path }}, such as {{ input.x }} or {{ fetch.pages[0] }}.";
const EXPRESSION_REMEDY = "Write a CEL expression, such as fetch.count > 3.";

/** Compiles the templates and expressions of tasks, the first of which has `firstIndex`; returns what they read. */
export function checkTaskParts(
  tasks: readonly TaskDefinition[],
  found: Violations,
  locate: Locate,
  firstIndex = 0,
): readonly TaskReadings[] {
  const expressionOf = expressionSource();
  return tasks.map((task, at) => {
    const index = firstIndex + at;
    const { readings, problems } = checkParts(task, expressionOf);
    for (const { path, problem } of problems) {
      const remedy =
        path[0] === "when" || path[0] === "forEach" ? EXPRESSION_REMEDY : TEMPLATE_REMEDY;
      found.add(locate(["tasks", index, ...path]), problem, remedy);
    }
    return { index, readings };
  });
}

/** Compiles every distinct source once, up to the limit of all sources together. */
function expressionSource(): ExpressionSource {
  const limit = DEFINITION_LIMITS.expressionChars;
  const known = new Map<string, Expression | { readonly problem: string }>();
  let chars = 0;
  return (source) => {
    const ready = known.get(source);
    if (ready !== undefined) return ready;
    chars += source.length;
    const compiled =
      chars <= limit
        ? compileExpression(source)
        : { problem: `the conditions of the definition exceed ${limit} characters together` };
    known.set(source, compiled);
    return compiled;
  };
}

/** The place of a lower-camel path, with every field as the author spelled it. */
export function placeIn(source: Json | undefined, path: Path): Place | undefined {
  let place: Place | undefined;
  let value = source;
  for (const name of path) {
    const object = value as { readonly [key: string]: Json } | undefined;
    const snake = typeof name === "string" ? snakeCase(name) : name;
    const key = object && Object.hasOwn(object, snake) ? snake : name;
    place = { key: object && Object.hasOwn(object, key) ? key : snake, parent: place };
    value = object?.[key];
  }
  return place;
}

/** `T` without the keys that are undefined. */
type Defined<T> = {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
} & {
  [K in keyof T as undefined extends T[K] ? never : K]: T[K];
};

function defined<T extends object>(source: T): Defined<T> {
  const kept: { [key: string]: unknown } = {};
  for (const key in source) if (source[key] !== undefined) kept[key] = source[key];
  return kept as Defined<T>;
}

function definitionOf(read: Read<typeof DOCUMENT_FIELDS>): Definition {
  const { name, version, tasks, output, failFast, memory } = read;
  return defined({
    name,
    version,
    tasks: tasks.map(taskOf),
    output,
    failFast,
    memory: memory && defined(memory),
  });
}

function taskOf(read: Read<typeof TASK_FIELDS>): TaskDefinition {
  const { id, agent, deps, lane, input, when, forEach, retry, priority, cost } = read;
  return defined({
    id,
    agent,
    deps: deps ?? [],
    lane,
    input,
    when,
    forEach,
    timeoutMs: read.timeout,
    deadlineMs: read.deadline,
    heartbeatTimeoutMs: read.heartbeatTimeout,
    retry: retryOf(retry),
    priority,
    cost,
    onError: read.onError ?? FAIL,
    compensate: read.compensate && defined(read.compensate),
    memory: read.memory && taskMemoryOf(read.memory),
    labels: read.labels ?? NO_LABELS,
  });
}

const FAIL = { kind: "fail" } as const;
const NO_LABELS = {} as const;

function retryOf(read: Read<typeof TASK_FIELDS>["retry"]): RetryPolicy {
  if (read === undefined) return DEFAULTS.retry;
  const { maxAttempts, backoff, maxBackoff, jitter } = read;
  return { maxAttempts, backoffMs: backoff, maxBackoffMs: maxBackoff, jitter };
}

function taskMemoryOf({ retrieve, memorize }: Read<typeof TASK_MEMORY_FIELDS>): TaskMemory {
  return defined({ retrieve: retrieve && defined(retrieve), memorize });
}

function runDefaults(read: Read<typeof RUN_FIELDS>): RunDefaults {
  const { input, sessionId, namespace, priority, deadline, labels } = read;
  return defined({ input, sessionId, namespace, priority, deadlineMs: deadline, labels });
}
