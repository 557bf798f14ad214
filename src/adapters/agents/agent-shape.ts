/**
 * What makes an object an agent, asked in one place for plugin modules, registered functions and built-ins. An agent
 * is recognised by its name and its `run`; everything else about it must then be right as well, because a cost that is
 * a string or a name that no definition can write would otherwise fail much later and far away.
 */
import { isName } from "../../base/ids.ts";
import type { Json } from "../../base/payload.ts";
import { TIMER_MAX_MS } from "../../base/time.ts";
import type { AgentInfo } from "../../ports/agent.ts";
import type { Agent } from "../../ports/agent-context.ts";

const COST_MAX = 1_000;

/** Whether a value is meant to be an agent. */
export function isAgent(value: unknown): value is Agent {
  if (typeof value !== "object" || value === null) return false;
  const { name, run } = value as Partial<Agent>;
  return typeof name === "string" && typeof run === "function";
}

/** What is wrong with an agent, or undefined. Plugin authors may write JavaScript, so no type is taken for granted. */
export function agentProblem(agent: Agent): string | undefined {
  const { name, cost, timeoutMs, version } = agent as { readonly [K in keyof Agent]: unknown };
  if (!isName(String(name))) return `"${name}" is not a name: use 1 to 128 of A-Z a-z 0-9 _ . -`;
  if (cost !== undefined && !isBetween(cost, 1, COST_MAX, Number.isInteger)) {
    return `agent "${name}": cost must be a whole number from 1 to ${COST_MAX}`;
  }
  if (timeoutMs !== undefined && !isBetween(timeoutMs, 1, TIMER_MAX_MS, Number.isFinite)) {
    return `agent "${name}": timeoutMs must be a number of milliseconds from 1 to ${TIMER_MAX_MS}`;
  }
  if (version !== undefined && typeof version !== "string") {
    return `agent "${name}": version must be a text`;
  }
  return undefined;
}

/** Describes an agent without problems. `version` is used where it names none. */
export function agentInfo(
  agent: Agent,
  from: { readonly transport: string; readonly source: string; readonly version: string },
): AgentInfo {
  return {
    name: agent.name,
    version: agent.version ?? from.version,
    transport: from.transport,
    source: from.source,
    ...(agent.inputSchema === undefined ? {} : { inputSchema: plainJson(agent.inputSchema) }),
    ...(agent.cost === undefined ? {} : { cost: agent.cost }),
    ...(agent.timeoutMs === undefined ? {} : { timeoutMs: agent.timeoutMs }),
  };
}

function isBetween(
  value: unknown,
  min: number,
  max: number,
  isWanted: (value: unknown) => boolean,
): boolean {
  return isWanted(value) && Number(value) >= min && Number(value) <= max;
}

/** A copy that can cross threads, whatever object the author used. */
function plainJson(value: Json): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}
