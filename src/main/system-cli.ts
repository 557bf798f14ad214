/**
 * The command line in a real process: its streams, files, signals, clock and network, and the daemon behind `serve` and
 * `run`. The only place that turns an exit code into the end of the process. Heavy parts (the engine, its store, the
 * network client) are loaded when a command asks for them, so that `goclaw --help` stays quick.
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { setDefaultAutoSelectFamilyAttemptTimeout } from "node:net";
import { dirname, join, relative, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { SystemHost } from "../adapters/system-host.ts";
import { runCli } from "../cli/program.ts";
import type { Cli, ConfigOptions, Daemon, Files, StopSignal, Terminal } from "../cli/terminal.ts";
import type { Config } from "../config.ts";
import { VERSION } from "../version.ts";

/**
 * How long one address of a name may take before the next is tried. Node's quarter of a second is over before a busy
 * machine has answered, and the connection fails although the daemon is there.
 */
const ADDRESS_ATTEMPT_MS = 5_000;

/** What shells call a process that writes to a closed pipe: 128 and SIGPIPE. */
const EXIT_BROKEN_PIPE = 141;

/** Runs `goclaw` with the words after its name and ends the process. */
export async function main(words: readonly string[]): Promise<never> {
  setDefaultAutoSelectFamilyAttemptTimeout(ADDRESS_ATTEMPT_MS);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever read the output has gone, as in `goclaw list | head`.
    if (error.code === "EPIPE") process.exit(EXIT_BROKEN_PIPE);
    throw error;
  });
  const exitCode = await runCli(words, systemCli());
  // The output may still be on its way into a pipe; open connections must not keep the process.
  await new Promise<void>((written) => {
    process.stdout.write("", () => written());
  });
  process.exit(exitCode);
}

function systemCli(): Cli {
  return {
    terminal: systemTerminal(),
    clock: new SystemHost(),
    files: systemFiles,
    environment: process.env,
    version: { goclaw: VERSION, node: process.version },
    loadDefinitions: async () => (await import("./local-definitions.ts")).localDefinitions,
    onStopSignal,
    connect: async (server) => {
      const { createGrpcTransport } = await import("@connectrpc/connect-node");
      return createGrpcTransport({ baseUrl: server });
    },
    serve: async (options, baseDir) => {
      const { boundHeapGrowth } = await import("../adapters/heap-growth.ts");
      boundHeapGrowth();
      return start(await configOf(options, baseDir), true);
    },
    embed: async (options, baseDir) =>
      start(embeddedConfig(await configOf(options, baseDir), options), false),
    exit: (code) => process.exit(code),
  };
}

function systemTerminal(): Terminal {
  const { stdout, stderr, stdin, env } = process;
  const interactive = stdout.isTTY === true && env.TERM !== "dumb";
  return {
    out: (chunk) => void stdout.write(chunk),
    err: (chunk) => void stderr.write(chunk),
    interactive,
    colour: interactive && !env.NO_COLOR,
    get columns() {
      return stdout.columns || 100;
    },
    get rows() {
      return stdout.rows || 24;
    },
    readInput: () => text(stdin),
  };
}

const systemFiles: Files = {
  readText: (path) => readFile(path, "utf8"),
  exists: async (path) => existsSync(path),
  list: async (path) => {
    if ((await stat(path)).isFile()) return [path];
    const found = await readdir(path, { recursive: true, withFileTypes: true });
    return found
      .filter((entry) => entry.isFile())
      .map((entry) => relative(path, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
      .sort();
  },
  create: async (path, content) => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content, { flag: "wx" });
  },
  resolve,
  dirname,
};

function onStopSignal(listener: (signal: StopSignal) => void): () => void {
  const signals: readonly StopSignal[] = ["SIGINT", "SIGTERM"];
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

async function configOf(
  { config: file, ...flags }: ConfigOptions,
  baseDir: string,
): Promise<Config> {
  const { loadConfig } = await import("../config/load.ts");
  return loadConfig({
    file,
    baseDir: resolve(baseDir),
    workingDir: process.cwd(),
    environment: process.env,
    flags: {
      ...(flags.listen === undefined ? {} : { listen: flags.listen }),
      ...(flags.data === undefined ? {} : { data: flags.data }),
      ...(flags.agents === undefined ? {} : { agents: flags.agents }),
      ...(flags.insecure === undefined ? {} : { insecure: flags.insecure }),
    },
  });
}

/**
 * One run in this process: a server that only this process is told about, nothing kept unless `--data` says where,
 * nothing published, and a log that does not drown the drawing.
 */
function embeddedConfig(config: Config, { data }: ConfigOptions): Config {
  return {
    ...config,
    listen: { host: "127.0.0.1", port: 0 },
    insecure: false,
    store: data === undefined ? "memory" : config.store,
    bus: { ...config.bus, kind: "local" },
    log: config.log.level === "info" ? { ...config.log, level: "warn" } : config.log,
  };
}

async function start(config: Config, workers: boolean): Promise<Daemon> {
  const { startDaemon } = await import("../app.ts");
  return startDaemon(config, workers);
}
