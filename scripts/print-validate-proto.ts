/**
 * Prints buf/validate/validate.proto from the descriptor inside @bufbuild/protovalidate, because that package carries no
 * .proto file and buf must not download one. Names, numbers and types are printed, which is all a compiler needs; the
 * rules' own expressions stay in the package, which is what evaluates them at run time. It handles the shapes this one
 * file uses (proto2, nothing nested) and throws at any other.
 */
import { writeFileSync } from "node:fs";
import type { DescEnum, DescExtension, DescField, DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate as file } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/** The largest field number there is, exclusive; .proto files write it as `max`. */
const FIELD_NUMBER_END = 536_870_912;

const HEADER = `// Printed by scripts/print-validate-proto.ts from the descriptor in the npm package @bufbuild/protovalidate; do not edit.
// Copyright 2023-2026 Buf Technologies, Inc., Apache License 2.0. Comments and rule expressions are left out.
`;

function typeName({ proto }: DescField | DescExtension): string {
  if (proto.type === Type.MESSAGE || proto.type === Type.ENUM) return proto.typeName.slice(1);
  const scalar: string | undefined = ScalarType[proto.type];
  if (scalar === undefined) throw new Error(`${proto.name}: no text for field type ${proto.type}`);
  return scalar.toLowerCase();
}

function fieldLine(field: DescField | DescExtension, indent: string): string {
  const { proto } = field;
  const inOneof = field.kind === "field" && field.oneof !== undefined;
  const label = proto.label === Label.REPEATED ? "repeated " : inOneof ? "" : "optional ";
  return `${indent}${label}${typeName(field)} ${proto.name} = ${proto.number};`;
}

function memberLines(message: DescMessage): string[] {
  return message.members.flatMap((member) =>
    member.kind === "field"
      ? [fieldLine(member, "  ")]
      : [
          `  oneof ${member.name} {`,
          ...member.fields.map((field) => fieldLine(field, "    ")),
          "  }",
        ],
  );
}

function messageLines(message: DescMessage): string[] {
  const { proto } = message;
  if (proto.nestedType.length + proto.enumType.length + proto.extension.length > 0) {
    throw new Error(`${message.name}: nested declarations are not handled`);
  }
  const rangeEnd = (end: number) => (end === FIELD_NUMBER_END ? "max" : end - 1);
  return [
    `message ${message.name} {`,
    ...memberLines(message),
    ...proto.extensionRange.map(
      (range) => `  extensions ${range.start} to ${rangeEnd(range.end)};`,
    ),
    ...proto.reservedRange.map((range) => `  reserved ${range.start} to ${range.end - 1};`),
    ...proto.reservedName.map((name) => `  reserved "${name}";`),
    "}",
    "",
  ];
}

function enumLines(of: DescEnum): string[] {
  return [
    `enum ${of.name} {`,
    ...of.values.map((value) => `  ${value.name} = ${value.number};`),
    // A proto2 enum reserves inclusive ranges, unlike a message.
    ...of.proto.reservedRange.map((range) => `  reserved ${range.start} to ${range.end};`),
    ...of.proto.reservedName.map((name) => `  reserved "${name}";`),
    "}",
    "",
  ];
}

function extensionLines(extension: DescExtension): string[] {
  return [`extend ${extension.extendee.typeName} {`, fieldLine(extension, "  "), "}", ""];
}

const text = [
  HEADER,
  'syntax = "proto2";',
  "",
  `package ${file.proto.package};`,
  "",
  ...file.proto.dependency.map((path) => `import "${path}";`),
  "",
  ...file.extensions.flatMap(extensionLines),
  ...file.messages.flatMap(messageLines),
  ...file.enums.flatMap(enumLines),
].join("\n");

const [target] = process.argv.slice(2);
if (target === undefined) throw new Error("usage: print-validate-proto.ts FILE");
writeFileSync(target, `${text.trimEnd()}\n`);
