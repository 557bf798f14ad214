/**
 * Operating the daemon: lanes, agents, definitions, drain. Reads answer at any time, also while draining; registering a
 * definition is new work and refused then.
 */

import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type {
  AdminService,
  ChangeLaneRequest,
  GetInfoResponse,
} from "../../gen/goclaw/v1/admin_service_pb.ts";
import { GetInfoResponseSchema } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { fault, refuse } from "../base/fault.ts";
import type { Instant, Millis } from "../base/time.ts";
import { DEFAULTS } from "../core/dag/definition.ts";
import type { EngineApi, LaneChange } from "../engine/api.ts";
import type { WorkerStatus } from "../ports/worker.ts";
import type { Submissions } from "./submission.ts";
import { agentInfo, definitionInfo, laneInfo, workerInfo } from "./wire-admin.ts";
import { definitionSpec } from "./wire-definition.ts";
import { fill, readDuration, timestamp } from "./wire-words.ts";

/** Facts about this daemon that do not change while it runs. */
export interface ServerInfo {
  readonly version: string;
  readonly nodeVersion: string;
  /** The store in use, and why when it is not the default. */
  readonly store: string;
  readonly startedAt: Instant;
}

export interface AdminServiceDeps {
  readonly engine: EngineApi;
  readonly submissions: Submissions;
  readonly info: ServerInfo;
  readonly workers: () => readonly WorkerStatus[];
  /** Stops admission at the edge; the engine's own drain follows. */
  readonly drain: () => void;
}

/** How long Drain waits for running attempts when the caller says nothing. */
const DRAIN_TIMEOUT_MS: Millis = 30_000;

/** Handlers of `goclaw.v1.AdminService`. */
export function adminService(deps: AdminServiceDeps): ServiceImpl<typeof AdminService> {
  const { engine, submissions, workers } = deps;
  return {
    listLanes: () => ({ lanes: engine.lanes().map(laneInfo) }),
    changeLane: (request) => ({
      lane: laneInfo(engine.changeLane(request.name, laneChange(request))),
    }),
    listAgents: () => ({
      agents: engine.agents().map((agent) => agentInfo(agent, engine.expectedMs(agent.name))),
      workers: workers().map(workerInfo),
    }),
    async registerDefinition({ spec, namespace }) {
      if (spec === undefined) return refuse(NO_SPEC);
      const target = namespace || spec.namespace || DEFAULTS.namespace;
      const definition = submissions.definition(spec);
      return { definition: definitionInfo(await engine.registerDefinition(target, definition)) };
    },
    async listDefinitions({ namespace }) {
      const definitions = await engine.definitions(namespace || undefined);
      return { definitions: definitions.map(definitionInfo) };
    },
    async getDefinition({ name, namespace }) {
      const target = namespace || DEFAULTS.namespace;
      const definition = await engine.definition(name, target);
      const registered = (await engine.definitions(target)).find(
        (known) => known.name === definition.name && known.version === definition.version,
      );
      const spec = definitionSpec(definition);
      return registered === undefined ? { spec } : { spec, definition: definitionInfo(registered) };
    },
    async drain({ timeout }) {
      const timeoutMs = readDuration("timeout", timeout) ?? DRAIN_TIMEOUT_MS;
      deps.drain();
      await engine.drain(timeoutMs);
      return {};
    },
    getInfo: () => infoOf(deps),
  };
}

const NO_SPEC = fault("ARGUMENT_INVALID", { field: "spec", value: "absent", expected: "a spec" });

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function laneChange({ paused, concurrency, capacity }: ChangeLaneRequest): LaneChange {
  return fill<Writable<LaneChange>>({}, { paused, concurrency, capacity });
}

function infoOf({ engine, info }: AdminServiceDeps): GetInfoResponse {
  const { ready, reason } = engine.readiness();
  const { version, nodeVersion, store, startedAt } = info;
  const openRuns = BigInt(engine.openRuns());
  const shown = create(GetInfoResponseSchema, {
    version,
    nodeVersion,
    store,
    ready,
    reason,
    openRuns,
  });
  return fill(shown, { started: timestamp(startedAt) });
}
