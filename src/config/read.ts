/**
 * Reads one source of configuration (a file, the environment, flags) against the table. What it returns is sparse:
 * only what the source says, under property names, checked and converted. Every problem is recorded with its source
 * and position and reading goes on, so that a user sees all of them at once. Sources are merged and defaulted in
 * `resolve.ts`.
 */
import { unreachable } from "../base/assert.ts";
import type { Violation } from "../base/fault.ts";
import { FORBIDDEN_KEYS, nearestName } from "../base/ids.ts";
import type { Json } from "../base/payload.ts";
import { formatDuration, parseDuration } from "../base/time.ts";
import type {
  BytesField,
  DurationField,
  Field,
  IntegerField,
  LeafField,
  TextField,
} from "./field.ts";
import { keyOf, snakeCase } from "./field.ts";

/** Keys and positions that lead to a value, as written. */
export type Path = readonly (string | number)[];

/** Where values come from. */
export interface Source {
  /** For messages: a file name, or `environment`, or `command line`. */
  readonly name: string;
  readonly tree: Json;
  /** Directory that relative paths count from. */
  readonly baseDir: string;
  /** 1-based place of a value, for files. */
  readonly position?: (path: Path) => { line: number; column: number } | undefined;
  /** How the source spells a path: `GOCLAW_LISTEN`, `--listen`. Default: dotted. */
  readonly spell?: (path: Path) => string;
}

/** A problem and the source it is in. */
export interface ConfigProblem extends Violation {
  readonly source: string;
}

/** What a source says: property names to converted values. */
export interface Sparse {
  readonly [property: string]: SparseValue;
}
export type SparseValue = string | number | boolean | readonly SparseValue[] | Sparse;

/** Joins a base directory and a path that may be relative. */
export type ResolvePath = (baseDir: string, path: string) => string;

/** Prints a path: `lanes.named.io.rate`, `commandAgents[0].name`. */
export function dotted(path: Path): string {
  let text = "";
  for (const part of path) {
    text += typeof part === "number" ? `[${part}]` : text === "" ? part : `.${part}`;
  }
  return text;
}

/** The longest part of a path that a source says something about, in the source's own spelling. */
function writtenPath(source: Source, path: Path): Path {
  const written: (string | number)[] = [];
  let at: Json | undefined = source.tree;
  for (const part of path) {
    if (typeof at !== "object" || at === null) break;
    const branch = at as { readonly [key: string]: Json };
    const spelling = [part, snakeCase(String(part))].find((key) => Object.hasOwn(branch, key));
    if (spelling === undefined) break;
    written.push(spelling);
    at = branch[spelling];
  }
  return written;
}

/** Whether a source says something at a path, be it right or wrong. */
export function holds(source: Source, path: Path): boolean {
  return writtenPath(source, path).length === path.length;
}

/** The source that says most about a path; the one of highest precedence among equals. */
export function sourceHolding(sources: readonly Source[], path: Path): Source {
  let best: Source = { name: "configuration", tree: null, baseDir: "" };
  let bestLength = 1;
  for (const source of sources) {
    const { length } = writtenPath(source, path);
    if (length < bestLength) continue;
    best = source;
    bestLength = length;
  }
  return best;
}

/** Reads sources, collecting problems. */
export class ConfigReader {
  readonly problems: ConfigProblem[] = [];
  readonly #resolvePath: ResolvePath;

  constructor(resolvePath: ResolvePath) {
    this.#resolvePath = resolvePath;
  }

  /** Records a problem at a path of a source. */
  report(source: Source, path: Path, message: string, remedy: string): void {
    this.problems.push({
      source: source.name,
      field: (source.spell ?? dotted)(path),
      message,
      remedy,
      ...source.position?.(writtenPath(source, path)),
    });
  }

  /** The value at `path` converted as `field` says; `undefined` when absent or (recorded) wrong. */
  read(field: Field, value: Json | undefined, source: Source, path: Path): SparseValue | undefined {
    if (value === undefined || value === null) return undefined;
    switch (field.kind) {
      case "group":
        return this.#group(field.fields, value, source, path);
      case "map":
        return this.#map(field.of, value, source, path);
      case "records":
        return this.#records(field.fields, value, source, path);
      case "list":
        return this.#list(field.of, field.min ?? 0, value, source, path);
      case "text":
      case "path":
      case "flag":
      case "integer":
      case "duration":
      case "bytes":
      case "choice":
        return this.#leaf(field, value, source, path);
      default:
        return unreachable(field);
    }
  }

