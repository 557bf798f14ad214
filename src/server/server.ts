/**
 * The daemon's one port: calls of all services over gRPC, gRPC-Web and Connect, and a few plain pages for machines that
 * speak none of them. It owns the order of leaving (refuse new work, end open streams, close connections) and decides
 * nothing about runs.
 */
import { isIPv4 } from "node:net";
import type { ConnectError, ConnectRouter, ServiceImpl } from "@connectrpc/connect";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { GoClawEngine } from "../../gen/goclaw/v1/engine_pb.ts";
import { MemoryService } from "../../gen/goclaw/v1/memory_service_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { WorkerService } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { FaultError, fault } from "../base/fault.ts";
import type { Millis } from "../base/time.ts";
import type { EngineApi } from "../engine/api.ts";
import type { MemoryHub } from "../memory/hub.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import type { WorkerDesk, WorkerDoor } from "../ports/worker.ts";
import { adminService, type ServerInfo } from "./admin-service.ts";
import { withCors } from "./cors.ts";
import { DescriptorIndex } from "./descriptor-index.ts";
import { engineService } from "./engine-service.ts";
import { createErrorFunnel, faultToConnect } from "./errors.ts";
import { healthService } from "./health-service.ts";
import { createInterceptors, createRequestGate } from "./interceptors.ts";
import { type ListenAddress, Listener, type RequestHandler } from "./listener.ts";
import { memoryService } from "./memory-service.ts";
import { createPages, pathOf } from "./pages.ts";
import { reflectionService } from "./reflection-service.ts";
import { createRpcLookup } from "./rpc-handler.ts";
import { runService } from "./run-service.ts";
import { Submissions } from "./submission.ts";
import { workerService } from "./worker-service.ts";

export interface ServerOptions {
  readonly listen: ListenAddress;
  /** Permits addresses other machines can reach, although nobody is authenticated. */
  readonly allowNonLoopback: boolean;
  /** Web origins whose pages may call. Default none. */
  readonly corsOrigins?: readonly string[];
  /** Time open calls get to finish when the server stops. Default 5 s. */
  readonly closeGraceMs?: Millis;
  /** Default {@link SERVER_LIMITS}. */
  readonly limits?: Partial<ServerLimits>;
}

/** Bounds of what a client can make the server hold. */
export interface ServerLimits {
  /** One request message. */
  readonly requestBytes: number;
  /** Headers of one request. */
  readonly headerBytes: number;
  /** Nesting of JSON in requests. */
  readonly jsonDepth: number;
  /** Open streams of all connections. */
  readonly streams: number;
  readonly streamsPerConnection: number;
  readonly connections: number;
}

export const SERVER_LIMITS: ServerLimits = {
  requestBytes: 4 * 1024 * 1024,
  headerBytes: 16 * 1024,
  jsonDepth: 64,
  streams: 1_000,
  streamsPerConnection: 100,
  connections: 10_000,
};

/** Values of one JSON request; more would hold the event loop. Large inputs travel better as `input_data`. */
const JSON_VALUES_MAX = 100_000;
const CLOSE_GRACE_MS: Millis = 5_000;
/** Patience with connections; research/reliability: Node's HTTP/2 server has none by itself. */
const PATIENCE = { headersMs: 10_000, requestMs: 30_000, idleMs: 120_000, pingMs: 20_000 } as const;

export interface ServerDeps {
  readonly engine: EngineApi;
  /** Without one, calls of MemoryService are not served. */
  readonly memory?: MemoryHub;
  /** Where workers come in. Without it, calls of WorkerService are not served. */
  readonly workers?: { readonly door: WorkerDoor; readonly desk: WorkerDesk };
  readonly host: Host;
  readonly info: ServerInfo;
  /** Prometheus text. */
  readonly scrape: () => Promise<string>;
  readonly log: Logger;
}

/** A server; `stop` is idempotent and legal before `start`. */
export interface Server {
  /** Listens. Rejects with `LISTEN_EXPOSED` or `LISTEN_FAILED`. The address is a URL with the real port. */
  start(): Promise<{ readonly address: string }>;
  /** Refuses calls that bring new work from now on; reads go on, health says NOT_SERVING. */
  drain(): void;
  /** Ends open streams with UNAVAILABLE, lets open calls finish for the grace, closes every connection. */
  stop(): Promise<void>;
}

