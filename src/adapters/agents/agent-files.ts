/**
 * Which files of an agents directory are plugin modules, and whether any code below it has changed. Modules are the
 * `.ts`, `.js` and `.mjs` files of the directory itself; folders below it are for what they import and are only
 * watched. Tests, type declarations, `node_modules` and everything hidden are never looked at.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Host } from "../../ports/host.ts";
import { thrownMessage } from "./agent-value.ts";

/** A module and what its content is called: the start of its SHA-256. */
export interface AgentFile {
  readonly path: string;
  readonly version: string;
}

export interface AgentScan {
  /** In order of their paths. */
  readonly files: readonly AgentFile[];
  /** Every folder with code that modules may import. */
  readonly folders: readonly string[];
  /** Equal for equal code. */
  readonly fingerprint: string;
  /** Directories that cannot be read. */
  readonly problems: readonly { readonly source: string; readonly detail: string }[];
}

/** More than this below an agents directory is a mistake, such as a whole home directory. */
const ENTRIES_MAX = 20_000;

const MODULE = /\.(?:ts|js|mjs)$/;
const CODE = /\.[cm]?[jt]s$/;
const NOT_A_MODULE = /\.(?:test|spec)\.[^.]+$|\.d\.ts$/;

/** Looks through agents directories. Never rejects. */
export async function scanAgents(
  directories: readonly string[],
  host: Pick<Host, "sha256">,
): Promise<AgentScan> {
  const problems: { source: string; detail: string }[] = [];
  const folders: string[] = [];
  const code: string[] = [];
  const modules: string[] = [];
  for (const directory of directories) {
    try {
      const found = await walk(directory);
      folders.push(...found.folders);
      code.push(...found.code);
      modules.push(...found.modules);
    } catch (error) {
      problems.push({ source: directory, detail: thrownMessage(error) });
    }
  }
  return {
    files: await readModules(modules, host),
    folders,
    fingerprint: host.sha256(code.sort().join("\n")),
    problems,
  };
}

interface Found {
  readonly folders: string[];
  readonly modules: string[];
  /** A line per file that tells one state of it from another. */
  readonly code: string[];
}

async function walk(directory: string): Promise<Found> {
  const found: Found = { folders: [directory], modules: [], code: [] };
  let left = ENTRIES_MAX;
  // The list grows while it is walked.
  for (const folder of found.folders) {
    for (const name of await readdir(folder)) {
      if (name.startsWith(".") || name === "node_modules") continue;
      left--;
      if (left < 0) throw new Error(`more than ${ENTRIES_MAX} files and folders`);
      await look(join(folder, name), folder === directory, found);
    }
  }
  return found;
}

async function look(path: string, isTopLevel: boolean, found: Found): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  // It was deleted since the listing, or is a broken link.
  if (stats === undefined) return;
  if (stats.isDirectory()) {
    found.folders.push(path);
    return;
  }
  if (!stats.isFile() || !CODE.test(path)) return;
  found.code.push(`${path} ${stats.size} ${stats.mtimeMs} ${stats.ino}`);
  if (isTopLevel && MODULE.test(path) && !NOT_A_MODULE.test(path)) found.modules.push(path);
}

async function readModules(
  paths: readonly string[],
  host: Pick<Host, "sha256">,
): Promise<readonly AgentFile[]> {
  const files: AgentFile[] = [];
  for (const path of [...paths].sort()) {
    const text = await readFile(path).catch(() => undefined);
    if (text !== undefined) files.push({ path, version: host.sha256(text).slice(0, 8) });
  }
  return files;
}
