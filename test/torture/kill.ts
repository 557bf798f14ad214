/**
 * `kill -9` at chosen and at random moments under load. Each life of the daemon ends in a moment drawn from the seed:
 * while it starts, commits, writes a snapshot, trims a history, deletes old runs, shuts down, or anywhere. The settings
 * are small, so that all of that happens all the time. The clients' books (workload.ts) say what was lost.
 */
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { type Prng, prng } from "../../src/base/hash.ts";
import { Victim } from "./victim.ts";
import { type Books, SPEC, Workload, writeAgents } from "./workload.ts";

export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  readonly store: "rocksdb" | "leveldb";
  /** Whether old events of open runs are deleted. */
  readonly trims: boolean;
}

export interface KillReport extends Books {
  readonly kills: number;
  /** How many kills hit each phase; a kill counts in all that were under way. */
  readonly phases: Readonly<Record<string, number>>;
  /** Results in the agents' own ledger more than once, or committed without being there. */
  readonly wrongResults: number;
}

/** What is tortured side by side, and the share of the kills each gets. */
export const KILL_PLANS = [
  { store: "rocksdb", trims: true, share: 0.4 },
  { store: "rocksdb", trims: false, share: 0.3 },
  { store: "leveldb", trims: false, share: 0.3 },
] as const;

const CLIENTS = 16;
/** More than the clients can end between two looks of one of them, so that nobody's run is deleted unseen. */
const KEPT_RUNS = 400;
/** A moment that has not come by then does not come. */
const PATIENCE_MS = 3_000;

/** A kind of moment: `line` of phases.ts to wait for after some work, then up to `withinMs` longer. */
interface Aim {
  readonly weight: number;
  readonly from: "spawn" | "work" | "stop";
  readonly line?: string;
  readonly withinMs: number;
}

const AIMS: readonly Aim[] = [
  { weight: 2, from: "spawn", withinMs: 800 },
  { weight: 1, from: "spawn", line: "+open", withinMs: 40 },
  { weight: 1, from: "spawn", line: "+recover", withinMs: 15 },
  { weight: 1, from: "spawn", line: "-recover", withinMs: 30 },
  { weight: 4, from: "work", line: "+commit", withinMs: 3 },
  { weight: 4, from: "work", line: "+snapshot", withinMs: 3 },
  { weight: 3, from: "work", line: "+retention", withinMs: 8 },
  { weight: 2, from: "work", line: "+trim", withinMs: 3 },
  { weight: 1, from: "work", line: "+mark", withinMs: 3 },
  { weight: 2, from: "work", withinMs: 300 },
  { weight: 1, from: "stop", line: "+drain", withinMs: 150 },
  { weight: 2, from: "stop", line: "+close", withinMs: 8 },
];
const WEIGHTS = AIMS.reduce((sum, { weight }) => sum + weight, 0);

