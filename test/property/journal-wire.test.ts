/**
 * The journal's codec is protobuf: generated code reads what it writes and it reads what generated code writes, for
 * every event, and no field lands under a number the schema does not have. The tables and the schema are also compared
 * name by name, so that a field cannot sit under another's number.
 */
import {
  create,
  type DescEnum,
  type DescMessage,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AgendaSchema,
  CommitRecordSchema,
  CursorSchema,
  DefinitionSchema,
  EndedRunSchema,
  EpochSchema,
  EventSchema,
  FormatSchema,
  IdempotentRunSchema,
  KeyOfRunSchema,
  OpenRunSchema,
  ReasonSchema,
  ReceiptSchema,
  RegisteredDefinitionSchema,
  RunStateSchema,
  RunStatusSchema,
  SnapshotSchema,
  TaskStatusSchema,
  TrimmedSchema,
  VerifiedSchema,
} from "../../gen/goclaw/journal/v1/journal_pb.ts";
import type { Event } from "../../src/core/run/message.ts";
import { decodeUnion } from "../../src/journal/decode.ts";
import { encodeUnion } from "../../src/journal/encode.ts";
import {
  EVENT,
  REASON_NUMBERS,
  RECEIPT_NUMBERS,
  RUN_STATUS_NUMBERS,
  TASK_STATUS_NUMBERS,
} from "../../src/journal/event-table.ts";
import {
  COMMIT,
  CURSOR,
  DEFINITION,
  ENDED,
  EPOCH,
  FORMAT,
  IDEMPOTENT,
  KEY_OF_RUN,
  OPEN,
  REGISTERED,
  TRIMMED,
  VERIFIED,
} from "../../src/journal/index-table.ts";
import type { Kind, Table, Union } from "../../src/journal/schema.ts";
import { SNAPSHOT, STATE } from "../../src/journal/state-table.ts";
import { ByteReader, ByteWriter } from "../../src/journal/wire.ts";
import { EVENT_TYPES, eventOf } from "../support/events.ts";

function bytesOf(event: Event): Uint8Array {
  const writer = new ByteWriter();
  encodeUnion(writer, EVENT, event);
  return writer.since(0).slice();
}

/** Fields that generated code did not know, anywhere inside. */
function unknownFields(schema: DescMessage, message: Message): string[] {
  const found = (message.$unknown ?? []).map(({ no }) => `${schema.typeName}.${no}`);
  const view = reflect(schema, message);
  for (const field of schema.fields) {
    if (!view.isSet(field)) continue;
    if (field.fieldKind === "message") {
      found.push(
        ...unknownFields(field.message, (view.get(field) as { message: Message }).message),
      );
    } else if (field.fieldKind === "list" && field.listKind === "message") {
      for (const item of view.get(field)) {
        found.push(...unknownFields(field.message, (item as { message: Message }).message));
      }
    }
  }
  return found;
}

describe("events and generated code", () => {
  test.each(EVENT_TYPES)("%s crosses in both directions", (type) => {
    fc.assert(
      fc.property(eventOf(type), (event) => {
        const message = fromBinary(EventSchema, bytesOf(event));
        expect(unknownFields(EventSchema, message)).toEqual([]);
        expect(message.type.case).toBe(type.replace(/_(.)/g, (_, letter) => letter.toUpperCase()));
        expect(decodeUnion(new ByteReader(toBinary(EventSchema, message)), EVENT)).toEqual(event);
      }),
      { numRuns: 25 },
    );
  });

  test("a field by name", () => {
    const message = create(EventSchema, {
      at: 12.5,
      type: {
        case: "taskRetrying",
        value: {
          task: "fetch",
          attempt: 3n,
          reason: 13,
          message: "too slow",
          dueAt: 99,
          counted: true,
          stopGraceMs: 0,
          input: { content: { case: "data", value: Uint8Array.of(1, 2) }, mediaType: "x/y" },
        },
      },
    });
    expect(decodeUnion(new ByteReader(toBinary(EventSchema, message)), EVENT)).toEqual({
      type: "task_retrying",
      at: 12.5,
      task: "fetch",
      attempt: 3,
      reason: "TIMED_OUT",
      message: "too slow",
      dueAt: 99,
      counted: true,
      stopGraceMs: 0,
      input: { mediaType: "x/y", bytes: Uint8Array.of(1, 2) },
    });
  });
});

/** What the schema must say for a field of each kind. */
const SCHEMA_TYPE: Readonly<Record<Kind, string>> = {
  text: "string",
  uint: "uint64",
  sint: "sint32",
  double: "double",
  bool: "bool",
  fixed32: "fixed32",
  word: "enum",
  bytes: "bytes",
  payload: "message",
  message: "message",
  union: "message",
  texts: "repeated string",
  uints: "repeated uint64",
  fixed32s: "repeated fixed32",
  payloads: "repeated message",
  messages: "repeated message",
  map: "map",
};

