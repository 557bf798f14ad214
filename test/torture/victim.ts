/**
 * A real daemon that a torture may kill, stop or starve: `bin/goclaw serve` in a process group of its own, which says
 * what it is doing (phases.ts) and takes further preloads and settings from the environment. Whoever starts one waits
 * for its end; groups that are left are killed when this process ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

const ROOT = join(import.meta.dirname, "../..");
const PHASES = pathToFileURL(join(import.meta.dirname, "phases.ts")).href;

export interface VictimOptions {
  /** Holds `data` and `agents`. */
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** How a daemon ended. */
export interface VictimEnd {
  /** Exit code, or the name of the signal that ended it. */
  readonly exit: number | string;
  readonly stderr: string;
  /** On the clock of `process.hrtime.bigint()`. */
  readonly atNs: bigint;
}

const alive = new Set<number>();
process.on("exit", () => {
  for (const pid of alive) killGroup(pid);
});

/** One life of a daemon. */
export class Victim {
  readonly #child: ChildProcess;
  readonly #listening = Promise.withResolvers<string | undefined>();
  readonly #open = new Map<string, number>();
  readonly #listeners = new Set<(line: string) => void>();
  #transport: Transport | undefined;
  #stdout = "";
  #stderr = "";
  #rest = "";
  readonly ended: Promise<VictimEnd>;

  constructor({ directory, env = {} }: VictimOptions) {
    this.#child = spawn(
      join(ROOT, "bin/goclaw"),
      ["serve", "--listen", "127.0.0.1:0", "--data", join(directory, "data"), "--agents", "agents"],
      {
        cwd: directory,
        detached: true,
        stdio: ["ignore", "pipe", "pipe", "pipe"],
        env: {
          ...process.env,
          GOCLAW_LOG__LEVEL: "warn",
          GOCLAW_LOG__FORMAT: "json",
          NODE_OPTIONS: `--import=${PHASES}`,
          ...env,
        },
      },
    );
    alive.add(this.pid);
    this.#read(1, (text) => this.#takeOutput(text));
    this.#read(2, (text) => {
      this.#stderr += text;
    });
    this.#read(3, (text) => this.#takePhases(text));
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code, signal) => {
        alive.delete(this.pid);
        this.#listening.resolve(undefined);
        resolve({
          exit: code ?? signal ?? "",
          stderr: this.#stderr,
          atNs: process.hrtime.bigint(),
        });
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Resolves with the address once the daemon listens; rejects when it ends before. */
  async listening(): Promise<string> {
    const address = await this.#listening.promise;
    if (address !== undefined) return address;
    const { exit, stderr } = await this.ended;
    throw new Error(`the daemon ended with ${exit} before it listened: ${stderr}`);
  }

  /** What the daemon has begun and not finished, such as `commit` and `snapshot`; complete once it has ended. */
  doing(): readonly string[] {
    return [...this.#open.entries()].filter(([, count]) => count > 0).map(([phase]) => phase);
  }

  /** Whether it has begun such a phase at all. */
  has(phase: string): boolean {
    return this.#open.has(phase);
  }

  /** Calls `listener` for every line of phases until it is taken back. */
  onPhase(listener: (line: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks for a clean end and waits for it. */
  async stop(): Promise<VictimEnd> {
    this.signal("SIGTERM");
    return this.ended;
  }

  /** A client of this life; call it after {@link listening}. All clients share one connection. */
  client<S extends DescService>(service: S, address: string): Client<S> {
    this.#transport ??= createGrpcTransport({ baseUrl: address });
    return createClient(service, this.#transport);
  }

  #read(fd: number, take: (text: string) => void): void {
    (this.#child.stdio[fd] as Readable).setEncoding("utf8").on("data", take);
  }

  #takeOutput(text: string): void {
    this.#stdout += text;
    const address = /listening on (http:\/\/\S+)\n/.exec(this.#stdout)?.[1];
    if (address !== undefined) this.#listening.resolve(address);
  }

  #takePhases(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const phase = line.slice(1);
      this.#open.set(phase, (this.#open.get(phase) ?? 0) + (line.startsWith("+") ? 1 : -1));
      for (const listener of [...this.#listeners]) listener(line);
    }
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group has ended by itself.
  }
}
