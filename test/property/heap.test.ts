/** The heap against a sorted array, under any sequence of pushes, pops, removals and changed keys. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Heap } from "../../src/base/heap.ts";

interface Entry {
  key: number;
  readonly sequence: number;
  heapIndex: number;
}

const before = (a: Entry, b: Entry) =>
  a.key < b.key || (a.key === b.key && a.sequence < b.sequence);
const sorted = (entries: readonly Entry[]) => [...entries].sort((a, b) => (before(a, b) ? -1 : 1));

const operation = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("push"), key: fc.nat(20), pick: fc.nat() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("pop"), key: fc.nat(20), pick: fc.nat() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("remove"), key: fc.nat(20), pick: fc.nat() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("update"), key: fc.nat(20), pick: fc.nat() }),
  },
);

test("it pops what sorting would put first", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const heap = new Heap<Entry>(before);
      const model: Entry[] = [];
      for (const [sequence, { kind, key, pick }] of operations.entries()) {
        const chosen = model[pick % Math.max(1, model.length)];
        if (kind === "push") {
          const entry = { key, sequence, heapIndex: -1 };
          heap.push(entry);
          model.push(entry);
        } else if (kind === "pop") {
          const [first] = sorted(model);
          expect(heap.pop()).toBe(first);
          if (first !== undefined) model.splice(model.indexOf(first), 1);
        } else if (chosen !== undefined && kind === "remove") {
          expect(heap.remove(chosen)).toBe(true);
          model.splice(model.indexOf(chosen), 1);
        } else if (chosen !== undefined) {
          chosen.key = key;
          heap.update(chosen);
        }
        expect(heap.size).toBe(model.length);
        expect(heap.peek()).toBe(sorted(model)[0]);
      }
      expect([...heap.values()].every((entry, index) => entry.heapIndex === index)).toBe(true);
      for (const entry of sorted(model)) expect(heap.pop()).toBe(entry);
      expect(heap.pop()).toBeUndefined();
    }),
  );
});
