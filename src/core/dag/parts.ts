/**
 * The templates and expressions of a task, compiled once: the validator checks them, the compiler puts them into the
 * plan. Compiled parts are remembered by the identity of their task, so a definition that was just validated costs
 * nothing to compile, and a grown plan reuses what it had.
 */
import { BugError } from "../../base/assert.ts";
import type { Json } from "../../base/payload.ts";
import type { TaskDefinition } from "./definition.ts";
import { compileExpression, type Expression } from "./expression.ts";
import { compileTemplate, type Template } from "./template.ts";

/** What a plan keeps of a task's parts. */
export interface TaskParts {
  readonly when?: Expression;
  readonly forEach?: Expression;
  readonly input?: Template;
  /** What is searched for in the memory before an attempt. */
  readonly vectorQuery?: Template;
  /** What is remembered after a success; may read the task's own output. */
  readonly memorize?: Template;
}

/** A part that does not compile. */
export interface PartProblem {
  /** Lower-camel path inside the task. */
  readonly path: readonly (string | number)[];
  readonly problem: string;
}

/** A name that a field of a task reads. */
export interface Reading {
  readonly name: string;
  /** Lower-camel path inside the task of its first use. */
  readonly path: readonly (string | number)[];
  /** Whether it may read `item`, given that the task is a `for_each`. */
  readonly item: boolean;
  /** Whether it is evaluated after the task and may read its output. */
  readonly self: boolean;
}

/** A task's parts as the validator sees them. */
export interface CheckedParts {
  readonly readings: readonly Reading[];
  readonly problems: readonly PartProblem[];
}

/** Compiles each distinct source once; conditions repeat in generated definitions. */
export type ExpressionSource = (source: string) => Expression | { readonly problem: string };

const NO_PARTS: TaskParts = {};
const NOTHING_TO_CHECK: CheckedParts = { readings: [], problems: [] };

/** Most tasks have neither templates nor conditions. An `input` of null is a mapping like any other. */
function isPlain({ when, forEach, input, memory, compensate }: TaskDefinition): boolean {
  return input === undefined && (when ?? forEach ?? memory ?? compensate) === undefined;
}

const known = new WeakMap<TaskDefinition, TaskParts>();

/** Compiles the parts of a task, remembers them when all compile, and says what they read. */
export function checkParts(task: TaskDefinition, expressionOf: ExpressionSource): CheckedParts {
  if (isPlain(task)) return NOTHING_TO_CHECK;
  const readings: Reading[] = [];
  const problems: PartProblem[] = [];
  const expression = (path: string, source: string | undefined): Expression | undefined => {
    if (source === undefined) return undefined;
    const compiled = expressionOf(source);
    if ("problem" in compiled) problems.push({ path: [path], problem: compiled.problem });
    else {
      for (const name of compiled.names) {
        readings.push({ name, path: [path], item: false, self: false });
      }
      return compiled;
    }
    return undefined;
  };
  const template = (path: readonly string[], mapping: Json | undefined, self: boolean) => {
    if (mapping === undefined) return undefined;
    const compiled = compileTemplate(mapping);
    for (const each of compiled.problems) {
      problems.push({ path: [...path, ...each.path], problem: each.problem });
    }
    for (const { name, path: inner } of compiled.uses) {
      readings.push({ name, path: [...path, ...inner], item: true, self });
    }
    return compiled.template;
  };
  const parts = {
    when: expression("when", task.when),
    forEach: expression("forEach", task.forEach),
    input: template(["input"], task.input, false),
    vectorQuery: template(
      ["memory", "retrieve", "vectorQuery"],
      task.memory?.retrieve?.vectorQuery,
      false,
    ),
    memorize: template(["memory", "memorize", "content"], task.memory?.memorize?.content, true),
  };
  template(["compensate", "input"], task.compensate?.input, true);
  if (problems.length === 0) known.set(task, present(parts));
  return { readings, problems };
}

/** The compiled parts of a task of a valid definition. */
export function partsOf(task: TaskDefinition): TaskParts {
  if (isPlain(task)) return NO_PARTS;
  const ready = known.get(task);
  if (ready !== undefined) return ready;
  const { problems } = checkParts(task, compileExpression);
  const [first] = problems;
  if (first !== undefined)
    throw new BugError(`task "${task.id}" passed validation: ${first.problem}`);
  return known.get(task) as TaskParts;
}

/** Compiles the output mapping of a valid definition. */
export function outputTemplate(mapping: Json): Template {
  const { template, problems } = compileTemplate(mapping);
  if (template !== undefined) return template;
  throw new BugError(`the output mapping passed validation: ${problems[0]?.problem}`);
}

function present({
  when,
  forEach,
  input,
  vectorQuery,
  memorize,
}: { [K in keyof TaskParts]-?: TaskParts[K] | undefined }): TaskParts {
  return {
    ...(vectorQuery === undefined ? {} : { vectorQuery }),
    ...(memorize === undefined ? {} : { memorize }),
    ...(when === undefined ? {} : { when }),
    ...(forEach === undefined ? {} : { forEach }),
    ...(input === undefined ? {} : { input }),
  };
}
