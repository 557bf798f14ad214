/**
 * Cross-origin access for browsers, off unless origins are named. A page of another origin could otherwise drive a
 * daemon on loopback through its user's browser, so an origin is permitted by name only, never by a wildcard.
 */
import { cors } from "@connectrpc/connect";
import type { RequestHandler } from "./listener.ts";

/** How long a browser may keep a preflight's answer, in seconds. */
const MAX_AGE = "7200";

/** Answers preflights and marks responses for the permitted origins, then lets `next` serve. */
export function withCors(origins: readonly string[], next: RequestHandler): RequestHandler {
  if (origins.length === 0) return next;
  const permitted: ReadonlySet<string> = new Set(origins);
  return (request, response) => {
    const { origin } = request.headers;
    response.setHeader("vary", "origin");
    if (origin === undefined || !permitted.has(origin)) return next(request, response);
    response.setHeader("access-control-allow-origin", origin);
    response.setHeader("access-control-expose-headers", cors.exposedHeaders.join(", "));
    if (request.method !== "OPTIONS") return next(request, response);
    response.setHeader("access-control-allow-methods", cors.allowedMethods.join(", "));
    response.setHeader(
      "access-control-allow-headers",
      [...cors.allowedHeaders, "Idempotency-Key"].join(", "),
    );
    response.setHeader("access-control-max-age", MAX_AGE);
    response.writeHead(204).end();
  };
}
