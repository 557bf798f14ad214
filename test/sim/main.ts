/**
 * The simulation from a command line: `node test/sim/main.ts --seed 7 --steps 20000`. It prints the faults it drew from
 * the seed before anything happens and one line at the end; on a violation also the latest observables, and it exits
 * with 1. Without a seed it takes one from the clock and prints it.
 */
import { parseArgs } from "node:util";
import { drawFaults } from "./faults.ts";
import { type Summary, World } from "./world.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    steps: { type: "string", default: "20000" },
    seeds: { type: "string", default: "1" },
  },
});

/** `seed=7 steps=20000 …`, the words of a summary. */
function line(summary: Summary): string {
  const { violation, tail: _, ...numbers } = summary;
  const words = Object.entries(numbers).map(([name, value]) => `${name}=${value}`);
  return [...words, violation === undefined ? "ok" : "VIOLATION"].join(" ");
}

async function simulate(seed: number, steps: number): Promise<boolean> {
  console.log(JSON.stringify(drawFaults(seed)));
  const summary = await new World(seed).run(steps);
  if (summary.violation !== undefined) {
    for (const observed of summary.tail) console.log(`  ${observed}`);
    console.log(`seed ${seed}, step ${summary.violation.step}: ${summary.violation.message}`);
  }
  console.log(line(summary));
  return summary.violation === undefined;
}

const first = values.seed === undefined ? Date.now() % 1_000_000_007 : Number(values.seed);
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  if (!(await simulate(seed, Number(values.steps)))) process.exitCode = 1;
}
