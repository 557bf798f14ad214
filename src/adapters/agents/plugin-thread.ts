/**
 * Entry of a plugin thread: loads the modules it is given, runs attempts of their agents, and keeps each attempt's
 * trouble its own where JavaScript allows. It may assume nothing about agent code except that it was meant well: agents
 * are trusted code. Whatever ends the thread is reported first, with the attempt that did it; what cannot be reported
 * (a loop, exhausted memory) is seen from outside through shared memory. It sets no timers: all deadlines are the
 * engine's.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";
import { present, unreachable } from "../../base/assert.ts";
import type { AttemptListener, RecallAnswer } from "../../ports/agent.ts";
import type { Agent } from "../../ports/agent-context.ts";
import { AgentCall } from "./agent-call.ts";
import { agentInfo, agentProblem, isAgent } from "./agent-shape.ts";
import { thrownMessage } from "./agent-value.ts";
import {
  type LoadDuplicate,
  type LoadedAgent,
  type LoadProblem,
  type LogLevel,
  SHARED,
  type ThreadCommand,
  type ThreadData,
  type ThreadReport,
} from "./plugin-protocol.ts";
import { type Packed, packReports, unpackCommands } from "./plugin-text.ts";

const port = present(parentPort, "the port of a worker thread");
const { files, shared } = workerData as ThreadData;
const memory = new Int32Array(shared);

/** One attempt in this thread. */
interface Running {
  readonly call: AgentCall;
  readonly ticket: number;
  /** Its questions to the memory, in the order they were asked. */
  readonly questions: ((answer: RecallAnswer) => void)[];
}

/** Which attempt the running code belongs to, across awaits and timers. */
const running = new AsyncLocalStorage<AgentCall>();
const calls = new Map<string, Running>();
const agents = new Map<string, { readonly agent: Agent; readonly file: string }>();

/** Lines, progress and beats in one batch; an agent that prints in a tight loop must not exhaust the engine. */
const CHATTER_MAX = 1_000;

let batch: ThreadReport[] = [];
let chatter = 0;

function report(one: ThreadReport): void {
  if (batch.length === 0) void Promise.resolve().then(flush);
  batch.push(one);
}

/** Reports something that may be dropped when there is too much of it. */
function chat(one: ThreadReport): void {
  chatter++;
  if (chatter <= CHATTER_MAX) report(one);
}

function flush(): void {
  if (chatter > CHATTER_MAX) {
    const text = `${chatter - CHATTER_MAX} lines or progress reports dropped: more than ${CHATTER_MAX} at once`;
    batch.push({ type: "print", level: "warn", text });
  }
  const sent = batch;
  batch = [];
  chatter = 0;
  if (sent.length > 0) port.postMessage(packReports(sent));
}

const listener: AttemptListener = {
  progress: (key, percent, note) => chat({ type: "progress", key, percent, note }),
  checkpoint: (key, data) => report({ type: "checkpoint", key, data }),
  beat: (key) => chat({ type: "beat", key }),
  log: (key, level, text) => chat({ type: "log", key, level, text }),
  receipt: (key, signal, receipt) => report({ type: "receipt", key, signal, receipt }),
  output: (key, data, offset = 0) => chat({ type: "output", key, data, offset }),
  recall: (key, wish, answer) => {
    const { questions = [] } = calls.get(key) ?? {};
    report({ type: "recall", key, question: questions.push(answer) - 1, wish });
  },
  finish: (key, outcome) => {
    if (calls.delete(key)) report({ type: "finish", key, outcome });
  },
};

/** Runs agent code in the name of its attempt. */
function enter(call: AgentCall, ticket: number, code: () => void): void {
  Atomics.store(memory, SHARED.current, ticket);
  running.run(call, code);
  Atomics.store(memory, SHARED.current, 0);
}