const SERVICES = [
  GoClawEngine,
  RunService,
  AdminService,
  WorkerService,
  MemoryService,
  Health,
  ServerReflection,
] as const;

/** Builds the server; nothing listens before `start`. */
export function createServer(options: ServerOptions, deps: ServerDeps): Server {
  return new RpcServer(options, deps);
}

class RpcServer implements Server {
  readonly #options: ServerOptions;
  readonly #deps: ServerDeps;
  readonly #listener: Listener;
  readonly #stopping = new AbortController();
  #isDraining = false;
  #isListening = false;
  #stopped: Promise<void> | undefined;

  constructor(options: ServerOptions, deps: ServerDeps) {
    this.#options = options;
    this.#deps = deps;
    const limits = { ...SERVER_LIMITS, ...options.limits };
    const handler = withCors(options.corsOrigins ?? [], this.#handler(limits));
    this.#listener = new Listener({ ...limits, ...PATIENCE }, handler, deps);
  }

  #handler(limits: ServerLimits): RequestHandler {
    const { host, log } = this.#deps;
    const funnel = createErrorFunnel({ host, log });
    const lookUp = createRpcLookup(
      {
        routes: (router) => this.#route(router, funnel, limits.requestBytes),
        interceptors: createInterceptors({ host, log, funnel, streams: limits.streams }),
        requestGate: createRequestGate(() => this.#isDraining),
        shutdownSignal: this.#stopping.signal,
        messageBytes: limits.requestBytes,
        json: { depth: limits.jsonDepth, values: JSON_VALUES_MAX },
        requestMs: PATIENCE.requestMs,
      },
      this.#deps,
    );
    const pages = createPages({ readiness: () => this.#readiness(), scrape: this.#deps.scrape });
    return (request, response) => {
      response.once("close", () => this.#listener.closeIdle());
      const serve = lookUp(pathOf(request)) ?? pages;
      serve(request, response);
    };
  }

  #route(
    router: ConnectRouter,
    funnel: ReturnType<typeof createErrorFunnel>,
    maxBytes: number,
  ): void {
    const { engine, host, info, memory, workers, log } = this.#deps;
    if (workers !== undefined) {
      router.service(WorkerService, workerService({ ...workers, host, log, maxBytes }));
    }
    if (memory !== undefined) router.service(MemoryService, memoryService({ memory }));
    const submissions = new Submissions(host);
    const reflection = reflectionService(new DescriptorIndex(SERVICES));
    router
      .service(GoClawEngine, engineService({ engine, submissions }))
      .service(RunService, runService({ engine, submissions, host, funnel }))
      .service(
        AdminService,
        adminService({
          engine,
          submissions,
          info,
          workers: () => workers?.door.workers() ?? [],
          drain: () => this.drain(),
        }),
      )
      .service(
        Health,
        healthService({
          services: SERVICES.map((service) => service.typeName),
          isServing: () => this.#readiness().ready,
          host,
        }),
      )
      .service(ServerReflection, reflection)
      // The alpha differs in its package's name alone.
      .service(
        ServerReflectionAlpha,
        reflection as unknown as ServiceImpl<typeof ServerReflectionAlpha>,
      );
  }

  #readiness(): { readonly ready: boolean; readonly reason: string } {
    return this.#isDraining ? { ready: false, reason: "draining" } : this.#deps.engine.readiness();
  }

  async start(): Promise<{ readonly address: string }> {
    const { listen, allowNonLoopback } = this.#options;
    if (!isLoopback(listen.host)) {
      if (!allowNonLoopback) throw new FaultError(fault("LISTEN_EXPOSED", { host: listen.host }));
      this.#deps.log.warn(
        { host: listen.host },
        "listening beyond loopback without authentication: whoever reaches the port can use the daemon",
      );
    }
    const { host, port } = await this.#listener.listen(listen);
    this.#isListening = true;
    return { address: `http://${host.includes(":") ? `[${host}]` : host}:${port}` };
  }

  drain(): void {
    this.#isDraining = true;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.drain();
    this.#stopping.abort(STOPPING);
    if (this.#isListening) await this.#listener.close(this.#options.closeGraceMs ?? CLOSE_GRACE_MS);
  }
}

/** What open streams are told when the daemon stops. */
const STOPPING: ConnectError = faultToConnect(fault("ENGINE_DRAINING", { retryAfterMs: 1_000 }));

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
