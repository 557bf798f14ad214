/**
 * Streams of the worker protocol over gRPC. Every stream gets a connection of its own, so that one which hangs (a proxy
 * that lost its other half) cannot also hang the next; it is closed with its stream. Nothing is compressed: that would cost
 * both sides more than all else they do with a message.
 */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import {
  type EngineMessage,
  type WorkerMessage,
  WorkerService,
} from "../../gen/goclaw/v1/worker_service_pb.ts";
import type { Dial } from "./worker-link.ts";

/** Bytes under way before the other side must be heard; HTTP/2's own 64 KiB would make bursts of work wait. */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** Dials `server`, such as `http://127.0.0.1:7420`. */
export function grpcDial(server: string): Dial {
  return (outgoing, abort) => session(server, outgoing, abort);
}

async function* session(
  baseUrl: string,
  outgoing: AsyncIterable<WorkerMessage>,
  signal: AbortSignal,
): AsyncGenerator<EngineMessage, void, undefined> {
  const sessionManager = new Http2SessionManager(
    baseUrl,
    {},
    { settings: { initialWindowSize: WINDOW_BYTES } },
  );
  const transport = createGrpcTransport({ baseUrl, sessionManager, acceptCompression: [] });
  const client = createClient(WorkerService, transport);
  try {
    yield* client.openSession(outgoing, { signal });
  } finally {
    sessionManager.abort();
  }
}
