/**
 * The one configuration of the program: what `createApp` is built from. It is read from a file, `GOCLAW_*` variables
 * and flags, in that order of rising precedence, checked as a whole, and never changes afterwards. Nothing else in the
 * program reads the environment or a configuration file.
 */
import type { Violation } from "./base/fault.ts";
import { FaultError, fault } from "./base/fault.ts";
import { isName, nearestName } from "./base/ids.ts";
import type { Millis } from "./base/time.ts";
import { keyOf, type Value } from "./config/field.ts";
import type { Path, Source, Sparse } from "./config/read.ts";
import { ConfigReader, sourceHolding } from "./config/read.ts";
import type { Defaults } from "./config/resolve.ts";
import { countFor, resolveTree } from "./config/resolve.ts";
import { BUILT_IN_LANES, CONFIG_SCHEMA } from "./config/schema.ts";
import type { LaneConfig, LanesConfig, Overflow, RateLimit } from "./core/lane/lane.ts";
import type { RetentionRules } from "./ports/journal.ts";

/** What the table's fields come to; the parts of {@link Config} that need no further shaping are taken from it. */
type Settings = Value<typeof CONFIG_SCHEMA>;

/** Where to listen. Port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export type StoreEngine = Settings["store"];
/** One agent that is a program; paths are absolute. */
export type CommandAgentConfig = Settings["commandAgents"][number];
export type BusConfig = Settings["bus"];
export type LogConfig = Settings["log"];
/** What agents remember, with the threshold as a number. */
export type MemoryConfig = Omit<Settings["memory"], "forgetThreshold"> & {
  readonly forgetThreshold: number;
};
/** Times of the worker protocol. */
export type WorkersConfig = Settings["workers"];
/** Bounds of everything a caller can grow; see docs/configuration.md for each. */
export type Limits = Settings["limits"];

/** The configuration. All paths are absolute, all durations milliseconds. */
export interface Config {
  readonly listen: ListenAddress;
  /** Listening beyond loopback without authentication was asked for. */
  readonly insecure: boolean;
  /** Data directory; unused by the `memory` store. */
  readonly data: string;
  /** Size of the file that keeps room back in it. */
  readonly reserveBytes: number;
  readonly store: StoreEngine;
  /** Directories of plugin agents. */
  readonly agents: readonly string[];
  readonly pluginThreads: number;
  readonly commandAgents: readonly CommandAgentConfig[];
  readonly http: { readonly allow: readonly string[] };
  readonly lanes: LanesConfig;
  readonly retention: RetentionRules & { readonly everyMs: Millis };
  readonly snapshots: { readonly everyEvents: number; readonly trim: boolean };
  readonly drainTimeoutMs: Millis;
  readonly bus: BusConfig;
  readonly log: LogConfig;
  readonly memory: MemoryConfig;
  readonly workers: WorkersConfig;
  readonly limits: Limits;
}

/**
 * Reads and merges sources, lowest precedence first. Throws `CONFIG_INVALID` with every problem of every source.
 */
export function resolveConfig(sources: readonly Source[], defaults: Defaults): Config {
  const reader = new ConfigReader(defaults.resolvePath);
  const all = [builtIn(defaults), ...sources];
  const settings = resolveTree(CONFIG_SCHEMA, all, reader, defaults);
  if (reader.problems.length > 0) throw invalid(reader.problems);
  // Without problems the reader has produced exactly what the table describes, which is what `Value` computes.
  const config = configOf(settings as Sparse & Settings);
  for (const { path, message, remedy } of contradictions(config)) {
    reader.report(sourceHolding(all, path), path, message, remedy);
  }
  if (reader.problems.length > 0) throw invalid(reader.problems);
  return config;
}

function invalid(problems: readonly (Violation & { readonly source: string })[]): FaultError {
  return new FaultError(fault("CONFIG_INVALID", { violations: problems }));
}

function builtIn(defaults: Defaults): Source {
  const lanes = Object.entries(BUILT_IN_LANES).map(([name, count]) => [
    name,
    { concurrency: countFor(count, defaults.cores) },
  ]);
  return {
    name: "built in",
    tree: { lanes: { named: Object.fromEntries(lanes) } },
    baseDir: defaults.baseDir,
  };
}

function configOf(settings: Settings): Config {
  return {
    ...settings,
    listen: listenAddress(settings.listen),
    lanes: {
      global: withRate(
        { concurrency: settings.lanes.global.concurrency },
        settings.lanes.global.rate,
      ),
      named: Object.entries(settings.lanes.named).map(([name, lane]) => laneConfig(name, lane)),
      session: settings.lanes.session,
      order: settings.lanes.order,
    },
    retention: definedOnly(settings.retention),
    memory: { ...settings.memory, forgetThreshold: Number(settings.memory.forgetThreshold) },
  };
}

