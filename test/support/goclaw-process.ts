/**
 * `bin/goclaw` as a real process: started with captured output, awaited by what it prints, told to stop by signals.
 * Processes that a test leaves behind are killed with their group when it ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
export const GOCLAW = join(ROOT, "bin/goclaw");

/** How a process ended. */
export interface Ended {
  /** Exit code, or the name of the signal that ended it. */
  readonly exit: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Text for standard input, which is then closed. */
  readonly input?: string;
}

export class GoclawProcess {
  stdout = "";
  stderr = "";
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  constructor(command: string, words: readonly string[], options: StartOptions) {
    this.#child = spawn(command, words, {
      cwd: options.cwd ?? ROOT,
      env: { ...cleanEnvironment(), ...options.env },
      detached: true,
    });
    this.#child.stdin?.end(options.input ?? "");
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#look();
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#look();
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code, signal) => {
        resolve({ exit: code ?? signal ?? "", stdout: this.stdout, stderr: this.stderr });
      });
    });
    onTestFinished(() => this.#killGroup());
  }

  /** Resolves with the match as soon as standard output matches; rejects when the process ends before. */
  async until(pattern: RegExp, stream: "stdout" | "stderr" = "stdout"): Promise<RegExpExecArray> {
    let stop = (): void => {};
    const seen = new Promise<RegExpExecArray>((resolve) => {
      const look = (): void => {
        const match = pattern.exec(this[stream]);
        if (match !== null) resolve(match);
      };
      stop = () => this.#waiting.delete(look);
      this.#waiting.add(look);
      look();
    });
    const early = this.ended.then(({ exit, stdout, stderr }) => {
      const match = pattern.exec(this[stream]);
      if (match !== null) return match;
      throw new Error(`ended with ${exit} before ${pattern}\n${stdout}\n${stderr}`);
    });
    try {
      return await Promise.race([seen, early]);
    } finally {
      stop();
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }

  #killGroup(): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // The group has ended by itself.
    }
  }
}

/** The environment without settings of whoever runs the tests. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !name.startsWith("GOCLAW_") || name === "GOCLAW_NODE",
    ),
  );
}

/** Starts `goclaw`. */
export function start(words: readonly string[], options: StartOptions = {}): GoclawProcess {
  return new GoclawProcess(GOCLAW, words, options);
}

/** Runs `goclaw` to its end. */
export function goclaw(words: readonly string[], options: StartOptions = {}): Promise<Ended> {
  return start(words, options).ended;
}
