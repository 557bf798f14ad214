/** The sorted map against a plain one, with enough keys that blocks split and vanish. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { prng } from "../../../src/base/hash.ts";
import { SortedMap } from "../../../src/base/sorted-map.ts";

const LAST = "\uffff";
const all = (map: SortedMap<number>): [string, number][] =>
  [...map.range({ from: "", to: LAST })].map(([key, value]) => [key, value]);

describe("SortedMap", () => {
  test("agrees with a plain map under random changes and ranges", () => {
    const random = prng(5);
    const map = new SortedMap<number>();
    const model = new Map<string, number>();
    const key = (): string => Math.floor(random() * 6_000).toString(36);
    const sorted = (): [string, number][] => [...model].sort(([a], [b]) => (a < b ? -1 : 1));
    for (let step = 0; step < 20_000; step++) {
      const at = key();
      const dice = random();
      if (dice < 0.6) {
        map.set(at, step);
        model.set(at, step);
      } else if (dice < 0.98) expect(map.delete(at)).toBe(model.delete(at));
      else if (dice < 0.985) {
        const [from, to] = [at, key()].sort() as [string, string];
        const doomed = [...model.keys()].filter((name) => name >= from && name < to);
        expect(map.deleteRange(from, to)).toBe(doomed.length);
        for (const name of doomed) model.delete(name);
      }
      if (step % 500 !== 0) continue;
      expect(all(map)).toEqual(sorted());
      expect(map.size).toBe(model.size);
      expect(map.get(at)).toBe(model.get(at));
      const [from, to] = [key(), key()].sort() as [string, string];
      const inside = sorted().filter(([name]) => name >= from && name < to);
      expect([...map.range({ from, to })]).toEqual(inside);
      expect([...map.range({ from, to, limit: 7 })]).toEqual(inside.slice(0, 7));
      expect([...map.range({ from, to, limit: 7, reverse: true })]).toEqual(
        inside.reverse().slice(0, 7),
      );
    }
  });

  test("holds many ascending keys and gives all of them up again", () => {
    const map = new SortedMap<number>();
    const keys = Array.from({ length: 5_000 }, (_, n) => String(n).padStart(6, "0"));
    for (const [at, key] of keys.entries()) map.set(key, at);
    expect(all(map)).toEqual(keys.map((key, at) => [key, at]));
    expect(map.deleteRange("", LAST)).toBe(5_000);
    expect(all(map)).toEqual([]);
    map.set("again", 1);
    expect(map.get("again")).toBe(1);
  });

  test("empty and inverted ranges are empty", () => {
    const map = new SortedMap<number>();
    for (const key of "abcdef") map.set(key, 0);
    fc.assert(
      fc.property(fc.constantFrom(..."abcdefg"), fc.constantFrom(..."abcdefg"), (from, to) => {
        const expected = from < to ? [..."abcdef"].filter((key) => key >= from && key < to) : [];
        expect([...map.range({ from, to })].map(([key]) => key)).toEqual(expected);
      }),
    );
  });
});
