/**
 * `make bench`: runs the workloads one after the other (never side by side, so that they do not disturb each other) and
 * prints one JSON line per figure on standard output. `--only w1` runs one of them, `--only w1,w4` two.
 */
import { parseArgs } from "node:util";
import { growth } from "./growth.ts";
import { w1 } from "./w1.ts";
import { w2 } from "./w2.ts";
import { w3 } from "./w3.ts";
import { w4 } from "./w4.ts";
import { w5 } from "./w5.ts";
import { w6 } from "./w6.ts";
import { w7 } from "./w7.ts";
import { w9 } from "./w9.ts";
import { watchers } from "./watchers.ts";
import { worker } from "./worker.ts";

const WORKLOADS: Readonly<Record<string, () => Promise<void>>> = {
  w1,
  w2,
  w3,
  w4,
  w5,
  w6,
  w7,
  w9,
  watchers,
  worker,
  growth,
};

const { values } = parseArgs({ options: { only: { type: "string" } } });
const wanted = values.only?.split(",") ?? Object.keys(WORKLOADS);
const unknown = wanted.filter((name) => WORKLOADS[name] === undefined);
if (unknown.length > 0) {
  console.error(`no workload "${unknown[0]}"; known: ${Object.keys(WORKLOADS).join(", ")}`);
  process.exit(2);
}
for (const name of wanted) await WORKLOADS[name]?.();