function listenAddress(text: string): ListenAddress {
  const colon = text.lastIndexOf(":");
  return {
    host: text.slice(0, colon).replace(/^\[|\]$/g, ""),
    port: Number(text.slice(colon + 1)),
  };
}

type LaneSettings = Settings["lanes"]["named"][string];

function laneConfig(name: string, lane: LaneSettings): LaneConfig {
  return withRate(
    {
      name,
      concurrency: lane.concurrency,
      capacity: lane.capacity,
      overflow: overflowOf(lane.overflow),
    },
    lane.rate,
  );
}

function withRate<Lane extends object>(
  lane: Lane,
  rate: LaneSettings["rate"],
): Lane & { readonly rate?: RateLimit } {
  if (rate === undefined) return lane;
  return { ...lane, rate: { ...rate, burst: rate.burst ?? rate.limit } };
}

/** The table's pattern admits nothing else. */
function overflowOf(text: string): Overflow {
  const [kind = "block", argument] = text.split(" ");
  if (kind === "redirect") return { kind, to: argument ?? "" };
  if (kind === "drop") return { kind, which: argument === "oldest" ? "oldest" : "newest" };
  return { kind: "block" };
}

function definedOnly(rules: Settings["retention"]): Config["retention"] {
  return {
    everyMs: rules.everyMs,
    maxAgeMs: rules.maxAgeMs,
    maxCount: rules.maxCount,
    ...(rules.maxBytes === undefined ? {} : { maxBytes: rules.maxBytes }),
  };
}

interface Contradiction {
  readonly path: Path;
  readonly message: string;
  readonly remedy: string;
}

/** What is wrong although every field by itself is right. */
function contradictions(config: Config): readonly Contradiction[] {
  return [
    ...listenProblems(config),
    ...workerProblems(config),
    ...config.lanes.named.flatMap((lane) => laneProblems(config, lane)),
    ...config.commandAgents.flatMap((agent, at) => duplicateAgent(config, agent.name, at)),
  ];
}

function listenProblems({ listen, insecure }: Config): readonly Contradiction[] {
  const path = ["listen"];
  if (listen.port > 65_535) {
    return [{ path, message: `${listen.port} is not a port`, remedy: "Ports end at 65535." }];
  }
  if (insecure || isLoopback(listen.host)) return [];
  return [
    {
      path,
      message: `${listen.host} can be reached from other machines, and nobody is authenticated`,
      remedy: "Listen on 127.0.0.1, or accept the risk with `insecure: true` (`--insecure`).",
    },
  ];
}

/** Times within which a worker must have been probed at least once. */
const LONGER_THAN_PROBES = ["silenceMs", "leaseMs"] as const;

function workerProblems({ workers }: Config): readonly Contradiction[] {
  return LONGER_THAN_PROBES.filter((field) => workers[field] <= workers.probeMs).map((field) => ({
    path: ["workers", keyOf(field)],
    message: `${workers[field]} ms is no longer than the time between two probes (${workers.probeMs} ms)`,
    remedy: "Workers would come and go without fault; take at least three times `workers.probe`.",
  }));
}

/** Whether only this machine can reach a host. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** Names that `goclaw lanes` uses for the other two kinds. */
const RESERVED_LANES: ReadonlySet<string> = new Set(["global", "session"]);

function laneProblems(config: Config, lane: LaneConfig): readonly Contradiction[] {
  const path = ["lanes", "named", lane.name];
  const problems: Contradiction[] = [];
  if (!isName(lane.name)) {
    const remedy = "Use letters, digits, `_`, `.`, `-`, at most 128.";
    problems.push({ path, message: `"${lane.name}" cannot name a lane`, remedy });
  }
  if (RESERVED_LANES.has(lane.name)) {
    const remedy = `Choose another name, or set \`lanes.${lane.name}\`.`;
    problems.push({ path, message: `"${lane.name}" is not a named lane`, remedy });
  }
  if (lane.overflow.kind === "redirect") {
    const known = config.lanes.named.map(({ name }) => name);
    const { to } = lane.overflow;
    const nearest = nearestName(to, known);
    if (!known.includes(to)) {
      problems.push({
        path: [...path, "overflow"],
        message: `no lane "${to}" exists`,
        remedy:
          nearest === undefined
            ? `Known lanes: ${known.join(", ")}.`
            : `Did you mean "${nearest}"?`,
      });
    }
  }
  return problems;
}

function duplicateAgent(config: Config, name: string, at: number): readonly Contradiction[] {
  const first = config.commandAgents.findIndex((agent) => agent.name === name);
  if (first === at) return [];
  return [
    {
      path: ["commandAgents", at, "name"],
      message: `"${name}" is already the name of commandAgents[${first}]`,
      remedy: "Give every agent its own name.",
    },
  ];
}
