/**
 * A real nats-server on a free port of loopback with JetStream in a directory of its own, to be killed and started
 * again at will: it keeps its port and its data. `scripts/test-prerequisites.sh` installs the program.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { present } from "../../src/base/assert.ts";

const FIRST_PORT = 10_000;
const PORTS = 20_000;
const PATHS = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];

function findProgram(): string {
  const found = PATHS.map((directory) => join(directory, "nats-server")).find(existsSync);
  return present(found, "nats-server (scripts/test-prerequisites.sh installs it)");
}

export interface NatsServerOptions {
  /** Default true. */
  readonly jetstream?: boolean;
  /** Further arguments, such as `["--user", "u", "--pass", "p"]`. */
  readonly args?: readonly string[];
}

export class NatsServer {
  readonly #directory: string;
  readonly #options: NatsServerOptions;
  #process: ChildProcess | undefined;
  readonly #port: number;

  private constructor(directory: string, port: number, options: NatsServerOptions) {
    this.#directory = directory;
    this.#port = port;
    this.#options = options;
  }

  static async start(options: NatsServerOptions = {}): Promise<NatsServer> {
    const directory = await mkdtemp(join(tmpdir(), "goclaw-nats-"));
    const server = new NatsServer(directory, await freePort(), options);
    await server.start();
    return server;
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`;
  }

  /** Starts again where it was; resolves when it takes connections. */
  async start(): Promise<void> {
    const { jetstream = true, args = [] } = this.#options;
    const storage = jetstream ? ["--jetstream", "--store_dir", this.#directory] : [];
    const child = spawn(
      findProgram(),
      ["--addr", "127.0.0.1", "--port", String(this.#port), ...storage, ...args],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    this.#process = child;
    await untilReady(child);
    child.stderr?.resume();
  }

  /** Makes it silent: connections stay, answers do not come. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  /** `kill -9`; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  /** Stops it and deletes its data. */
  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/**
 * A port below those that the system gives to outgoing connections: one of them could otherwise take the port of a
 * server that is down for a moment.
 */
async function freePort(): Promise<number> {
  for (let port = FIRST_PORT + ((process.pid * 16) % PORTS); ; port++) {
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

/** Reads the log up to the line that says the server takes connections. */
async function untilReady(child: ChildProcess): Promise<void> {
  let log = "";
  const output = present(child.stderr, "standard error");
  for await (const chunk of output.iterator({ destroyOnReturn: false })) {
    log += chunk;
    if (log.includes("Server is ready")) return;
  }
  throw new Error(`nats-server ended: ${log}`);
}
