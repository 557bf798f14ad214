/**
 * Collects what is wrong with a definition and prints it for people. A violation names the field by its path, the value
 * at fault, what to do, and the line where there is text behind it. The number kept is bounded, because a hostile file
 * can be wrong in a hundred thousand places; so is the work spent on guessing what was meant.
 */
import type { Violation } from "../../base/fault.ts";
import { nearestName } from "../../base/ids.ts";
import { DEFINITION_LIMITS } from "./definition.ts";

/** Keys from the root of the document. */
export type Path = readonly (string | number)[];

/** A path as a list from the inside out: extending one costs nothing until it is printed. */
export interface Place {
  readonly key: string | number;
  readonly parent: Place | undefined;
}

/** Where a path stands in the source text, 1-based. */
export type Position = (
  path: Path,
) => { readonly line: number; readonly column: number } | undefined;

/** Names compared while guessing what an unknown name was meant to be, over one validation. */
const GUESSES_MAX = 50_000;

/** The violations of one definition. */
export class Violations {
  readonly #position: Position | undefined;
  readonly #list: Violation[] = [];
  #count = 0;
  #guessesLeft = GUESSES_MAX;

  constructor(position?: Position) {
    this.#position = position;
  }

  get count(): number {
    return this.#count;
  }

  /** Reports a problem at a place; `undefined` is the whole document. */
  add(place: Place | undefined, message: string, remedy: string): void {
    this.#count++;
    if (this.#list.length >= DEFINITION_LIMITS.violations) return;
    const path = pathOf(place);
    this.#list.push({ field: fieldText(path), message, remedy, ...this.#position?.(path) });
  }

  /** `Did you mean "x"?` for the known name nearest to `wanted`, else `otherwise`. */
  guess(
    wanted: string,
    known: ReadonlySet<string> | ReadonlyMap<string, unknown>,
    otherwise: string,
  ): string {
    if (wanted.length > 128 || known.size > this.#guessesLeft) return otherwise;
    this.#guessesLeft -= known.size;
    const nearest = nearestName(wanted, known.keys());
    return nearest === undefined ? otherwise : `Did you mean "${nearest}"?`;
  }

  /** Everything reported, in the order of the text where positions are known. */
  list(): readonly Violation[] {
    const sorted = this.#list
      .map((violation, at) => ({ violation, at }))
      .sort((a, b) => before(a.violation, b.violation) || a.at - b.at)
      .map(({ violation }) => violation);
    const hidden = this.#count - sorted.length;
    if (hidden === 0) return sorted;
    const message = `${hidden} more problems are not listed`;
    return [...sorted, { field: "", message, remedy: "Correct the listed ones first." }];
  }
}

function before(a: Violation, b: Violation): number {
  if (a.line === undefined || b.line === undefined) return 0;
  return a.line - b.line || (a.column ?? 0) - (b.column ?? 0);
}

/** The path of a place. */
export function pathOf(place: Place | undefined): Path {
  const path: (string | number)[] = [];
  for (let at = place; at !== undefined; at = at.parent) path.push(at.key);
  return path.reverse();
}

const KEY_SHOWN = 64;
const PLAIN_KEY = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

/** A path in the notation of messages: `tasks[2].deps[0]`, `labels["a b"]`. */
export function fieldText(path: Path): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else if (PLAIN_KEY.test(key)) text += text === "" ? key : `.${key}`;
    else
      text += `[${JSON.stringify(key.length <= KEY_SHOWN ? key : `${key.slice(0, KEY_SHOWN)}...`)}]`;
  }
  return text;
}

/** One line per violation, as compilers print them: `FILE:LINE:COLUMN FIELD: MESSAGE. REMEDY`. */
export function formatViolations(fileName: string, violations: readonly Violation[]): string {
  return violations.map((violation) => formatViolation(fileName, violation)).join("\n");
}

function formatViolation(
  fileName: string,
  { field, message, remedy, line, column }: Violation,
): string {
  const place = line === undefined ? fileName : `${fileName}:${line}:${column ?? 1}`;
  const stop = /[.?!]$/.test(message) ? "" : ".";
  return `${place}${field === "" ? "" : ` ${field}`}: ${message}${stop} ${remedy}`;
}
