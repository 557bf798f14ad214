/**
 * Agents of this program for a daemon elsewhere: connects, runs what the daemon assigns, and sees to it that every
 * result arrives. The agents are the same objects as in an embedded engine or a plugin directory. Cut connections, a
 * daemon that restarts and SIGTERM are its business; what is left to the program is to start it and, if it likes, to
 * stop it.
 */
import { create } from "@bufbuild/protobuf";
import { type WorkerAgent, WorkerAgentSchema } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { agentProblem } from "../adapters/agents/agent-shape.ts";
import { type LogLevel, openLog } from "../adapters/pino-logger.ts";
import { SystemHost } from "../adapters/system-host.ts";
import { type Fault, FaultError, fault } from "../base/fault.ts";
import type { Json } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";
import type { Agent } from "../ports/agent-context.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import { publicError, translated } from "./errors.ts";
import { jsonValue } from "./wire-value.ts";
import { grpcDial } from "./worker-dial.ts";
import { type WorkerCounts, WorkerLeases } from "./worker-leases.ts";
import { type Dial, WorkerLink } from "./worker-link.ts";
import { type AskMemory, grpcAsk } from "./worker-memory.ts";
import { Outbox } from "./worker-outbox.ts";

export interface WorkerOptions {
  /** Address of the daemon. Default `http://127.0.0.1:7420`. */
  readonly server?: string;
  /** Functions made with `agent`. */
  readonly agents: readonly Agent<never>[];
  /** Attempts at once; one of an agent with a `cost` counts that often. Default 100. */
  readonly capacity?: number;
  /** What people call this worker; equal for its replicas. Default: a name made for this process. */
  readonly name?: string;
  /** Tasks may ask for workers with certain labels. */
  readonly labels?: { readonly [name: string]: string };
  /** How long `stop` waits for what runs. Default 30,000. */
  readonly drainTimeoutMs?: Millis;
  /** Signals of the process that call `stop`. Default `SIGTERM` and `SIGINT`; an empty list leaves them alone. */
  readonly stopOn?: readonly NodeJS.Signals[];
  /** Least severe level of the log on standard error. Default `warn`. */
  readonly log?: LogLevel;
}

/** What a worker is doing. */
export interface WorkerStatus extends WorkerCounts {
  /** Names this process at the daemon. */
  readonly instanceId: string;
  /** Sessions so far; more than one means that it had to reconnect. */
  readonly sessions: number;
}

const SERVER_DEFAULT = "http://127.0.0.1:7420";
const CAPACITY_DEFAULT = 100;
const CAPACITY_MAX = 1_000_000;
const DRAIN_TIMEOUT_MS: Millis = 30_000;

/** Optional parts of the protocol that this worker understands. */
const CAPABILITIES = ["raw-values", "run-input", "signals"];

/** What a worker asks of its process. */
export interface WorkerWorld {
  readonly host: Host;
  readonly dial: Dial;
  /** Names this process at the daemon. Default one that is made for it. */
  readonly instanceId?: string;
  /** Questions of agents to the memory; without it they are answered with nothing. */
  readonly recall?: AskMemory;
  readonly log: Logger;
  /** Called once, when the worker has ended. */
  close(): void;
}

/** A worker for a daemon. Throws {@link GoClawError} for agents or options that cannot be; `start` connects. */
export function worker(options: WorkerOptions): Worker {
  return new Worker(options, processWorld(options));
}

function processWorld({
  server = SERVER_DEFAULT,
  log: level = "warn",
}: WorkerOptions): WorkerWorld {
  const host = new SystemHost();
  const log = openLog({ level, format: "auto" });
  const instanceId = host.newRunId();
  const memory = grpcAsk(server, instanceId, host);
  return {
    host,
    instanceId,
    dial: grpcDial(server),
    recall: memory.ask,
    log: log.child({ module: "worker" }),
    close: () => {
      memory.close();
      host.close();
      log.flush();
    },
  };
}

