/**
 * Lanes, agents and definitions as operators see them. Limits and overflow rules are shown as the words a configuration
 * would use for them.
 */
import { create } from "@bufbuild/protobuf";
import type {
  Agent,
  Lane,
  Definition as WireDefinition,
  Worker,
} from "../../gen/goclaw/v1/admin_service_pb.ts";
import {
  AgentSchema,
  DefinitionSchema,
  LaneKind,
  LaneSchema,
  WorkerAgentInfoSchema,
  WorkerSchema,
  WorkerState,
} from "../../gen/goclaw/v1/admin_service_pb.ts";
import { unreachable } from "../base/assert.ts";
import { formatDuration, type Millis } from "../base/time.ts";
import type { LaneStatus, Overflow, RateLimit } from "../core/lane/lane.ts";
import type { LaneView } from "../core/run/explain.ts";
import type { AgentInfo } from "../ports/agent.ts";
import type { RegisteredDefinition } from "../ports/journal.ts";
import type { WorkerStatus } from "../ports/worker.ts";
import { wireValue } from "./wire-payload.ts";
import { fill, timestamp } from "./wire-words.ts";

const KIND: Readonly<Record<LaneStatus["kind"], LaneKind>> = {
  global: LaneKind.GLOBAL,
  named: LaneKind.NAMED,
  session: LaneKind.SESSION,
};

/** Finds lanes by name in one listing. */
export function laneView(lanes: readonly LaneStatus[]): LaneView {
  const byName = new Map(lanes.map((lane) => [lane.name, lane]));
  return (name) => byName.get(name);
}

/** A lane with its load. */
export function laneInfo(lane: LaneStatus): Lane {
  const shown = create(LaneSchema, {
    name: lane.name,
    kind: KIND[lane.kind],
    concurrency: lane.concurrency,
    capacity: lane.capacity,
    overflow: overflowText(lane.overflow),
    rate: lane.rate === undefined ? "" : rateText(lane.rate),
    paused: lane.paused,
    occupied: lane.occupied,
    queued: lane.queued,
    blocked: lane.blocked,
  });
  return fill(shown, {
    oldestSince: timestamp(lane.oldestSince),
    opensAt: timestamp(lane.opensAt),
  });
}

function overflowText(overflow: Overflow): string {
  switch (overflow.kind) {
    case "block":
      return "block";
    case "drop":
      return `drop ${overflow.which}`;
    case "redirect":
      return `redirect ${overflow.to}`;
    default:
      return unreachable(overflow);
  }
}

function rateText({ limit, perMs, burst }: RateLimit): string {
  return `${limit} per ${formatDuration(perMs)}, burst ${burst}`;
}

/** An agent with the median duration of its attempts, in milliseconds, where one was observed. */
export function agentInfo(agent: AgentInfo, expectedMs: Millis | undefined): Agent {
  const shown = create(AgentSchema, {
    name: agent.name,
    version: agent.version,
    transport: agent.transport,
    source: agent.source,
    cost: agent.cost ?? 1,
    timeout: agent.timeoutMs === undefined ? "" : formatDuration(agent.timeoutMs),
  });
  const { inputSchema } = agent;
  return fill(shown, {
    expectedMs,
    inputSchema: inputSchema === undefined ? undefined : wireValue(inputSchema),
  });
}

/** A worker as the pool knows it. */
export function workerInfo(worker: WorkerStatus): Worker {
  const { instance, name, state, surface, labels, agents, leases } = worker;
  const shown = create(WorkerSchema, {
    instanceId: instance,
    name,
    state: WorkerState[state],
    surface,
    labels: { ...labels },
    agents: agents.map((agent) =>
      create(WorkerAgentInfoSchema, { name: agent.name, version: agent.version }),
    ),
    capacity: { ...worker.capacity },
    taken: { ...worker.taken },
    inFlight: leases.length,
  });
  return fill(shown, {
    connected: timestamp(worker.connectedAt),
    lastAnswer: timestamp(worker.answeredAt),
  });
}

/** A registered definition without its text. */
export function definitionInfo(definition: RegisteredDefinition): WireDefinition {
  const { namespace, name, version, hash, registeredAt } = definition;
  const shown = create(DefinitionSchema, { namespace, name, version, hash });
  return fill(shown, { registered: timestamp(registeredAt) });
}
