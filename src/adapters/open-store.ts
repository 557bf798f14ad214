/**
 * Opens a data directory: decides the engine, refuses what is not ours, and puts store and mark where they belong. A
 * directory keeps the engine that first wrote it. A new one gets RocksDB where that works, and LevelDB otherwise; the
 * answer says which and why, so that it can be logged.
 */
import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FaultError, fault, refuse } from "../base/fault.ts";
import type { Mark, OrderedStore } from "../ports/store.ts";
import { FileMark } from "./file-mark.ts";
import { LevelStore } from "./level-store.ts";
import { RocksStore } from "./rocks-store.ts";

/** The engines a directory can be written by. */
export type StoreEngine = "rocksdb" | "leveldb";

/** How a directory is opened. */
export interface OpenStoreOptions {
  /** `auto` (default) takes what the directory has, else RocksDB, else LevelDB. */
  readonly engine?: StoreEngine | "auto";
  /** Of this program, noted in a new directory for whoever reads the file. */
  readonly version?: string;
}

/** An open directory. Close store and mark when done. */
export interface OpenedStore {
  readonly store: OrderedStore;
  readonly mark: Mark;
  readonly engine: StoreEngine;
  /** Engine and place, for the log. */
  readonly description: string;
  /** What a person should know at start: why it is LevelDB when nobody asked for it. */
  readonly notices: readonly string[];
}

/** Layout of the directory; the journal inside has a version of its own. */
const LAYOUT_VERSION = 1;
const FORMAT_FILE = "FORMAT";
const MARK_FILE = "MARK";
const STORE_DIRECTORY = "store";
/** May lie in a directory that counts as empty: our own unfinished beginnings, and what file systems put there. */
const HARMLESS: ReadonlySet<string> = new Set([`${FORMAT_FILE}.new`, "lost+found"]);

interface Format {
  readonly layout: number;
  readonly engine: StoreEngine;
  /** Version of the program that made the directory. */
  readonly version: string;
}

/**
 * Opens or creates a data directory. Rejects with `STORE_FORMAT` for a foreign or newer one or another engine's,
 * `STORE_LOCKED` while another process has it, `STORE_FAILED` when the disk or the binary does not work.
 */
