/** The deque against an array, under any sequence of operations. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Deque } from "../../../src/base/deque.ts";

const operation = fc.oneof(
  { weight: 4, arbitrary: fc.integer().map((value) => ({ kind: "push" as const, value })) },
  { weight: 2, arbitrary: fc.integer().map((value) => ({ kind: "unshift" as const, value })) },
  { weight: 3, arbitrary: fc.constant({ kind: "shift" as const }) },
);

test("it behaves like an array", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 400 }), (operations) => {
      const deque = new Deque<number>();
      const model: number[] = [];
      for (const step of operations) {
        if (step.kind === "shift") expect(deque.shift()).toBe(model.shift());
        else {
          deque[step.kind](step.value);
          model[step.kind](step.value);
        }
        expect(deque.size).toBe(model.length);
        expect(deque.peek()).toBe(model[0]);
      }
      while (model.length > 0) expect(deque.shift()).toBe(model.shift());
      expect(deque.shift()).toBeUndefined();
    }),
  );
});

test("it grows past its first ring while its head is in the middle", () => {
  const deque = new Deque<number>();
  for (let value = 0; value < 10; value++) deque.push(value);
  for (let value = 0; value < 10; value++) expect(deque.shift()).toBe(value);
  for (let value = 0; value < 1_000; value++) deque.push(value);
  for (let value = 0; value < 1_000; value++) expect(deque.shift()).toBe(value);
});
