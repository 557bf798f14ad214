/**
 * The composition root: builds every part in dependency order from one configuration and stops them in reverse. The
 * only place that knows which adapter stands behind which port. It has two faces: the daemon with its server, and the
 * embedded engine of the typed API; both are made of the same parts.
 */
import { builtinAgents } from "./adapters/agents/builtin-agents.ts";
import { CommandTransport } from "./adapters/agents/command-transport.ts";
import { FunctionTransport } from "./adapters/agents/function-transport.ts";
import { PluginTransport } from "./adapters/agents/plugin-transport.ts";
import { type BusListener, LocalBus } from "./adapters/local-bus.ts";
import { MemoryDisk, MemoryMark, MemoryStore } from "./adapters/memory-store.ts";
import { NatsBus } from "./adapters/nats-bus.ts";
import { type OpenedStore, openStore } from "./adapters/open-store.ts";
import { type Log, openLog } from "./adapters/pino-logger.ts";
import { PromMetrics } from "./adapters/prom-metrics.ts";
import { ReserveFile } from "./adapters/reserve-file.ts";
import { SystemHost } from "./adapters/system-host.ts";
import { openMemory } from "./app/open-memory.ts";
import type { Config } from "./config.ts";
import type { EngineApi } from "./engine/api.ts";
import { Engine } from "./engine/engine.ts";
import { Retention } from "./engine/retention.ts";
import { BusBridge } from "./events/bridge.ts";
import { EventHub } from "./events/hub.ts";
import { StoreJournal } from "./journal/journal.ts";
import { LaneManager } from "./lanes/lane-manager.ts";
import type { MemoryHub } from "./memory/hub.ts";
import { TaskScribe } from "./memory/task-scribe.ts";
import type { AgentTransport } from "./ports/agent.ts";
import type { Agent } from "./ports/agent-context.ts";
import type { EventBus } from "./ports/bus.ts";
import { Runtime } from "./runtime/runtime.ts";
import { PollDesk } from "./runtime/worker-desk.ts";
import { WorkerPool } from "./runtime/worker-pool.ts";
import { createServer, type ServerDeps } from "./server/server.ts";
import { eventJson } from "./server/wire-event.ts";
import { VERSION } from "./version.ts";

/** At the end, how long the event bus may take for what it has not got; the rest goes out after the next start. */
const BUS_DRAIN_MS = 1_000;

/** An engine without a server. */
export interface EmbeddedEngine {
  readonly engine: EngineApi;
  /** Agents that are functions of the embedding program; more can be registered at any time. */
  readonly functions: FunctionTransport;
  /** Resolves when the store failed and nothing can be acknowledged any more. */
  readonly failed: Promise<Error>;
  /** Calls `listener` for committed events whose subject matches (`*` one segment, `>` the rest). */
  subscribe(pattern: string, listener: BusListener): Promise<() => void>;
  /** Waits for running attempts as configured, then closes everything. Idempotent. */
  close(): Promise<void>;
}

/** A running daemon. */
export interface Daemon {
  /** Base address: `http://127.0.0.1:7420`. */
  readonly address: string;
  /** Lines a person should see at start. */
  readonly notices: readonly string[];
  readonly failed: Promise<Error>;
  stop(): Promise<void>;
}

/** Everything but the server, started. */
interface Parts {
  readonly host: SystemHost;
  readonly log: Log;
  readonly metrics: PromMetrics;
  readonly engine: Engine;
  readonly functions: FunctionTransport;
  readonly memory: MemoryHub;
  /** Where workers come in, if they can. */
  readonly workers: WorkerPool | undefined;
  readonly store: Pick<OpenedStore, "description" | "notices">;
  readonly failed: Promise<Error>;
  /** Publishes committed events to a bus, from where that kind of bus was left. */
  readonly publishTo: (bus: EventBus) => Promise<void>;
  /** Closes what was started, in reverse. */
  close(): Promise<void>;
}

/** Starts an engine in this process. `agents` are functions of the embedding program. */
export async function openEmbedded(
  config: Config,
  agents: readonly Agent[],
): Promise<EmbeddedEngine> {
  const parts = await startParts(config, { agents, workers: false });
  const bus = new LocalBus({ log: parts.log });
  let published: Promise<void> | undefined;
  return {
    engine: parts.engine,
    functions: parts.functions,
    failed: parts.failed,
    subscribe: async (pattern, listener) => {
      const leave = bus.subscribe(pattern, listener);
      published ??= parts.publishTo(bus);
      await published;
      return leave;
    },
    close: once(async () => {
      await parts.engine.drain(config.drainTimeoutMs);
      await parts.close();
    }),
  };
}

/**
 * Starts the daemon and listens; without `workers` none can connect, and agents that nobody serves are refused. Rejects
 * with the fault of whatever could not start, having closed the rest.
 */
