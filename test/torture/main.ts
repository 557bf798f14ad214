/**
 * `make torture`: everything that a real daemon must survive, at full length: a thousand kills, disks that fail and
 * fill up, ten thousand damaged directories, processes that stand still, clocks that jump. Prints a table for each and
 * one JSON line with all of it, and ends with 1 when anything was lost, done twice, or silent. ONLY and KILLS, TRIALS,
 * SEED choose and size it.
 */
import { parseArgs } from "node:util";
import { type DamageReport, tortureByDamage } from "./damage.ts";
import { type DiskReport, diskProblems, tortureByDiskErrors, tortureByFullDisk } from "./disk.ts";
import { KILL_PLANS, type KillReport, tortureByKills } from "./kill.ts";
import { type PauseReport, pauseProblems, tortureByPause } from "./pause.ts";
import { sumOfCounts, table } from "./report.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    kills: { type: "string", default: "1000" },
    trials: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
    "pause-ms": { type: "string", default: "30000" },
  },
});
const SEED = Number(values.seed);

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** One torture: its figures, and what went wrong. */
interface Outcome {
  readonly figures: object;
  readonly problems: readonly string[];
}

async function kills(): Promise<Outcome> {
  const count = Number(values.kills);
  const began = performance.now();
  const reports = await Promise.all(
    KILL_PLANS.map(({ share, ...plan }, at) =>
      tortureByKills({ ...plan, kills: Math.round(count * share), seed: SEED + at }),
    ),
  );
  const total = (of: (report: KillReport) => number): number =>
    reports.reduce((sum, report) => sum + of(report), 0);
  const figures = {
    kills: total((report) => report.kills),
    seconds: Math.round((performance.now() - began) / 1_000),
    acknowledged: total((report) => report.acknowledged),
    repeated: total((report) => report.repeated),
    cancelled: total((report) => report.cancelled),
    completed: total((report) => report.completed),
    eventsWatched: total((report) => report.events),
    attemptsRestarted: total((report) => report.restarts),
    historiesCompared: total((report) => report.compared),
    announcedGaps: total((report) => report.gaps),
    lost: total((report) => report.lost),
    appliedTwice: total((report) => report.appliedTwice),
    resultsTwice: total((report) => report.resultsTwice + report.wrongResults),
    holes: total((report) => report.holes),
  };
  const phases = sumOfCounts(reports.map((report) => report.phases));
  print(table("kill -9", Object.entries(figures)));
  print(table("kills by what was under way", Object.entries(phases)));
  const wrong = total((report) => report.wrongResults);
  const problems = reports.flatMap((report) => report.problems);
  if (wrong > 0) problems.push(`${wrong} results were made twice or committed without an agent`);
  return { figures: { ...figures, phases }, problems };
}

async function disks(): Promise<Outcome> {
  const reports: DiskReport[] = [];
  for (const store of ["rocksdb", "leveldb"] as const) {
    for (const calls of ["write", "sync"] as const) {
      reports.push(await tortureByDiskErrors(store, { error: "EIO", calls, only: "" }));
    }
    const mark = { error: "EIO", calls: "both", only: "/MARK" } as const;
    reports.push(await tortureByDiskErrors(store, mark, true));
    const full = await tortureByFullDisk(store);
    if (full !== undefined) reports.push(full);
    else {
      print("no file system may be mounted here: a full disk is only simulated");
      const writes = { error: "ENOSPC", calls: "write", only: "" } as const;
      reports.push(await tortureByDiskErrors(store, writes));
    }
  }
  const head = ["fault", "store", "acknowledged", "lost", "exit code", "stopped within ms"];
  const rows = reports.map((report) => [
    report.fault,
    report.store,
    report.acknowledged,
    report.lost,
    report.exit,
    report.stoppedWithinMs,
  ]);
  print(table("disks", [head, ...rows]));
  return { figures: reports, problems: reports.flatMap(diskProblems) };
}

async function damage(): Promise<Outcome> {
  const count = Number(values.trials);
  const reports: DamageReport[] = [];
  for (const engine of ["rocksdb", "leveldb"] as const) {
    for (const isCrash of [false, true]) {
      const trials = Math.round(count * (engine === "rocksdb" ? 0.4 : 0.1));
      reports.push(await tortureByDamage({ engine, trials, seed: SEED, isCrash }));
    }
  }
  const names = [...new Set(reports.flatMap(({ outcomes }) => Object.keys(outcomes)))].sort();
  const head = ["engine", "left by", "trials", ...names];
  const rows = reports.map(({ engine, isCrash, trials, outcomes }) => [
    engine,
    isCrash ? "a crash" : "a clean end",
    trials,
    ...names.map((name) => outcomes[name] ?? 0),
  ]);
  print(table("damaged files", [head, ...rows]));
  return { figures: reports, problems: reports.flatMap(({ problems }) => problems) };
}

async function pauses(): Promise<Outcome> {
  const reports: PauseReport[] = [];
  for (const what of ["stop daemon", "stop client", "clock"] as const) {
    const durationMs = what === "clock" ? 5_000 : Number(values["pause-ms"]);
    reports.push(await tortureByPause({ what, durationMs, seed: SEED }));
  }
  const head = ["", "ms", "acknowledged", "lost", "holes", "timers", "early", "disorder"];
  const rows = reports.map((report) => [
    report.what,
    report.durationMs,
    report.acknowledged,
    report.lost,
    report.holes,
    report.timers,
    report.early,
    report.disorder,
  ]);
  print(table("processes that stand still, clocks that jump by a day", [head, ...rows]));
  return { figures: reports, problems: reports.flatMap(pauseProblems) };
}

const TORTURES: Readonly<Record<string, () => Promise<Outcome>>> = {
  kills,
  disks,
  damage,
  pauses,
};

async function main(): Promise<number> {
  const wanted = values.only?.split(",") ?? Object.keys(TORTURES);
  const results: Record<string, object> = {};
  const problems: string[] = [];
  for (const name of wanted) {
    const torture = TORTURES[name];
    if (torture === undefined) {
      complain(`no torture "${name}"; known: ${Object.keys(TORTURES).join(", ")}`);
      return 2;
    }
    const outcome = await torture();
    results[name] = outcome.figures;
    problems.push(...outcome.problems);
  }
  for (const problem of problems) complain(problem);
  print(JSON.stringify({ torture: results, problems: problems.length }));
  return problems.length === 0 ? 0 : 1;
}

process.exit(await main());
