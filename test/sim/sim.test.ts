/**
 * A short simulation in every test run: fifty fixed seeds, each run twice, because a simulation that does not repeat
 * itself cannot be debugged; and one seed that nobody chose, printed so that it can be chosen again.
 */
import { expect, test } from "vitest";
import { drawPlan } from "./plan.ts";
import { type Summary, World } from "./world.ts";

const TICKS = 700;
const SEEDS = Array.from({ length: 50 }, (_, at) => at + 1);

async function simulate(seed: number, ticks = TICKS): Promise<Summary> {
  const summary = await new World(drawPlan(seed, ticks)).run();
  const { violation, tail } = summary;
  const said = `seed ${seed}, tick ${violation?.tick}: ${violation?.message}\n${tail.join("\n")}`;
  expect(violation, said).toBeUndefined();
  return summary;
}

const totals = {
  faults: 0,
  crashes: 0,
  restarts: 0,
  lostCommits: 0,
  events: 0,
  deletedRuns: 0,
  busMessages: 0,
};

test.for(SEEDS)("seed %i holds all promises, twice in the same way", async (seed) => {
  const first = await simulate(seed);
  expect(await simulate(seed)).toEqual(first);
  for (const what of Object.keys(totals) as (keyof typeof totals)[]) totals[what] += first[what];
});

test("these seeds are not harmless", () => {
  expect(totals.faults).toBeGreaterThan(2_000);
  expect(totals.crashes).toBeGreaterThan(150);
  expect(totals.restarts).toBeGreaterThan(10);
  expect(totals.lostCommits).toBeGreaterThan(20);
  expect(totals.events).toBeGreaterThan(10_000);
  expect(totals.deletedRuns).toBeGreaterThan(5);
  expect(totals.busMessages).toBeGreaterThan(10_000);
});

test("different seeds are different simulations", async () => {
  const [one, two] = [await simulate(1, 200), await simulate(2, 200)];
  expect(one.hash).not.toBe(two.hash);
});

test("a random seed holds all promises", async () => {
  const seed = Math.floor(Math.random() * 1_000_000_000);
  process.stdout.write(`simulated the random seed ${seed} with ${TICKS} ticks\n`);
  await simulate(seed);
});
