/**
 * Values between the kits and the wire: JSON as a protobuf Value or as the text of a Data, whichever the other side
 * chose, and the text by which a message is shown to people. It judges nothing.
 */
import {
  create,
  type DescEnum,
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageShape,
  toJson,
  toJsonString,
} from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Data, DataSchema } from "../../gen/goclaw/v1/workflow_pb.ts";

const JSON_TYPE = "application/json";

/** A JSON value as the wire's. */
export function wireValue(value: JsonValue): Value {
  return fromJson(ValueSchema, value);
}

/** A JSON value as the wire's text. */
export function wireData(value: JsonValue): Data {
  const data = new TextEncoder().encode(JSON.stringify(value));
  return create(DataSchema, { mediaType: JSON_TYPE, data });
}

/** What a Value or a Data holds; null for neither. Bytes that are no JSON become their text. */
export function jsonOf(value: Value | undefined, data: Data | undefined): JsonValue {
  if (value !== undefined) return toJson(ValueSchema, value);
  if (data === undefined) return null;
  const text = new TextDecoder().decode(data.data);
  return data.mediaType === JSON_TYPE ? (JSON.parse(text) as JsonValue) : text;
}

/** Whether two JSON values are equal, whatever the order of their keys. */
export function sameJson(one: JsonValue, other: JsonValue): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: JsonValue): string {
  return JSON.stringify(value, (_key, inner: JsonValue) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/** A message for people. Large ones are named by their size, because nobody reads them. */
export function shown<D extends DescMessage>(schema: D, message: MessageShape<D>): string {
  const text = toJsonString(schema, message);
  return text.length > 2_000 ? `${text.slice(0, 120)}… (${text.length} characters)` : text;
}

/** The name of an enum's value; its number when it has none. */
export function wordOf(schema: DescEnum, value: number): string {
  return schema.value[value]?.localName ?? String(value);
}
