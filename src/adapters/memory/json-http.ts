/**
 * One JSON request to a server that the configuration names, with a time limit. It says what went wrong in one sentence
 * and whether trying again can help; it never puts the text of a request or a key into that sentence.
 */
import type { Millis } from "../../base/time.ts";
import type { Host } from "../../ports/host.ts";

export interface JsonRequest {
  readonly url: string;
  readonly method: "GET" | "POST" | "DELETE" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly timeoutMs: Millis;
}

export interface JsonAnswer {
  readonly status: number;
  /** Parsed, or undefined when there was none. */
  readonly body: unknown;
}

/** A request that got no useful answer. */
export class HttpFailure extends Error {
  override readonly name = "HttpFailure";
  readonly mayPass: boolean;
  /** What the server asked to wait, if it did. */
  readonly retryAfterMs: Millis | undefined;

  constructor(
    message: string,
    facts: {
      readonly mayPass: boolean;
      readonly retryAfterMs?: Millis | undefined;
      readonly cause?: unknown;
    },
  ) {
    super(message, { cause: facts.cause });
    this.mayPass = facts.mayPass;
    this.retryAfterMs = facts.retryAfterMs;
  }
}

/** Statuses after which the same request may succeed. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 425, 429, 500, 502, 503, 504]);

/** Sends a request; `accepted` lists statuses besides 2xx that are answers. Rejects with {@link HttpFailure}. */
export async function requestJson(
  request: JsonRequest,
  host: Pick<Host, "setTimer">,
  accepted: readonly number[] = [],
): Promise<JsonAnswer> {
  const abort = new AbortController();
  const timer = host.setTimer(request.timeoutMs, () => abort.abort());
  try {
    const response = await fetch(request.url, {
      method: request.method,
      signal: abort.signal,
      headers: { "content-type": "application/json", ...request.headers },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    });
    const text = await response.text();
    const { status } = response;
    if (!response.ok && !accepted.includes(status)) {
      const retryAfterMs = secondsToMs(response.headers.get("retry-after"));
      throw new HttpFailure(`the server answered ${status}`, {
        mayPass: PASSING.has(status),
        retryAfterMs,
      });
    }
    return { status, body: parsed(text) };
  } catch (error) {
    if (error instanceof HttpFailure) throw error;
    const reason = abort.signal.aborted
      ? `no answer within ${request.timeoutMs} ms`
      : `the server cannot be reached (${reasonOf(error)})`;
    throw new HttpFailure(reason, { mayPass: true, cause: error });
  } finally {
    timer.cancel();
  }
}

const NO_JSON = "the server answered something that is not JSON";

function parsed(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new HttpFailure(NO_JSON, { mayPass: false, cause });
  }
}

/** The code of a network error, which names no address. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return typeof code === "string" ? code : "network error";
}

function secondsToMs(header: string | null): Millis | undefined {
  const seconds = Number(header ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined;
}
