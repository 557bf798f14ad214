/**
 * A process that damages copies of an image and reads them, so that a store that aborts or hangs takes only this process
 * with it. For each message, a trial, it answers with what was done and what came of it.
 */
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../../src/base/fault.ts";
import { type Prng, prng } from "../../src/base/hash.ts";
import { type DamagedEngine, everything, placeOf } from "./damage-image.ts";

export interface Trial {
  readonly seed: number;
  readonly engine: DamagedEngine;
  readonly image: string;
  /** Where the copy goes; removed afterwards. */
  readonly copy: string;
}

/** `answers` is what could be read, `code` the fault that refused; neither may be missing. */
export interface TrialResult {
  readonly seed: number;
  readonly what: string;
  readonly answers?: string;
  readonly code?: string;
  /** Neither a fault nor an answer. */
  readonly crash?: string;
}

const CUT = 0.3;
const REMOVED = 0.02;

/** Flips a bit of a file, cuts a file short or removes it; larger files are hit more often, but every file is. */
async function hurt(directory: string, random: Prng): Promise<string> {
  const files: { path: string; size: number }[] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    // The lock and the program's own log of what it did hold nothing.
    if (!entry.isFile() || /^(LOCK|LOG|LOG\.old.*)$/.test(entry.name)) continue;
    const { size } = await stat(path);
    if (size > 0) files.push({ path, size });
  }
  const weight = (size: number): number => Math.sqrt(size);
  let left = random() * files.reduce((sum, { size }) => sum + weight(size), 0);
  const file = files.find(({ size }) => {
    left -= weight(size);
    return left < 0;
  });
  if (file === undefined) throw new Error("there is nothing to damage");
  const name = file.path.slice(directory.length + 1);
  const at = Math.floor(random() * file.size);
  const kind = random();
  if (kind < REMOVED) {
    await rm(file.path);
    return `removed ${name}`;
  }
  if (kind < REMOVED + CUT) {
    await truncate(file.path, at);
    return `cut ${name} at ${at} of ${file.size}`;
  }
  const bytes = await readFile(file.path);
  const bit = Math.floor(random() * 8);
  bytes[at] = (bytes[at] as number) ^ (1 << bit);
  await writeFile(file.path, bytes);
  return `flipped bit ${bit} of ${name} at ${at} of ${file.size}`;
}

async function carryOut({ seed, engine, image, copy }: Trial): Promise<TrialResult> {
  await cp(image, copy, { recursive: true });
  const what = await hurt(copy, prng(seed));
  try {
    return { seed, what, answers: await everything(placeOf(copy, engine)) };
  } catch (error) {
    if (error instanceof FaultError) return { seed, what, code: error.fault.code };
    return { seed, what, crash: error instanceof Error ? (error.stack ?? "") : String(error) };
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

process.on("message", (trial: Trial) => {
  void carryOut(trial).then((result) => process.send?.(result));
});
process.on("disconnect", () => process.exit(0));
