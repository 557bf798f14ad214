/**
 * Which worker gets which attempt. A task asks for an agent by name, with `@` and a version or range behind it if it
 * likes, for workers with certain labels (its own labels that begin with `worker.`), and for the instance that last had
 * its affinity key (its label `affinity`, or else its session). The newest version with room wins, instances of it take
 * turns. Tasks that ask for the same share one answer, so that asking for a full agent costs nothing.
 */
import { nearestName } from "../base/ids.ts";
import { compareVersions, type VersionTest, versionTest } from "../base/semver.ts";
import type { Instant, Millis } from "../base/time.ts";
import type { PlanNode } from "../core/dag/plan.ts";
import type { TaskState } from "../core/run/state.ts";
import type { Host } from "../ports/host.ts";
import type { Opening } from "../ports/placement.ts";
import type { ServedAgent } from "../ports/worker.ts";
import type { WorkerInstance } from "./worker-instance.ts";

const LABEL_PREFIX = "worker.";
const AFFINITY_LABEL = "affinity";
/** Affinity keys remembered. */
const AFFINITIES_KEPT = 10_000;
/** Kinds of need remembered; workflows name few. */
const NEEDS_KEPT = 10_000;

/** An agent of an instance that can run a task. */
export interface Seat {
  readonly instance: WorkerInstance;
  readonly agent: ServedAgent;
}

/** What tasks of one kind ask for, and who serves it. */
interface Need {
  readonly key: string;
  readonly agent: string;
  readonly fits: VersionTest;
  readonly labels: readonly (readonly [string, string])[];
  /** Newest version first; rebuilt when workers come and go. */
  tiers: readonly (readonly Seat[])[];
  builtFor: number;
  turn: number;
}

/** Tasks that wait for a certain instance until an instant. */
interface Patience {
  readonly need: Need;
  readonly instance: WorkerInstance;
  readonly until: Instant;
}

/** An agent reference taken apart: `summarize@^2`. */
export function agentReference(reference: string): { name: string; range: string } {
  const at = reference.indexOf("@");
  return at === -1
    ? { name: reference, range: "" }
    : { name: reference.slice(0, at), range: reference.slice(at + 1) };
}

export interface RoutingDeps {
  readonly host: Pick<Host, "now" | "setTimer">;
  readonly instances: ReadonlyMap<string, WorkerInstance>;
  readonly affinityMs: Millis;
  /** Whether the daemon itself runs this agent. */
  readonly isLocal: (agent: string) => boolean;
  /** Agents of the daemon itself, to guess what was meant. */
  readonly localNames: () => Iterable<string>;
  /** Room may have come back. */
  readonly onRoom: () => void;
}

export class WorkerRouting {
  readonly #deps: RoutingDeps;
  readonly #byNode = new WeakMap<PlanNode, Need>();
  readonly #needs = new Map<string, Need>();
  /** Needs that were refused and not opened since. */
  readonly #starved = new Map<string, Need | Patience>();
  readonly #lastOf = new Map<string, WorkerInstance>();
  readonly #patience = new WeakMap<TaskState, Instant>();
  #generation = 1;
  #hasNews = false;

  constructor(deps: RoutingDeps) {
    this.#deps = deps;
  }

  /** Instances or their agents changed. */
  changed(): void {
    this.#generation++;
    this.roomy();
  }