export async function startDaemon(config: Config, workers = true): Promise<Daemon> {
  const parts = await startParts(config, { agents: [], workers });
  const { engine, host, log, metrics, store } = parts;
  const server = createServer(
    {
      listen: config.listen,
      allowNonLoopback: config.insecure,
      limits: {
        requestBytes: config.limits.requestBytes,
        headerBytes: config.limits.headerBytes,
        jsonDepth: config.limits.jsonDepth,
        streams: config.limits.streams,
        streamsPerConnection: config.limits.streamsPerConnection,
      },
    },
    {
      engine,
      memory: parts.memory,
      ...workerDoors(parts),
      host,
      info: {
        version: VERSION,
        nodeVersion: process.version,
        store: store.description,
        startedAt: host.now(),
      },
      scrape: () => metrics.scrape(),
      log: log.child({ module: "server" }),
    },
  );
  try {
    const { address } = await server.start();
    log.info({ address, store: store.description, version: VERSION }, "listening");
    return {
      address,
      notices: [...store.notices, ...exposureNotice(config)],
      failed: parts.failed,
      stop: once(async () => {
        server.drain();
        parts.workers?.drain("the daemon is stopping");
        await engine.drain(config.drainTimeoutMs);
        await server.stop();
        await parts.close();
      }),
    };
  } catch (error) {
    await parts.close();
    throw error;
  }
}

function workerDoors({ workers: door, host }: Parts): Pick<ServerDeps, "workers"> {
  return door === undefined ? {} : { workers: { door, desk: new PollDesk(door, host) } };
}

function exposureNotice({ insecure, listen }: Config): readonly string[] {
  return insecure
    ? [
        `anybody who can reach ${listen.host}:${listen.port} can run agents here: nobody is authenticated`,
      ]
    : [];
}

/** What differs between the two faces. */
interface Face {
  /** Functions of the embedding program. */
  readonly agents: readonly Agent[];
  /** Whether workers can connect. */
  readonly workers: boolean;
}

async function startParts(config: Config, face: Face): Promise<Parts> {
  const host = new SystemHost();
  const log = openLog(config.log);
  const closers: Closer[] = [() => host.close(), () => log.flush()];
  const close = once(async () => {
    for (const closer of closers.reverse()) await closer();
  });
  try {
    return await assemble(config, face, { host, log, closers, close });
  } catch (error) {
    await close();
    throw error;
  }
}

type Closer = () => Promise<void> | void;

interface Base {
  readonly host: SystemHost;
  readonly log: Log;
  readonly closers: Closer[];
  readonly close: () => Promise<void>;
}

/** Builds and starts in dependency order; whatever was started is on `closers` before the next part begins. */
async function assemble(config: Config, face: Face, base: Base): Promise<Parts> {
  const { host, log, closers, close } = base;
  const metrics = new PromMetrics();
  const store = await openConfiguredStore(config, base);
  closers.push(async () => {
    await store.store.close();
    await store.mark.close();
  });
  const journal = new StoreJournal({
    store: store.store,
    mark: store.mark,
    host,
    onFailure: (failure) => engine.storeFailed(failure),
  });
  const memory = await openMemory(
    config.memory,
    { data: config.data, engine: store.engine },
    {
      host,
      log: log.child({ module: "memory" }),
      metrics,
    },
  );
  closers.push(() => memory.close());
  const scribe = new TaskScribe({
    hub: memory,
    journal,
    host,
    log: log.child({ module: "memory" }),
    passedOn: () => engine.passedOn(),
  });
  const hub = new EventHub({ bufferBytes: config.limits.watcherBytes }, { journal, metrics });
  const functions = new FunctionTransport({}, { host });
  for (const agent of face.agents) functions.register(agent);
  const workers = face.workers
    ? new WorkerPool(config.workers, { host, log: log.child({ module: "workers" }) })
    : undefined;
  const runtime = new Runtime(
    { payloadBytes: config.limits.payloadBytes, timerMs: config.limits.timerMs },
    {
      host,
      transports: [functions, ...transportsOf(config, base)],
      ...(workers === undefined ? {} : { workers }),
      log: log.child({ module: "runtime" }),
      metrics,
    },
  );
  const failure = Promise.withResolvers<Error>();
  const bridges: BusBridge[] = [];
  const engine: Engine = new Engine(
    {
      limits: config.limits,
      snapshotEvery: config.snapshots.everyEvents,
      trimsHistory: config.snapshots.trim,
    },
    {
      host,
      journal,
      lanes: new LaneManager(config.lanes, runtime),
      runtime,
      hub,
      memory: scribe,
      log: log.child({ module: "engine" }),
      metrics,
      onFailure: failure.resolve,
      onCommit: () => {
        for (const bridge of bridges) bridge.notify();
      },
    },
  );
  closers.push(() => engine.stop());
  await engine.start();
  startScribe(scribe, closers);
  startRetention(config, journal, base);
  const publishTo = publisher({ journal, engine, metrics, bridges }, base);
  if (config.bus.kind === "nats") await publishTo(natsBus(config, log));
  else await forgetConsumer(journal, "nats");
  return {
    host,
    log,
    metrics,
    engine,
    functions,
    workers,
    memory,
    store,
    failed: failure.promise,
    publishTo,
    close,
  };
}

