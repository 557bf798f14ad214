/**
 * Values between programs and the wire. Inputs travel as JSON text, which costs the daemon no conversion; outputs are
 * read from whichever of the two forms they come in. What is not JSON is shown as its base64, as everywhere else.
 */
import { create, fromJson, toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { type Data, DataSchema } from "../../gen/goclaw/v1/workflow_pb.ts";
import { type Json, type Payload, payloadValue } from "../base/payload.ts";

const JSON_MEDIA_TYPE = "application/json";

/** JSON text of a program's value; `undefined` is null. Throws a `TypeError` for what JSON cannot say. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value ?? null) as string | undefined;
  if (text === undefined) throw new TypeError(`a ${typeof value} is not JSON`);
  return text;
}

/** A program's value as an input. */
export function inputData(value: unknown): Data {
  return create(DataSchema, {
    mediaType: JSON_MEDIA_TYPE,
    data: new TextEncoder().encode(jsonText(value)),
  });
}

/** A JSON value as the wire's. */
export function jsonValue(value: Json): Value {
  return fromJson(ValueSchema, value as Parameters<typeof fromJson>[1]);
}

/** An output as a program's value; undefined when there is none. */
export function outputValue(value: Value | undefined, data: Data | undefined): unknown {
  if (value !== undefined) return toJson(ValueSchema, value);
  if (data === undefined) return undefined;
  return payloadValue(payloadOf(data));
}

/** Bytes and their media type as a payload; JSON becomes text and is not looked at. */
export function payloadOf({ mediaType, data: bytes }: Data): Payload {
  if (mediaType !== JSON_MEDIA_TYPE) return { mediaType, bytes };
  return { json: new TextDecoder().decode(bytes) };
}
