import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryStore } from "../../src/adapters/memory-store.ts";
import { ReadAhead } from "../../src/journal/read-ahead.ts";

const key = fc.uint8Array({ minLength: 1, maxLength: 2, max: 6 });
const range = fc.tuple(key, key).map(([from, to]) => ({ from, to }));

test("a store that is read ahead answers as the store does", async () => {
  let hits = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(key, { maxLength: 40 }),
      fc.array(range, { maxLength: 3 }),
      fc.integer({ min: 1, max: 8 }),
      fc.array(key, { maxLength: 10 }),
      fc.array(
        fc.record({
          range,
          limit: fc.option(fc.integer({ min: 1, max: 5 })),
          reverse: fc.boolean(),
        }),
        {
          maxLength: 10,
        },
      ),
      async (keys, ahead, limit, gets, ranges) => {
        const store = new MemoryStore();
        await store.write(keys.map((of) => ({ key: of, value: of })));
        let asked = 0;
        const counting = {
          get(of: Uint8Array) {
            asked++;
            return store.get(of);
          },
          range(...of: Parameters<MemoryStore["range"]>) {
            asked++;
            return store.range(...of);
          },
        };
        const reader = await ReadAhead.of(counting, ahead, limit);
        asked = 0;
        for (const of of gets) expect(await reader.get(of)).toEqual(await store.get(of));
        for (const { range: of, limit: most, reverse } of ranges) {
          const options = { reverse, ...(most === null ? {} : { limit: most }) };
          expect(await reader.range(of, options)).toEqual(await store.range(of, options));
        }
        hits += gets.length + ranges.length - asked;
        for (const { range: of } of ranges) {
          const known = reader.entries(of);
          const all = await store.range(of, { limit: 1_000 });
          if (known !== undefined) expect(known).toEqual(all);
          if (reader.lacks(of)) expect(all).toEqual([]);
        }
      },
    ),
  );
  expect(hits).toBeGreaterThan(0);
});