function obey(command: ThreadCommand): void {
  switch (command.type) {
    case "start":
      return start(command);
    case "signal":
      return calls.get(command.key)?.call.deliver(command.signal);
    case "stop": {
      const entry = calls.get(command.key);
      if (entry !== undefined) {
        enter(entry.call, entry.ticket, () => entry.call.abort(command.reason));
      }
      return;
    }
    case "recalled": {
      const entry = calls.get(command.key);
      const answer = entry?.questions[command.question];
      if (entry !== undefined) enter(entry.call, entry.ticket, () => answer?.(command.answer));
      return;
    }
    case "abandon": {
      const entry = calls.get(command.key);
      if (entry === undefined) return;
      calls.delete(command.key);
      entry.call.abandon({ kind: "stopped" });
      return report({ type: "abandoned", key: command.key });
    }
    default:
      return unreachable(command);
  }
}

function start({ assignment, ticket }: Extract<ThreadCommand, { type: "start" }>): void {
  const { key, agent: name } = assignment;
  const { agent } = present(agents.get(name), `agent "${name}" of this thread`);
  const call = new AgentCall(agent, assignment, listener);
  calls.set(key, { call, ticket, questions: [] });
  enter(call, ticket, () => call.run());
}

async function load(): Promise<void> {
  const problems: LoadProblem[] = [];
  const duplicates: LoadDuplicate[] = [];
  const loaded: LoadedAgent[] = [];
  for (const [at, file] of files.entries()) {
    Atomics.store(memory, SHARED.loading, at + 1);
    try {
      const module = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
      for (const value of Object.values(module)) {
        if (isAgent(value)) admit(value, file, { loaded, problems, duplicates });
      }
    } catch (error) {
      problems.push({ file, detail: thrownMessage(error) });
    }
  }
  Atomics.store(memory, SHARED.loading, 0);
  report({ type: "loaded", agents: loaded, problems, duplicates });
}

function admit(
  agent: Agent,
  file: string,
  to: { loaded: LoadedAgent[]; problems: LoadProblem[]; duplicates: LoadDuplicate[] },
): void {
  const detail = agentProblem(agent);
  if (detail !== undefined) {
    to.problems.push({ file, detail });
    return;
  }
  const first = agents.get(agent.name);
  // The same object under two exports, or exported again by another file, is one agent.
  if (first?.agent === agent) return;
  if (first !== undefined) {
    to.duplicates.push({ agent: agent.name, kept: first.file, refused: file });
    return;
  }
  agents.set(agent.name, { agent, file });
  const {
    transport: _,
    source: __,
    version,
    ...info
  } = agentInfo(agent, {
    transport: "",
    source: "",
    version: "",
  });
  to.loaded.push({ file, ...info, ...(version === "" ? {} : { version }) });
}

/** Says why this thread ends, and who made it, while it still can. */
function dying(cause: string): void {
  batch.push({ type: "dying", key: running.getStore()?.key, cause });
  flush();
}

const exit = process.exit.bind(process);

process.exit = (code) => {
  dying(`called process.exit(${code ?? ""})`);
  return exit(code);
};

process.on("uncaughtException", (error) => {
  dying(`threw where nothing catches it: ${thrownMessage(error)}`);
  exit(1);
});

// A promise nobody looked at leaves the thread sound: only its attempt fails.
process.on("unhandledRejection", (error) => {
  const call = running.getStore();
  if (call !== undefined && calls.has(call.key)) call.fail(error);
  else
    report({ type: "print", level: "warn", text: `unhandled rejection: ${thrownMessage(error)}` });
});

/** What agents print goes to the log of their attempt: standard output belongs to the program, not to them. */
function redirect(stream: NodeJS.WriteStream, level: LogLevel): void {
  const write = (chunk: string | Uint8Array, ...rest: readonly unknown[]): boolean => {
    const written = rest.at(-1);
    if (typeof written === "function") void Promise.resolve().then(() => written());
    const text = (typeof chunk === "string" ? chunk : Buffer.from(chunk).toString()).trimEnd();
    const key = running.getStore()?.key;
    if (text === "") return true;
    if (key !== undefined && calls.has(key)) chat({ type: "log", key, level, text });
    else chat({ type: "print", level, text });
    return true;
  };
  stream.write = write as typeof stream.write;
}

redirect(process.stdout, "info");
redirect(process.stderr, "warn");

port.on("message", (message: Packed<ThreadCommand>) => {
  for (const command of unpackCommands(message)) obey(command);
});

await load();
