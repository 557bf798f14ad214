/**
 * Tables that say how a plain object lies in protobuf: field by field, checked by the compiler against the object's own
 * type, so a field added to an event cannot be forgotten on disk. This file only makes the tables; `encode.ts` and
 * `decode.ts` follow them.
 */
import { assert } from "../base/assert.ts";
import type { Payload } from "../base/payload.ts";
import { DELIMITED, FIXED32, FIXED64, VARINT } from "./wire.ts";

/** What a field holds. */
export type Kind =
  | "text"
  | "uint"
  | "sint"
  | "double"
  | "bool"
  | "fixed32"
  | "word"
  | "bytes"
  | "payload"
  | "message"
  | "union"
  | "texts"
  | "uints"
  | "fixed32s"
  | "payloads"
  | "messages"
  | "map";

/** A field without its name. */
export interface Spec {
  readonly kind: Kind;
  readonly number: number;
  readonly optional: boolean;
  readonly words?: Words;
  readonly table?: Table;
  readonly union?: Union;
}

/** Words and their numbers, both ways. */
export interface Words {
  readonly numbers: { readonly [word: string]: number };
  readonly texts: readonly (string | undefined)[];
}

declare const holds: unique symbol;

/** A field that holds a `V`. */
export type Field<V> = Spec & { readonly [holds]?: V };
/** A field that may be absent. */
export type OptionalField<V> = Field<V> & { readonly optional: true };

/** One field for each property of `T`, optional where the property is. */
export type FieldsOf<T> = {
  readonly [K in keyof T]-?: undefined extends T[K]
    ? OptionalField<Exclude<T[K], undefined>>
    : Record<never, never> extends Pick<T, K>
      ? OptionalField<Exclude<T[K], undefined>>
      : Field<T[K]>;
};

/** A field as the codec meets it. */
export interface NamedField extends Spec {
  readonly name: string;
  readonly tag: number;
}

/** The fields of a message, in the order they are written. */
export interface Table {
  readonly fields: readonly NamedField[];
  readonly byNumber: readonly (NamedField | undefined)[];
}

/** How a `T` is written. */
export interface Message<T> extends Table {
  readonly [holds]?: T;
}

/** The variants of a oneof, and the fields beside it. */
export interface Union {
  readonly discriminator: string;
  readonly common: Table;
  readonly variants: { readonly [word: string]: Variant };
  readonly byNumber: readonly (Variant | undefined)[];
}

/** One variant of a union. */
export interface Variant {
  readonly word: string;
  readonly number: number;
  readonly table: Table;
}

/** How a discriminated union is written: a oneof, beside the fields that all variants share. */
export interface UnionMessage<T> extends Union {
  readonly [holds]?: T;
}

const WIRE_TYPE: Readonly<Record<Kind, number>> = {
  text: DELIMITED,
  uint: VARINT,
  sint: VARINT,
  double: FIXED64,
  bool: VARINT,
  fixed32: FIXED32,
  word: VARINT,
  bytes: DELIMITED,
  payload: DELIMITED,
  message: DELIMITED,
  union: DELIMITED,
  texts: DELIMITED,
  uints: DELIMITED,
  fixed32s: DELIMITED,
  payloads: DELIMITED,
  messages: DELIMITED,
  map: DELIMITED,
};

const field = (kind: Kind, number: number, more: Partial<Spec> = {}): Spec => ({
  kind,
  number,
  optional: false,
  ...more,
});

export const text = <T extends string = string>(number: number): Field<T> => field("text", number);
/** An integer from 0 to 2^53. */
export const uint = (number: number): Field<number> => field("uint", number);
/** An integer of 31 bits, either sign. */
export const sint = (number: number): Field<number> => field("sint", number);
export const double = (number: number): Field<number> => field("double", number);
export const bool = (number: number): Field<boolean> => field("bool", number);
export const fixed32 = (number: number): Field<number> => field("fixed32", number);
export const bytes = (number: number): Field<Uint8Array> => field("bytes", number);
export const payload = (number: number): Field<Payload> => field("payload", number);
export const texts = (number: number): Field<readonly string[]> => field("texts", number);
export const uints = (number: number): Field<readonly number[]> => field("uints", number);
export const fixed32s = (number: number): Field<readonly number[]> => field("fixed32s", number);
export const payloads = (number: number): Field<readonly Payload[]> => field("payloads", number);
/** A map from text to text. */
export const map = (number: number): Field<{ readonly [key: string]: string }> =>
  field("map", number);
export const nested = <T>(number: number, table: Message<T>): Field<T> =>
  field("message", number, { table });
export const nestedList = <T>(number: number, table: Message<T>): Field<readonly T[]> =>
  field("messages", number, { table });
export const choice = <T>(number: number, union: UnionMessage<T>): Field<T> =>
  field("union", number, { union });

/** One of a closed set of words, as a number from 1. */
export function word<W extends string>(
  number: number,
  numbers: { readonly [word in W]: number },
): Field<W> {
  const list: string[] = [];
  for (const [name, at] of Object.entries<number>(numbers)) list[at] = name;
  return field("word", number, { words: { numbers, texts: list } });
}

/** Marks a field as one that may be absent. */
export function optional<V>(of: Field<V>): OptionalField<V> {
  return { ...of, optional: true };
}

/** The table of a message: a field for each property. */
export function message<T>(fields: FieldsOf<T>): Message<T> {
  return compile(fields as { readonly [name: string]: Spec });
}

/** The table of a union whose variants are told apart by the property `discriminator`. */
export function union<T extends object, D extends keyof T & string, C extends keyof T = never>(
  discriminator: D,
  common: FieldsOf<Pick<T, C>>,
  variants: {
    readonly [W in T[D] & string]: readonly [
      number: number,
      fields: FieldsOf<Omit<Extract<T, { readonly [K in D]: W }>, C | D>>,
    ];
  },
): UnionMessage<T> {
  const byWord: { [word: string]: Variant } = {};
  const byNumber: (Variant | undefined)[] = [];
  const entries = Object.entries<readonly [number, { readonly [name: string]: Spec }]>(variants);
  for (const [name, [number, fields]] of entries) {
    const variant = { word: name, number, table: compile(fields) };
    byWord[name] = variant;
    byNumber[number] = variant;
  }
  const shared = compile(common as { readonly [name: string]: Spec });
  for (const { number } of shared.fields) {
    assert(byNumber[number] === undefined, `field number ${number} is used twice`);
  }
  return { discriminator, common: shared, variants: byWord, byNumber };
}

function compile(specs: { readonly [name: string]: Spec }): Table {
  const byNumber: (NamedField | undefined)[] = [];
  const fields = Object.entries(specs).map(([name, spec]) => {
    const named = { ...spec, name, tag: (spec.number << 3) | WIRE_TYPE[spec.kind] };
    assert(byNumber[spec.number] === undefined, `field number ${spec.number} is used twice`);
    byNumber[spec.number] = named;
    return named;
  });
  return { fields, byNumber };
}
