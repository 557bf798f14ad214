/**
 * One plain port for HTTP/1.1 and HTTP/2. Node has no such server, so the HTTP/1 server listens and its connection
 * handler stands behind a sniffer that passes HTTP/2 connections to a second server which never listens itself. Here
 * live the limits of connections (streams, headers, silence, slow senders), because Node's HTTP/2 server has none of its
 * own, and the order of a graceful close.
 */
import * as http from "node:http";
import * as http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { FaultError, fault } from "../base/fault.ts";
import type { Millis } from "../base/time.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import { sniffProtocol } from "./protocol-sniffer.ts";

/** What both servers call for a request. HTTP/2 requests come in Node's compatible shape. */
export type RequestHandler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

/** Where to listen. Port 0 takes a free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface ListenerLimits {
  readonly headerBytes: number;
  readonly streamsPerConnection: number;
  /** Open connections; more are closed at once. */
  readonly connections: number;
  /** For the first bytes of a connection, and for the headers of a request. */
  readonly headersMs: Millis;
  /** For the whole request of a call that sends one message. */
  readonly requestMs: Millis;
  /** A connection unused for so long is closed; one with open streams is asked for a sign of life as often. */
  readonly idleMs: Millis;
  /** For that sign. */
  readonly pingMs: Millis;
}

export interface ListenerDeps {
  readonly host: Pick<Host, "setTimer">;
  readonly log: Logger;
}

type ConnectionHandler = (this: http.Server, socket: Socket) => void;

/** An HTTP/1.1 and h2c server on one port. */
export class Listener {
  readonly #limits: ListenerLimits;
  readonly #deps: ListenerDeps;
  readonly #http1: http.Server;
  readonly #http2: http2.Http2Server;
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  #isClosing = false;

  constructor(limits: ListenerLimits, handler: RequestHandler, deps: ListenerDeps) {
    this.#limits = limits;
    this.#deps = deps;
    this.#http1 = this.#createHttp1(handler);
    this.#http2 = this.#createHttp2(handler);
  }

  #createHttp1(handler: RequestHandler): http.Server {
    const limits = this.#limits;
    const server = http.createServer({
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
    });
    server.maxConnections = limits.connections;
    server.on("request", (request, response) => {
      // An idle connection is closed by the listener; a busy one must not be offered for reuse after its answer.
      if (this.#isClosing) response.setHeader("connection", "close");
      handler(request, response);
    });
    const serveHttp1 = server.listeners("connection") as ConnectionHandler[];
    server.removeAllListeners("connection");
    server.on("connection", (socket) => this.#accept(socket, serveHttp1));
    return server;
  }

  #createHttp2(handler: RequestHandler): http2.Http2Server {
    const { headerBytes, streamsPerConnection } = this.#limits;
    const server = http2.createServer({
      maxSessionMemory: 10,
      maxSettings: 32,
      settings: { maxConcurrentStreams: streamsPerConnection, maxHeaderListSize: headerBytes },
    });
    server.on("request", (request, response) => {
      // The announced limit binds a client only once it has acknowledged it.
      if (headerSize(request.rawHeaders) > headerBytes) response.writeHead(431).end();
      else handler(...compatible(request, response));
    });
    server.on("session", (session) => this.#follow(session));
    server.on("sessionError", (error) => this.#dropped(error));
    return server;
  }

  #accept(socket: Socket, serveHttp1: readonly ConnectionHandler[]): void {
    this.#sockets.add(socket);
    socket.on("error", (error) => this.#dropped(error));
    const patience = this.#deps.host.setTimer(this.#limits.headersMs, () => socket.destroy());
    socket.once("close", () => {
      patience.cancel();
      this.#sockets.delete(socket);
    });
    sniffProtocol(socket, (isHttp2) => {
      patience.cancel();
      if (isHttp2) {
        // HTTP/1 servers let clients half-close; an HTTP/2 connection whose client is done is over.
        socket.allowHalfOpen = false;
        this.#http2.emit("connection", socket);
        return;
      }
      for (const serve of serveHttp1) serve.call(this.#http1, socket);
      socket.resume();
    });
  }

  /** A session that opened nothing for a while ends; one with open streams must now and then answer a ping. */
  #follow(session: http2.ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on("error", (error) => this.#dropped(error));
    let streams = 0;
    let isUsed = false;
    session.on("stream", (stream) => {
      streams++;
      isUsed = true;
      stream.once("close", () => streams--);
    });
    const look = () => {
      if (streams > 0) this.#demandSign(session);
      else if (!isUsed) session.close();
      isUsed = false;
      next = this.#deps.host.setTimer(this.#limits.idleMs, look);
    };
    let next = this.#deps.host.setTimer(this.#limits.idleMs, look);
    session.once("close", () => {
      next.cancel();
      this.#sessions.delete(session);
    });
  }

  #demandSign(session: http2.ServerHttp2Session): void {
    const patience = this.#deps.host.setTimer(this.#limits.pingMs, () => session.destroy());
    const isSent = session.ping(() => patience.cancel());
    if (!isSent) patience.cancel();
  }

  #dropped(error: Error): void {
    this.#deps.log.debug({ error: error.message }, "connection dropped");
  }

  /** Starts listening; the port is the real one. Rejects with `LISTEN_FAILED`. */
  listen({ host, port }: ListenAddress): Promise<ListenAddress> {
    return new Promise((resolve, reject) => {
      this.#http1.once("error", (cause) => {
        const facts = { address: `${host}:${port}`, detail: cause.message };
        reject(new FaultError(fault("LISTEN_FAILED", facts), { cause }));
      });
      this.#http1.listen({ host, port }, () => {
        this.#http1.removeAllListeners("error");
        this.#http1.on("error", (error) => this.#dropped(error));
        resolve({ host, port: (this.#http1.address() as AddressInfo).port });
      });
    });
  }

  /**
   * Stops listening, tells HTTP/2 clients to go elsewhere, lets open calls finish for up to `graceMs`, then cuts what is
   * left. Resolves when every connection is closed.
   */
  close(graceMs: Millis): Promise<void> {
    this.#isClosing = true;
    return new Promise((resolve) => {
      const patience = this.#deps.host.setTimer(graceMs, () => {
        for (const socket of this.#sockets) socket.destroy();
      });
      this.#http1.close(() => {
        patience.cancel();
        resolve();
      });
      for (const session of this.#sessions) session.close();
    });
  }

  /** Closes HTTP/1 connections that wait for a next request; call it as requests end while closing. */
  closeIdle(): void {
    if (this.#isClosing) this.#http1.closeIdleConnections();
  }
}

/** HTTP/2 requests in the shape of HTTP/1 ones, which Node gives them ("compatibility API"). */
function compatible(
  request: http2.Http2ServerRequest,
  response: http2.Http2ServerResponse,
): Parameters<RequestHandler> {
  return [request as unknown as http.IncomingMessage, response as unknown as http.ServerResponse];
}

function headerSize(rawHeaders: readonly string[]): number {
  return rawHeaders.reduce((sum, text) => sum + text.length, 0);
}
