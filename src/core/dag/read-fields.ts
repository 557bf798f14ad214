/**
 * Reads a JSON value against a table of fields. Every problem is reported and reading goes on with a stand-in, so that
 * one look finds them all; what it returns is only meaningful when nothing was reported. Recursive on the depth of the
 * schema, never on that of the value.
 */
import { isName } from "../../base/ids.ts";
import type { Json } from "../../base/payload.ts";
import { versionTest } from "../../base/semver.ts";
import { formatDuration, parseDuration } from "../../base/time.ts";
import { utf8Length } from "../../base/utf8.ts";
import { DEFINITION_LIMITS, type OnError } from "./definition.ts";
import { DURATION_MAX_MS, type Field, type Fields, snakeCase } from "./schema.ts";
import type { Place, Violations } from "./violations.ts";

/** What reading a field gives. */
type ValueOf<F extends Field> = F extends {
  kind: "name" | "agent" | "text" | "expression" | "template";
}
  ? string
  : F extends { kind: "integer" | "number" | "duration" }
    ? number
    : F extends { kind: "flag" }
      ? boolean
      : F extends { kind: "json" }
        ? Json
        : F extends { kind: "names" }
          ? readonly string[]
          : F extends { kind: "labels" }
            ? Labels
            : F extends { kind: "onError" }
              ? OnError
              : F extends { kind: "group"; fields: infer Inner extends Fields }
                ? Read<Inner>
                : F extends { kind: "groups"; fields: infer Inner extends Fields }
                  ? readonly Read<Inner>[]
                  : never;

type Always = { readonly required: true } | { readonly default: unknown };

/** What reading an object gives: fields that are required or have a default are always there. */
export type Read<F extends Fields> = {
  readonly [Name in keyof F]: F[Name] extends Always
    ? ValueOf<F[Name]>
    : ValueOf<F[Name]> | undefined;
};

export interface Labels {
  readonly [key: string]: string;
}

interface JsonObject {
  readonly [key: string]: Json;
}

/** Reads an object. `place` is where it stands, undefined at the root. */
export function readFields<F extends Fields>(
  value: Json,
  fields: F,
  place: Place | undefined,
  found: Violations,
): Read<F> {
  const source = asObject(value, place, found);
  if (source === undefined) return standIns(fields) as Read<F>;
  const nameOf = spellings(fields);
  const read: { [name: string]: unknown } = {};
  for (const key of Object.keys(source)) {
    const inner = source[key] as Json;
    const name = nameOf.get(key);
    if (name === undefined) reportUnknown(key, fields, place, found);
    else if (Object.hasOwn(read, name)) {
      const message = `"${key}" is the second spelling of the same field`;
      found.add({ key, parent: place }, message, "Keep one of them.");
    } else {
      const field = fields[name] as Field;
      if (inner === null && field.kind !== "json") continue;
      read[name] = readValue(inner, field, { key, parent: place }, found);
    }
  }
  for (const name of Object.keys(fields)) {
    if (!Object.hasOwn(read, name)) read[name] = absent(name, fields[name] as Field, place, found);
  }
  return read as Read<F>;
}

const spellingsOf = new WeakMap<Fields, ReadonlyMap<string, string>>();

/** Every accepted key and the field it means. */
function spellings(fields: Fields): ReadonlyMap<string, string> {
  const ready = spellingsOf.get(fields);
  if (ready !== undefined) return ready;
  const names = Object.keys(fields);
  const made = new Map(
    names.flatMap((name) => [[name, name] as const, [snakeCase(name), name] as const]),
  );
  spellingsOf.set(fields, made);
  return made;
}

function reportUnknown(
  key: string,
  fields: Fields,
  place: Place | undefined,
  found: Violations,
): void {
  const names = new Set(Object.keys(fields).map(snakeCase));
  const all = `Known fields: ${[...names].join(", ")}.`;
  const remedy = found.guess(snakeCase(key), names, all);
  found.add({ key, parent: place }, `unknown field "${excerpt(key)}"`, remedy);
}

function asObject(
  value: Json,
  place: Place | undefined,
  found: Violations,
): JsonObject | undefined {
  if (isObject(value)) return value;
  const message =
    value === null && place === undefined
      ? "there is nothing in it"
      : `${describe(value)} stands where a mapping of fields is expected`;
  found.add(place, message, "Write `field: value` lines.");
  return undefined;
}

