/**
 * The standard health service: every service of this daemon is as healthy as the engine is ready. Watchers are told of
 * changes by looking at readiness again and again, only while somebody watches; nothing in the engine has to know.
 */
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import type { Millis } from "../base/time.ts";
import type { Host } from "../ports/host.ts";

/** How often a watcher's status is looked at. */
const LOOK_EVERY_MS: Millis = 250;

export interface HealthDeps {
  /** Names of the services there are. */
  readonly services: readonly string[];
  readonly isServing: () => boolean;
  readonly host: Pick<Host, "setTimer">;
}

/** Handlers of `grpc.health.v1.Health`. The empty name is the whole server. */
export function healthService({
  services,
  isServing,
  host,
}: HealthDeps): ServiceImpl<typeof Health> {
  const known: ReadonlySet<string> = new Set(["", ...services]);
  const statusOf = (service: string): ServingStatus => {
    if (!known.has(service)) return ServingStatus.SERVICE_UNKNOWN;
    return isServing() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  };
  return {
    check({ service }) {
      const status = statusOf(service);
      if (status !== ServingStatus.SERVICE_UNKNOWN) return { status };
      throw new ConnectError(`no service "${service}"`, Code.NotFound);
    },
    list: () => ({
      statuses: Object.fromEntries([...known].map((name) => [name, { status: statusOf(name) }])),
    }),
    async *watch({ service }, { signal }) {
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        const status = statusOf(service);
        if (status !== told) yield { status };
        told = status;
        await wait(host, LOOK_EVERY_MS, signal);
      }
      throw signal.reason;
    },
  };
}

function wait(host: Pick<Host, "setTimer">, delayMs: Millis, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = host.setTimer(delayMs, done);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
