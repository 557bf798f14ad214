/**
 * Reads plain objects back from protobuf, following the tables of `schema.ts`. Unknown fields are skipped, so that an
 * older program reads what a newer one added; unknown variants and words are an error, because nobody can act on them.
 * All errors are {@link WireError}; the bytes have passed their checksum before they come here.
 */
import { unreachable } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Payload } from "../base/payload.ts";
import type { Kind, Message, NamedField, Table, UnionMessage, Variant, Words } from "./schema.ts";
import { type ByteReader, DELIMITED, fromUtf8, WireError } from "./wire.ts";

type Bag = { [name: string]: unknown };

/** What every empty map is, because almost all are. */
const NO_ENTRIES: Bag = Object.freeze({});

/** Reads up to the reader's end. Throws {@link WireError} when the bytes do not fit the table. */
export function decode<T>(reader: ByteReader, table: Message<T>): T {
  const bag: Bag = {};
  decodeFields(reader, table, bag);
  return bag as T;
}

/** Reads a union up to the reader's end; the discriminator is its first property. */
export function decodeUnion<T>(reader: ByteReader, of: UnionMessage<T>): T {
  const bag: Bag = { [of.discriminator]: undefined };
  setDefaults(of.common, bag);
  let found: Variant | undefined;
  while (reader.at < reader.end) {
    const tag = reader.varint();
    const number = Math.floor(tag / 8);
    const spec = of.common.byNumber[number];
    const variant = of.byNumber[number];
    if (spec !== undefined && spec.tag === tag) decodeField(reader, spec, bag);
    else if (variant !== undefined && (tag & 7) === DELIMITED) {
      found = variant;
      const outer = reader.enter();
      decodeFields(reader, variant.table, bag);
      reader.leave(outer);
    } else reader.skip(tag & 7);
  }
  if (found === undefined)
    throw new WireError(`this version does not know the ${of.discriminator}`);
  bag[of.discriminator] = found.word;
  return bag as T;
}

function decodeFields(reader: ByteReader, table: Table, bag: Bag): void {
  setDefaults(table, bag);
  while (reader.at < reader.end) {
    const tag = reader.varint();
    const spec = table.byNumber[Math.floor(tag / 8)];
    if (spec !== undefined && spec.tag === tag) decodeField(reader, spec, bag);
    else reader.skip(tag & 7);
  }
  for (const spec of table.fields) {
    if (!spec.optional && bag[spec.name] === undefined)
      throw new WireError(`${spec.name} is missing`);
  }
}

function setDefaults(table: Table, bag: Bag): void {
  for (const spec of table.fields) if (!spec.optional) bag[spec.name] = zeroOf(spec.kind);
}

/** What a required field is when nothing was written; undefined where something always is. */
function zeroOf(kind: Kind): unknown {
  switch (kind) {
    case "text":
      return "";
    case "uint":
    case "sint":
    case "double":
    case "fixed32":
      return 0;
    case "bool":
      return false;
    case "texts":
    case "uints":
    case "fixed32s":
    case "payloads":
    case "messages":
      return [];
    case "map":
      return NO_ENTRIES;
    case "bytes":
      return new Uint8Array(0);
    case "word":
    case "payload":
    case "message":
    case "union":
      return undefined;
    default:
      return unreachable(kind);
  }
}

function decodeField(reader: ByteReader, spec: NamedField, bag: Bag): void {
  switch (spec.kind) {
    case "text":
      bag[spec.name] = reader.text();
      return;
    case "uint":
      bag[spec.name] = reader.varint();
      return;
    case "sint": {
      const zigzag = reader.varint();
      bag[spec.name] = (zigzag >>> 1) ^ -(zigzag & 1);
      return;
    }
    case "double":
      bag[spec.name] = reader.double();
      return;
    case "bool":
      bag[spec.name] = reader.varint() !== 0;
      return;
    case "fixed32":
      bag[spec.name] = reader.fixed32();
      return;
    case "word": {
      const known = (spec.words as Words).texts[reader.varint()];
      if (known === undefined) throw new WireError(`this version does not know the ${spec.name}`);
      bag[spec.name] = known;
      return;
    }
    case "bytes":
      bag[spec.name] = reader.delimited();
      return;
    case "payload":
    case "message":
    case "union":
      bag[spec.name] = decodeNested(reader, spec);
      return;
    case "texts":
      listOf(bag, spec.name).push(reader.text());
      return;
    case "payloads":
    case "messages":
      listOf(bag, spec.name).push(decodeNested(reader, spec));
      return;
    case "uints":
    case "fixed32s":
      return decodePacked(reader, spec, listOf(bag, spec.name));
    case "map":
      if (bag[spec.name] === NO_ENTRIES) bag[spec.name] = {};
      return decodeEntry(reader, bag[spec.name] as { [key: string]: string });
    default:
      return unreachable(spec.kind);
  }
}

function listOf(bag: Bag, name: string): unknown[] {
  const list = (bag[name] ?? []) as unknown[];
  bag[name] = list;
  return list;
}

function decodeNested(reader: ByteReader, spec: NamedField): unknown {
  const outer = reader.enter();
  const value =
    spec.table !== undefined
      ? decode<unknown>(reader, spec.table)
      : spec.union !== undefined
        ? decodeUnion<unknown>(reader, spec.union)
        : decodePayload(reader);
  reader.leave(outer);
  return value;
}

function decodePacked(reader: ByteReader, spec: NamedField, list: unknown[]): void {
  const outer = reader.enter();
  while (reader.at < reader.end) {
    list.push(spec.kind === "uints" ? reader.varint() : reader.fixed32());
  }
  reader.leave(outer);
}

function decodeEntry(reader: ByteReader, into: { [key: string]: string }): void {
  const outer = reader.enter();
  let key = "";
  let value = "";
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === 0x0a) key = reader.text();
    else if (tag === 0x12) value = reader.text();
    else reader.skip(tag & 7);
  }
  reader.leave(outer);
  // Assigning to "__proto__" would call its setter instead of making a property.
  if (key === "__proto__") Object.defineProperty(into, key, { value, ...PLAIN });
  else into[key] = value;
}

const PLAIN = { enumerable: true, configurable: true, writable: true };

function decodePayload(reader: ByteReader): Payload {
  let json: string | undefined;
  let data: Uint8Array | undefined;
  let mediaType = "";
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === 0x0a) json = reader.text();
    else if (tag === 0x12) data = reader.delimited();
    else if (tag === 0x1a) mediaType = reader.text();
    else if (tag === 0x22) {
      const blob = decodeBlob(reader);
      if (blob.isText) json = fromUtf8(blob.data);
      else data = blob.data;
    } else reader.skip(tag & 7);
  }
  if (json !== undefined) return { json };
  if (data !== undefined) return { mediaType, bytes: data };
  throw new WireError("a payload has no content");
}

function decodeBlob(reader: ByteReader): { data: Uint8Array; isText: boolean } {
  const outer = reader.enter();
  let index = 0;
  let crc = 0;
  let size = 0;
  let isText = false;
  while (reader.at < reader.end) {
    const tag = reader.varint();
    if (tag === 0x08) index = reader.varint();
    else if (tag === 0x15) crc = reader.fixed32();
    else if (tag === 0x18) size = reader.varint();
    else if (tag === 0x20) isText = reader.varint() !== 0;
    else reader.skip(tag & 7);
  }
  reader.leave(outer);
  const data = reader.blobs[index];
  if (data === undefined) throw new WireError(`payload ${index} is missing`);
  if (data.length !== size || crc32c(data) !== crc)
    throw new WireError(`payload ${index} is damaged`);
  return { data, isText };
}