  #group(
    fields: Readonly<Record<string, Field>>,
    value: Json,
    source: Source,
    path: Path,
  ): Sparse | undefined {
    const entries = this.#entries(value, source, path);
    if (entries === undefined) return undefined;
    const properties = new Map<string, string>();
    for (const property of Object.keys(fields)) {
      properties.set(keyOf(property), property);
      properties.set(snakeCase(keyOf(property)), property);
    }
    const group: Record<string, SparseValue> = {};
    for (const [key, item] of entries) {
      const property = properties.get(key);
      const field = property === undefined ? undefined : fields[property];
      if (property === undefined || field === undefined) {
        this.#unknownKey(key, Object.keys(fields).map(keyOf), source, [...path, key]);
        continue;
      }
      const read = this.read(field, item, source, [...path, key]);
      if (read !== undefined) group[property] = read;
    }
    return group;
  }

  #unknownKey(key: string, known: readonly string[], source: Source, path: Path): void {
    const spell = (name: string): string => source.spell?.([...path.slice(0, -1), name]) ?? name;
    const nearest = nearestName(key, known);
    const remedy =
      nearest === undefined
        ? `Known here: ${known.map(spell).join(", ")}.`
        : `Did you mean "${spell(nearest)}"?`;
    this.report(source, path, `unknown key "${key}"`, remedy);
  }

  #map(of: Field, value: Json, source: Source, path: Path): Sparse | undefined {
    const entries = this.#entries(value, source, path);
    if (entries === undefined) return undefined;
    const map: Record<string, SparseValue> = {};
    for (const [name, item] of entries) {
      if (FORBIDDEN_KEYS.has(name)) {
        this.report(source, [...path, name], `"${name}" cannot be a name`, "Choose another name.");
        continue;
      }
      const read = this.read(of, item ?? (of.kind === "group" ? {} : null), source, [
        ...path,
        name,
      ]);
      if (read !== undefined) map[name] = read;
    }
    return map;
  }

  #entries(value: Json, source: Source, path: Path): [string, Json][] | undefined {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return Object.entries(value);
    }
    this.#wrong(value, "a mapping of keys to values", source, path);
    return undefined;
  }

  #records(
    fields: Readonly<Record<string, Field>>,
    value: Json,
    source: Source,
    path: Path,
  ): readonly Sparse[] | undefined {
    if (!Array.isArray(value)) {
      this.#wrong(value, "a list", source, path);
      return undefined;
    }
    return value.flatMap((item: Json, at) => {
      const record = this.#group(fields, item, source, [...path, at]);
      if (record === undefined) return [];
      for (const [property, field] of Object.entries(fields)) {
        const place = [...path, at, keyOf(property)];
        // A wrong value was reported already; only silence is "missing".
        if (field.required && !holds(source, place)) {
          this.report(source, place, "is missing", `Add it: ${field.doc}.`);
        }
      }
      return [record];
    });
  }

  #list(
    of: LeafField,
    min: number,
    value: Json,
    source: Source,
    path: Path,
  ): readonly SparseValue[] | undefined {
    const items: readonly Json[] = Array.isArray(value) ? value : [value as Json];
    if (items.length < min) this.#wrong(value, `a list of at least ${min}`, source, path);
    return items.flatMap((item, at) => {
      const read = this.#leaf(of, item, source, Array.isArray(value) ? [...path, at] : path);
      return read === undefined ? [] : [read];
    });
  }

  #leaf(
    field: LeafField,
    value: Json,
    source: Source,
    path: Path,
  ): string | number | boolean | undefined {
    const read = readLeaf(field, value);
    if (read === undefined) {
      this.#wrong(value, expectationOf(field) + (EXAMPLES[field.kind] ?? ""), source, path);
      return undefined;
    }
    return field.kind === "path" ? this.#resolvePath(source.baseDir, String(read)) : read;
  }

  #wrong(value: Json, expected: string, source: Source, path: Path): void {
    this.report(
      source,
      path,
      `${shorten(JSON.stringify(value))} is not valid`,
      `Expected ${expected}.`,
    );
  }
}

/** Converts a leaf; `undefined` when the value does not fit. Text is accepted everywhere, for the environment. */
function readLeaf(field: LeafField, value: Json): string | number | boolean | undefined {
  switch (field.kind) {
    case "text":
      return readText(field, value);
    case "path":
      return typeof value === "string" && value !== "" ? value : undefined;
    case "flag":
      return value === true || value === "true"
        ? true
        : value === false || value === "false"
          ? false
          : undefined;
    case "integer":
      return readInteger(field, value);
    case "duration":
      return readDurationMs(field, value);
    case "bytes":
      return readBytes(field, value);
    case "choice":
      return typeof value === "string" && field.words.includes(value) ? value : undefined;
    default:
      return unreachable(field);
  }
}

function readText(field: TextField, value: Json): string | undefined {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text !== "string") return undefined;
  return field.pattern === undefined || field.pattern.test(text) ? text : undefined;
}

function readInteger(field: IntegerField, value: Json): number | undefined {
  const number = typeof value === "string" && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === "number" &&
    Number.isInteger(number) &&
    within(number, field.min, field.max)
    ? number
    : undefined;
}

function readDurationMs(field: DurationField, value: Json): number | undefined {
  const durationMs = typeof value === "string" ? parseDuration(value) : undefined;
  return durationMs !== undefined && within(durationMs, field.minMs, field.maxMs)
    ? durationMs
    : undefined;
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

function readBytes(field: BytesField, value: Json): number | undefined {
  const parts = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(
    typeof value === "number" ? String(value) : `${value}`,
  );
  const unit = BYTE_UNITS[parts?.[2] ?? ""];
  const bytes = parts === null || unit === undefined ? Number.NaN : Number(parts[1]) * unit;
  return Number.isInteger(bytes) && within(bytes, field.min, field.max) ? bytes : undefined;
}

function within(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}

/** What a leaf accepts, as a phrase after "expected". */
export function expectationOf(field: LeafField): string {
  switch (field.kind) {
    case "text":
      return field.expects ?? "text";
    case "path":
      return "a path";
    case "flag":
      return "true or false";
    case "integer":
      return `a whole number from ${field.min} to ${field.max}`;
    case "duration":
      return `a duration from ${formatDuration(field.minMs)} to ${formatDuration(field.maxMs)}`;
    case "bytes":
      return `bytes from ${formatBytes(field.min)} to ${formatBytes(field.max)}`;
    case "choice":
      return `one of ${field.words.join(", ")}`;
    default:
      return unreachable(field);
  }
}

/** Notations that people may not guess. */
const EXAMPLES: Partial<Record<LeafField["kind"], string>> = {
  duration: ", such as `30s`",
  bytes: ", such as `64KiB`",
};

/** Prints bytes with the largest binary unit that keeps them exact. */
export function formatBytes(bytes: number): string {
  for (const unit of ["TiB", "GiB", "MiB", "KiB"]) {
    const size = BYTE_UNITS[unit] ?? 1;
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`;
}
