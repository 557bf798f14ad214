/**
 * A daemon for a benchmark: the real program in a process of its own, on a fresh data directory with fsync on, reached
 * over gRPC. Stopped and removed afterwards, whatever happened.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const ROOT = join(import.meta.dirname, "..");

export interface BenchDaemon {
  readonly address: string;
  readonly directory: string;
  readonly pid: number;
  /** Sum and count of a histogram or the value of a counter, from /metrics. */
  metric(name: string): Promise<number>;
  /** Stops the process; `keep` leaves the directory for a look at what was written. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

/** Starts `goclaw serve` with extra arguments and environment. */
export async function startDaemon(environment: Record<string, string> = {}): Promise<BenchDaemon> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-bench-"));
  const child = spawn(
    join(ROOT, "bin/goclaw"),
    [
      "serve",
      "--listen",
      "127.0.0.1:0",
      "--data",
      join(directory, "data"),
      "--agents",
      join(ROOT, "bench/agents"),
    ],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, GOCLAW_LOG__LEVEL: "warn", ...environment },
    },
  );
  const address = await addressOf(child);
  return {
    address,
    directory: join(directory, "data"),
    pid: child.pid ?? 0,
    metric: async (name) => {
      const text = await (await fetch(`${address}/metrics`)).text();
      const line = text
        .split("\n")
        .find((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`));
      return Number(line?.split(" ").at(-1) ?? Number.NaN);
    },
    stop: async () => {
      if (child.exitCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function addressOf(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("the daemon has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /^listening on (\S+)$/.exec(line);
    if (found?.[1] !== undefined) return found[1];
  }
  throw new Error("the daemon ended before it listened");
}
