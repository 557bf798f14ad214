/**
 * Directories of a benchmark, all removed when its process ends, however it ends short of a kill. They lie in the
 * temporary directory, or below $BENCH_DIR: which disk that is decides what a figure with fsync means.
 */
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const directories: string[] = [];
process.once("exit", () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

/** A fresh, empty directory. */
export async function scratchDirectory(): Promise<string> {
  const base = process.env.BENCH_DIR ?? tmpdir();
  const directory = await mkdtemp(join(base, "goclaw-bench-"));
  directories.push(directory);
  return directory;
}
