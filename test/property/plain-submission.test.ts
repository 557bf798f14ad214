import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { NumberedSubmissionSchema } from "../../gen/goclaw/v1/run_service_pb.ts";
import { isPlain } from "../../src/server/plain-submission.ts";
import { validateMessage } from "../../src/server/validation.ts";

/** Texts around the bounds, of one to four bytes a character; mostly short, so that all fields may be so at once. */
const text = fc.oneof(
  { weight: 8, arbitrary: fc.string({ maxLength: 12 }) },
  fc.string({ maxLength: 70 }),
  fc.string({ unit: "grapheme", maxLength: 300 }),
  fc.constant("\u{1f99e}".repeat(64)),
  fc.constant("ß".repeat(200)),
);

const run = fc.record({
  source: fc.oneof(
    fc.record({
      case: fc.constant("definition" as const),
      value: fc.oneof(text, fc.stringMatching(/^[a-z@.]{1,40}$/)),
    }),
    fc.constant({ case: undefined }),
  ),
  inputData: fc.option(
    fc.record({
      mediaType: text,
      data: fc.constantFrom(0, 10, 3 * 1024 * 1024).map((n) => new Uint8Array(n)),
    }),
    { nil: undefined },
  ),
  sessionId: text,
  priority: fc.integer({ min: -120, max: 120 }),
  deadline: fc.oneof(fc.constant(""), fc.constant("5s"), text),
  namespace: fc.constantFrom("", "", "", "team", "not a name"),
  idempotencyKey: text,
  labels: fc.constantFrom({}, {}, {}, { a: "b" }, { "": "x" }),
});

test("what passes the short cut passes the rules", () => {
  let plain = 0;
  fc.assert(
    fc.property(run, (fields) => {
      const message = create(NumberedSubmissionSchema, { number: 1n, run: fields });
      if (!isPlain(message)) return;
      plain++;
      validateMessage(NumberedSubmissionSchema, message);
    }),
    { numRuns: 3_000 },
  );
  expect(plain).toBeGreaterThan(20);
});

test("what a bulk client sends takes the short cut", () => {
  const inputData = { mediaType: "application/json", data: new Uint8Array(100) };
  const source = { case: "definition", value: "w1@1.0" } as const;
  expect(
    isPlain(create(NumberedSubmissionSchema, { number: 7n, run: { source, inputData } })),
  ).toBe(true);
  expect(isPlain(create(NumberedSubmissionSchema, { number: 7n }))).toBe(false);
});
