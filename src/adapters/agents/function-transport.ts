/**
 * Agents that are functions in the engine's own process: those an embedding program registers, and the built-ins. They
 * share the engine's thread, so they are trusted to return to the event loop; what they may do wrong without harm is
 * throw, reject, never end, or answer after they were given up. Calls start one turn later than asked, because the
 * engine must never be called back from inside its own call.
 */
import { assert } from "../../base/assert.ts";
import { fault, faultMessage, refuse } from "../../base/fault.ts";
import type { Instant } from "../../base/time.ts";
import type {
  AgentInfo,
  AgentTransport,
  Assignment,
  AttemptListener,
  AttemptOutcome,
  DeliveredSignal,
  StopRequest,
} from "../../ports/agent.ts";
import type { Agent } from "../../ports/agent-context.ts";
import type { Host, TimerHandle } from "../../ports/host.ts";
import { AgentCall } from "./agent-call.ts";
import { agentInfo, agentProblem } from "./agent-shape.ts";

export interface FunctionTransportOptions {
  /** Name of this way to run agents. Default `function`. */
  readonly kind?: string;
  /** Where the agents come from, for people. Default `in-process`. */
  readonly source?: string;
}

interface Call {
  readonly call: AgentCall;
  force: TimerHandle | undefined;
  forceAt: Instant;
}

const CLOSED: AttemptOutcome = {
  kind: "lost",
  reason: "WORKER_LOST",
  message: "the engine is shutting down",
};

export class FunctionTransport implements AgentTransport {
  readonly kind: string;
  readonly #source: string;
  readonly #host: Host;
  readonly #agents = new Map<string, { readonly agent: Agent; readonly info: AgentInfo }>();
  readonly #calls = new Map<string, Call>();
  #listener: AttemptListener | undefined;
  #onChange: (() => void) | undefined;
  #closed = false;

  constructor(options: FunctionTransportOptions, deps: { readonly host: Host }) {
    this.kind = options.kind ?? "function";
    this.#source = options.source ?? "in-process";
    this.#host = deps.host;
  }

  /** Adds an agent, before or after `open`. Throws `AGENT_LOAD_FAILED` or `AGENT_DUPLICATE`. */
  register(agent: Agent): void {
    const problem = agentProblem(agent);
    if (problem !== undefined) {
      refuse(fault("AGENT_LOAD_FAILED", { source: this.#source, detail: problem }));
    }
    if (this.#agents.has(agent.name)) {
      const source = this.#source;
      refuse(fault("AGENT_DUPLICATE", { agent: agent.name, kept: source, refused: source }));
    }
    const info = agentInfo(agent, { transport: this.kind, source: this.#source, version: "" });
    this.#agents.set(agent.name, { agent, info });
    this.#onChange?.();
  }

  open(listener: AttemptListener, onChange: () => void): Promise<void> {
    assert(this.#listener === undefined, "a transport is opened once");
    this.#listener = {
      progress: (key, percent, note) => listener.progress(key, percent, note),
      checkpoint: (key, data) => listener.checkpoint(key, data),
      beat: (key) => listener.beat(key),
      log: (key, level, message) => listener.log(key, level, message),
      receipt: (key, signal, receipt) => listener.receipt(key, signal, receipt),
      output: (key, data, offset) => listener.output(key, data, offset),
      recall: (key, wish, answer) => listener.recall(key, wish, answer),
      finish: (key, outcome) => {
        this.#calls.get(key)?.force?.cancel();
        this.#calls.delete(key);
        listener.finish(key, outcome);
      },
    };
    this.#onChange = onChange;
    return Promise.resolve();
  }

  agents(): readonly AgentInfo[] {
    return [...this.#agents.values()].map(({ info }) => info);
  }

  start(assignment: Assignment): void {
    const listener = this.#listener;
    assert(listener !== undefined, "the transport is open");
    const { key, agent: name } = assignment;
    const agent = this.#agents.get(name)?.agent;
    if (agent === undefined || this.#closed) {
      this.#host.defer(() => listener.finish(key, this.#closed ? CLOSED : unknownAgent(name)));
      return;
    }
    const call = new AgentCall(agent, assignment, listener);
    this.#calls.set(key, { call, force: undefined, forceAt: Number.POSITIVE_INFINITY });
    this.#host.defer(() => {
      if (this.#calls.has(key)) call.run();
    });
  }

  signal(key: string, signal: DeliveredSignal): void {
    const call = this.#calls.get(key)?.call;
    if (call !== undefined) this.#host.defer(() => call.deliver(signal));
  }

  stop(key: string, { reason, graceMs }: StopRequest): void {
    const entry = this.#calls.get(key);
    if (entry === undefined) return;
    this.#host.defer(() => entry.call.abort(reason));
    const forceAt = this.#host.now() + graceMs;
    if (forceAt >= entry.forceAt) return;
    entry.forceAt = forceAt;
    entry.force?.cancel();
    entry.force = this.#host.setTimer(graceMs, () => entry.call.abandon({ kind: "stopped" }));
  }

  close(): Promise<void> {
    this.#closed = true;
    return new Promise((resolve) => {
      this.#host.defer(() => {
        for (const { call } of [...this.#calls.values()]) {
          call.abort("SHUTDOWN");
          call.abandon(CLOSED);
        }
        resolve();
      });
    });
  }
}

function unknownAgent(agent: string): AttemptOutcome {
  const message = faultMessage(fault("AGENT_UNKNOWN", { agent }));
  return { kind: "failure", failure: "retryable", message };
}
