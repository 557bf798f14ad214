/**
 * No operation on one session reads or changes another, whatever the sessions are called. Each session is played twice:
 * among others in one memory, and alone in a memory of its own. All its answers must be the same.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { MemoryHub } from "../../src/memory/hub.ts";
import { DAY, MemoryRig } from "../support/memory-rig.ts";

const WORDS = ["harbour", "lantern", "oak", "river", "salt", "tower", "wolf", "yarn"];

type Step =
  | { readonly kind: "add"; readonly words: readonly string[]; readonly task: string }
  | { readonly kind: "find"; readonly words: readonly string[]; readonly deep: boolean }
  | { readonly kind: "forget" | "review"; readonly at: number }
  | { readonly kind: "list" | "erase" | "export" | "weak" };

const words = fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("add" as const),
      words,
      task: fc.constantFrom("", "t", "u"),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("find" as const), words, deep: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("forget" as const, "review" as const),
      at: fc.nat({ max: 9 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom("list" as const, "erase" as const, "export" as const, "weak" as const),
    }),
  },
);

/** Any well-formed text, and neighbours of it that a careless key would confuse. */
const sessions = fc
  .string({ minLength: 1, maxLength: 8, unit: "binary" })
  .filter((name) => name.isWellFormed())
  .map((name) => [name, `${name}\u0000`, `${name}/`, [...name][0] ?? "", `${name}${name}`])
  .map((names) => [...new Set(names)].map((name) => `n/${name}`));

/** Ids differ between two memories; texts do not. */
async function play(hub: MemoryHub, sessionId: string, one: Step): Promise<unknown> {
  const textOf = ({ entry }: { entry: { content: object; review: object; echoes: object } }) => [
    entry.content,
    entry.review,
    entry.echoes,
  ];
  const nth = async (at: number) => (await hub.list({ sessionId })).at(at)?.entry.id;
  switch (one.kind) {
    case "add": {
      const request = { sessionId, content: { text: one.words.join(" ") }, taskId: one.task };
      return (await hub.memorize([request])).map(({ outcome }) => outcome);
    }
    case "find": {
      const { results } = await hub.retrieve({
        sessionId,
        text: one.words.join(" "),
        deep: one.deep,
        limit: 20,
      });
      return results.map((found) => [textOf(found), found.hit.score, found.hit.matchedTerms]);
    }
    case "forget": {
      const id = await nth(one.at);
      return id === undefined ? 0 : hub.forget({ sessionId, ids: [id] });
    }
    case "review": {
      const id = await nth(one.at);
      return id === undefined
        ? []
        : (await hub.review(sessionId, [{ id, verdict: "wrong" }])).map(textOf);
    }
    case "list":
      return (await hub.list({ sessionId })).map(textOf);
    case "weak":
      return hub.forget({ sessionId, belowStrength: 0.8 });
    case "erase":
      return hub.eraseSession(sessionId);
    case "export": {
      const all = [];
      for await (const exported of hub.export(sessionId)) all.push(textOf(exported));
      return all;
    }
  }
}

test("a session among others answers as it does alone", async () => {
  await fc.assert(
    fc.asyncProperty(
      sessions,
      fc.array(fc.tuple(fc.nat(), step, fc.constantFrom(0, 0, DAY, 100 * DAY)), {
        minLength: 5,
        maxLength: 40,
      }),
      fc.boolean(),
      async (names, steps, isTight) => {
        const options = isTight ? { cacheBytes: 1, sessionEntries: 4 } : { sessionEntries: 6 };
        const shared = await MemoryRig.open(options);
        const alone = new Map<string, MemoryRig>();
        for (const name of names) alone.set(name, await MemoryRig.open(options));
        for (const [pick, one, waitMs] of steps) {
          const name = names[pick % names.length] as string;
          const own = alone.get(name) as MemoryRig;
          const [among, single] = [
            await play(shared.hub, name, one),
            await play(own.hub, name, one),
          ];
          expect(among).toEqual(single);
          for (const rig of [shared, ...alone.values()]) await rig.host.advance(waitMs);
          if (waitMs > DAY) for (const rig of [shared, ...alone.values()]) await rig.hub.sweep();
        }
        for (const [name, own] of alone) {
          const last: Step = { kind: "export" };
          expect(await play(shared.hub, name, last)).toEqual(await play(own.hub, name, last));
        }
      },
    ),
    { numRuns: 30 },
  );
});