function standIns(fields: Fields): { readonly [name: string]: unknown } {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, standIn(field)]));
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function absent(name: string, field: Field, place: Place | undefined, found: Violations): unknown {
  if (field.required === true) {
    found.add(
      place,
      `the field "${snakeCase(name)}" is missing`,
      `Add it: ${lowerFirst(field.doc)}.`,
    );
    return standIn(field);
  }
  return "default" in field ? field.default : undefined;
}

/** A harmless value of the field's type, after its real one was refused: nothing more is said about it. */
function standIn(field: Field): unknown {
  switch (field.kind) {
    case "names":
    case "groups":
      return [];
    case "labels":
      return {};
    case "group":
      return standIns(field.fields);
    case "integer":
    case "number":
    case "duration":
      return "default" in field ? field.default : 1;
    case "flag":
      return false;
    case "json":
      return null;
    case "onError":
      return { kind: "fail" };
    case "expression":
      return undefined;
    case "name":
    case "agent":
    case "text":
    case "template":
      return "";
  }
}

function readValue(value: Json, field: Field, place: Place, found: Violations): unknown {
  const refuse = (message: string, remedy: string) => {
    found.add(place, message, remedy);
    return standIn(field);
  };
  switch (field.kind) {
    case "name":
      return readName(value, refuse);
    case "agent":
      return readAgent(value, refuse);
    case "text":
      return readText(value, field.maxBytes, refuse);
    case "expression":
    case "template":
      return typeof value === "string" ? value : refuse(...textExpected(value));
    case "integer":
    case "number":
      return readNumber(value, field, refuse);
    case "flag":
      if (typeof value === "boolean") return value;
      return refuse(
        `${describe(value)} is neither true nor false`,
        "Write true or false, without quotes.",
      );
    case "duration":
      return readDuration(value, field.minMs, refuse);
    case "json":
      return value;
    case "names":
      return readNames(value, field.max, place, found);
    case "labels":
      return readLabels(value, place, found);
    case "onError":
      return readOnError(value, refuse);
    case "group":
      return readFields(value, field.fields, place, found);
    case "groups":
      return readGroups(value, field, place, found);
  }
}

type Refuse = (message: string, remedy: string) => unknown;

function textExpected(value: Json): [string, string] {
  const quoted = typeof value === "number" || typeof value === "boolean";
  return [
    `${describe(value)} is not text`,
    quoted ? `Put it in quotes: "${String(value)}".` : "Write text.",
  ];
}

/** Characters of a version or range. */
const VERSION_MAX = 64;

const NAME_RULE = "Use 1 to 128 letters, digits, `_`, `.` or `-`.";

function readName(value: Json, refuse: Refuse): unknown {
  if (typeof value !== "string") return refuse(...textExpected(value));
  return isName(value) ? value : refuse(`"${excerpt(value)}" is not a name`, NAME_RULE);
}

/** A name, and behind an `@` the version that is asked for. */
function readAgent(value: Json, refuse: Refuse): unknown {
  if (typeof value !== "string") return refuse(...textExpected(value));
  const at = value.indexOf("@");
  if (at === -1) return readName(value, refuse);
  const range = value.slice(at + 1);
  if (!isName(value.slice(0, at))) return readName(value.slice(0, at), refuse);
  if (range.length <= VERSION_MAX && versionTest(range) !== undefined) return value;
  return refuse(
    `"${excerpt(range)}" is not a version`,
    "Write a version or range such as 1.4.0, ^2, ~1.4, >=3 or latest.",
  );
}

function readText(value: Json, maxBytes: number, refuse: Refuse): unknown {
  if (typeof value !== "string") return refuse(...textExpected(value));
  const bytes = utf8Length(value);
  return bytes <= maxBytes
    ? value
    : refuse(`the text has ${bytes} bytes, at most ${maxBytes} are allowed`, "Shorten it.");
}

function readNumber(
  value: Json,
  field: Field & { kind: "integer" | "number" },
  refuse: Refuse,
): unknown {
  const { kind, min, max } = field;
  const whole = kind === "integer" ? "whole number" : "number";
  const remedy = `Write a ${whole} from ${min} to ${max}.`;
  if (typeof value !== "number" || (kind === "integer" && !Number.isInteger(value))) {
    return refuse(`${describe(value)} is not a ${whole}`, remedy);
  }
  return value >= min && value <= max ? value : refuse(`${value} is out of range`, remedy);
}

/** Longer texts are not looked at: no duration needs as many characters. */
const DURATION_TEXT_MAX = 64;

