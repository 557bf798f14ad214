/**
 * The built-in `http` agent: one request to a public address, redirects followed with care, the answer as data. What a
 * caller sends is read strictly; what a server answers is bounded in size and time and never trusted: each hop of a
 * redirect is checked anew, and headers that could hold a credential do not leave the origin they were meant for.
 */
import type { Millis } from "../../base/time.ts";
import type { Agent, AgentContext } from "../../ports/agent-context.ts";
import type { Host } from "../../ports/host.ts";
import { AddressGuard } from "./address-guard.ts";
import {
  exchange,
  type HttpAnswer,
  type HttpRequest,
  RefusedError,
  type Resolve,
  systemResolve,
} from "./http-exchange.ts";

export interface HttpAgentOptions {
  /** Hosts, addresses and networks that may be reached although they are not public. */
  readonly allow: readonly string[];
}

export interface HttpAgentDeps {
  readonly host: Host;
  /** Default: the system's resolver. */
  readonly resolve?: Resolve;
}

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
const REDIRECTS_MAX = 3;
const BODY_MAX_BYTES = 10 * 1024 * 1024;
const TIMEOUT_MS: Millis = 30_000;
const TIMEOUT_MAX_MS: Millis = 3_600_000;

/** Headers that frame the request or name its receiver: ours to set. */
const OUR_HEADERS =
  /^(?:host|connection|content-length|transfer-encoding|accept-encoding|upgrade|te|trailer|expect|keep-alive|proxy-.*)$/;

/** What goes along to another origin; any other header may be a credential under a name nobody knows. */
const HARMLESS_HEADERS = /^(?:accept|accept-language|content-type|user-agent)$/;

/** Answers that say "later": failures, so that the task's retry policy applies. */
const LATER: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** A server that asks to come back. */
class LaterError extends Error {
  readonly retryAfterMs: Millis | undefined;

  constructor(status: number, retryAfterMs: Millis | undefined) {
    super(`the server answered ${status}`);
    this.retryAfterMs = retryAfterMs;
  }
}

/** `{url, method?, headers?, body?, timeoutMs?}` → `{status, headers, body}`. */
export function httpAgent(options: HttpAgentOptions, deps: HttpAgentDeps): Agent<unknown> {
  const guard = new AddressGuard(options.allow);
  const resolve = deps.resolve ?? systemResolve;
  return {
    name: "http",
    inputSchema: INPUT_SCHEMA,
    run: async (input, ctx) => {
      const { request, timeoutMs } = readInput(input);
      const deadline = startDeadline(deps.host, timeoutMs, ctx);
      try {
        const limits = { bodyMaxBytes: BODY_MAX_BYTES, signal: deadline.signal };
        // Neither a resolver nor a server can hold the attempt beyond its deadline.
        return await Promise.race([follow(request, { guard, resolve }, limits), deadline.passed]);
      } finally {
        deadline.cancel();
      }
    },
  };
}

const INPUT_SCHEMA = {
  type: "object",
  properties: {
    url: { type: "string", format: "uri" },
    method: { enum: METHODS, default: "GET" },
    headers: { type: "object", additionalProperties: { type: "string" } },
    body: {},
    timeoutMs: { type: "number", exclusiveMinimum: 0, default: TIMEOUT_MS },
  },
  required: ["url"],
};

type ExchangeDeps = Parameters<typeof exchange>[1];
type ExchangeLimits = Parameters<typeof exchange>[2];

async function follow(
  first: HttpRequest,
  deps: ExchangeDeps,
  limits: ExchangeLimits,
): Promise<object> {
  let request = first;
  for (let hops = 0; ; hops++) {
    const answer = await exchange(request, deps, limits);
    const next = redirected(request, answer);
    if (next === undefined) return resultOf(answer);
    if (hops === REDIRECTS_MAX) throw new RefusedError(`more than ${REDIRECTS_MAX} redirects`);
    request = next;
  }
}

