/**
 * Agents that are modules in a directory, run in threads of this process. Code is replaced as a whole: a change starts
 * a new generation of threads with fresh module caches, new attempts go there, running ones finish on the code they
 * started with. A file that does not load leaves the others alone, and its previous version goes on serving from the
 * generation that has it. Agents are trusted code: a thread shares files, network and environment with the daemon.
 */
import { availableParallelism } from "node:os";
import { assert } from "../../base/assert.ts";
import { type Fault, fault, faultMessage } from "../../base/fault.ts";
import type { Millis } from "../../base/time.ts";
import type {
  AgentInfo,
  AgentTransport,
  Assignment,
  AttemptListener,
  AttemptOutcome,
  DeliveredSignal,
  StopRequest,
} from "../../ports/agent.ts";
import type { Host } from "../../ports/host.ts";
import type { Logger } from "../../ports/telemetry.ts";
import { type AgentScan, scanAgents } from "./agent-files.ts";
import { FolderWatch } from "./folder-watch.ts";
import { PluginPool, type PoolReport } from "./plugin-pool.ts";

export interface PluginOptions {
  /** Agents directories; of equal names the first wins. */
  readonly directories: readonly string[];
  /** Default: one per core, at most 4. */
  readonly threads?: number;
  /** JavaScript heap of one thread in MiB. Default 512. */
  readonly memoryMb?: number;
  /** Time for loading all modules. Default 30,000. */
  readonly loadTimeoutMs?: Millis;
  /** How long a thread may ignore a stop while others run in it. Default 10,000. */
  readonly blockedMs?: Millis;
  /** Whether changed files are loaded by themselves. Default true. */
  readonly watch?: boolean;
  /** How long changes are gathered before a reload. Default 150. */
  readonly gatherMs?: Millis;
}

export interface PluginDeps {
  readonly host: Host;
  readonly log: Logger;
}

/** Where attempts of an agent go. */
interface Route {
  readonly info: AgentInfo;
  readonly pool: PluginPool;
}

const CLOSED = "the engine is shutting down";

export class PluginTransport implements AgentTransport {
  readonly kind = "plugin";
  readonly #options: Required<PluginOptions>;
  readonly #deps: PluginDeps;
  readonly #watch: FolderWatch;
  readonly #pools = new Set<PluginPool>();
  #routes: ReadonlyMap<string, Route> = new Map();
  #problems: readonly Fault[] = [];
  #fingerprint: string | undefined;
  #reloads: Promise<void> = Promise.resolve();
  #listener: AttemptListener | undefined;
  #onChange: () => void = () => {};
  #closing: Promise<void> | undefined;

