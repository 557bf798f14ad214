/**
 * One request and its answer, over a connection that can only go to addresses checked before. The name is resolved
 * once, every address it has is judged, and the socket is given exactly these: a second resolution, which could answer
 * differently (DNS rebinding), never happens. Redirects are the caller's matter; connections are not kept.
 */
import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { LookupFunction } from "node:net";
import type { AddressGuard } from "./address-guard.ts";

/** All addresses of a host. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>;

export interface HttpRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

export interface ExchangeLimits {
  /** Most bytes of the body. */
  readonly bodyMaxBytes: number;
  readonly signal: AbortSignal;
}

/** A request that no other attempt can make right. */
export class RefusedError extends Error {
  override readonly name = "NonRetryableError";
}

const TRANSPORTS: Readonly<Record<string, typeof requestHttp>> = {
  "http:": requestHttp,
  "https:": requestHttps,
};

/** Resolves through the system, as every other program here does. */
export const systemResolve: Resolve = (host) => lookup(host, { all: true, verbatim: true });

/** Sends a request. Throws a {@link RefusedError} for a scheme or address that is not allowed. */
export async function exchange(
  request: HttpRequest,
  deps: { readonly guard: AddressGuard; readonly resolve: Resolve },
  limits: ExchangeLimits,
): Promise<HttpAnswer> {
  const send = TRANSPORTS[request.url.protocol];
  if (send === undefined) {
    throw new RefusedError(`${request.url.protocol} is not allowed: use http: or https:`);
  }
  const addresses = await checkedAddresses(request.url, deps);
  limits.signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const { url, method, headers, body } = request;
    const options = {
      method,
      headers,
      lookup: pinnedLookup(addresses),
      agent: false as const,
      signal: limits.signal,
    };
    const sent = send(url, options, (response) => {
      readAnswer(response, limits.bodyMaxBytes).then(resolve, (error) => {
        sent.destroy();
        reject(error);
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function checkedAddresses(
  url: URL,
  { guard, resolve }: { readonly guard: AddressGuard; readonly resolve: Resolve },
): Promise<readonly LookupAddress[]> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const addresses = await resolve(host);
  if (addresses.length === 0) throw new Error(`${host} has no address`);
  for (const { address } of addresses) {
    const refusal = guard.refusal(host, address);
    if (refusal !== undefined) throw new RefusedError(`${host} must not be reached: ${refusal}`);
  }
  return addresses;
}

/** Answers with what was checked, whoever asks for whatever. */
function pinnedLookup(addresses: readonly LookupAddress[]): LookupFunction {
  return (_host, options, callback) => {
    const [first] = addresses;
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first?.address ?? "", first?.family);
  };
}

async function readAnswer(response: IncomingMessage, bodyMaxBytes: number): Promise<HttpAnswer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > bodyMaxBytes) {
      throw new RefusedError(`the answer is larger than ${bodyMaxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  const { statusCode: status = 0, headers } = response;
  return { status, headers, body: Buffer.concat(chunks) };
}