function readDuration(value: Json, minMs: number, refuse: Refuse): unknown {
  if (typeof value === "number") {
    return refuse(`${value} has no unit`, `Write the unit, such as ${value}s or ${value}ms.`);
  }
  const text = typeof value === "string" && value.length <= DURATION_TEXT_MAX ? value : undefined;
  const durationMs = text === undefined ? undefined : parseDuration(text);
  if (durationMs === undefined) {
    return refuse(
      `${describe(value)} is not a duration`,
      "Write one such as 250ms, 3.5s, 2m or 1h30m.",
    );
  }
  if (durationMs < minMs)
    return refuse(`${text} is too short`, `Write at least ${formatDuration(minMs)}.`);
  if (durationMs <= DURATION_MAX_MS) return durationMs;
  return refuse(`${text} is too long`, `Write at most ${formatDuration(DURATION_MAX_MS)}.`);
}

function readNames(value: Json, max: number, place: Place, found: Violations): readonly string[] {
  if (!Array.isArray(value)) {
    const remedy =
      typeof value === "string" ? `Write [${excerpt(value)}].` : "Write a list such as [a, b].";
    found.add(place, `${describe(value)} is not a list`, remedy);
    return [];
  }
  if (tooMany(value.length, max, "entries", place, found)) return [];
  return (value as readonly Json[]).map((name, at) => {
    if (typeof name === "string" && isName(name)) return name;
    readName(name, (message, remedy) => found.add({ key: at, parent: place }, message, remedy));
    return "";
  });
}

function readLabels(value: Json, place: Place, found: Violations): Labels {
  const source = asObject(value, place, found);
  if (source === undefined) return {};
  const keys = Object.keys(source);
  if (tooMany(keys.length, DEFINITION_LIMITS.labels, "labels", place, found)) return {};
  const { labelBytes } = DEFINITION_LIMITS;
  for (const key of keys) {
    const at = { key, parent: place };
    const label = source[key] as Json;
    if (key === "") found.add(at, "a label has no name", "Give it one.");
    if (utf8Length(key) > labelBytes) {
      found.add(at, `the label's name exceeds ${labelBytes} bytes`, "Shorten it.");
    }
    if (typeof label !== "string") found.add(at, ...textExpected(label));
    else if (utf8Length(label) > labelBytes) {
      found.add(
        at,
        `the label has ${utf8Length(label)} bytes, at most ${labelBytes} are allowed`,
        "Shorten it.",
      );
    }
  }
  return source as Labels;
}

const ON_ERROR_RULE = "Write fail, continue, or {fallback: TASK}.";

function readOnError(value: Json, refuse: Refuse): unknown {
  if (value === "fail" || value === "continue") return { kind: value } satisfies OnError;
  const target = fallbackOf(value);
  if (target === undefined)
    return refuse(`${describe(value)} is not a way to handle an error`, ON_ERROR_RULE);
  if (!isName(target)) return refuse(`the fallback "${excerpt(target)}" is not a name`, NAME_RULE);
  return { kind: "fallback", taskId: target } satisfies OnError;
}

/** The task named by `fallback: x` as text, or by a mapping with that one key. */
function fallbackOf(value: Json): string | undefined {
  if (typeof value === "string") return /^fallback:\s*(\S.*)$/.exec(value)?.[1];
  if (!isObject(value) || Object.keys(value).length !== 1) return undefined;
  return typeof value.fallback === "string" ? value.fallback : undefined;
}

function readGroups(
  value: Json,
  field: Field & { kind: "groups" },
  place: Place,
  found: Violations,
): readonly unknown[] {
  if (!Array.isArray(value)) {
    found.add(place, `${describe(value)} is not a list`, "Write a list, one `- …` entry each.");
    return [];
  }
  if (value.length < field.min) found.add(place, "the list is empty", "Add at least one entry.");
  if (tooMany(value.length, field.max, "entries", place, found)) return [];
  return (value as readonly Json[]).map((inner, at) =>
    readFields(inner, field.fields, { key: at, parent: place }, found),
  );
}

function tooMany(
  count: number,
  max: number,
  what: string,
  place: Place,
  found: Violations,
): boolean {
  if (count <= max) return false;
  found.add(
    place,
    `${count} ${what} exceed the limit of ${max}`,
    "Split the definition into smaller ones.",
  );
  return true;
}

/** A value in a few words, for messages. */
export function describe(value: Json): string {
  if (typeof value === "string") return `"${excerpt(value)}"`;
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a mapping";
  return String(value);
}

/** At most 40 characters of a text, on one line. */
export function excerpt(text: string): string {
  const shown = text.length <= 40 ? text : `${text.slice(0, 37)}...`;
  return JSON.stringify(shown).slice(1, -1);
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
