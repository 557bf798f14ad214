/**
 * Merges what the sources say, later ones over earlier ones, and fills in the defaults of the table. Groups and maps
 * merge key by key, everything else is replaced as a whole. Nothing here knows a particular key.
 */
import { unreachable } from "../base/assert.ts";
import type { Field, PerCore } from "./field.ts";
import { keyOf } from "./field.ts";
import type { ConfigReader, Path, ResolvePath, Source, Sparse, SparseValue } from "./read.ts";
import { holds, sourceHolding } from "./read.ts";

/** What defaults depend on. */
export interface Defaults {
  readonly cores: number;
  /** Directory that relative default paths count from. */
  readonly baseDir: string;
  readonly resolvePath: ResolvePath;
}

/**
 * Reads all sources, lowest precedence first, and merges them. Problems end up in `reader`; only when there are none
 * is the result complete.
 */
export function resolveTree(
  schema: Field,
  sources: readonly Source[],
  reader: ConfigReader,
  defaults: Defaults,
): SparseValue | undefined {
  let merged: SparseValue | undefined;
  for (const source of sources) {
    const read = reader.read(schema, source.tree, source, []);
    if (read === undefined) continue;
    const whole = completeRecords(schema, read, { ...defaults, baseDir: source.baseDir });
    merged = merged === undefined ? whole : merge(schema, merged, whole);
  }
  const missing = (path: Path, remedy: string): void => {
    // A wrong value was reported already; only silence is "missing".
    const source = sourceHolding(sources, path);
    if (!holds(source, path)) reader.report(source, path, "is missing", remedy);
  };
  return new Filler(defaults, missing).fill(schema, merged, []);
}

function isGroup(value: SparseValue | undefined): value is Sparse {
  return typeof value === "object" && !Array.isArray(value);
}

/** A record is whole within its source, so its defaults (paths above all) count from there. */
function completeRecords(field: Field, value: SparseValue, defaults: Defaults): SparseValue {
  if (field.kind === "records" && Array.isArray(value)) {
    const filler = new Filler(defaults, () => {});
    const record: Field = { kind: "group", doc: field.doc, fields: field.fields };
    return value.map((item) => filler.fill(record, item, []) ?? item);
  }
  if (field.kind !== "group" || !isGroup(value)) return value;
  const group: Record<string, SparseValue> = {};
  for (const [property, item] of Object.entries(value)) {
    const inner = field.fields[property];
    group[property] = inner === undefined ? item : completeRecords(inner, item, defaults);
  }
  return group;
}

function merge(field: Field, lower: SparseValue, upper: SparseValue): SparseValue {
  if (field.kind !== "group" && field.kind !== "map") return upper;
  if (!isGroup(lower) || !isGroup(upper)) return upper;
  const merged: Record<string, SparseValue> = { ...lower };
  for (const [key, value] of Object.entries(upper)) {
    const inner = field.kind === "map" ? field.of : field.fields[key];
    const below = lower[key];
    merged[key] = below === undefined || inner === undefined ? value : merge(inner, below, value);
  }
  return merged;
}

/** Replaces what nobody said by defaults; what is required and absent goes to `missing`. */
class Filler {
  readonly #defaults: Defaults;
  readonly #missing: (path: Path, remedy: string) => void;

  constructor(defaults: Defaults, missing: (path: Path, remedy: string) => void) {
    this.#defaults = defaults;
    this.#missing = missing;
  }

  fill(field: Field, value: SparseValue | undefined, path: Path): SparseValue | undefined {
    if (value === undefined && field.required) {
      this.#missing(path, `Add it: ${field.doc}.`);
      return undefined;
    }
    if (field.kind === "group") {
      if (field.optional && value === undefined) return undefined;
      const given = isGroup(value) ? value : {};
      return this.#fillAll(Object.keys(field.fields), given, path, (key) => field.fields[key]);
    }
    if (field.kind === "map") {
      const given = isGroup(value) ? value : {};
      return this.#fillAll(Object.keys(given), given, path, () => field.of);
    }
    return value ?? this.#default(field);
  }

  #fillAll(
    keys: readonly string[],
    given: Sparse,
    path: Path,
    fieldOf: (key: string) => Field | undefined,
  ): Sparse {
    const filled: Record<string, SparseValue> = {};
    for (const key of keys) {
      const field = fieldOf(key);
      const value = field && this.fill(field, given[key], [...path, keyOf(key)]);
      if (value !== undefined) filled[key] = value;
    }
    return filled;
  }

  #default(field: Exclude<Field, { kind: "group" | "map" }>): SparseValue | undefined {
    switch (field.kind) {
      case "records":
        return [];
      case "list":
        return (field.default ?? []).map((item) =>
          field.of.kind === "path" ? this.#path(item) : item,
        );
      case "path":
        return field.default === undefined ? undefined : this.#path(field.default);
      case "integer":
        return field.default === undefined
          ? undefined
          : countFor(field.default, this.#defaults.cores);
      case "text":
      case "flag":
      case "duration":
      case "bytes":
      case "choice":
        return field.default;
      default:
        return unreachable(field);
    }
  }

  #path(path: string): string {
    return this.#defaults.resolvePath(this.#defaults.baseDir, path);
  }
}

/** A count that may depend on the machine. */
export function countFor(count: PerCore | number, cores: number): number {
  if (typeof count === "number") return count;
  return Math.min(count.perCore * cores, count.atMost ?? Number.POSITIVE_INFINITY);
}
