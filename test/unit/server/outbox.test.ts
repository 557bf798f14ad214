import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  SubmissionAcceptedSchema,
  SubmissionEndedSchema,
  SubmissionRefusedSchema,
} from "../../../gen/goclaw/v1/run_service_pb.ts";
import { Outbox } from "../../../src/server/outbox.ts";

const accepted = (number: number) => create(SubmissionAcceptedSchema, { number: BigInt(number) });
const ended = (number: number) => create(SubmissionEndedSchema, { number: BigInt(number) });

describe("the outbox", () => {
  it("gives everything that gathered in one message", () => {
    const outbox = new Outbox();
    outbox.accepted(accepted(1));
    outbox.ended(ended(1), 10);
    outbox.refused(create(SubmissionRefusedSchema, { number: 2n, message: "no" }));
    outbox.accepted(accepted(3));
    const batch = outbox.take();
    expect(batch.accepted.map(({ number }) => number)).toEqual([1n, 3n]);
    expect(batch.ended.map(({ number }) => number)).toEqual([1n]);
    expect(batch.refused.map(({ number }) => number)).toEqual([2n]);
    expect(outbox.isEmpty).toBe(true);
    expect(outbox.bytes).toBe(0);
  });

  it("splits what would make a message too large, and keeps the order", () => {
    const outbox = new Outbox();
    for (let number = 0; number < 5; number++) outbox.ended(ended(number), 400_000);
    const sizes: number[] = [];
    const numbers: bigint[] = [];
    while (!outbox.isEmpty) {
      const batch = outbox.take();
      sizes.push(batch.ended.length);
      numbers.push(...batch.ended.map(({ number }) => number));
    }
    expect(sizes).toEqual([3, 2]);
    expect(numbers).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(outbox.bytes).toBe(0);
  });

  it("counts what it holds", () => {
    const outbox = new Outbox();
    outbox.ended(ended(1), 1000);
    expect(outbox.bytes).toBeGreaterThanOrEqual(1000);
    expect(outbox.isEmpty).toBe(false);
  });
});