const SCALARS = ["", "double", "", "", "uint64", "", "", "fixed32", "bool", "string"];
const scalarName = (type: number): string =>
  SCALARS[type] ?? { 12: "bytes", 17: "sint32" }[type] ?? `${type}`;

function schemaType(field: DescMessage["fields"][number]): string {
  switch (field.fieldKind) {
    case "scalar":
      return scalarName(field.scalar);
    case "list":
      return `repeated ${field.listKind === "scalar" ? scalarName(field.scalar) : field.listKind}`;
    default:
      return field.fieldKind;
  }
}

/** Differences between a table and a schema, all the way down. */
function differences(table: Table, schema: DescMessage): string[] {
  const ours = table.fields.map(
    (field) => `${field.name} = ${field.number}: ${SCHEMA_TYPE[field.kind]}`,
  );
  const theirs = schema.fields.map(
    (field) => `${field.localName} = ${field.number}: ${schemaType(field)}`,
  );
  const found = [
    ...ours
      .filter((field) => !theirs.includes(field))
      .map((field) => `${schema.name} lacks ${field}`),
    ...theirs
      .filter((field) => !ours.includes(field))
      .map((field) => `${schema.name} has ${field}`),
  ];
  for (const field of table.fields) {
    const message = schema.fields.find(({ number }) => number === field.number)?.message;
    if (message === undefined) continue;
    if (field.table !== undefined) found.push(...differences(field.table, message));
    if (field.union !== undefined) found.push(...unionDifferences(field.union, message));
  }
  return found;
}

function unionDifferences(union: Union, schema: DescMessage): string[] {
  const [oneof] = schema.oneofs;
  const found = differences(union.common, {
    ...schema,
    fields: schema.fields.filter((field) => field.oneof === undefined),
  } as DescMessage);
  if (oneof === undefined) return [...found, `${schema.name} has no oneof`];
  for (const field of oneof.fields) {
    const variant = union.variants[field.name];
    if (variant?.number !== field.number) found.push(`${schema.name} differs in ${field.name}`);
    else found.push(...differences(variant.table, field.message as DescMessage));
  }
  if (oneof.fields.length !== Object.keys(union.variants).length)
    found.push(`${schema.name} is incomplete`);
  return found;
}

describe("tables and schema", () => {
  test.each<[string, Table, DescMessage]>([
    ["commit", COMMIT, CommitRecordSchema],
    ["open", OPEN, OpenRunSchema],
    ["ended", ENDED, EndedRunSchema],
    ["definition", DEFINITION, DefinitionSchema],
    ["registered", REGISTERED, RegisteredDefinitionSchema],
    ["idempotent", IDEMPOTENT, IdempotentRunSchema],
    ["key of run", KEY_OF_RUN, KeyOfRunSchema],
    ["trimmed", TRIMMED, TrimmedSchema],
    ["cursor", CURSOR, CursorSchema],
    ["verified", VERIFIED, VerifiedSchema],
    ["format", FORMAT, FormatSchema],
    ["epoch", EPOCH, EpochSchema],
    ["snapshot", SNAPSHOT, SnapshotSchema],
    ["state", STATE, RunStateSchema],
  ])("%s agree", (_, table, schema) => {
    expect(differences(table, schema)).toEqual([]);
  });

  test("events agree", () => {
    expect(unionDifferences(EVENT, EventSchema)).toEqual([]);
  });

  test("a difference would be seen", () => {
    expect(differences(OPEN, AgendaSchema)).not.toEqual([]);
    expect(unionDifferences({ ...EVENT, variants: {} }, EventSchema)).not.toEqual([]);
  });

  test.each<[string, Readonly<Record<string, number>>, DescEnum]>([
    ["REASON_", REASON_NUMBERS, ReasonSchema],
    ["TASK_STATUS_", TASK_STATUS_NUMBERS, TaskStatusSchema],
    ["RUN_STATUS_", RUN_STATUS_NUMBERS, RunStatusSchema],
    ["RECEIPT_", RECEIPT_NUMBERS, ReceiptSchema],
  ])("%s words have the schema's numbers", (prefix, numbers, schema) => {
    const theirs = schema.values
      .filter(({ number }) => number !== 0)
      .map(({ name, number }) => [name, number]);
    const ours = Object.entries(numbers).map(([word, number]) => [
      prefix + word.toUpperCase(),
      number,
    ]);
    expect(Object.fromEntries(ours)).toEqual(Object.fromEntries(theirs));
  });
});
