/**
 * Which transport runs which agent. Transports are asked in their order and the first to offer a name keeps it, so that
 * adding a file can never silently take over an agent that runs already; the other one is refused with a fault that
 * names both. Rebuilt as a whole whenever a transport announces a change.
 */
import { type Fault, fault } from "../base/fault.ts";
import { versionTest } from "../base/semver.ts";
import type { AgentInfo, AgentTransport } from "../ports/agent.ts";
import { agentReference } from "./worker-routing.ts";

/** What attempts can be handed to: a transport, or the workers outside of the process. */
export type AttemptCarrier = Omit<AgentTransport, "open">;

/** An agent and who runs it. */
export interface RegisteredAgent {
  readonly info: AgentInfo;
  readonly transport: AttemptCarrier;
}

export class AgentRegistry {
  readonly #byName: ReadonlyMap<string, RegisteredAgent>;
  /** Agents by name. */
  readonly agents: readonly AgentInfo[];
  /** What kept agents from being offered: names taken twice, sources that do not load. */
  readonly problems: readonly Fault[];

  /** Agents that only workers serve come last, and give way to others of their name without a complaint. */
  constructor(transports: readonly AgentTransport[], workers?: AttemptCarrier) {
    const byName = new Map<string, RegisteredAgent>();
    const problems: Fault[] = [];
    for (const transport of transports) {
      for (const info of transport.agents()) {
        const first = byName.get(info.name);
        if (first === undefined) byName.set(info.name, { info, transport });
        else problems.push(duplicate(first.info, info));
      }
      problems.push(...(transport.problems?.() ?? []));
    }
    for (const info of workers?.agents() ?? []) {
      if (workers !== undefined && !byName.has(info.name))
        byName.set(info.name, { info, transport: workers });
    }
    this.#byName = byName;
    this.agents = [...byName.values()]
      .map(({ info }) => info)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    this.problems = problems;
  }

  /** An agent by its name, or by `name@range` where its version fits. */
  find(reference: string): RegisteredAgent | undefined {
    const found = this.#byName.get(reference);
    if (found !== undefined || !reference.includes("@")) return found;
    const { name, range } = agentReference(reference);
    const named = this.#byName.get(name);
    return named !== undefined && versionTest(range)?.(named.info.version) ? named : undefined;
  }

  names(): Iterable<string> {
    return this.#byName.keys();
  }
}

/** The fault of a name that two sources offer; `kept` was first. */
function duplicate(kept: AgentInfo, refused: AgentInfo): Fault {
  return fault("AGENT_DUPLICATE", { agent: kept.name, kept: kept.source, refused: refused.source });
}
