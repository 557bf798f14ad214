/**
 * The plain pages beside the calls: is the process alive, is it ready for work, its metrics. They answer GET and HEAD to
 * anyone who can reach the port, change nothing and say nothing about runs.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { RequestHandler } from "./listener.ts";

export interface PagesDeps {
  readonly readiness: () => { readonly ready: boolean; readonly reason: string };
  /** Prometheus text. */
  readonly scrape: () => Promise<string>;
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json";
const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

/** Answers a path that no call has. */
export function createPages({ readiness, scrape }: PagesDeps): RequestHandler {
  const pages: Readonly<Record<string, () => Page | Promise<Page>>> = {
    "/healthz": () => ({ status: 200, type: TEXT, body: "ok\n" }),
    "/readyz": () => {
      const { ready, reason } = readiness();
      return json(ready ? 200 : 503, { ready, reason });
    },
    "/metrics": async () => ({ status: 200, type: PROMETHEUS, body: await scrape() }),
  };
  return async (request, response) => {
    const path = pathOf(request);
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
    if (page === undefined) return send(request, response, notFound(path));
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("allow", "GET, HEAD");
      return send(request, response, json(405, { code: "unimplemented", message: "only GET" }));
    }
    const shown = await Promise.resolve(page()).catch((error) => failed(error));
    send(request, response, shown);
  };
}

/** The path without its query. */
export function pathOf(request: IncomingMessage): string {
  return (request.url ?? "/").split("?", 1)[0] ?? "/";
}

function json(status: number, value: object): Page {
  return { status, type: JSON_TYPE, body: `${JSON.stringify(value)}\n` };
}

function notFound(path: string): Page {
  return json(404, { code: "not_found", message: `nothing is served at ${path}` });
}

function failed(error: unknown): Page {
  return json(500, { code: "internal", message: error instanceof Error ? error.name : "failed" });
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, body }: Page,
): void {
  // An unread body would keep the connection busy.
  request.resume();
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
