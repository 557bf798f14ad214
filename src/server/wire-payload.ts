/**
 * Payloads on the wire. JSON travels as google.protobuf.Value, so that curl and JSON clients are natural, or as Data
 * (text or bytes with a media type), which costs no conversion on either side; anything that Value cannot hold well (other
 * media types, nesting beyond the limit, numbers beyond a double, long texts) leaves as Data. Inside the daemon JSON stays text:
 * nothing here builds an object from a stranger's keys.
 */
import { create } from "@bufbuild/protobuf";
import type { Value } from "@bufbuild/protobuf/wkt";
import { ListValueSchema, NullValue, StructSchema, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Data } from "../../gen/goclaw/v1/workflow_pb.ts";
import { DataSchema } from "../../gen/goclaw/v1/workflow_pb.ts";
import { FaultError, fault } from "../base/fault.ts";
import { type Json, NULL_PAYLOAD, PAYLOAD_MAX_BYTES, type Payload } from "../base/payload.ts";
import { DEFINITION_LIMITS } from "../core/dag/definition.ts";
import { checkJsonShape } from "./json-shape.ts";

/**
 * JSON text up to here leaves as Value. Beyond it the conversion would hold the event loop for long, and a Value can be
 * six times its text, while many clients refuse messages beyond 4 MiB.
 */
const VALUE_TEXT_MAX = 256 * 1024;

/** The media type whose Data is JSON text. */
export const JSON_MEDIA_TYPE = "application/json";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Output in the two fields a message has for it; at most one is set. */
export interface WireOutput {
  output?: Value;
  outputData?: Data;
}

/**
 * Reads a payload from the two fields a request has for it; `null` when neither is set. Throws `ARGUMENT_INVALID` when
 * both are or when text declared as JSON is not, `LIMIT_EXCEEDED` for one too large or too deep.
 */
export function readPayload(
  field: string,
  value: Value | undefined,
  data: Data | undefined,
): Payload {
  if (value !== undefined && data !== undefined) {
    throw invalid(field, "given twice", `either ${field} or ${field}_data`);
  }
  if (data !== undefined) return readData(`${field}_data`, data);
  if (value === undefined) return NULL_PAYLOAD;
  return withinLimit(field, { json: valueText(field, value) });
}

function readData(field: string, data: Data): Payload {
  checkSize(field, data.data.byteLength);
  if (data.mediaType !== JSON_MEDIA_TYPE) {
    const mediaType = data.mediaType === "" ? "application/octet-stream" : data.mediaType;
    return { mediaType, bytes: data.data };
  }
  checkJsonShape(data.data, { depth: DEFINITION_LIMITS.jsonDepth }, field);
  try {
    const json = decoder.decode(data.data);
    JSON.parse(json);
    return { json };
  } catch (cause) {
    throw invalid(
      field,
      cause instanceof Error ? cause.message : String(cause),
      "JSON text in UTF-8",
    );
  }
}

function withinLimit(field: string, payload: { readonly json: string }): Payload {
  // Characters are at most three bytes of UTF-8, so short texts need no exact count.
  if (payload.json.length * 3 > PAYLOAD_MAX_BYTES)
    checkSize(field, encoder.encode(payload.json).byteLength);
  return payload;
}

function checkSize(field: string, value: number): void {
  if (value > PAYLOAD_MAX_BYTES) {
    throw new FaultError(
      fault("LIMIT_EXCEEDED", { field, value, limit: PAYLOAD_MAX_BYTES, unit: "bytes" }),
    );
  }
}

function invalid(field: string, value: string, expected: string): FaultError {
  return new FaultError(fault("ARGUMENT_INVALID", { field, value, expected }));
}

/** JSON text of a Value. Its depth is bounded by the decoder's recursion limit, and exactly here. */
export function valueText(field: string, value: Value): string {
  return textOf(field, value, 0);
}

function textOf(field: string, { kind }: Value, depth: number): string {
  switch (kind.case) {
    case undefined:
    case "nullValue":
      return "null";
    case "boolValue":
      return kind.value ? "true" : "false";
    case "stringValue":
      return JSON.stringify(kind.value);
    case "numberValue":
      if (!Number.isFinite(kind.value)) throw invalid(field, String(kind.value), "a finite number");
      return JSON.stringify(kind.value);
    case "listValue": {
      const inner = deeper(field, depth);
      return `[${kind.value.values.map((item) => textOf(field, item, inner)).join(",")}]`;
    }
    case "structValue": {
      const inner = deeper(field, depth);
      const members = Object.entries(kind.value.fields);
      return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${textOf(field, member, inner)}`).join(",")}}`;
    }
  }
}

function deeper(field: string, depth: number): number {
  const limit = DEFINITION_LIMITS.jsonDepth;
  if (depth < limit) return depth + 1;
  throw new FaultError(
    fault("LIMIT_EXCEEDED", { field, value: depth + 1, limit, unit: "levels of JSON" }),
  );
}

/** An output for readers: Value when it can hold it, else Data. `raw` always gives Data. */
export function writeOutput(payload: Payload | undefined, raw = false): WireOutput {
  if (payload === undefined) return {};
  if (!("json" in payload)) {
    return {
      outputData: create(DataSchema, { mediaType: payload.mediaType, data: payload.bytes }),
    };
  }
  const isShort = !raw && payload.json.length <= VALUE_TEXT_MAX;
  const value = isShort ? wireValue(JSON.parse(payload.json) as Json) : undefined;
  return value === undefined ? { outputData: jsonData(payload.json) } : { output: value };
}

/** JSON text as Data. */
export function jsonData(json: string): Data {
  return create(DataSchema, { mediaType: JSON_MEDIA_TYPE, data: encoder.encode(json) });
}

/** A JSON value as Value, or undefined when a double or the nesting limit cannot hold it. */
export function wireValue(json: Json, depth = 0): Value | undefined {
  const kind = kindOf(json, depth);
  return kind === undefined ? undefined : create(ValueSchema, { kind });
}

function kindOf(json: Json, depth: number): Value["kind"] | undefined {
  if (json === null) return { case: "nullValue", value: NullValue.NULL_VALUE };
  if (typeof json === "boolean") return { case: "boolValue", value: json };
  if (typeof json === "string") return { case: "stringValue", value: json };
  if (typeof json === "number") {
    return Number.isFinite(json) ? { case: "numberValue", value: json } : undefined;
  }
  if (depth === DEFINITION_LIMITS.jsonDepth) return undefined;
  return isList(json) ? listOf(json, depth + 1) : structOf(json, depth + 1);
}

/** Array.isArray does not narrow a readonly array out of a union. */
function isList(json: readonly Json[] | { readonly [key: string]: Json }): json is readonly Json[] {
  return Array.isArray(json);
}

function listOf(json: readonly Json[], depth: number): Value["kind"] | undefined {
  const list = create(ListValueSchema);
  for (const item of json) {
    const value = wireValue(item, depth);
    if (value === undefined) return undefined;
    list.values.push(value);
  }
  return { case: "listValue", value: list };
}

function structOf(
  json: { readonly [key: string]: Json },
  depth: number,
): Value["kind"] | undefined {
  const fields: [string, Value][] = [];
  for (const [key, member] of Object.entries(json)) {
    const value = wireValue(member, depth);
    if (value === undefined) return undefined;
    fields.push([key, value]);
  }
  // fromEntries defines own properties, also under the name `__proto__`.
  return {
    case: "structValue",
    value: create(StructSchema, { fields: Object.fromEntries(fields) }),
  };
}
