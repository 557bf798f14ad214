/**
 * The real server on a free port of loopback, in front of an engine that a test makes up. Only what a test overrides
 * exists; any other call into the engine fails the test that made it.
 */
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { onTestFinished } from "vitest";
import { SystemHost } from "../../src/adapters/system-host.ts";
import type { EngineApi } from "../../src/engine/api.ts";
import { createServer, type Server, type ServerOptions } from "../../src/server/server.ts";
import { MemoryLogger } from "./memory-logger.ts";

export type Protocol = "grpc" | "grpc-web" | "connect" | "connect-json";

export const PROTOCOLS: readonly Protocol[] = ["grpc", "grpc-web", "connect", "connect-json"];

/** A transport of this protocol; gRPC over h2c, gRPC-Web and Connect over HTTP/1.1. */
export function transportOf(protocol: Protocol, baseUrl: string): Transport {
  switch (protocol) {
    case "grpc":
      return createGrpcTransport({ baseUrl });
    case "grpc-web":
      return createGrpcWebTransport({ baseUrl, httpVersion: "1.1" });
    case "connect":
      return createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true });
    case "connect-json":
      return createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false });
  }
}

export interface Served {
  readonly address: string;
  readonly server: Server;
  readonly log: MemoryLogger;
  client<S extends DescService>(service: S, protocol?: Protocol): Client<S>;
}

/** An engine of which only these methods exist. */
export function engineOf(methods: Partial<EngineApi>): EngineApi {
  const quiet: Partial<EngineApi> = {
    readiness: () => ({ ready: true, reason: "" }),
    explain: () => undefined,
    lateResults: async () => [],
  };
  return new Proxy({ ...quiet, ...methods } as EngineApi, {
    get(target, name) {
      const missing = () => {
        throw new Error(`the engine was asked for ${String(name)}`);
      };
      return Reflect.get(target, name) ?? missing;
    },
  });
}

/** Serves until the test ends. */
export async function serve(
  methods: Partial<EngineApi> = {},
  options: Partial<ServerOptions> & { readonly scrape?: () => Promise<string> } = {},
): Promise<Served> {
  const host = new SystemHost();
  const log = new MemoryLogger();
  const server = createServer(
    {
      listen: { host: "127.0.0.1", port: 0 },
      allowNonLoopback: false,
      closeGraceMs: 100,
      ...options,
    },
    {
      engine: engineOf(methods),
      host,
      info: { version: "1.2.3", nodeVersion: "v24", store: "memory", startedAt: 1_000 },
      scrape: options.scrape ?? (async () => "goclaw_up 1\n"),
      log,
    },
  );
  const { address } = await server.start();
  onTestFinished(() => server.stop());
  return {
    address,
    server,
    log,
    client: (service, protocol = "grpc") => createClient(service, transportOf(protocol, address)),
  };
}
