/**
 * What every call passes on its way to a handler, from the outside in: failures leave through the one funnel and the
 * call is logged; open streams are counted against the limit; messages are checked against the rules of the proto.
 * Refusing new work while draining happens before any of it, when only the headers have been read.
 */
import type { DescMessage, DescMethod, MessageShape } from "@bufbuild/protobuf";
import { Code, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { GoClawEngine } from "../../gen/goclaw/v1/engine_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { WorkerService } from "../../gen/goclaw/v1/worker_service_pb.ts";
import { FaultError, fault } from "../base/fault.ts";
import type { Millis } from "../base/time.ts";
import type { Host } from "../ports/host.ts";
import type { Logger } from "../ports/telemetry.ts";
import { type ErrorFunnel, faultToConnect } from "./errors.ts";
import { validateMessage } from "./validation.ts";

/** Calls that bring new work. */
const ADMISSION: ReadonlySet<DescMethod> = new Set<DescMethod>([
  GoClawEngine.method.submitWorkflow,
  RunService.method.startRun,
  RunService.method.submitRuns,
  AdminService.method.registerDefinition,
]);

/** Streams whose handler checks each item itself, because one bad item must not end the stream. */
const CHECKED_BY_HANDLER: ReadonlySet<DescMethod> = new Set<DescMethod>([
  RunService.method.submitRuns,
  WorkerService.method.openSession,
]);

/** Streams that stay open for as long as their process lives; connections bound them. */
const STANDING: ReadonlySet<DescMethod> = new Set<DescMethod>([WorkerService.method.openSession]);

/** Wait suggested to clients of a daemon that is about to restart. */
const RETRY_AFTER_DRAIN_MS: Millis = 1_000;

/** Refuses calls that bring new work while `isDraining`. */
export function createRequestGate(isDraining: () => boolean): (context: HandlerContext) => void {
  return ({ method }) => {
    if (!isDraining() || !ADMISSION.has(method)) return;
    throw faultToConnect(fault("ENGINE_DRAINING", { retryAfterMs: RETRY_AFTER_DRAIN_MS }));
  };
}

export interface InterceptorDeps {
  readonly host: Pick<Host, "elapsedMs">;
  readonly log: Logger;
  readonly funnel: ErrorFunnel;
  /** Most open streams of all connections. */
  readonly streams: number;
}

/** The chain, outermost first. */
export function createInterceptors(deps: InterceptorDeps): Interceptor[] {
  return [funnelling(deps), limitStreams(deps.streams), validating];
}

function funnelling({ host, log, funnel }: InterceptorDeps): Interceptor {
  return (next) => async (request) => {
    const method = `${request.service.typeName}/${request.method.name}`;
    const startedMs = host.elapsedMs();
    const done = (code: string) =>
      log.debug({ method, code, ms: Math.round(host.elapsedMs() - startedMs) }, "call");
    const failed = (error: unknown) => {
      const wire = funnel(error, method);
      done(Code[wire.code]);
      return wire;
    };
    try {
      const response = await next(request);
      if (response.stream) {
        return { ...response, message: funnelled(response.message, failed, done) };
      }
      done("ok");
      return response;
    } catch (error) {
      throw failed(error);
    }
  };
}

async function* funnelled<T>(
  messages: AsyncIterable<T>,
  failed: (error: unknown) => Error,
  done: (code: string) => void,
): AsyncIterable<T> {
  try {
    yield* messages;
    done("ok");
  } catch (error) {
    throw failed(error);
  }
}

function limitStreams(limit: number): Interceptor {
  let open = 0;
  const closing = async function* <T>(messages: AsyncIterable<T>): AsyncIterable<T> {
    try {
      yield* messages;
    } finally {
      open--;
    }
  };
  return (next) => async (request) => {
    if (!request.stream || STANDING.has(request.method)) return next(request);
    if (open >= limit) throw new FaultError(tooManyStreams(limit));
    open++;
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: closing(response.message) };
      open--;
      return response;
    } catch (error) {
      open--;
      throw error;
    }
  };
}

function tooManyStreams(limit: number) {
  return fault("ENGINE_OVERLOADED", { what: "open streams", limit, retryAfterMs: 1_000 });
}

const validating: Interceptor = (next) => (request) => {
  if (CHECKED_BY_HANDLER.has(request.method)) return next(request);
  if (request.stream) {
    return next({ ...request, message: validated(request.method.input, request.message) });
  }
  validateMessage(request.method.input, request.message);
  return next(request);
};

async function* validated<Desc extends DescMessage>(
  schema: Desc,
  messages: AsyncIterable<MessageShape<Desc>>,
): AsyncIterable<MessageShape<Desc>> {
  for await (const message of messages) {
    validateMessage(schema, message);
    yield message;
  }
}