interface PublisherParts extends Pick<Parts, "engine" | "metrics"> {
  readonly journal: StoreJournal;
  /** Told of every commit. */
  readonly bridges: BusBridge[];
}

function publisher(
  { journal, engine, metrics, bridges }: PublisherParts,
  { host, log, closers }: Base,
): Parts["publishTo"] {
  return async (bus) => {
    const bridge = new BusBridge(
      { consumer: bus.kind },
      {
        journal,
        bus,
        host,
        log: log.child({ module: "bus" }),
        metrics,
        encode: eventJson,
        namespaceOf: async (runId) => (await engine.getRun(runId)).request.namespace,
      },
    );
    bridges.push(bridge);
    bridge.start();
    closers.push(async () => {
      await bridge.drain(BUS_DRAIN_MS);
      await bridge.stop();
    });
  };
}

/** Tasks are shown nothing before it has caught up, so nobody has to wait for it here. */
function startScribe(scribe: TaskScribe, closers: Closer[]): void {
  const caughtUp = scribe.start();
  closers.push(async () => {
    await caughtUp;
    await scribe.stop();
  });
}

function startRetention(config: Config, journal: StoreJournal, { host, log, closers }: Base): void {
  const retention = new Retention(config.retention, {
    host,
    journal,
    log: log.child({ module: "retention" }),
  });
  retention.start();
  closers.push(() => retention.stop());
}

/** A bus that is configured no longer must not keep retention from deleting what it will never read. */
async function forgetConsumer(journal: StoreJournal, consumer: string): Promise<void> {
  if ((await journal.loadCursor(consumer)) !== undefined) await journal.dropCursor(consumer);
}

function transportsOf(config: Config, { host, log }: Base): AgentTransport[] {
  const transports: AgentTransport[] = [];
  if (config.agents.length > 0) {
    transports.push(
      new PluginTransport(
        { directories: config.agents, threads: config.pluginThreads },
        { host, log: log.child({ module: "plugins" }) },
      ),
    );
  }
  if (config.commandAgents.length > 0) {
    transports.push(
      new CommandTransport(
        { agents: config.commandAgents },
        { host, log: log.child({ module: "commands" }) },
      ),
    );
  }
  return [...transports, builtinAgents({ httpAllow: config.http.allow }, { host })];
}

/** An engine is absent when nothing is kept. */
type ConfiguredStore = Omit<OpenedStore, "engine"> & Partial<Pick<OpenedStore, "engine">>;

/** A store in memory is as good as a directory that nobody keeps. */
async function openConfiguredStore(
  config: Config,
  { log, closers }: Base,
): Promise<ConfiguredStore> {
  if (config.store === "memory") {
    const disk = new MemoryDisk();
    return {
      store: new MemoryStore(disk),
      mark: new MemoryMark(disk),
      description: "memory",
      notices: [],
    };
  }
  const reserve = new ReserveFile(config.data, config.reserveBytes);
  const { kind } = await reserve.releaseIfShort();
  const opened = await openStore(config.data, { engine: config.store, version: VERSION });
  closers.push(() => reserve.close());
  if (kind !== "released") {
    void reserve.fill().then((state) => log.debug({ ...state }, "reserve of disk space"));
    return opened;
  }
  const released = `the disk is full: ${config.data} has given up its reserve; make room`;
  return { ...opened, notices: [...opened.notices, released] };
}

function natsBus({ bus }: Config, log: Log): NatsBus {
  const { passwordEnv, tokenEnv, ...nats } = bus.nats;
  const secret = (variable: string | undefined): string | undefined =>
    variable === undefined ? undefined : process.env[variable];
  return new NatsBus(
    {
      ...nats,
      tls: nats.tls && definedOnly(nats.tls),
      password: secret(passwordEnv),
      token: secret(tokenEnv),
    },
    { log: log.child({ module: "bus" }) },
  );
}

/** An object without the keys whose value is undefined. */
function definedOnly<T extends object>(of: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const entries = Object.entries(of).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: NonNullable<T[K]> };
}

/** A function that does its work on the first call and answers every later one with the same promise. */
function once(run: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= run();
    return done;
  };
}
