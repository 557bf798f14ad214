/**
 * `make bench`: runs the workloads one after the other (never side by side, so that they do not disturb each other) and
 * prints one JSON line per figure on standard output. `--only w1` runs one of them.
 */
import { parseArgs } from "node:util";
import { w1 } from "./w1.ts";

const WORKLOADS: Readonly<Record<string, () => Promise<void>>> = { w1: () => w1() };

const { values } = parseArgs({ options: { only: { type: "string" } } });
const wanted = values.only === undefined ? Object.keys(WORKLOADS) : [values.only];
for (const name of wanted) {
  const workload = WORKLOADS[name];
  if (workload === undefined) {
    console.error(`no workload "${name}"; known: ${Object.keys(WORKLOADS).join(", ")}`);
    process.exit(2);
  }
  await workload();
}
