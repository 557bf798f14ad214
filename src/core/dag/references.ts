/**
 * Whether templates and conditions read only what will be there: the run's input, facts of the run, the item of a
 * `for_each`, and outputs of ancestors. A task that is no ancestor may not have run yet, so reading it would depend on
 * luck. Reachability is computed only for pairs that are not direct dependencies, all at once, in bit rows along the
 * topological order.
 */
import type { TaskDefinition } from "./definition.ts";
import { depsOf } from "./graph.ts";
import type { Reading } from "./parts.ts";
import { RESERVED_NAMES } from "./schema.ts";
import type { Locate, Structure } from "./structure.ts";
import type { CompiledTemplate } from "./template.ts";
import type { Place, Violations } from "./violations.ts";

/** What one task reads, by its index. */
export interface TaskReadings {
  readonly index: number;
  readonly readings: readonly Reading[];
}

/** A name that is a task, but neither the reader nor one of its dependencies: is it an ancestor at all? */
interface Question {
  readonly reader: number;
  readonly target: number;
  readonly place: () => Place | undefined;
}

/** Checks the names that tasks read. */
export function checkReferences(
  tasks: readonly TaskDefinition[],
  structure: Structure,
  all: readonly TaskReadings[],
  found: Violations,
  locate: Locate,
): void {
  const questions: Question[] = [];
  for (const { index, readings } of all) {
    const task = tasks[index] as TaskDefinition;
    const deps = depsOf(structure.graph, index);
    for (const reading of readings) {
      const { name, path } = reading;
      const place = () => locate(["tasks", index, ...path]);
      const target = structure.indexOf.get(name);
      if (RESERVED_NAMES.has(name)) {
        if (name === "item") checkItem(task, reading, place, found);
      } else if (target === undefined) reportUnknown(name, structure, place(), found);
      else if (target === index) checkSelf(name, reading, place, found);
      else if (!deps.includes(target)) questions.push({ reader: index, target, place });
    }
  }
  for (const { reader, target, place } of unreachable(questions, structure)) {
    const name = tasks[target]?.id;
    const message = `"${name}" is not an ancestor of "${tasks[reader]?.id}", so its output may not be there`;
    found.add(place(), message, `Add "${name}" to deps.`);
  }
}

/** Checks what the output mapping reads: every task is an ancestor of the end. */
export function checkOutput(
  uses: CompiledTemplate["uses"],
  structure: Structure,
  found: Violations,
  locate: Locate,
): void {
  for (const { name, path } of uses) {
    const place = () => locate(["output", ...path]);
    if (name === "item") found.add(place(), '"item" exists only in for_each tasks', "Name a task.");
    else if (!RESERVED_NAMES.has(name) && !structure.indexOf.has(name)) {
      reportUnknown(name, structure, place(), found);
    }
  }
}

function checkItem(
  task: TaskDefinition,
  reading: Reading,
  place: () => Place | undefined,
  found: Violations,
): void {
  if (task.forEach === undefined) {
    found.add(place(), '"item" exists only in for_each tasks', "Add for_each, or name a task.");
  } else if (!reading.item) {
    const message = '"item" is not known here, because this is evaluated once, before the items';
    found.add(place(), message, "Use the list, or filter it in for_each.");
  }
}

function checkSelf(
  name: string,
  reading: Reading,
  place: () => Place | undefined,
  found: Violations,
): void {
  if (!reading.self) found.add(place(), `"${name}" reads its own output`, "Name an ancestor.");
}

const UNKNOWN_REMEDY =
  'Use input, run, item or the id of an ancestor; an id with a dash or dot is tasks["a-b"].';

function reportUnknown(
  name: string,
  { indexOf }: Structure,
  place: Place | undefined,
  found: Violations,
): void {
  const known = new Map<string, unknown>([...RESERVED_NAMES].map((root) => [root, root]));
  const near = found.guess(name, known, "");
  const remedy = near || found.guess(name, indexOf, UNKNOWN_REMEDY);
  found.add(place, `"${name}" is neither a task nor input, run or item`, remedy);
}

/** The questions whose target is no ancestor. Readers on or behind a cycle are left out: there, nothing is. */
function unreachable(
  questions: readonly Question[],
  { graph, order }: Structure,
): readonly Question[] {
  if (questions.length === 0) return [];
  const columns = new Map<number, number>();
  for (const { target } of questions) if (!columns.has(target)) columns.set(target, columns.size);
  const words = Math.ceil(columns.size / 32);
  const rows = new Uint32Array(graph.size * words);
  const ordered = new Uint8Array(graph.size);
  for (const node of order) {
    ordered[node] = 1;
    for (const dep of depsOf(graph, node)) {
      for (let word = 0; word < words; word++) {
        rows[node * words + word] =
          (rows[node * words + word] as number) | (rows[dep * words + word] as number);
      }
      const column = columns.get(dep);
      if (column !== undefined) setBit(rows, node * words, column);
    }
  }
  return questions.filter(
    ({ reader, target }) =>
      ordered[reader] === 1 && !hasBit(rows, reader * words, columns.get(target) as number),
  );
}

function setBit(rows: Uint32Array, start: number, column: number): void {
  const word = start + (column >>> 5);
  rows[word] = (rows[word] as number) | (1 << (column & 31));
}

function hasBit(rows: Uint32Array, start: number, column: number): boolean {
  return ((rows[start + (column >>> 5)] as number) & (1 << (column & 31))) !== 0;
}