  constructor(options: PluginOptions, deps: PluginDeps) {
    this.#options = {
      threads: Math.min(4, availableParallelism()),
      memoryMb: 512,
      loadTimeoutMs: 30_000,
      blockedMs: 10_000,
      watch: true,
      gatherMs: 150,
      ...options,
    };
    this.#deps = deps;
    this.#watch = new FolderWatch(deps.host, this.#options.gatherMs, () => {
      void this.#queueReload("if changed");
    });
  }

  /** Resolves when every module has been loaded or found faulty; faulty ones are in `problems`. */
  async open(listener: AttemptListener, onChange: () => void): Promise<void> {
    assert(this.#listener === undefined, "a transport is opened once");
    this.#listener = listener;
    await this.reload();
    this.#onChange = onChange;
  }

  agents(): readonly AgentInfo[] {
    return [...this.#routes.values()].map(({ info }) => info);
  }

  problems(): readonly Fault[] {
    return this.#problems;
  }

  /** Loads all modules again, changed or not. Resolves when new attempts run on the new code. */
  reload(): Promise<void> {
    return this.#queueReload("always");
  }

  start(assignment: Assignment): void {
    const { key, agent } = assignment;
    const route = this.#routes.get(agent);
    if (this.#closing !== undefined) {
      this.#finishLater(key, { kind: "lost", reason: "WORKER_LOST", message: CLOSED });
    } else if (route === undefined) {
      const message = faultMessage(fault("AGENT_UNKNOWN", { agent }));
      this.#finishLater(key, { kind: "failure", failure: "retryable", message });
    } else {
      route.pool.start(assignment);
    }
  }

  signal(key: string, signal: DeliveredSignal): void {
    this.#poolOf(key)?.signal(key, signal);
  }

  stop(key: string, request: StopRequest): void {
    this.#poolOf(key)?.stop(key, request);
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    this.#watch.close();
    await Promise.all([...this.#pools].map((pool) => pool.close(CLOSED)));
  }

  /** Reloads happen one after the other, so that each sees what the one before decided. */
  #queueReload(when: "always" | "if changed"): Promise<void> {
    this.#reloads = this.#reloads.then(() => this.#reloadNow(when));
    return this.#reloads;
  }

  async #reloadNow(when: "always" | "if changed"): Promise<void> {
    if (this.#closing !== undefined) return;
    const scan = await scanAgents(this.#options.directories, this.#deps.host);
    if (this.#options.watch) this.#watch.watch(scan.folders);
    if (when === "if changed" && scan.fingerprint === this.#fingerprint) return;
    this.#fingerprint = scan.fingerprint;
    const pool = scan.files.length === 0 ? undefined : this.#newPool(scan);
    const report = (await pool?.load()) ?? { agents: [], problems: [], duplicates: [] };
    if (this.#closing === undefined) this.#adopt(scan, pool, report);
  }

  #newPool(scan: AgentScan): PluginPool {
    const { host, log } = this.#deps;
    const listener = this.#listener;
    assert(listener !== undefined, "the transport is open");
    const files = scan.files.map(({ path }) => path);
    const onEmpty = (pool: PluginPool) => this.#forget(pool);
    const pool = new PluginPool({ ...this.#options, files }, { host, log, listener, onEmpty });
    this.#pools.add(pool);
    return pool;
  }

  /** From here on new attempts run on the new code. */
  #adopt(scan: AgentScan, pool: PluginPool | undefined, report: PoolReport): void {
    const before = this.#routes;
    const routes =
      pool === undefined ? new Map<string, Route>() : this.#routesTo(pool, scan, report);
    const faulty = new Set(report.problems.map(({ file }) => file));
    for (const [name, route] of before) {
      if (!routes.has(name) && faulty.has(route.info.source)) routes.set(name, route);
    }
    this.#routes = routes;
    this.#problems = problemsOf(scan, report);
    for (const one of [...this.#pools]) this.#supersede(one, one === pool);
    this.#deps.log.info(
      { agents: routes.size, files: scan.files.length, problems: this.#problems.length },
      "plugin agents loaded",
    );
    this.#onChange();
  }

  #routesTo(pool: PluginPool, scan: AgentScan, report: PoolReport): Map<string, Route> {
    const versions = new Map(scan.files.map(({ path, version }) => [path, version]));
    return new Map(
      report.agents.map(({ file, ...agent }) => {
        const version = agent.version ?? versions.get(file) ?? "";
        const info: AgentInfo = { ...agent, version, transport: this.kind, source: file };
        return [agent.name, { info, pool }];
      }),
    );
  }

  #supersede(pool: PluginPool, isNewest: boolean): void {
    const kept = new Set<string>();
    for (const [name, route] of this.#routes) if (route.pool === pool) kept.add(name);
    if (isNewest && kept.size > 0) return;
    for (const assignment of pool.supersede(kept)) this.start(assignment);
  }

  /** A generation is over; agents that only it still had are gone with it. */
  #forget(pool: PluginPool): void {
    this.#pools.delete(pool);
    const left = [...this.#routes].filter(([, route]) => route.pool !== pool);
    if (left.length === this.#routes.size) return;
    this.#routes = new Map(left);
    this.#onChange();
  }

  #poolOf(key: string): PluginPool | undefined {
    for (const pool of this.#pools) if (pool.has(key)) return pool;
    return undefined;
  }

  #finishLater(key: string, outcome: AttemptOutcome): void {
    this.#deps.host.defer(() => this.#listener?.finish(key, outcome));
  }
}

function problemsOf(scan: AgentScan, report: PoolReport): readonly Fault[] {
  return [
    ...scan.problems.map((problem) => fault("AGENT_LOAD_FAILED", problem)),
    ...report.problems.map(({ file, detail }) =>
      fault("AGENT_LOAD_FAILED", { source: file, detail }),
    ),
    ...report.duplicates.map((duplicate) => fault("AGENT_DUPLICATE", duplicate)),
  ];
}