  /** Some instance may have room that had none. */
  roomy(): void {
    this.#hasNews = true;
    if (this.#starved.size > 0) this.#deps.onRoom();
  }

  /** A seat with room, or the name of what is missing. */
  choose(task: TaskState): Seat | string {
    const need = this.#needOf(task);
    if (this.#starved.has(need.key)) return need.key;
    const affinity = affinityOf(task);
    if (affinity !== undefined) {
      const preferred = this.#prefer(task, need, affinity);
      if (preferred !== undefined) return preferred;
    }
    const seat = this.#pick(need);
    if (seat === undefined) {
      this.#starved.set(need.key, need);
      return need.key;
    }
    if (affinity !== undefined) this.#remember(affinity, seat.instance);
    return seat;
  }

  /** Needs for which somebody has room now. */
  openings(): readonly Opening[] {
    if (!this.#hasNews) return NONE;
    this.#hasNews = false;
    const openings: Opening[] = [];
    for (const [key, starved] of this.#starved) {
      const room = this.#roomOf(starved);
      if (room === 0) continue;
      this.#starved.delete(key);
      openings.push({ need: key, room });
    }
    return openings;
  }

  /** Why a task finds no worker now, in one sentence; undefined when it would find one. */
  explain(task: TaskState): string | undefined {
    const need = this.#needOf(task);
    const seats = this.#tiersOf(need).flat();
    const agent = need.key;
    if (seats.length === 0) return `no worker serves agent ${agent}${this.#hint(need)}`;
    if (seats.some(({ instance, agent }) => instance.roomFor(agent) > 0)) return undefined;
    const ready = seats.filter(({ instance }) => instance.state === "READY");
    const workers = `all ${seats.length} workers of agent ${agent}`;
    return ready.length === 0 ? `${workers} are away, silent or draining` : `${workers} are busy`;
  }

  /** What a person may have got wrong about an agent that nobody serves. */
  #hint({ agent }: Need): string {
    const served = [...this.#deps.instances.values()].flatMap(({ agents }) => agents);
    const versions = served.filter(({ name }) => name === agent).map(({ version }) => version);
    if (versions.length > 0) {
      return `; it is served in ${[...new Set(versions)].sort(compareVersions).join(", ")}`;
    }
    const nearest = nearestName(
      agent,
      new Set([...served.map(({ name }) => name), ...this.#deps.localNames()]),
    );
    return nearest === undefined ? "" : `; did you mean "${nearest}"?`;
  }

  #roomOf(starved: Need | Patience): number {
    if ("until" in starved) {
      if (this.#deps.host.now() >= starved.until) return Number.MAX_SAFE_INTEGER;
      const seat = this.#seatAt(starved.need, starved.instance);
      return seat === undefined ? Number.MAX_SAFE_INTEGER : roomAt(seat);
    }
    if (this.#deps.isLocal(starved.agent)) return Number.MAX_SAFE_INTEGER;
    return this.#tiersOf(starved)
      .flat()
      .reduce((room, seat) => room + roomAt(seat), 0);
  }

  /** The instance that last had this key, or the wait for it; undefined when anybody will do. */
  #prefer(task: TaskState, need: Need, affinity: string): Seat | string | undefined {
    const instance = this.#lastOf.get(affinity);
    const seat = instance && this.#seatAt(need, instance);
    if (instance === undefined || seat === undefined || instance.state !== "READY") {
      this.#patience.delete(task);
      return undefined;
    }
    if (roomAt(seat) > 0) {
      this.#patience.delete(task);
      return seat;
    }
    const now = this.#deps.host.now();
    const until = this.#patience.get(task) ?? now + this.#deps.affinityMs;
    if (now >= until) {
      this.#patience.delete(task);
      return undefined;
    }
    return this.#await(task, { need, instance, until });
  }

  #await(task: TaskState, patience: Patience): string {
    const { need, instance, until } = patience;
    const key = `${need.key} at ${instance.id} until ${until}`;
    if (!this.#patience.has(task)) this.#patience.set(task, until);
    if (!this.#starved.has(key)) {
      this.#starved.set(key, patience);
      this.#deps.host.setTimer(Math.max(0, until - this.#deps.host.now()), () => this.roomy());
    }
    return key;
  }

  #remember(affinity: string, instance: WorkerInstance): void {
    this.#lastOf.delete(affinity);
    this.#lastOf.set(affinity, instance);
    if (this.#lastOf.size <= AFFINITIES_KEPT) return;
    const oldest = this.#lastOf.keys().next().value;
    if (oldest !== undefined) this.#lastOf.delete(oldest);
  }

  /** The next seat in turn that has room, of the newest version that has any. */
  #pick(need: Need): Seat | undefined {
    for (const tier of this.#tiersOf(need)) {
      for (let tried = 0; tried < tier.length; tried++) {
        need.turn = (need.turn + 1) % tier.length;
        const seat = tier[need.turn] as Seat;
        if (roomAt(seat) > 0) return seat;
      }
    }
    return undefined;
  }

  #seatAt(need: Need, instance: WorkerInstance): Seat | undefined {
    for (const tier of this.#tiersOf(need)) {
      for (const seat of tier) if (seat.instance === instance) return seat;
    }
    return undefined;
  }

  #tiersOf(need: Need): Need["tiers"] {
    if (need.builtFor !== this.#generation) {
      need.tiers = tiersFor(need, this.#deps.instances.values());
      need.builtFor = this.#generation;
    }
    return need.tiers;
  }

  #needOf(task: TaskState): Need {
    const known = this.#byNode.get(task.node);
    if (known !== undefined) return known;
    const fresh = needOf(task);
    const need = this.#needs.get(fresh.key) ?? fresh;
    if (this.#needs.size < NEEDS_KEPT) this.#needs.set(need.key, need);
    this.#byNode.set(task.node, need);
    return need;
  }
}

const NONE: readonly Opening[] = [];

function roomAt({ instance, agent }: Seat): number {
  return instance.roomFor(agent);
}

function needOf({ node: { task } }: TaskState): Need {
  const { name, range } = agentReference(task.agent);
  const labels = Object.entries(task.labels)
    .filter(([label]) => label.startsWith(LABEL_PREFIX))
    .map(([label, value]) => [label.slice(LABEL_PREFIX.length), value] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const asked = labels.map(([label, value]) => `${label}=${value}`).join(", ");
  const key = `"${task.agent}"${asked === "" ? "" : ` with ${asked}`}`;
  const fits = versionTest(range) ?? ((version) => version === range);
  return { key, agent: name, fits, labels, tiers: [], builtFor: 0, turn: -1 };
}

/** The key whose tasks should meet the same instance again. */
function affinityOf({ node, run }: TaskState): string | undefined {
  const label = node.task.labels[AFFINITY_LABEL];
  if (label !== undefined) return `${run.request.namespace}/${label}`;
  const { namespace, sessionId } = run.request;
  return sessionId === undefined ? undefined : `${namespace}//${sessionId}`;
}

function tiersFor(need: Need, instances: Iterable<WorkerInstance>): Seat[][] {
  const byVersion = new Map<string, Seat[]>();
  for (const instance of instances) {
    if (need.labels.some(([label, value]) => instance.labels[label] !== value)) continue;
    for (const agent of instance.agents) {
      if (agent.name !== need.agent || !need.fits(agent.version)) continue;
      const tier = byVersion.get(agent.version);
      if (tier === undefined) byVersion.set(agent.version, [{ instance, agent }]);
      else tier.push({ instance, agent });
    }
  }
  return [...byVersion].sort(([a], [b]) => compareVersions(b, a)).map(([, tier]) => tier);
}
