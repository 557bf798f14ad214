/**
 * Finds and reads the sources of a configuration: the file (named, or `goclaw.yaml` in the base directory), the
 * environment, the flags. Also decides the one default that depends on what exists: an `agents` directory there is
 * used when nobody says anything about agents. Checking and merging is `resolveConfig`'s.
 */
import { readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { readDefinitionText } from "../adapters/definition-file.ts";
import type { Violation } from "../base/fault.ts";
import { FaultError, fault } from "../base/fault.ts";
import type { Json } from "../base/payload.ts";
import type { Config } from "../config.ts";
import { resolveConfig } from "../config.ts";
import { environmentTree, variableOf } from "./environment.ts";
import { snakeCase } from "./field.ts";
import type { Source } from "./read.ts";
import { BUILT_IN_LANES, CONFIG_SCHEMA } from "./schema.ts";

/** What flags of the command line may set. */
export interface ConfigFlags {
  readonly listen?: string;
  readonly data?: string;
  readonly store?: string;
  readonly agents?: readonly string[];
  readonly insecure?: boolean;
}

/** Where a configuration comes from. */
export interface ConfigRequest {
  /** Named file; absent: the first of {@link CONFIG_FILES} that exists in the base directory, or none. */
  readonly file?: string | undefined;
  /** Where the default file and the default `agents` directory are looked for. */
  readonly baseDir: string;
  readonly workingDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly flags: ConfigFlags;
}

export const CONFIG_FILES = ["goclaw.yaml", "goclaw.yml", "goclaw.json"] as const;

/** Reads the configuration. Throws `CONFIG_INVALID` with every problem. */
export function loadConfig(request: ConfigRequest): Config {
  const { workingDir } = request;
  const file = configFile(request);
  const fileSource = file === undefined ? [] : [readSource(file, shortName(workingDir, file))];
  const sources = [
    ...defaultAgents(request.baseDir),
    ...fileSource,
    environmentSource(request, fileSource[0]?.tree ?? null),
    flagSource(request),
  ];
  const config = resolveConfig(sources, {
    cores: availableParallelism(),
    baseDir: workingDir,
    resolvePath: resolve,
  });
  requireDirectories(config);
  return config;
}

function configFile({ file, baseDir, workingDir, environment }: ConfigRequest): string | undefined {
  const named = file ?? environment.GOCLAW_CONFIG;
  if (named !== undefined && named !== "") return resolve(workingDir, named);
  return CONFIG_FILES.map((name) => join(baseDir, name)).find((path) => isA("file", path));
}

/** A path as people would write it from where they are. */
function shortName(workingDir: string, path: string): string {
  const short = relative(workingDir, path);
  return short.startsWith("..") ? path : short;
}

function readSource(path: string, name: string): Source {
  const read = readDefinitionText(readText(path, name), { fileName: name });
  if ("violations" in read) throw invalid(name, read.violations);
  return { name, tree: read.value, baseDir: dirname(path), position: read.position };
}

function readText(path: string, name: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw invalid(name, [
      {
        field: "",
        message: `cannot be read: ${message}`,
        remedy: "Check the path and its permissions.",
      },
    ]);
  }
}

function invalid(source: string, violations: readonly Violation[]): FaultError {
  return new FaultError(
    fault("CONFIG_INVALID", { violations: violations.map((each) => ({ ...each, source })) }),
  );
}

function defaultAgents(baseDir: string): readonly Source[] {
  if (!isA("directory", join(baseDir, "agents"))) return [];
  return [{ name: "default", tree: { agents: ["agents"] }, baseDir }];
}

function environmentSource({ environment, workingDir }: ConfigRequest, file: Json): Source {
  const names = (path: readonly string[]): readonly string[] => [
    ...(path.join(".") === "lanes.named" ? Object.keys(BUILT_IN_LANES) : []),
    ...keysAt(file, path),
  ];
  return {
    name: "environment",
    tree: environmentTree(CONFIG_SCHEMA, environment, names),
    baseDir: workingDir,
    spell: variableOf,
  };
}

function keysAt(tree: Json, path: readonly string[]): readonly string[] {
  let at: Json | undefined = tree;
  for (const key of path) {
    if (typeof at !== "object" || at === null || Array.isArray(at)) return [];
    at = (at as { readonly [key: string]: Json })[key];
  }
  return typeof at === "object" && at !== null ? Object.keys(at) : [];
}

function flagSource({ flags, workingDir }: ConfigRequest): Source {
  return {
    name: "command line",
    tree: { ...flags },
    baseDir: workingDir,
    spell: (path) => `--${snakeCase(String(path[0])).replaceAll("_", "-")}`,
  };
}

/** A misspelt directory would otherwise only show as agents that are missing. */
function requireDirectories(config: Config): void {
  const missing = config.agents.filter((path) => !isA("directory", path));
  if (missing.length === 0) return;
  throw invalid(
    "configuration",
    missing.map((path) => ({
      field: "agents",
      message: `${path} is not a directory`,
      remedy: "Create it, or correct the path.",
    })),
  );
}

function isA(kind: "file" | "directory", path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return kind === "file" ? found?.isFile() === true : found?.isDirectory() === true;
}
