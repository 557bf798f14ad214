/**
 * One attempt that is a program: started without a shell in a process group of its own and with an environment of our
 * choosing, fed and read through pipes, and gone with everything it started when it ends. The group is killed even
 * after a success, because a leftover grandchild would hold the pipes and outlive every limit. Which outcome an ending
 * means is decided here; which agents exist is not.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { PAYLOAD_MAX_BYTES } from "../../base/payload.ts";
import type { Instant, Millis } from "../../base/time.ts";
import type {
  Assignment,
  AttemptListener,
  AttemptOutcome,
  DeliveredSignal,
  StopRequest,
} from "../../ports/agent.ts";
import type { RecallOptions } from "../../ports/agent-context.ts";
import type { Host, TimerHandle } from "../../ports/host.ts";
import type { Logger } from "../../ports/telemetry.ts";
import { openingLine, readLine, recalledLine, signalLine } from "./command-protocol.ts";
import { LineReader } from "./line-reader.ts";
import { recallWish, StagedMemories } from "./staged-memories.ts";

/** An agent that is a program. */
export interface CommandAgent {
  readonly name: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** What standard output holds: a JSON value, or text that becomes a JSON string. */
  readonly format: "json" | "text";
  /** `stream` keeps standard input open and sends signals as further lines. */
  readonly stdin: "once" | "stream";
  readonly cwd: string;
  /** Variables set for it. */
  readonly env?: { readonly [variable: string]: string } | undefined;
  /** Variables passed on from the daemon's own environment, besides {@link PASSED_ALWAYS}. */
  readonly passEnv: readonly string[];
  readonly timeoutMs?: Millis | undefined;
  /** Longest time from SIGTERM to SIGKILL; a stop with less grace shortens it. */
  readonly graceMs: Millis;
  readonly maxOutputBytes: number;
  readonly cost?: number | undefined;
  readonly version?: string | undefined;
}

export interface ProcessDeps {
  readonly host: Host;
  readonly log: Logger;
  readonly listener: Omit<AttemptListener, "finish">;
  readonly onEnd: (key: string, outcome: AttemptOutcome) => void;
}

/** What every program gets of the daemon's environment: enough to find other programs and speak its language. */
export const PASSED_ALWAYS = ["PATH", "HOME", "LANG", "TZ", "TMPDIR"] as const;

/** Exit codes of sysexits.h that another attempt will not change: usage, data, configuration. */
const TERMINAL_CODES: ReadonlySet<number> = new Set([64, 65, 78]);

/** Errors of `spawn` that another attempt will not change. */
const TERMINAL_SPAWN: ReadonlySet<string> = new Set([
  "ENOENT",
  "EACCES",
  "EPERM",
  "ENOTDIR",
  "ENOEXEC",
]);

/** What follows the line that names an error: stack frames and other indented lines, brackets, Node's own version. */
const AFTER_THE_ERROR = /^\s|^[)\]}]+$|^Node\.js v\d/;

/** Time for the pipes to run dry after the end, and for a killed process to be gone. */
const DRAIN_MS: Millis = 500;

const STDERR_LINES_MAX = 10_000;

/** Holds a checkpoint of the largest size in base64. */
const LINE_MAX = Math.ceil(PAYLOAD_MAX_BYTES / 3) * 4 + 64;

export class CommandProcess {
  readonly #agent: CommandAgent;
  readonly #assignment: Assignment;
  readonly #deps: ProcessDeps;
  readonly #delivered = new Set<string>();
  readonly #output: Uint8Array[] = [];
  readonly #errors = new LineReader(LINE_MAX, (line) => this.#hear(line));
  #child: ChildProcessWithoutNullStreams | undefined;
  readonly #staged = new StagedMemories();
  #outputBytes = 0;
  #lines = 0;
  #lastLine = "";
  #retryAfterMs: Millis | undefined;
  #isStopping = false;
  #killAt: Instant = Number.POSITIVE_INFINITY;
  #kill: TimerHandle | undefined;
  #drain: TimerHandle | undefined;
  /** Decided before the end, whatever the program still does. */
  #verdict: AttemptOutcome | undefined;
  #over = false;

  constructor(agent: CommandAgent, assignment: Assignment, deps: ProcessDeps) {
    this.#agent = agent;
    this.#assignment = assignment;
    this.#deps = deps;
  }

  /** Starts the program. */
  run(): void {
    if (this.#over) return;
    const [program = "", ...args] = this.#agent.command;
    try {
      this.#child = spawn(program, args, {
        cwd: this.#agent.cwd,
        env: environmentOf(this.#agent, this.#assignment),
        stdio: ["pipe", "pipe", "pipe"],
        // A process group of its own, so that everything it starts can be killed with it.
        detached: true,
        shell: false,
      });
    } catch (error) {
      return this.#notStarted(program, error);
    }
    this.#listen(this.#child, program);
    this.#feed(this.#child);
  }