/** The request a redirect asks for (RFC 9110, section 15.4); undefined when the answer is none. */
function redirected(
  request: HttpRequest,
  { status, headers }: HttpAnswer,
): HttpRequest | undefined {
  const { location } = headers;
  if (location === undefined || ![301, 302, 303, 307, 308].includes(status)) return undefined;
  const url = readUrl(location, request.url);
  const staysSafe = request.method === "GET" || request.method === "HEAD";
  const becomesGet = !staysSafe && (status === 303 || (status < 303 && request.method === "POST"));
  const isSameOrigin = url.origin === request.url.origin;
  const kept = Object.entries(request.headers).filter(
    ([name]) =>
      (isSameOrigin || HARMLESS_HEADERS.test(name)) && !(becomesGet && name === "content-type"),
  );
  return {
    url,
    method: becomesGet ? "GET" : request.method,
    headers: Object.fromEntries(kept),
    body: becomesGet ? undefined : request.body,
  };
}

function resultOf({ status, headers, body }: HttpAnswer): object {
  if (LATER.has(status)) throw new LaterError(status, retryAfterMs(headers["retry-after"]));
  // Cookies are credentials, and outputs are journaled and shown.
  const { "set-cookie": _, ...shown } = headers;
  return { status, headers: shown, body: bodyOf(headers["content-type"] ?? "", body) };
}

/** Only the form in seconds; a date would need the server's clock. */
function retryAfterMs(header: string | undefined): Millis | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined;
}

/** Parsed JSON where the type says so, text where it is text, and `{base64}` otherwise. */
function bodyOf(contentType: string, bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { base64: Buffer.from(bytes).toString("base64") };
  }
  if (!/[/+]json\b/i.test(contentType)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

interface ReadInput {
  readonly request: HttpRequest;
  readonly timeoutMs: Millis;
}

function readInput(input: unknown): ReadInput {
  if (typeof input !== "object" || input === null)
    throw new RefusedError("input: expected {url, …}");
  const {
    url,
    method = "GET",
    headers = {},
    body,
    timeoutMs = TIMEOUT_MS,
  } = input as {
    readonly [field: string]: unknown;
  };
  if (typeof method !== "string" || !METHODS.includes(method)) {
    throw new RefusedError(`method: ${JSON.stringify(method)} is not one of ${METHODS.join(", ")}`);
  }
  if (typeof timeoutMs !== "number" || timeoutMs <= 0 || timeoutMs > TIMEOUT_MAX_MS) {
    throw new RefusedError(`timeoutMs: expected a number above 0, at most ${TIMEOUT_MAX_MS}`);
  }
  const sent = typeof body === "string" || body === undefined ? body : JSON.stringify(body);
  const type = typeof body === "string" || body === undefined ? {} : JSON_TYPE;
  const request = {
    url: readUrl(url, undefined),
    method,
    headers: { ...type, ...readHeaders(headers) },
    body: sent,
  };
  return { request, timeoutMs };
}

const JSON_TYPE = { "content-type": "application/json" };

function readUrl(text: unknown, base: URL | undefined): URL {
  const url = typeof text === "string" ? URL.parse(text, base?.href) : null;
  if (url === null) throw new RefusedError(`url: ${JSON.stringify(text)} is not a URL`);
  if (url.username !== "" || url.password !== "") {
    throw new RefusedError("url: credentials belong into a header");
  }
  return url;
}

function readHeaders(headers: unknown): { readonly [name: string]: string } {
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) {
    throw new RefusedError("headers: expected an object of texts");
  }
  const read: [string, string][] = Object.entries(headers).map(([name, value]) => {
    const lower = name.toLowerCase();
    if (OUR_HEADERS.test(lower)) throw new RefusedError(`headers: ${name} cannot be set`);
    if (typeof value !== "string") throw new RefusedError(`headers: ${name} is not a text`);
    return [lower, value];
  });
  return Object.fromEntries(read);
}

interface Deadline {
  readonly signal: AbortSignal;
  /** Rejects when the time is over or the attempt is to stop; never resolves. */
  readonly passed: Promise<never>;
  cancel(): void;
}

function startDeadline(host: Host, timeoutMs: Millis, ctx: AgentContext): Deadline {
  const controller = new AbortController();
  const { promise, reject } = Promise.withResolvers<never>();
  const pass = (reason: Error) => {
    reject(reason);
    controller.abort(reason);
  };
  const timer = host.setTimer(timeoutMs, () => pass(new Error(`no answer within ${timeoutMs} ms`)));
  const onStop = () => pass(ctx.signal.reason as Error);
  ctx.signal.addEventListener("abort", onStop);
  if (ctx.signal.aborted) onStop();
  const cancel = () => {
    timer.cancel();
    ctx.signal.removeEventListener("abort", onStop);
  };
  return { signal: controller.signal, passed: promise, cancel };
}
