/**
 * A daemon for a benchmark: the real program in a process of its own with fsync on, reached over gRPC. Its directory
 * outlives the process, so that a workload can end it in any way, start another one on what is left, and look at what
 * was written; whoever began it removes it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AdminService } from "../gen/goclaw/v1/admin_service_pb.ts";
import { scratchDirectory } from "./scratch.ts";

const ROOT = join(import.meta.dirname, "..");

/** Settings by which no queue, slot or stop of the daemon limits a workload that does not mean to be limited. */
const ROOMY = {
  GOCLAW_LOG__LEVEL: "warn",
  GOCLAW_DRAIN_TIMEOUT: "0ms",
  GOCLAW_LANES__GLOBAL__CONCURRENCY: "2000",
  GOCLAW_LANES__NAMED__DEFAULT__CONCURRENCY: "2000",
  GOCLAW_LANES__NAMED__DEFAULT__CAPACITY: "1000000",
};

export interface BenchDaemonOptions {
  /** On top of the settings that every benchmark has. */
  readonly environment?: Readonly<Record<string, string>>;
  /** The data directory of an earlier daemon; a fresh one by default. */
  readonly directory?: string;
  /** Options for Node.js itself. */
  readonly nodeOptions?: string;
}

export interface BenchDaemon {
  readonly address: string;
  readonly directory: string;
  readonly pid: number;
  /** From starting the process to the line that says that it listens. */
  readonly readyMs: number;
  client<S extends DescService>(service: S): Client<S>;
  /** Value of a metric on /metrics, labels included in its name; 0 before it has a line. */
  metric(name: string): Promise<number>;
  /** Slots of a lane that are taken. */
  occupied(lane: string): Promise<number>;
  /** Memory of the process now and at most, in bytes. */
  memory(): Promise<{ readonly residentBytes: number; readonly peakBytes: number }>;
  /** Ends the process and waits for its end. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** Starts `goclaw serve` and resolves when it listens. */
export async function startDaemon(options: BenchDaemonOptions = {}): Promise<BenchDaemon> {
  const directory = options.directory ?? join(await scratchDirectory(), "data");
  const began = performance.now();
  const child = spawn(
    join(ROOT, "bin/goclaw"),
    [
      "serve",
      "--listen",
      "127.0.0.1:0",
      "--data",
      directory,
      "--agents",
      join(ROOT, "bench/agents"),
    ],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        ...(options.nodeOptions === undefined ? {} : { NODE_OPTIONS: options.nodeOptions }),
        ...ROOMY,
        ...options.environment,
      },
    },
  );
  const exited = once(child, "exit");
  const killed = (): boolean => child.kill("SIGKILL");
  process.once("exit", killed);
  const address = await addressOf(child);
  const transport = createGrpcTransport({ baseUrl: address });
  const pid = child.pid ?? 0;
  return {
    address,
    directory,
    pid,
    readyMs: performance.now() - began,
    client: (service) => createClient(service, transport),
    metric: async (name) => metricIn(await (await fetch(`${address}/metrics`)).text(), name),
    occupied: async (name) => {
      const { lanes } = await createClient(AdminService, transport).listLanes({});
      return lanes.find((lane) => lane.name === name)?.occupied ?? 0;
    },
    memory: async () => {
      const status = await readFile(`/proc/${pid}/status`, "utf8");
      return { residentBytes: kibIn(status, "VmRSS"), peakBytes: kibIn(status, "VmHWM") };
    },
    stop: async (signal = "SIGTERM") => {
      process.off("exit", killed);
      child.kill(signal);
      await exited;
    },
  };
}

function metricIn(text: string, name: string): number {
  const line = text.split("\n").find((l) => l.startsWith(`${name} `));
  return Number(line?.split(" ").at(-1) ?? 0);
}

function kibIn(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? Number.NaN) * 1024;
}

async function addressOf(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("the daemon has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /^listening on (\S+)$/.exec(line);
    if (found?.[1] !== undefined) return found[1];
  }
  throw new Error("the daemon ended before it listened");
}
