/**
 * From an HTTP request to a call and back, for all protocols at once: gRPC, gRPC-Web and Connect differ only in how the
 * library frames them. It adds what the library leaves open: nothing is printed to the console, JSON is measured before
 * it is parsed, a message has a size limit, and a request that stops halfway does not hold its stream for ever.
 */
import type { JsonReadOptions, JsonWriteOptions } from "@bufbuild/protobuf";
import type { ConnectRouter, HandlerContext, Interceptor } from "@connectrpc/connect";
import { createConnectRouter } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import {
  compressionBrotli,
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import { FaultError } from "../base/fault.ts";
import type { Millis } from "../base/time.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import { faultToConnect } from "./errors.ts";
import { checkJsonShape, type JsonLimits } from "./json-shape.ts";
import type { RequestHandler } from "./listener.ts";

/**
 * Decoders recurse once or more per level of a nested value; this permits the JSON limit and refuses what could reach
 * the end of the stack.
 */
const RECURSION_LIMIT = 256;

/** Smaller answers go out as they are: on the way to a near client, compressing costs more than it saves. */
const COMPRESS_MIN_BYTES = 64 * 1024;

export interface RpcOptions {
  readonly routes: (router: ConnectRouter) => void;
  readonly interceptors: Interceptor[];
  readonly requestGate: (context: HandlerContext) => void;
  /** Aborted when the daemon stops; ends open streams. */
  readonly shutdownSignal: AbortSignal;
  readonly messageBytes: number;
  readonly json: JsonLimits;
  /** For the whole request of a call that sends one message. */
  readonly requestMs: Millis;
}

export interface RpcDeps {
  readonly host: Pick<Host, "setTimer">;
  readonly log: Logger;
}

/** Finds the handler of a path; undefined when no call has it. */
export type RpcLookup = (path: string) => RequestHandler | undefined;

/** Builds the calls of all services. */
export function createRpcLookup(options: RpcOptions, deps: RpcDeps): RpcLookup {
  const router = createConnectRouter({
    interceptors: options.interceptors,
    requestGate: options.requestGate,
    shutdownSignal: options.shutdownSignal,
    readMaxBytes: options.messageBytes,
    acceptCompression: [compressionGzip, compressionBrotli],
    compressMinBytes: COMPRESS_MIN_BYTES,
    binaryOptions: { recursionLimit: RECURSION_LIMIT },
    jsonOptions: jsonOptions(options.json),
  });
  options.routes(router);
  const byPath = new Map<string, RequestHandler>();
  for (const handler of router.handlers) {
    byPath.set(handler.requestPath, requestHandler(handler, options.requestMs, deps));
  }
  return (path) => byPath.get(path);
}

type JsonOptions = Partial<JsonReadOptions & JsonWriteOptions> & {
  /** The library decodes every JSON body through this, in all protocols and after decompression. */
  readonly textDecoder: { decode(bytes?: Uint8Array): string };
};

function jsonOptions(limits: JsonLimits): JsonOptions {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return {
    // A misspelt field of a definition must not vanish.
    ignoreUnknownFields: false,
    recursionLimit: RECURSION_LIMIT,
    textDecoder: {
      decode: (bytes = new Uint8Array()) => {
        refuseLarge(bytes, limits);
        return decoder.decode(bytes);
      },
    },
  };
}

function refuseLarge(bytes: Uint8Array, limits: JsonLimits): void {
  try {
    checkJsonShape(bytes, limits, "request");
  } catch (error) {
    throw error instanceof FaultError ? faultToConnect(error.fault) : error;
  }
}

function requestHandler(
  handler: UniversalHandler,
  requestMs: Millis,
  { host, log }: RpcDeps,
): RequestHandler {
  const { methodKind } = handler.method;
  const sendsOne = methodKind === "unary" || methodKind === "server_streaming";
  return async (request, response) => {
    const patience = sendsOne ? host.setTimer(requestMs, () => response.destroy()) : undefined;
    request.once("end", () => patience?.cancel());
    request.once("close", () => patience?.cancel());
    try {
      const call = universalRequestFromNodeRequest(request, response, undefined, undefined);
      await universalResponseToNodeResponse(await handler(call), response);
    } catch (error) {
      log.debug({ path: handler.requestPath, error: String(error) }, "call broken off");
      // Either the client is gone, which nobody needs to be told, or the request was no request.
      if (response.headersSent) response.destroy();
      else response.writeHead(400).end();
    }
  };
}
