/**
 * Plans by content: a definition is compiled once, however many runs share it, and found again by the identity of the
 * object, by its hash, or by the name it was registered under. Also the checks that only this daemon can make: that
 * every agent is loaded, every lane exists, and nothing is larger than it was set to take.
 */
import { FaultError, fault, refuse, type Violation } from "../base/fault.ts";
import { nearestName } from "../base/ids.ts";
import { canonicalJson, compile, parseCanonical } from "../core/dag/compile.ts";
import type { Definition, ExpectedDuration } from "../core/dag/definition.ts";
import type { Plan } from "../core/dag/plan.ts";
import type { AgentInfo } from "../ports/agent.ts";
import type { Host } from "../ports/host.ts";
import type { Journal, RegisteredDefinition } from "../ports/journal.ts";
import type { LimitGuard } from "./limits.ts";

/** Names known to this daemon. */
export interface KnownNames {
  /** A new list whenever the set of agents changes, the same one otherwise. */
  agents(): readonly AgentInfo[];
  lanes(): readonly string[];
  /** Whether agents that nobody serves now may be served later, by workers that connect. */
  readonly awaitsWorkers: boolean;
}

interface Deps {
  readonly host: Host;
  readonly journal: Journal;
  readonly known: KnownNames;
  readonly expectedMs: ExpectedDuration;
  readonly guard: Pick<LimitGuard, "checkPlan">;
}

/** Most plans kept that no live run holds; each is some kilobytes. */
const PLANS_KEPT_MAX = 1_000;

export class Definitions {
  readonly #deps: Deps;
  readonly #byObject = new WeakMap<Definition, Plan>();
  readonly #byHash = new Map<string, Plan>();
  /** namespace → name → newest last. */
  readonly #registered = new Map<string, Map<string, RegisteredDefinition[]>>();
  /** Against which set of agents a plan was found right; limits and lane names do not change while the engine lives. */
  readonly #checked = new WeakMap<Plan, readonly AgentInfo[]>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Loads what was registered in earlier lives. */
  async start(): Promise<void> {
    for (const definition of await this.#deps.journal.registeredDefinitions())
      this.#remember(definition);
  }

  /** The plan of a definition object. */
  planOf(definition: Definition): Plan {
    const known = this.#byObject.get(definition);
    if (known !== undefined) return known;
    const hash = this.#deps.host.sha256(canonicalJson(definition));
    const plan = this.#byHash.get(hash) ?? this.#compile(definition, hash);
    this.#byObject.set(definition, plan);
    return plan;
  }

  /** The plan stored under a content hash, at once where it is in memory; `DATA_LOSS` when an existing run names a missing one. */
  planByHash(hash: string): Plan | Promise<Plan> {
    return this.#byHash.get(hash) ?? this.#load(hash);
  }

  async #load(hash: string): Promise<Plan> {
    const json = await this.#deps.journal.definition(hash);
    if (json === undefined) {
      return refuse(
        fault("DATA_LOSS", { where: `definition ${hash}`, detail: "it is not stored" }),
      );
    }
    return this.#compile(parseCanonical(json), hash);
  }

  /** The plan of a registered definition by `name` (newest) or `name@version`; at once where it is in memory. */
  named(namespace: string, reference: string): Plan | Promise<Plan> {
    const { hash } = this.find(namespace, reference);
    return this.#byHash.get(hash) ?? this.#load(hash);
  }

  find(namespace: string, reference: string): RegisteredDefinition {
    const at = reference.lastIndexOf("@");
    const name = at === -1 ? reference : reference.slice(0, at);
    const version = at === -1 ? undefined : reference.slice(at + 1);
    const names = this.#registered.get(namespace);
    const found = names?.get(name)?.findLast((d) => version === undefined || d.version === version);
    if (found !== undefined) return found;
    const nearest = nearestName(name, names?.keys() ?? []);
    return refuse(fault("DEFINITION_NOT_FOUND", { name: reference, nearest }));
  }

  async register(namespace: string, definition: Definition): Promise<RegisteredDefinition> {
    const plan = this.planOf(definition);
    this.#deps.guard.checkPlan(plan);
    const registered: RegisteredDefinition = {
      namespace,
      name: definition.name,
      version: definition.version,
      hash: plan.hash,
      json: canonicalJson(definition),
      registeredAt: this.#deps.host.now(),
    };
    await this.#deps.journal.registerDefinition(registered);
    this.#remember(registered);
    return registered;
  }

  list(namespace?: string): RegisteredDefinition[] {
    const spaces =
      namespace === undefined ? [...this.#registered.values()] : [this.#registered.get(namespace)];
    return spaces.flatMap((names) => [...(names?.values() ?? [])].flat());
  }

  /** Refuses a plan that names an agent or lane this daemon does not have, or exceeds its limits. */
  check(plan: Plan): void {
    const agents = this.#deps.known.agents();
    if (this.#checked.get(plan) === agents) return;
    this.#deps.guard.checkPlan(plan);
    const names = new Set(agents.map(({ name }) => name));
    const { awaitsWorkers } = this.#deps.known;
    const lanes = new Set(this.#deps.known.lanes());
    const violations = unknownNames(plan, awaitsWorkers ? undefined : names, lanes);
    if (violations.length > 0) {
      throw new FaultError(fault("DEFINITION_INVALID", { name: plan.definition.name, violations }));
    }
    this.#checked.set(plan, agents);
  }

  #compile(definition: Definition, hash: string): Plan {
    const plan = compile(definition, { hash, expectedMs: this.#deps.expectedMs });
    if (this.#byHash.size >= PLANS_KEPT_MAX) {
      const oldest = this.#byHash.keys().next().value;
      if (oldest !== undefined) this.#byHash.delete(oldest);
    }
    this.#byHash.set(hash, plan);
    return plan;
  }

  #remember(definition: RegisteredDefinition): void {
    let names = this.#registered.get(definition.namespace);
    if (names === undefined) {
      names = new Map();
      this.#registered.set(definition.namespace, names);
    }
    const versions = (names.get(definition.name) ?? []).filter(
      (d) => d.version !== definition.version,
    );
    versions.push(definition);
    versions.sort((a, b) => a.registeredAt - b.registeredAt);
    names.set(definition.name, versions);
  }
}

function unknownNames(
  plan: Plan,
  agents: ReadonlySet<string> | undefined,
  lanes: ReadonlySet<string>,
): Violation[] {
  const violations: Violation[] = [];
  const check = (field: string, kind: string, name: string, known: ReadonlySet<string>): void => {
    if (known.has(name)) return;
    const nearest = nearestName(name, known);
    const remedy =
      nearest === undefined
        ? `Known ${kind}s: ${[...known].slice(0, 8).join(", ") || "none"}.`
        : `Did you mean "${nearest}"?`;
    violations.push({ field, message: `no ${kind} "${name}" is known here`, remedy });
  };
  plan.nodes.forEach(({ task }, index) => {
    const [agent = ""] = task.agent.split("@");
    if (agents !== undefined) check(`tasks[${index}].agent`, "agent", agent, agents);
    check(`tasks[${index}].lane`, "lane", task.lane, lanes);
  });
  return violations;
}