/** Kills a daemon `kills` times and returns the books. Rejects when a daemon does not start or end as it should. */
export async function tortureByKills(options: KillOptions): Promise<KillReport> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-kill-"));
  try {
    return await new Torture(options, directory).run();
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

class Torture {
  readonly #options: KillOptions;
  readonly #directory: string;
  readonly #random: Prng;
  readonly #workload: Workload;
  readonly #phases: Record<string, number> = {};

  constructor(options: KillOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.#random = prng(options.seed);
    this.#workload = new Workload({ clients: CLIENTS, seed: options.seed, trims: options.trims });
  }

  async run(): Promise<KillReport> {
    writeAgents(this.#directory);
    const { kills } = this.#options;
    await this.#register();
    for (let killed = 0; killed < kills; ) if (await this.#liveAndDie()) killed++;
    const last = this.#start();
    await this.#serve(last);
    const books = await this.#workload.finish();
    const { exit, stderr } = await last.stop();
    if (exit !== 0) throw new Error(`the last daemon ended with ${exit}: ${stderr}`);
    return { ...books, kills, phases: this.#phases, wrongResults: this.#wrongResults(books) };
  }

  #start(): Victim {
    const { store, trims } = this.#options;
    return new Victim({
      directory: this.#directory,
      env: {
        LEDGER: join(this.#directory, "ledger"),
        GOCLAW_STORE: store,
        GOCLAW_SNAPSHOTS__EVERY_EVENTS: "10",
        GOCLAW_SNAPSHOTS__TRIM: String(trims),
        GOCLAW_RETENTION__EVERY: "100ms",
        GOCLAW_RETENTION__MAX_COUNT: String(KEPT_RUNS),
        GOCLAW_DRAIN_TIMEOUT: "200ms",
        GOCLAW_RESERVE_BYTES: "0",
      },
    });
  }

  async #register(): Promise<void> {
    const victim = this.#start();
    await victim.client(AdminService, await victim.listening()).registerDefinition({ spec: SPEC });
    await victim.stop();
  }

  /** One life; false when the daemon came to its end before it could be killed. */
  async #liveAndDie(): Promise<boolean> {
    const aim = this.#draw();
    const victim = this.#start();
    const moment = lineOf(victim, aim.from === "spawn" ? aim.line : undefined);
    if (aim.from !== "spawn") {
      await this.#serve(victim);
      await this.#workload.acknowledgements(1 + Math.floor(this.#random() * 40));
      const late = lineOf(victim, aim.line);
      if (aim.from === "stop") victim.signal("SIGTERM");
      await late;
    } else {
      const served = this.#serve(victim).catch(() => {});
      await Promise.race([moment, served]);
    }
    await pause(this.#random() * aim.withinMs);
    victim.signal("SIGKILL");
    const { exit, stderr } = await victim.ended;
    if (exit === 0 && aim.from === "stop") return false;
    if (exit !== "SIGKILL") throw new Error(`the daemon ended with ${exit} by itself: ${stderr}`);
    for (const phase of phasesOf(victim)) this.#phases[phase] = (this.#phases[phase] ?? 0) + 1;
    return true;
  }

  #draw(): Aim {
    let left = this.#random() * WEIGHTS;
    const aim = AIMS.find(({ weight }) => {
      left -= weight;
      return left < 0;
    });
    if (aim === undefined) throw new Error("no aim was drawn");
    return aim;
  }

  /** Lets the clients in as soon as the daemon listens. */
  async #serve(victim: Victim): Promise<void> {
    const address = await victim.listening();
    this.#workload.begin({ runs: victim.client(RunService, address), ended: victim.ended });
  }

  /** No attempt was carried out twice, and no result was committed that no agent had. */
  #wrongResults({ results }: Books): number {
    const lines = readFileSync(join(this.#directory, "ledger"), "utf8").trim().split("\n");
    const made = new Set(lines);
    return lines.length - made.size + results.filter((result) => !made.has(result)).length;
  }
}

/** What a dead daemon was doing; where it had nothing open, how far it had come. */
function phasesOf(victim: Victim): readonly string[] {
  const doing = victim.doing().filter((phase) => phase !== "boot");
  if (doing.includes("start")) {
    return doing
      .map((phase) => (phase === "start" ? "resume" : phase))
      .filter((phase, _, all) => phase !== "resume" || !all.includes("recover"));
  }
  if (doing.length > 0) return doing;
  if (victim.has("start")) return ["serve"];
  if (victim.has("open")) return ["assemble"];
  return [victim.has("boot") ? "load" : "exec"];
}

/** Resolves at the next such line, at once without one, and after a while in any case. */
function lineOf(victim: Victim, line: string | undefined): Promise<void> {
  if (line === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      forget();
      resolve();
    };
    const timer = setTimeout(done, PATIENCE_MS);
    const forget = victim.onPhase((said) => {
      if (said === line) done();
    });
    void victim.ended.then(done);
  });
}

function pause(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