  /** Sends a signal; a program that reads its input once never hears of it. */
  signal(signal: DeliveredSignal): void {
    if (this.#agent.stdin !== "stream" || this.#child?.stdin.writable !== true) return;
    this.#child.stdin.write(signalLine(signal), (error) => {
      if (!error) this.#receipt(signal.signal, "delivered");
    });
  }

  /** SIGTERM to the group, SIGKILL when the grace is over. */
  stop({ graceMs }: StopRequest): void {
    if (this.#child === undefined) return this.#end({ kind: "stopped" });
    if (!this.#isStopping) this.#signalGroup("SIGTERM");
    this.#isStopping = true;
    const { host } = this.#deps;
    const delayMs = Math.min(graceMs, this.#agent.graceMs);
    if (host.now() + delayMs >= this.#killAt) return;
    this.#killAt = host.now() + delayMs;
    this.#kill?.cancel();
    this.#kill = host.setTimer(delayMs, () => this.#killGroup());
  }

  /** SIGKILL now; the attempt ends with `outcome`. */
  kill(outcome: AttemptOutcome): void {
    this.#verdict ??= outcome;
    if (this.#child === undefined) this.#end(outcome);
    else this.#killGroup();
  }

  /** SIGKILL without any bookkeeping, for a process that is exiting itself. */
  killNow(): void {
    this.#signalGroup("SIGKILL");
  }

  #listen(child: ChildProcessWithoutNullStreams, program: string): void {
    child.on("error", (error) => {
      // Other errors (a signal that could not be sent) do not end the process.
      if (child.pid === undefined) this.#notStarted(program, error);
    });
    child.on("exit", () => {
      this.#signalGroup("SIGKILL");
      this.#armDrain();
    });
    child.on("close", () => this.#conclude());
    child.stdout.on("data", (chunk: Uint8Array) => this.#collect(chunk));
    child.stderr.on("data", (chunk: Uint8Array) => this.#errors.push(chunk));
    for (const stream of [child.stdin, child.stdout, child.stderr]) {
      // A program may close its pipes or exit without reading: not an error of the attempt.
      stream.on("error", () => {});
    }
  }

  #notStarted(program: string, error: unknown): void {
    const outcome = spawnFailure(program, error);
    this.#deps.log.warn({ agent: this.#agent.name, cwd: this.#agent.cwd }, outcome.message);
    this.#end(outcome);
  }

  #feed({ stdin }: ChildProcessWithoutNullStreams): void {
    const { signals } = this.#assignment;
    stdin.write(openingLine(this.#assignment), (error) => {
      if (error) return;
      for (const { signal } of signals) this.#receipt(signal, "delivered");
    });
    if (this.#agent.stdin === "once") stdin.end();
  }

  #collect(chunk: Uint8Array): void {
    this.#outputBytes += chunk.byteLength;
    if (this.#outputBytes <= this.#agent.maxOutputBytes) {
      this.#output.push(chunk);
      return;
    }
    this.#output.length = 0;
    const message = `the program printed more than ${this.#agent.maxOutputBytes} bytes`;
    this.kill({ kind: "failure", failure: "invalid", message });
  }

  #hear(line: string): void {
    if (this.#over) return;
    const { listener } = this.#deps;
    const { key } = this.#assignment;
    const directive = readLine(line);
    switch (directive.kind) {
      case "output":
        return listener.output(key, new TextEncoder().encode(`${directive.text}\n`));
      case "progress":
        return listener.progress(key, directive.percent, directive.note);
      case "checkpoint":
        return listener.checkpoint(key, new Uint8Array(Buffer.from(directive.base64, "base64")));
      case "heartbeat":
        return listener.beat(key);
      case "admitted":
        return this.#receipt(directive.signal, "admitted");
      case "remember":
        return this.#heeding(() => this.#staged.add(directive.text, directive.options));
      case "recall":
        return this.#heeding(() => this.#recall(directive.id, directive.text, directive.options));
      case "retry-after":
        this.#retryAfterMs = directive.retryAfterMs;
        return;
      case "log":
        return this.#log(directive.level, directive.text);
      default:
        return this.#log("warn", `not understood: ${directive.text}`);
    }
  }

  /** What a program says that makes no sense is a line in its log. */
  #heeding(heed: () => void): void {
    try {
      heed();
    } catch (error) {
      this.#log("warn", error instanceof Error ? error.message : String(error));
    }
  }

  #recall(id: string, text: unknown, options: RecallOptions): void {
    if (this.#agent.stdin !== "stream") {
      throw new TypeError("only a program with `stdin: stream` can ask the memory");
    }
    const wish = recallWish(text, options);
    this.#deps.listener.recall(this.#assignment.key, wish, (answer) => {
      if (this.#child?.stdin.writable === true) this.#child.stdin.write(recalledLine(id, answer));
    });
  }

  #log(level: "debug" | "info" | "warn" | "error", text: string): void {
    if (text.trim() === "") return;
    if (!AFTER_THE_ERROR.test(text)) this.#lastLine = text.trim();
    this.#lines++;
    if (this.#lines > STDERR_LINES_MAX) return;
    const { listener } = this.#deps;
    const { key } = this.#assignment;
    listener.log(key, level, text.trimEnd());
    if (this.#lines < STDERR_LINES_MAX) return;
    listener.log(key, "warn", `further lines are dropped: the limit is ${STDERR_LINES_MAX}`);
  }

  #receipt(signal: string, receipt: "delivered" | "admitted"): void {
    const { listener } = this.#deps;
    const { key } = this.#assignment;
    const isFirst = !this.#delivered.has(signal);
    this.#delivered.add(signal);
    if (isFirst) listener.receipt(key, signal, "delivered");
    if (receipt === "admitted") listener.receipt(key, signal, "admitted");
  }

  /** The program has ended and its pipes are dry, or have been waited for long enough. */
  #conclude(): void {
    if (this.#over || this.#child === undefined) return;
    this.#errors.end();
    this.#end(this.#outcome(this.#child));
  }

  #outcome({ exitCode, signalCode }: ChildProcessWithoutNullStreams): AttemptOutcome {
    if (this.#verdict !== undefined) return this.#verdict;
    if (exitCode === 0 && !(this.#isStopping && this.#outputBytes === 0)) return this.#success();
    if (this.#isStopping) return { kind: "stopped" };
    const how =
      signalCode === null ? `exited with code ${exitCode}` : `was killed by ${signalCode}`;
    const message = this.#lastLine === "" ? `the program ${how}` : this.#lastLine;
    if (TERMINAL_CODES.has(exitCode ?? 0)) return { kind: "failure", failure: "terminal", message };
    const retryAfterMs = this.#retryAfterMs;
    if (retryAfterMs === undefined) return { kind: "failure", failure: "retryable", message };
    return { kind: "failure", failure: "throttled", message, retryAfterMs };
  }

  #success(): AttemptOutcome {
    const text = Buffer.concat(this.#output).toString("utf8").trim();
    const memories = this.#staged.taken();
    const success = (value: unknown): AttemptOutcome => ({
      kind: "success",
      output: { json: JSON.stringify(value) },
      ...(memories === undefined ? {} : { memories }),
    });
    if (this.#agent.format === "text") return success(text);
    if (text === "") return success(null);
    try {
      return success(JSON.parse(text));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const message = `the program's output is not JSON: ${why}`;
      return { kind: "failure", failure: "retryable", message };
    }
  }

  #end(outcome: AttemptOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#kill?.cancel();
    this.#drain?.cancel();
    // Pipes that something outside the group still holds must not hold us.
    this.#child?.stdin.destroy();
    this.#child?.stdout.destroy();
    this.#child?.stderr.destroy();
    this.#deps.onEnd(this.#assignment.key, outcome);
  }

  #killGroup(): void {
    this.#signalGroup("SIGKILL");
    this.#armDrain();
  }

  #armDrain(): void {
    if (this.#over) return;
    this.#drain ??= this.#deps.host.setTimer(DRAIN_MS, () => this.#conclude());
  }

  /** Nothing happens when the group is gone already. */
  #signalGroup(signal: "SIGTERM" | "SIGKILL"): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // ESRCH: nobody is left in it.
    }
  }
}

function environmentOf(agent: CommandAgent, assignment: Assignment): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = {};
  for (const variable of [...PASSED_ALWAYS, ...agent.passEnv]) {
    const value = process.env[variable];
    if (value !== undefined) environment[variable] = value;
  }
  return {
    ...environment,
    ...agent.env,
    GOCLAW_RUN_ID: assignment.runId,
    GOCLAW_TASK_ID: assignment.taskId,
    GOCLAW_ATTEMPT: String(assignment.attempt),
    GOCLAW_IDEMPOTENCY_KEY: assignment.idempotencyKey,
    GOCLAW_TRACE_ID: assignment.traceId,
  };
}

type Failure = Extract<AttemptOutcome, { kind: "failure" }>;

function spawnFailure(program: string, error: unknown): Failure {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return {
    kind: "failure",
    failure: TERMINAL_SPAWN.has(code) ? "terminal" : "retryable",
    message: `cannot start "${program}": ${message}`,
  };
}
