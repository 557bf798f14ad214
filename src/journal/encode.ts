/**
 * Writes plain objects as protobuf, following the tables of `schema.ts`. Required fields leave out their zero value as
 * proto3 does; optional ones are written whenever they are there. It runs for every event the engine commits, so it
 * allocates nothing but the buffer. A value that does not fit its table is a bug and asserts.
 */
import { assert, unreachable } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Payload } from "../base/payload.ts";
import type { Message, NamedField, Table, UnionMessage, Words } from "./schema.ts";
import { type ByteWriter, DELIMITED, toUtf8 } from "./wire.ts";

/** Payloads of more units or bytes than this lie under a key of their own. */
export const BLOB_MIN_SIZE = 32 * 1024;

type Bag = { readonly [name: string]: unknown };

/** Writes an object by its table, without a length in front. */
export function encode<T>(writer: ByteWriter, table: Message<T>, value: T): void {
  encodeFields(writer, table, value as Bag);
}

/** Writes a union by its table, without a length in front. */
export function encodeUnion<T>(writer: ByteWriter, of: UnionMessage<T>, value: T): void {
  const bag = value as Bag;
  const variant = of.variants[bag[of.discriminator] as string];
  assert(variant !== undefined, `there is no table for ${String(bag[of.discriminator])}`);
  encodeFields(writer, of.common, bag);
  writer.varint((variant.number << 3) | DELIMITED);
  const start = writer.open();
  encodeFields(writer, variant.table, bag);
  writer.close(start);
}

function encodeFields(writer: ByteWriter, table: Table, bag: Bag): void {
  for (const spec of table.fields) {
    const value = bag[spec.name];
    if (value !== undefined && (spec.optional || !isZero(value))) encodeField(writer, spec, value);
  }
}

function isZero(value: unknown): boolean {
  if (value === 0) return !Object.is(value, -0);
  return value === "" || value === false || (value instanceof Uint8Array && value.length === 0);
}

function encodeField(writer: ByteWriter, spec: NamedField, value: unknown): void {
  switch (spec.kind) {
    case "text":
      writer.varint(spec.tag);
      return writer.text(value as string);
    case "uint":
      assert(Number.isSafeInteger(value) && (value as number) >= 0, `${spec.name} is no count`);
      writer.varint(spec.tag);
      return writer.varint(value as number);
    case "sint":
      assert(value === ((value as number) | 0), `${spec.name} is no small integer`);
      writer.varint(spec.tag);
      return writer.varint((((value as number) << 1) ^ ((value as number) >> 31)) >>> 0);
    case "double":
      writer.varint(spec.tag);
      return writer.double(value as number);
    case "bool":
      writer.varint(spec.tag);
      return writer.byte(value ? 1 : 0);
    case "fixed32":
      writer.varint(spec.tag);
      return writer.fixed32(value as number);
    case "word": {
      const number = (spec.words as Words).numbers[value as string];
      assert(number !== undefined, `${spec.name}: ${String(value)} has no number`);
      writer.varint(spec.tag);
      return writer.varint(number);
    }
    case "bytes":
      writer.varint(spec.tag);
      return writer.delimited(value as Uint8Array);
    case "payload":
    case "message":
    case "union":
      return encodeNested(writer, spec, value);
    case "texts":
      for (const item of value as readonly string[]) {
        writer.varint(spec.tag);
        writer.text(item);
      }
      return;
    case "payloads":
    case "messages":
      for (const item of value as readonly unknown[]) encodeNested(writer, spec, item);
      return;
    case "uints":
    case "fixed32s":
      return encodePacked(writer, spec, value as readonly number[]);
    case "map":
      return encodeMap(writer, spec, value as { readonly [key: string]: string });
    default:
      return unreachable(spec.kind);
  }
}

function encodeNested(writer: ByteWriter, spec: NamedField, value: unknown): void {
  writer.varint(spec.tag);
  const start = writer.open();
  if (spec.table !== undefined) encodeFields(writer, spec.table, value as Bag);
  else if (spec.union !== undefined) encodeUnion(writer, spec.union, value);
  else encodePayload(writer, value as Payload);
  writer.close(start);
}

function encodePacked(writer: ByteWriter, spec: NamedField, values: readonly number[]): void {
  if (values.length === 0) return;
  writer.varint(spec.tag);
  const start = writer.open();
  const write = spec.kind === "uints" ? writer.varint : writer.fixed32;
  for (const value of values) write.call(writer, value);
  writer.close(start);
}

function encodeMap(
  writer: ByteWriter,
  spec: NamedField,
  value: { readonly [key: string]: string },
): void {
  for (const [key, item] of Object.entries(value)) {
    writer.varint(spec.tag);
    const start = writer.open();
    writer.byte(0x0a);
    writer.text(key);
    writer.byte(0x12);
    writer.text(item);
    writer.close(start);
  }
}

/** goclaw.journal.v1.Payload: json = 1, data = 2, media_type = 3, blob = 4 {index 1, crc 2, size 3, json 4}. */
function encodePayload(writer: ByteWriter, value: Payload): void {
  const isText = "json" in value;
  const size = isText ? value.json.length : value.bytes.length;
  if (!isText) {
    writer.byte(0x1a);
    writer.text(value.mediaType);
  }
  if (writer.blobs !== undefined && size > BLOB_MIN_SIZE) {
    encodeBlob(writer, writer.blobs, isText ? toUtf8(value.json) : value.bytes, isText);
  } else if (isText) {
    writer.byte(0x0a);
    writer.text(value.json);
  } else {
    writer.byte(0x12);
    writer.delimited(value.bytes);
  }
}

function encodeBlob(
  writer: ByteWriter,
  blobs: Uint8Array[],
  data: Uint8Array,
  isText: boolean,
): void {
  writer.byte(0x22);
  const start = writer.open();
  writer.byte(0x08);
  writer.varint(blobs.length);
  writer.byte(0x15);
  writer.fixed32(crc32c(data));
  writer.byte(0x18);
  writer.varint(data.length);
  writer.byte(0x20);
  writer.byte(isText ? 1 : 0);
  writer.close(start);
  blobs.push(data);
}
