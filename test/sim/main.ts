/**
 * The simulation from a command line: `node test/sim/main.ts --seed 7 --steps 20000`. It prints the faults it drew from
 * the seed before anything happens and one line at the end; on a violation also the latest observables, and it exits
 * with 1. Without a seed it takes one from the clock and prints it. `--shrink` turns a failing seed into a short trace,
 * `--mutants` prints the table of planted defects.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { DEFECT_NAMES, DEFECTS } from "./defects.ts";
import { findDefect } from "./mutants.ts";
import { drawPlan, type Plan, planText, readPlan } from "./plan.ts";
import { describeShrunk, oracleOf, shrink } from "./shrink.ts";
import { type Summary, World } from "./world.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    steps: { type: "string", default: "20000" },
    seeds: { type: "string", default: "1" },
    quiet: { type: "boolean", default: false },
    shrink: { type: "boolean", default: false },
    save: { type: "string" },
    plan: { type: "string" },
    mutants: { type: "boolean", default: false },
  },
});

/** `seed=7 ticks=20000 …`, the words of a summary. */
function line(summary: Summary): string {
  const { violation, tail: _, misbehaved: __, ...numbers } = summary;
  const words = Object.entries(numbers).map(([name, value]) => `${name}=${value}`);
  return [...words, violation === undefined ? "ok" : "VIOLATION"].join(" ");
}

async function simulate(plan: Plan): Promise<Summary> {
  const { seed, faults } = plan;
  if (!values.quiet) console.log(JSON.stringify(faults));
  const summary = await new World(plan).run();
  if (summary.violation !== undefined) {
    for (const observed of summary.tail) console.log(`  ${observed}`);
    console.log(`seed ${seed}, tick ${summary.violation.tick}: ${summary.violation.message}`);
    const shrunk = values.shrink ? await shrink(plan) : undefined;
    if (shrunk !== undefined) console.log(describeShrunk(shrunk, plan).join("\n"));
    if (values.save !== undefined) writeFileSync(values.save, planText(shrunk?.plan ?? plan));
  }
  if (!values.quiet || summary.violation !== undefined) console.log(line(summary));
  return summary;
}

/** The plan of a file, or those of seeds in a row. */
function* plans(): Generator<Plan> {
  if (values.plan !== undefined) {
    yield readPlan(readFileSync(values.plan, "utf8"));
    return;
  }
  const first = values.seed === undefined ? Date.now() % 1_000_000_007 : Number(values.seed);
  for (let seed = first; seed < first + Number(values.seeds); seed++) {
    yield drawPlan(seed, Number(values.steps));
  }
}

/** Carries out the plans and says what they come to for one core. */
async function campaign(): Promise<void> {
  const total = { seeds: 0, steps: 0, faults: 0, crashes: 0, violations: 0 };
  const began = process.cpuUsage();
  for (const plan of plans()) {
    const summary = await simulate(plan);
    total.seeds++;
    for (const what of ["steps", "faults", "crashes"] as const) total[what] += summary[what];
    if (summary.violation !== undefined) total.violations++;
  }
  const { user, system } = process.cpuUsage(began);
  const seconds = (user + system) / 1e6;
  const words = Object.entries(total).map(([name, value]) => `${name}=${value}`);
  const perHour = Math.round((total.faults / seconds) * 3_600);
  console.log(`${words.join(" ")} cpu_s=${seconds.toFixed(1)} faults_per_core_hour=${perHour}`);
  if (total.violations > 0) process.exitCode = 1;
}

/** One line per planted defect. */
async function mutants(): Promise<void> {
  const row = (...[defect, breaks, seed, seconds, steps, oracle]: string[]): void =>
    console.log(
      [
        defect?.padEnd(26),
        breaks?.padEnd(72),
        seed?.padStart(4),
        seconds?.padStart(6),
        steps?.padStart(7),
        ` ${oracle}`,
      ].join(" "),
    );
  row("defect", "what it breaks", "seed", "cpu s", "steps", "said by the oracle");
  for (const name of DEFECT_NAMES) {
    const { seed, cpuSeconds, steps, violation, isExpected } = await findDefect(name);
    const said = isExpected ? oracleOf(violation?.message ?? "") : "NOT FOUND";
    row(name, DEFECTS[name].breaks, String(seed), cpuSeconds.toFixed(2), String(steps), said);
    if (!isExpected) process.exitCode = 1;
  }
}

await (values.mutants ? mutants() : campaign());