/** Agents of this program at work for a daemon. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #world: WorkerWorld;
  readonly #leases: WorkerLeases;
  readonly #link: WorkerLink;
  readonly #instanceId: string;
  readonly #closed = Promise.withResolvers<void>();
  readonly #onSignal = (): void => void this.stop();
  #isStarted = false;

  constructor(options: WorkerOptions, world: WorkerWorld) {
    const agents = agentTable(options.agents);
    const capacity = checkedCapacity(options.capacity ?? CAPACITY_DEFAULT);
    const { dial, host, log, recall = NO_MEMORY } = world;
    const outbox = new Outbox(host);
    const onIdle = (): void => this.#link.settle();
    this.#options = options;
    this.#world = world;
    this.#instanceId = world.instanceId ?? host.newRunId();
    this.#leases = new WorkerLeases(capacity, { agents, outbox, host, log, recall, onIdle });
    this.#link = new WorkerLink({
      dial,
      host,
      leases: this.#leases,
      outbox,
      log,
      hello: {
        capabilities: CAPABILITIES,
        name: options.name ?? "",
        instanceId: this.#instanceId,
        labels: { ...options.labels },
        agents: [...agents.values()].map(wireAgent),
      },
    });
    // Nobody may be waiting for it.
    this.#closed.promise.catch(() => {});
  }

  /**
   * Connects and takes work. Resolves when the daemon has welcomed this worker, however long that takes, or when the
   * worker was stopped before; rejects when the daemon refuses it.
   */
  start(): Promise<void> {
    if (!this.#isStarted) {
      this.#isStarted = true;
      this.#work().then(this.#closed.resolve, this.#closed.reject);
    }
    return translated(this.#link.connected);
  }

  /**
   * Takes no new work, waits until all that runs has ended and is committed, and disconnects. What is left after
   * `drainTimeoutMs` is told to stop and given to other workers at once. May be called again.
   */
  async stop(): Promise<void> {
    if (!this.#isStarted) return;
    const { drainTimeoutMs = DRAIN_TIMEOUT_MS } = this.#options;
    const deadline = this.#world.host.setTimer(drainTimeoutMs, () => {
      this.#leases.abandon();
      this.#link.leave();
    });
    this.#link.drain();
    await this.#closed.promise.catch(() => {});
    deadline.cancel();
  }

  /** Resolves when the worker has stopped; rejects when the daemon refused it. */
  get closed(): Promise<void> {
    return translated(this.#closed.promise);
  }

  /** Changes how many attempts may run at once. Those that run go on. */
  setCapacity(capacity: number): void {
    this.#leases.setCapacity(checkedCapacity(capacity));
  }

  get status(): WorkerStatus {
    const { counts } = this.#leases;
    return { instanceId: this.#instanceId, sessions: this.#link.streams, ...counts };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #work(): Promise<void> {
    const stopOn = this.#options.stopOn ?? ["SIGTERM", "SIGINT"];
    for (const signal of stopOn) process.on(signal, this.#onSignal);
    try {
      await this.#link.run();
    } finally {
      for (const signal of stopOn) process.off(signal, this.#onSignal);
      this.#world.close();
    }
  }
}

const NO_MEMORY: AskMemory = async () => ({ memories: [], note: "there is nobody to ask" });

function agentTable(list: readonly Agent<never>[]): ReadonlyMap<string, Agent> {
  const source = "worker()";
  const table = new Map<string, Agent>();
  for (const each of list as readonly Agent[]) {
    const detail = agentProblem(each);
    if (detail !== undefined) reject(fault("AGENT_LOAD_FAILED", { source, detail }));
    if (table.has(each.name)) {
      reject(fault("AGENT_DUPLICATE", { agent: each.name, kept: source, refused: source }));
    }
    table.set(each.name, each);
  }
  const expected = "at least one agent";
  if (table.size === 0) reject(fault("ARGUMENT_INVALID", { field: "agents", value: "", expected }));
  return table;
}

function checkedCapacity(capacity: number): number {
  if (Number.isInteger(capacity) && capacity >= 0 && capacity <= CAPACITY_MAX) return capacity;
  const expected = `a whole number from 0 to ${CAPACITY_MAX}`;
  return reject(
    fault("ARGUMENT_INVALID", { field: "capacity", value: String(capacity), expected }),
  );
}

function reject(problem: Fault): never {
  throw publicError(new FaultError(problem));
}

function wireAgent({ name, version, inputSchema, cost, timeoutMs }: Agent): WorkerAgent {
  return create(WorkerAgentSchema, {
    name,
    version: version ?? "",
    slotCost: cost ?? 1,
    timeoutMs: Math.ceil(timeoutMs ?? 0),
    ...(inputSchema === undefined
      ? {}
      : { inputSchema: jsonValue(JSON.parse(JSON.stringify(inputSchema)) as Json) }),
  });
}
