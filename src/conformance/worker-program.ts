/**
 * The program under test as a process: started without a shell, in a group of its own so that whatever it starts goes
 * with it, told where the engine is by its environment. The last lines of what it prints are kept, because they usually
 * say why a case failed.
 */
import { type ChildProcess, spawn } from "node:child_process";

/** How a worker is started; a test may have one inside of its own process. */
export interface WorkerProgram {
  start(environment: Readonly<Record<string, string>>): RunningWorker;
}

export interface RunningWorker {
  /** Resolves with how it ended, such as `exit 0`. */
  readonly ended: Promise<string>;
  /** Asks it to stop, as SIGTERM does. */
  terminate(): void;
  /** Ends it without asking. */
  kill(): void;
  /** The last lines that it printed. */
  output(): string;
}

/** How a worker that stops as it should has ended. */
export const ENDED_WELL = "exit 0";

const OUTPUT_MAX = 2_000;

/** A command line as a program. */
export function commandProgram(
  command: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): WorkerProgram {
  const [program = "", ...words] = command;
  return {
    start: (variables) =>
      follow(spawn(program, words, { env: { ...environment, ...variables }, detached: true })),
  };
}

function follow(child: ChildProcess): RunningWorker {
  let output = "";
  const keep = (text: string) => {
    output = (output + text).slice(-OUTPUT_MAX);
  };
  child.stdin?.end();
  child.stdout?.setEncoding("utf8").on("data", keep);
  child.stderr?.setEncoding("utf8").on("data", keep);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(`could not be started: ${error.message}`));
    child.once("exit", (code, signal) => {
      killGroup(child);
      resolve(code === null ? `signal ${signal}` : `exit ${code}`);
    });
  });
  return {
    ended,
    terminate: () => void child.kill("SIGTERM"),
    kill: () => killGroup(child),
    output: () => output.trimEnd(),
  };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The group has ended by itself.
  }
}
