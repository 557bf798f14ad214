/** The heap's rules that a model cannot show; the model is in test/property/heap.test.ts. */
import { describe, expect, test } from "vitest";
import { BugError } from "../../../src/base/assert.ts";
import { Heap } from "../../../src/base/heap.ts";

const entry = (key: number) => ({ key, heapIndex: -1 });
const heap = () => new Heap<ReturnType<typeof entry>>((a, b) => a.key < b.key);

describe("a heap", () => {
  test("is empty at first", () => {
    expect([heap().size, heap().peek(), heap().pop()]).toEqual([0, undefined, undefined]);
  });

  test("takes an entry once, and gives it back free", () => {
    const one = heap();
    const a = entry(1);
    one.push(a);
    expect(() => one.push(a)).toThrow(BugError);
    expect(() => heap().push(a)).toThrow(BugError);
    expect(one.pop()).toBe(a);
    expect(a.heapIndex).toBe(-1);
    one.push(a);
    expect(one.peek()).toBe(a);
  });

  test("removes its own entries only", () => {
    const one = heap();
    const other = heap();
    const a = entry(1);
    one.push(a);
    other.push(entry(2));
    expect(() => other.remove(a)).toThrow(BugError);
    expect(one.remove(a)).toBe(true);
    expect(one.remove(a)).toBe(false);
  });
});
