/**
 * Agents that are programs: each attempt is a process of its own, the safest way to run code of others next to the
 * daemon. The list of agents comes from the configuration and never changes while the transport lives. How many run at
 * once is the lanes' decision, not ours.
 */
import { assert } from "../../base/assert.ts";
import { fault, faultMessage } from "../../base/fault.ts";
import type {
  AgentInfo,
  AgentTransport,
  Assignment,
  AttemptListener,
  AttemptOutcome,
  DeliveredSignal,
  StopRequest,
} from "../../ports/agent.ts";
import type { Host } from "../../ports/host.ts";
import type { Logger } from "../../ports/telemetry.ts";
import { type CommandAgent, CommandProcess } from "./command-process.ts";

export interface CommandDeps {
  readonly host: Host;
  readonly log: Logger;
}

const CLOSED: AttemptOutcome = {
  kind: "lost",
  reason: "WORKER_LOST",
  message: "the engine is shutting down",
};

export class CommandTransport implements AgentTransport {
  readonly kind = "command";
  readonly #agents: ReadonlyMap<string, CommandAgent>;
  readonly #deps: CommandDeps;
  readonly #processes = new Map<string, CommandProcess>();
  readonly #killAll = () => {
    for (const one of this.#processes.values()) one.killNow();
  };
  #listener: AttemptListener | undefined;
  #closed = false;
  readonly #idle = Promise.withResolvers<void>();

  constructor(options: { readonly agents: readonly CommandAgent[] }, deps: CommandDeps) {
    this.#agents = new Map(options.agents.map((agent) => [agent.name, agent]));
    this.#deps = deps;
  }

  open(listener: AttemptListener): Promise<void> {
    assert(this.#listener === undefined, "a transport is opened once");
    this.#listener = listener;
    // Even when the daemon is told to exit at once, no process group outlives it.
    process.on("exit", this.#killAll);
    return Promise.resolve();
  }

  agents(): readonly AgentInfo[] {
    return [...this.#agents.values()].map((agent) => ({
      name: agent.name,
      version: agent.version ?? "",
      transport: this.kind,
      source: agent.command.join(" "),
      ...(agent.cost === undefined ? {} : { cost: agent.cost }),
      ...(agent.timeoutMs === undefined ? {} : { timeoutMs: agent.timeoutMs }),
    }));
  }

  start(assignment: Assignment): void {
    const listener = this.#listener;
    assert(listener !== undefined, "the transport is open");
    const { key, agent: name } = assignment;
    const { host, log } = this.#deps;
    const agent = this.#agents.get(name);
    if (agent === undefined || this.#closed) {
      const outcome = this.#closed ? CLOSED : unknownAgent(name);
      host.defer(() => listener.finish(key, outcome));
      return;
    }
    const onEnd = (ended: string, outcome: AttemptOutcome) => this.#ended(ended, outcome);
    const attempt = new CommandProcess(agent, assignment, { host, log, listener, onEnd });
    this.#processes.set(key, attempt);
    host.defer(() => attempt.run());
  }

  signal(key: string, signal: DeliveredSignal): void {
    // Deferred like the start, which it must not overtake.
    this.#deps.host.defer(() => this.#processes.get(key)?.signal(signal));
  }

  stop(key: string, request: StopRequest): void {
    this.#deps.host.defer(() => this.#processes.get(key)?.stop(request));
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const attempt of [...this.#processes.values()]) attempt.kill(CLOSED);
    this.#tellIdle();
    return this.#idle.promise;
  }

  #ended(key: string, outcome: AttemptOutcome): void {
    this.#processes.delete(key);
    this.#listener?.finish(key, outcome);
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (!this.#closed || this.#processes.size > 0) return;
    process.off("exit", this.#killAll);
    this.#idle.resolve();
  }
}

function unknownAgent(agent: string): AttemptOutcome {
  const message = faultMessage(fault("AGENT_UNKNOWN", { agent }));
  return { kind: "failure", failure: "retryable", message };
}
