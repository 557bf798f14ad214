/**
 * Agents that are always there, for trying things without writing one: `echo`, `sleep`, `fail`, and `http`. They are
 * ordinary agents on the in-process transport. Their inputs are read strictly and a wrong one is never tried again, so
 * that a typo in a first definition shows at once.
 */
import type { Agent, AgentContext } from "../../ports/agent-context.ts";
import type { Host } from "../../ports/host.ts";
import { FunctionTransport } from "./function-transport.ts";
import { type HttpAgentDeps, httpAgent } from "./http-agent.ts";

/** An input that another attempt will not make right. */
class InputError extends Error {
  override readonly name = "NonRetryableError";
}

/** A failure that was asked for. */
class WantedError extends Error {
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { retryable: boolean; retryAfterMs: number | undefined }) {
    super(message);
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs;
  }
}

const echo: Agent<unknown> = { name: "echo", run: (input) => input };

/** `{ms}`: returns its input after `ms` milliseconds, or stops when asked to. */
function sleep(host: Host): Agent<unknown> {
  return {
    name: "sleep",
    inputSchema: {
      type: "object",
      properties: { ms: { type: "number", minimum: 0 } },
      required: ["ms"],
    },
    run: (input, ctx) => {
      const ms = numberField(input, "ms", undefined);
      return pause(host, ms, ctx).then(() => input);
    },
  };
}

function pause(host: Host, ms: number, { signal }: AgentContext): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const timer = host.setTimer(ms, resolve);
    signal.addEventListener("abort", () => {
      timer.cancel();
      reject(signal.reason);
    });
  });
}

const FAIL_CLASSES = ["retryable", "terminal", "throttled"];

/** `{times, message, class, retryAfterMs}`: fails the first `times` (1) attempts, then returns its input. */
const fail: Agent<unknown> = {
  name: "fail",
  inputSchema: {
    type: "object",
    properties: {
      times: { type: "integer", minimum: 0, default: 1 },
      message: { type: "string" },
      class: { enum: FAIL_CLASSES, default: "retryable" },
      retryAfterMs: { type: "number", minimum: 0, default: 1_000 },
    },
  },
  run: (input, { attempt }) => {
    const times = numberField(input, "times", 1);
    if (attempt > times) return input;
    const message = field(input, "message") ?? `failed as asked, attempt ${attempt} of ${times}`;
    const kind = field(input, "class") ?? "retryable";
    if (!FAIL_CLASSES.includes(String(kind))) {
      throw new InputError(
        `class: ${JSON.stringify(kind)} is not one of ${FAIL_CLASSES.join(", ")}`,
      );
    }
    throw new WantedError(String(message), {
      retryable: kind !== "terminal",
      retryAfterMs: kind === "throttled" ? numberField(input, "retryAfterMs", 1_000) : undefined,
    });
  },
};

export interface BuiltinOptions {
  /** Hosts, addresses and networks that `http` may reach although they are not public. */
  readonly httpAllow: readonly string[];
}

/** A transport with the built-in agents. Throws `ARGUMENT_INVALID` for a wrong entry of `httpAllow`. */
export function builtinAgents(options: BuiltinOptions, deps: HttpAgentDeps): FunctionTransport {
  const transport = new FunctionTransport({ kind: "builtin", source: "built-in" }, deps);
  const http = httpAgent({ allow: options.httpAllow }, deps);
  for (const agent of [echo, sleep(deps.host), fail, http]) transport.register(agent as Agent);
  return transport;
}

function field(input: unknown, name: string): unknown {
  if (typeof input !== "object" || input === null) return undefined;
  return (input as { readonly [key: string]: unknown })[name];
}

/** Reads a number that is not negative; without a fallback it must be there. */
function numberField(input: unknown, name: string, fallback: number | undefined): number {
  const value = field(input, name) ?? fallback;
  if (typeof value === "number" && value >= 0) return value;
  throw new InputError(`${name}: expected a number of 0 or more, found ${JSON.stringify(value)}`);
}
