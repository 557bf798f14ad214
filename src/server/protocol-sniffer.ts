/**
 * Tells HTTP/2 without TLS (h2c) from HTTP/1.1 on one plain port. A client that knows it speaks HTTP/2 opens with a fixed
 * preface (RFC 9113, section 3.4) that no HTTP/1 request line can begin with, so the first three bytes decide. They are
 * put back before the socket is handed on; the HTTP server behind sees the connection as if nobody had looked.
 */
import type { Socket } from "node:net";

const PREFACE_START = "PRI";

/** Calls `decide` once the first bytes are there; never, when the socket closes before. */
export function sniffProtocol(socket: Socket, decide: (isHttp2: boolean) => void): void {
  let head = Buffer.alloc(0);
  const look = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const start = head.toString("latin1", 0, PREFACE_START.length);
    if (start.length < PREFACE_START.length && PREFACE_START.startsWith(start)) return;
    socket.off("data", look);
    socket.pause();
    socket.unshift(head);
    decide(start === PREFACE_START);
  };
  socket.on("data", look);
}
