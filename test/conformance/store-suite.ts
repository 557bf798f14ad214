/**
 * What every ordered store must do, whatever it stands on. The store's file gives a `StoreCase` that says how to open,
 * and re-open, one place; everything here goes through the port.
 */
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { compareBytes, keyAfter } from "../../src/base/bytes.ts";
import type { Entry, OrderedStore, Write } from "../../src/ports/store.ts";

/** One place where a store can be opened again and again. */
export interface StorePlace {
  open(): Promise<OrderedStore>;
  dispose(): Promise<void>;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const put = (key: string, value: string): Write => ({ key: text(key), value: text(value) });
const del = (key: string): Write => ({ key: text(key), value: undefined });
const everything = { from: bytes(), to: bytes(0xff, 0xff) };
const shown = (entries: readonly Entry[]): string[] =>
  entries.map(
    ({ key, value }) => `${new TextDecoder().decode(key)}=${new TextDecoder().decode(value)}`,
  );

/** Runs the suite; `place` makes a new, empty place. */
export function describeStore(name: string, place: () => Promise<StorePlace>): void {
  describe(`${name} is an ordered store`, () => {
    const used: { store?: OrderedStore; place: StorePlace }[] = [];

    async function openNew(): Promise<{
      store: OrderedStore;
      reopen: () => Promise<OrderedStore>;
    }> {
      const here: { store?: OrderedStore; place: StorePlace } = { place: await place() };
      used.push(here);
      const open = async (): Promise<OrderedStore> => {
        here.store = await here.place.open();
        return here.store;
      };
      const store = await open();
      const reopen = async (): Promise<OrderedStore> => {
        await here.store?.close();
        return open();
      };
      return { store, reopen };
    }

    afterEach(async () => {
      for (const { store, place: where } of used.splice(0)) {
        await store?.close();
        await where.dispose();
      }
    });

    test("what is written is read, and read again after re-opening", async () => {
      const { store, reopen } = await openNew();
      await store.write([put("a", "1"), put("b", "2"), put("c", "3")]);
      await store.write([del("b"), put("a", "one")]);
      for (const open of [async () => store, reopen]) {
        const reader = await open();
        expect(shown(await reader.range(everything))).toEqual(["a=one", "c=3"]);
        expect(await reader.get(text("b"))).toBeUndefined();
        expect(await reader.get(text("a"))).toEqual(text("one"));
      }
    });

    test("the last write of a key wins, inside a batch and between batches", async () => {
      const { store } = await openNew();
      await store.write([put("k", "1"), del("k"), put("k", "2")]);
      await store.write([put("gone", "x"), del("gone")]);
      const writes = Array.from({ length: 200 }, (_, n) => store.write([put("race", `${n}`)]));
      await Promise.all(writes);
      expect(shown(await store.range(everything))).toEqual(["k=2", "race=199"]);
    });

    test("writes resolve in the order of their calls, and are visible then", async () => {
      const { store } = await openNew();
      const resolved: number[] = [];
      await Promise.all(
        Array.from({ length: 100 }, async (_, n) => {
          await store.write([put(`k${n}`, `${n}`)]);
          resolved.push(n);
          expect(await store.get(text(`k${n}`))).toEqual(text(`${n}`));
        }),
      );
      expect(resolved).toEqual(Array.from({ length: 100 }, (_, n) => n));
    });

    test("a batch has been taken when write returns", async () => {
      const { store } = await openNew();
      const key = text("key");
      const value = text("value");
      const written = store.write([{ key, value }]);
      key.fill(0);
      value.fill(0);
      await written;
      expect(shown(await store.range(everything))).toEqual(["key=value"]);
    });

    test("views into larger buffers are taken as the bytes they show", async () => {
      const { store } = await openNew();
      const large = text("xxkeyyvaluezz");
      await store.write([{ key: large.subarray(2, 5), value: large.subarray(6, 11) }]);
      expect(await store.get(large.subarray(2, 5))).toEqual(text("value"));
      const range = { from: large.subarray(2, 5), to: large.subarray(11, 13) };
      expect(shown(await store.range(range))).toEqual(["key=value"]);
    });

    test("keys and values may be any bytes, and order is unsigned", async () => {
      const { store, reopen } = await openNew();
      const keys = [bytes(0), bytes(0, 0), bytes(1), bytes(0x7f), bytes(0x80), bytes(0xfe, 0xff)];
      const shuffled = [4, 0, 5, 2, 1, 3].map((at) => keys[at] as Uint8Array);
      await store.write(shuffled.map((key) => ({ key, value: key })));
      await store.write([{ key: bytes(2), value: bytes() }]);
      const reader = await reopen();
      const found = await reader.range(everything);
      expect(found.map(({ key }) => [...key])).toEqual(
        [...keys.slice(0, 3), bytes(2), ...keys.slice(3)].map((key) => [...key]),
      );
      expect(await reader.get(bytes(2))).toEqual(bytes());
    });

    test("ranges: first included, last not; pages; both directions; empty ones", async () => {
      const { store } = await openNew();
      const names = Array.from({ length: 25 }, (_, n) => `k${String(n).padStart(2, "0")}`);
      await store.write(names.map((key) => put(key, key)));
      const keysOf = async (...args: Parameters<OrderedStore["range"]>): Promise<string[]> =>
        (await store.range(...args)).map(({ key }) => new TextDecoder().decode(key));

      const part = { from: text("k03"), to: text("k07") };
      expect(await keysOf(part)).toEqual(["k03", "k04", "k05", "k06"]);
      expect(await keysOf(part, { reverse: true })).toEqual(["k06", "k05", "k04", "k03"]);
      expect(await keysOf(part, { limit: 2 })).toEqual(["k03", "k04"]);
      expect(await keysOf(part, { limit: 2, reverse: true })).toEqual(["k06", "k05"]);
      expect(await keysOf({ from: text("x"), to: text("z") })).toEqual([]);
      expect(await keysOf({ from: text("k07"), to: text("k03") })).toEqual([]);

      const paged: string[] = [];
      let from: Uint8Array = bytes();
      for (;;) {
        const page = await store.range({ from, to: everything.to }, { limit: 10 });
        paged.push(...page.map(({ key }) => new TextDecoder().decode(key)));
        const last = page.at(-1);
        if (last === undefined) break;
        from = keyAfter(last.key);
      }
      expect(paged).toEqual(names);
    });

    test("a page without a limit has 1,000 entries", async () => {
      const { store } = await openNew();
      await store.write(Array.from({ length: 1_200 }, (_, n) => put(`k${n}`, "")));
      expect(await store.range(everything)).toHaveLength(1_000);
      expect(await store.range(everything, { limit: 5_000 })).toHaveLength(1_200);
    });

    test("a range is deleted in its turn among the writes", async () => {
      const { store, reopen } = await openNew();
      await Promise.all([
        store.write([put("a", "1"), put("b", "1"), put("c", "1"), put("d", "1")]),
        store.deleteRange({ from: text("b"), to: text("d") }),
        store.write([put("c", "2")]),
      ]);
      expect(shown(await (await reopen()).range(everything))).toEqual(["a=1", "c=2", "d=1"]);
    });

    test("deleting a large range leaves its neighbours", async () => {
      const { store } = await openNew();
      await store.write([put("a", "1"), put("z", "1")]);
      for (let part = 0; part < 3; part++) {
        await store.write(Array.from({ length: 8_000 }, (_, n) => put(`m${part}-${n}`, "x")));
      }
      await store.deleteRange({ from: text("m"), to: text("n") });
      expect(shown(await store.range(everything))).toEqual(["a=1", "z=1"]);
    });

    test("values of several megabytes", async () => {
      const { store, reopen } = await openNew();
      const large = new Uint8Array(5_000_000).map((_, at) => (at * 31) & 255);
      await store.write([{ key: text("large"), value: large }, put("small", "1")]);
      const found = await (await reopen()).get(text("large"));
      expect(found !== undefined && compareBytes(found, large) === 0).toBe(true);
    });

    test("many reads at once get their own answers", async () => {
      const { store } = await openNew();
      await store.write(Array.from({ length: 500 }, (_, n) => put(`k${n}`, `${n}`)));
      const found = await Promise.all(
        Array.from({ length: 600 }, (_, n) => store.get(text(`k${n}`))),
      );
      expect(found.slice(0, 500)).toEqual(Array.from({ length: 500 }, (_, n) => text(`${n}`)));
      expect(found.slice(500).every((value) => value === undefined)).toBe(true);
    });

    test("it reports a size that grows", async () => {
      const { store } = await openNew();
      const before = await store.sizeBytes();
      await store.write([{ key: text("k"), value: new Uint8Array(1_000_000).fill(7) }]);
      expect(await store.sizeBytes()).toBeGreaterThan(before + 500_000);
    });

    test("a second open is refused while the first lasts", async () => {
      const where = await place();
      const store = await where.open();
      used.push({ store, place: where });
      const second = (async () => where.open())();
      await expect(second).rejects.toMatchObject({ fault: { code: "STORE_LOCKED" } });
      await store.write([put("still", "works")]);
      await store.close();
      const again = await where.open();
      expect(shown(await again.range(everything))).toEqual(["still=works"]);
      await again.close();
    });

    test("close waits for pending writes, may be called twice, and ends everything", async () => {
      const { store, reopen } = await openNew();
      const pending = Array.from({ length: 50 }, (_, n) => store.write([put(`k${n}`, "1")]));
      const closing = [store.close(), store.close()];
      const closed = { fault: { code: "STORE_FAILED" } };
      await expect(store.write([put("late", "1")])).rejects.toMatchObject(closed);
      await expect(store.get(text("k1"))).rejects.toMatchObject(closed);
      await expect(store.range(everything)).rejects.toMatchObject(closed);
      await expect(store.deleteRange(everything)).rejects.toMatchObject(closed);
      await Promise.all([...closing, ...pending]);
      await store.close();
      expect(await (await reopen()).range(everything)).toHaveLength(50);
    });

    test("it agrees with a plain map under random batches", async () => {
      const { store } = await openNew();
      const key = fc.uint8Array({ minLength: 1, maxLength: 3, max: 3 });
      const write = fc.record({
        key,
        value: fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined }),
      });
      const model = new Map<string, { key: Uint8Array; value: Uint8Array }>();
      await fc.assert(
        fc.asyncProperty(
          fc.array(write, { maxLength: 12 }),
          key,
          key,
          fc.boolean(),
          async (batch, from, to, reverse) => {
            for (const { key: written, value } of batch) {
              if (value === undefined) model.delete(written.join());
              else model.set(written.join(), { key: written, value });
            }
            await store.write(batch);
            const expected = [...model.values()]
              .filter(
                (entry) => compareBytes(entry.key, from) >= 0 && compareBytes(entry.key, to) < 0,
              )
              .sort((a, b) => compareBytes(a.key, b.key) * (reverse ? -1 : 1))
              .slice(0, 5)
              .map((entry) => ({ key: [...entry.key], value: [...entry.value] }));
            const found = await store.range({ from, to }, { reverse, limit: 5 });
            expect(
              found.map((entry) => ({ key: [...entry.key], value: [...entry.value] })),
            ).toEqual(expected);
          },
        ),
        { numRuns: 60 },
      );
    });
  });
}
