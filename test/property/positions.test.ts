/** The table of positions against a map of objects, through any order of openings, moves, endings and notes. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { RunId } from "../../src/base/ids.ts";
import { type Position, Positions } from "../../src/journal/positions.ts";

const position = fc.record<Position>({
  sequence: fc.nat(2 ** 40),
  high: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  low: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  bytes: fc.nat(2 ** 50),
  isNoted: fc.boolean(),
  isTouched: fc.boolean(),
  commit: fc.nat(2 ** 45),
  column: fc.nat(2 ** 31),
});

test("the table keeps what a map would", () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ set: fc.nat(1_500), position }) },
    { weight: 2, arbitrary: fc.record({ end: fc.nat(1_500) }) },
    { weight: 1, arbitrary: fc.constant("take touched" as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), fc.boolean(), (steps, isLarge) => {
      const table = new Positions();
      const model = new Map<RunId, Position>();
      const nameOf = (n: number): RunId => `run-${n}` as RunId;
      const put = (id: RunId, at: Position): void => {
        table.set(id, at);
        model.set(id, { ...at });
      };
      const first = { sequence: 1, high: 1, low: 2, bytes: 3, isNoted: false, isTouched: true };
      // More than the table has room for at first.
      for (let n = 0; isLarge && n < 1_300; n++) put(nameOf(n), { ...first, commit: n, column: 0 });
      for (const step of steps) {
        if (step === "take touched") {
          const touched = [...model].filter(([, { isTouched }]) => isTouched).map(([id]) => id);
          expect(table.takeTouched().sort()).toEqual(touched.sort());
          for (const known of model.values()) known.isTouched = false;
        } else if ("set" in step) put(nameOf(step.set), step.position);
        else if (model.delete(nameOf(step.end))) table.delete(nameOf(step.end));
      }
      expect(table.size).toBe(model.size);
      for (const [id, known] of model) expect(table.get(id)).toEqual(known);
      expect(table.get("run-none" as RunId)).toBeUndefined();
      expect(table.has(nameOf(1))).toBe(model.has(nameOf(1)));
    }),
    { numRuns: 100, seed: 20_261_123 },
  );
});
