/**
 * The kinds of configuration fields, as data. One table of these (`schema.ts`) drives the reader, the environment
 * names and docs/configuration.md, and the type of a read configuration follows from it. A field says what it means,
 * its default and its bounds; it never looks at a file, the environment or the machine.
 */
import type { Millis } from "../base/time.ts";

interface Common {
  /** One line for the manual, without the final stop. */
  readonly doc: string;
  /** Refused when absent. Fields with neither this nor a default may stay undefined. */
  readonly required?: true;
}

export interface TextField extends Common {
  readonly kind: "text";
  readonly default?: string;
  readonly pattern?: RegExp;
  /** What the pattern means, for the error. */
  readonly expects?: string;
}

/** A file or directory; relative ones count from the file that names them, else from the working directory. */
export interface PathField extends Common {
  readonly kind: "path";
  readonly default?: string;
}

export interface FlagField extends Common {
  readonly kind: "flag";
  readonly default: boolean;
}

/** A multiple of the machine's cores, never above `atMost`. */
export interface PerCore {
  readonly perCore: number;
  readonly atMost?: number;
}

export interface IntegerField extends Common {
  readonly kind: "integer";
  readonly min: number;
  readonly max: number;
  readonly default?: number | PerCore;
}

/** Text such as `30s`; the key in files has no unit, the property ends in `Ms`. */
export interface DurationField extends Common {
  readonly kind: "duration";
  readonly minMs: Millis;
  readonly maxMs: Millis;
  readonly default?: Millis;
}

/** A number of bytes, or text such as `2MiB`. */
export interface BytesField extends Common {
  readonly kind: "bytes";
  readonly min: number;
  readonly max: number;
  readonly default?: number;
}

export interface ChoiceField extends Common {
  readonly kind: "choice";
  readonly words: readonly string[];
  readonly default?: string;
}

/** A list of texts or paths; a single one may stand alone. */
export interface ListField extends Common {
  readonly kind: "list";
  readonly of: TextField | PathField;
  /** Fewest entries. Default 0. */
  readonly min?: number;
  readonly default?: readonly string[];
}

/** Free names, all with the same kind of value. */
export interface MapField extends Common {
  readonly kind: "map";
  readonly of: LeafField | GroupField;
  /** What the names are, for the manual: `LANE`. */
  readonly name: string;
}

/** Fields under one key. An optional group is absent unless one of its fields is set. */
export interface GroupField extends Common {
  readonly kind: "group";
  readonly optional?: true;
  readonly fields: { readonly [key: string]: Field };
}

/** A list of groups. */
export interface RecordsField extends Common {
  readonly kind: "records";
  readonly fields: { readonly [key: string]: LeafField | MapField | ListField };
}

export type LeafField =
  | TextField
  | PathField
  | FlagField
  | IntegerField
  | DurationField
  | BytesField
  | ChoiceField;

export type Field = LeafField | ListField | MapField | GroupField | RecordsField;

type Raw<F> = F extends { kind: "text" | "path" }
  ? string
  : F extends { kind: "flag" }
    ? boolean
    : F extends { kind: "integer" | "duration" | "bytes" }
      ? number
      : F extends { kind: "choice"; words: readonly (infer Word)[] }
        ? Word
        : F extends { kind: "list" }
          ? readonly string[]
          : F extends { kind: "map"; of: infer Of }
            ? { readonly [name: string]: Exclude<Value<Of>, undefined> }
            : F extends { kind: "group"; fields: infer Fields }
              ? { readonly [Key in keyof Fields]: Value<Fields[Key]> }
              : F extends { kind: "records"; fields: infer Fields }
                ? readonly { readonly [Key in keyof Fields]: Value<Fields[Key]> }[]
                : never;

/** The type of a field's value once read and defaulted. */
export type Value<F> = F extends { default: unknown } | { required: true }
  ? Raw<F>
  : F extends { kind: "group"; optional: true }
    ? Raw<F> | undefined
    : F extends { kind: "map" | "group" | "records" | "list" }
      ? Raw<F>
      : Raw<F> | undefined;

/** How a property is spelled in files and the environment: without the unit that its value carries itself. */
export function keyOf(property: string): string {
  return property.endsWith("Ms") ? property.slice(0, -2) : property;
}

/** The other accepted spelling of a key: `drain_timeout` for `drainTimeout`. */
export function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
