/**
 * A `Cli` for tests: captured output, files in memory, time that moves only when told, stop signals on request, and a
 * server made of plain functions behind an in-memory transport. What a test leaves out fails loudly when used.
 */
import { posix } from "node:path";
import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { createRouterTransport } from "@connectrpc/connect";
import type { LocalDefinitions } from "../../src/cli/definition-view.ts";
import { runCli } from "../../src/cli/program.ts";
import type { Cli, ConfigOptions, Daemon, StopSignal } from "../../src/cli/terminal.ts";
import { VirtualHost } from "./virtual-host.ts";

export class ProcessExit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

export interface FakeCliOptions {
  readonly routes?: (router: ConnectRouter) => void;
  readonly files?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly interactive?: boolean;
  readonly colour?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly definitions?: LocalDefinitions;
  readonly daemon?: Partial<Daemon>;
}

/** Everything that happened to a fake. */
export class FakeCli implements Cli {
  readonly terminal: Cli["terminal"];
  readonly clock = new VirtualHost();
  readonly files: Cli["files"];
  readonly environment: Cli["environment"];
  readonly version = { goclaw: "1.2.3", node: "v24.0.0" };
  readonly servers: string[] = [];
  readonly started: { kind: "serve" | "embed"; options: ConfigOptions; baseDir: string }[] = [];
  readonly written = new Map<string, string>();
  stops = 0;
  stdout = "";
  stderr = "";
  readonly #options: FakeCliOptions;
  #listeners: ((signal: StopSignal) => void)[] = [];

  constructor(options: FakeCliOptions = {}) {
    this.#options = options;
    const { input = "", interactive = false, colour = false, columns = 80, rows = 24 } = options;
    this.terminal = {
      out: (text) => {
        this.stdout += text;
      },
      err: (text) => {
        this.stderr += text;
      },
      interactive,
      colour,
      columns,
      rows,
      readInput: async () => input,
    };
    const stored = options.files ?? {};
    const textOf = (path: string): string | undefined => this.written.get(path) ?? stored[path];
    this.files = {
      readText: async (path) => {
        const text = textOf(path);
        if (text === undefined) throw new Error(`ENOENT: no such file, open '${path}'`);
        return text;
      },
      exists: async (path) => textOf(path) !== undefined,
      list: async (path) =>
        textOf(path) !== undefined
          ? [path]
          : Object.keys(stored)
              .filter((file) => file.startsWith(`${path}/`))
              .map((file) => file.slice(path.length + 1))
              .sort(),
      create: async (path, text) => {
        this.written.set(path, text);
      },
      resolve: (...parts) => posix.resolve("/here", ...parts),
      dirname: posix.dirname,
    };
    this.environment = options.environment ?? {};
  }

  async loadDefinitions(): Promise<LocalDefinitions> {
    if (this.#options.definitions === undefined) throw new Error("this test has no definitions");
    return this.#options.definitions;
  }

  async connect(server: string): Promise<Transport> {
    this.servers.push(server);
    return createRouterTransport(this.#options.routes ?? (() => {}));
  }

  onStopSignal(listener: (signal: StopSignal) => void): () => void {
    this.#listeners.push(listener);
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
    };
  }

  /** How many commands listen for stop signals. */
  get listening(): number {
    return this.#listeners.length;
  }

  /** Sends a stop signal to whoever listens. */
  stopSignal(signal: StopSignal = "SIGINT"): void {
    for (const listener of [...this.#listeners]) listener(signal);
  }

  async serve(options: ConfigOptions, baseDir: string): Promise<Daemon> {
    return this.#start("serve", options, baseDir);
  }

  async embed(options: ConfigOptions, baseDir: string): Promise<Daemon> {
    return this.#start("embed", options, baseDir);
  }

  exit(code: number): never {
    throw new ProcessExit(code);
  }

  /** Runs a command line; resolves with its exit code. */
  run(...words: readonly string[]): Promise<number> {
    return runCli(words, this);
  }

  #start(kind: "serve" | "embed", options: ConfigOptions, baseDir: string): Daemon {
    this.started.push({ kind, options, baseDir });
    return {
      address: "http://embedded",
      notices: [],
      failed: new Promise<Error>(() => {}),
      stop: async () => {
        this.stops++;
      },
      ...this.#options.daemon,
    };
  }
}
