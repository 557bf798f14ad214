import { create, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { NullValue, ValueSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataSchema } from "../../../gen/goclaw/v1/workflow_pb.ts";
import { type Fault, FaultError } from "../../../src/base/fault.ts";
import { type Json, jsonPayload, type Payload } from "../../../src/base/payload.ts";
import { jsonData, readPayload, wireValue, writeOutput } from "../../../src/server/wire-payload.ts";

const value = (json: Json) => fromJson(ValueSchema, json as never);
const nested = (levels: number): Json => {
  let json: Json = 1;
  for (let level = 0; level < levels; level++) json = [json];
  return json;
};
const faultOf = (act: () => unknown): Fault => {
  try {
    act();
  } catch (error) {
    if (error instanceof FaultError) return error.fault;
    throw error;
  }
  throw new Error("nothing was refused");
};

describe("a payload from the wire", () => {
  it("is null when neither field is set", () => {
    expect(readPayload("input", undefined, undefined)).toEqual({ json: "null" });
  });

  it("keeps JSON of a Value as text, also under names that could touch a prototype", () => {
    const json = '{"__proto__":{"x":1},"constructor":[null,true,"ü\\n",-1.5]}';
    const read = readPayload("input", value(JSON.parse(json) as Json), undefined);
    expect(read).toEqual({ json });
  });

  it("takes a Value without a kind for null", () => {
    expect(readPayload("input", create(ValueSchema), undefined)).toEqual({ json: "null" });
  });

  it("round-trips every JSON value through Value", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (json) => {
        const wire = wireValue(json as Json);
        if (wire === undefined) throw new Error("a Value could not hold it");
        const sent = fromBinary(ValueSchema, toBinary(ValueSchema, wire));
        const read = readPayload("input", sent, undefined);
        expect(JSON.parse("json" in read ? read.json : "")).toEqual(
          JSON.parse(JSON.stringify(json)),
        );
      }),
    );
  });

  it("keeps JSON text of Data as it was written", () => {
    const text = '{ "n": 1.0 }';
    expect(readPayload("input", undefined, jsonData(text))).toEqual({ json: text });
  });

  it("keeps other media types as bytes", () => {
    const data = create(DataSchema, { mediaType: "image/png", data: Uint8Array.of(1, 2) });
    expect(readPayload("input", undefined, data)).toEqual({
      mediaType: "image/png",
      bytes: Uint8Array.of(1, 2),
    });
    const bare = create(DataSchema, { data: Uint8Array.of(3) });
    expect(readPayload("input", undefined, bare)).toMatchObject({
      mediaType: "application/octet-stream",
    });
  });

  it("is refused when given in both fields", () => {
    const refused = faultOf(() => readPayload("input", value(1), jsonData("1")));
    expect(refused).toMatchObject({ code: "ARGUMENT_INVALID", field: "input" });
  });

  it("is refused when text declared as JSON is none, or no UTF-8", () => {
    const broken = faultOf(() => readPayload("input", undefined, jsonData("{")));
    expect(broken).toMatchObject({ code: "ARGUMENT_INVALID", field: "input_data" });
    const latin1 = create(DataSchema, {
      mediaType: "application/json",
      data: Uint8Array.of(0x22, 0xff, 0x22),
    });
    expect(faultOf(() => readPayload("input", undefined, latin1)).code).toBe("ARGUMENT_INVALID");
  });

  it("is refused when a number is none of JSON", () => {
    const infinite = create(ValueSchema, { kind: { case: "numberValue", value: Infinity } });
    expect(faultOf(() => readPayload("input", infinite, undefined))).toMatchObject({
      code: "ARGUMENT_INVALID",
      value: "Infinity",
    });
  });

  it("may nest 64 levels, and no deeper", () => {
    expect(readPayload("input", value(nested(64)), undefined)).toHaveProperty("json");
    expect(faultOf(() => readPayload("input", value(nested(65)), undefined))).toMatchObject({
      code: "LIMIT_EXCEEDED",
      value: 65,
      limit: 64,
    });
    const deep = jsonData("[".repeat(65) + "]".repeat(65));
    expect(faultOf(() => readPayload("input", undefined, deep)).code).toBe("LIMIT_EXCEEDED");
  });

  it("may have 2 MiB in UTF-8, and no more", () => {
    const two = 2 * 1024 * 1024;
    const text = (bytes: number) => value("a".repeat(bytes - 2));
    expect(readPayload("input", text(two), undefined)).toHaveProperty("json");
    expect(faultOf(() => readPayload("input", text(two + 1), undefined))).toMatchObject({
      code: "LIMIT_EXCEEDED",
      value: two + 1,
    });
    const umlauts = value("ü".repeat(two / 2));
    expect(faultOf(() => readPayload("input", umlauts, undefined)).code).toBe("LIMIT_EXCEEDED");
    const bytes = create(DataSchema, { mediaType: "x/y", data: new Uint8Array(two + 1) });
    expect(faultOf(() => readPayload("input", undefined, bytes)).code).toBe("LIMIT_EXCEEDED");
  });
});

describe("a payload to the wire", () => {
  it("is nothing when there is none", () => {
    expect(writeOutput(undefined)).toEqual({});
  });

  it("is a Value when it is JSON", () => {
    const { output, outputData } = writeOutput(jsonPayload({ a: [1, null] }));
    expect(outputData).toBeUndefined();
    expect(output && toJson(ValueSchema, output)).toEqual({ a: [1, null] });
  });

  it("is a null Value when it is null", () => {
    expect(writeOutput({ json: "null" }).output?.kind).toEqual({
      case: "nullValue",
      value: NullValue.NULL_VALUE,
    });
  });

  it.each<[string, Payload]>([
    ["nested deeper than a Value may be", { json: JSON.stringify(nested(65)) }],
    ["a number no double can hold", { json: "[1e999]" }],
    ["longer than is worth converting", { json: JSON.stringify("a".repeat(600_000)) }],
  ])("is Data when it is %s", (_, payload) => {
    const { output, outputData } = writeOutput(payload);
    expect(output).toBeUndefined();
    expect(new TextDecoder().decode(outputData?.data)).toBe("json" in payload && payload.json);
    expect(outputData?.mediaType).toBe("application/json");
  });

  it("is Data when it is bytes, or when the client asked for it", () => {
    const bytes = writeOutput({ mediaType: "image/png", bytes: Uint8Array.of(9) });
    expect(bytes.outputData).toMatchObject({ mediaType: "image/png", data: Uint8Array.of(9) });
    expect(writeOutput(jsonPayload(1), true).outputData?.data).toEqual(Uint8Array.of(0x31));
  });
});