export async function openStore(
  directory: string,
  options: OpenStoreOptions = {},
  probe: () => Promise<string> = probeRocks,
): Promise<OpenedStore> {
  const wanted = options.engine ?? "auto";
  const found = await readFormat(directory);
  const engine = found?.engine ?? (wanted === "auto" ? undefined : wanted);
  if (engine !== undefined && wanted !== "auto" && engine !== wanted) {
    refuse(fault("STORE_FORMAT", { directory, found: `a ${engine} store`, expected: wanted }));
  }
  const problem = engine === "leveldb" ? "" : await probe();
  const notices =
    problem === "" ? [] : [`RocksDB does not work here, so LevelDB is used: ${problem}`];
  if (problem !== "" && engine === "rocksdb") {
    const detail = `RocksDB is needed and does not work here: ${problem}`;
    refuse(fault("STORE_FAILED", { operation: "open", detail }));
  }
  const chosen = engine ?? (problem === "" ? "rocksdb" : "leveldb");
  if (found === undefined)
    await writeFormat(directory, chosen, options.version ?? "of unknown version");
  await refuseHeadless(directory);
  const store = await openEngine(chosen, directory);
  try {
    const mark = await FileMark.open(join(directory, MARK_FILE));
    return { store, mark, engine: chosen, description: `${chosen} in ${directory}`, notices };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/**
 * Both engines take a database without its `CURRENT` file for a new one and delete the rest. The mark is made after
 * the first opening, so where it is, there was a database.
 */
async function refuseHeadless(directory: string): Promise<void> {
  const isThere = (name: string): Promise<boolean> =>
    access(join(directory, name)).then(
      () => true,
      () => false,
    );
  const current = join(STORE_DIRECTORY, "CURRENT");
  if ((await isThere(current)) || !(await isThere(MARK_FILE))) return;
  const detail = "the file is missing; nothing beside it was touched";
  refuse(fault("DATA_LOSS", { where: join(directory, current), detail }));
}

function openEngine(engine: StoreEngine, directory: string): Promise<OrderedStore> {
  const path = join(directory, STORE_DIRECTORY);
  return engine === "rocksdb" ? RocksStore.open(path) : LevelStore.open(path);
}

async function readFormat(directory: string): Promise<Format | undefined> {
  const names = await attempt(async () => {
    await mkdir(directory, { recursive: true });
    return readdir(directory);
  });
  if (!names.includes(FORMAT_FILE)) {
    const stranger = names.find((name) => !HARMLESS.has(name));
    if (stranger === undefined) return undefined;
    const found = `something else (it holds "${stranger}" and no ${FORMAT_FILE} file)`;
    return refuse(
      fault("STORE_FORMAT", { directory, found, expected: "an empty or its own directory" }),
    );
  }
  const text = await attempt(() => readFile(join(directory, FORMAT_FILE), "utf8"));
  const format = parseFormat(text);
  if (format === undefined || format.layout > LAYOUT_VERSION) {
    const found =
      format === undefined ? "something else" : `layout ${format.layout} by ${format.version}`;
    return refuse(
      fault("STORE_FORMAT", { directory, found, expected: `layout ${LAYOUT_VERSION}` }),
    );
  }
  return format;
}

/** Lines of `name value`; undefined when a line we need is missing or makes no sense. */
function parseFormat(text: string): Format | undefined {
  const lines = text.split("\n").map((line) => /^(\S+) (.+)$/.exec(line));
  const facts = new Map(lines.map((match) => [match?.[1] ?? "", match?.[2] ?? ""]));
  const layout = Number(facts.get("layout"));
  const engine = facts.get("engine");
  if (!Number.isInteger(layout) || layout < 1) return undefined;
  if (layout === LAYOUT_VERSION && engine !== "rocksdb" && engine !== "leveldb") return undefined;
  return {
    layout,
    engine: engine as StoreEngine,
    version: facts.get("written-by") ?? "an unknown version",
  };
}

/** Complete or not there at all: written beside its place, synced, and renamed. */
async function writeFormat(directory: string, engine: StoreEngine, version: string): Promise<void> {
  const path = join(directory, FORMAT_FILE);
  const text = `layout ${LAYOUT_VERSION}\nengine ${engine}\nwritten-by goclaw ${version}\n`;
  await attempt(async () => {
    const file = await open(`${path}.new`, "w", 0o600);
    await file.writeFile(text);
    await file.sync();
    await file.close();
    await rename(`${path}.new`, path);
    const parent = await open(directory, "r");
    await parent.sync();
    await parent.close();
  });
}

/** Empty when RocksDB works here, otherwise why not. A child process tries, because a bad binary aborts. */
export async function probeRocks(program = probeFile()): Promise<string> {
  const directory = await attempt(() => mkdtemp(join(tmpdir(), "goclaw-probe-")));
  try {
    return await new Promise((resolve) => {
      execFile(process.execPath, [program, directory], { timeout: 20_000 }, (error, _, stderr) => {
        resolve(error === null ? "" : problemOf(error, stderr));
      });
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function probeFile(): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return fileURLToPath(new URL(`./rocks-probe.${extension}`, import.meta.url));
}

function problemOf(
  error: Error & { readonly signal?: unknown; readonly code?: unknown },
  stderr: string,
): string {
  if (error.signal) return `its binary was stopped by ${String(error.signal)}`;
  const line = stderr.split("\n").find((text) => /Error: /.test(text));
  return line?.trim() ?? `its trial ended with ${String(error.code)}`;
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new FaultError(fault("STORE_FAILED", { operation: "open", detail }), { cause: error });
  }
}
