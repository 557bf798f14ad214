/**
 * Every worker of the daemon and every lease they hold. It is one more transport of the runtime (attempts go out, exactly
 * one end comes back) and the door that surfaces bring workers to. Here live the rules of the worker protocol: credit is
 * counted from leases, an assignment that is not acknowledged goes back, a worker that does not answer its probes gets
 * no work, a lease that nobody renews is lost, a closed stream has its grace, every end gets its verdict once that is
 * durable. What an end means for a task is the core's matter, what is late the engine's.
 */
import { assert, present } from "../base/assert.ts";
import { FaultError, fault } from "../base/fault.ts";
import { compareVersions } from "../base/semver.ts";
import type { Millis } from "../base/time.ts";
import type { TaskState } from "../core/run/state.ts";
import type {
  AgentInfo,
  Assignment,
  AttemptQuestion,
  DeliveredSignal,
  RecallAnswer,
  StopRequest,
} from "../ports/agent.ts";
import type { Host } from "../ports/host.ts";
import type { Opening } from "../ports/placement.ts";
import type { Logger } from "../ports/telemetry.ts";
import type {
  ServedAgent,
  WorkerDoor,
  WorkerHello,
  WorkerLink,
  WorkerListener,
  WorkerSession,
  WorkerStatus,
  WorkerTimes,
  WorkerWelcome,
} from "../ports/worker.ts";
import { firstExpiry, WorkerInstance, type WorkerLease } from "./worker-instance.ts";
import { WorkerLeases } from "./worker-leases.ts";
import { agentReference, type Seat, WorkerRouting } from "./worker-routing.ts";
import { PoolSession } from "./worker-session.ts";

export interface WorkerPoolDeps {
  readonly host: Host;
  readonly log: Logger;
}

/** What the pool asks of the runtime above it. */
export interface PoolHost {
  readonly listener: WorkerListener;
  /** The set of agents changed. */
  readonly onChange: () => void;
  /** Room may have come back. */
  readonly onRoom: () => void;
  /** Whether the daemon itself runs an agent, and from where. */
  readonly localSource: (agent: string) => string | undefined;
  /** All agents the daemon itself runs. */
  readonly localNames: () => Iterable<string>;
}

export const WORKER_TIMES: WorkerTimes = {
  probeMs: 5_000,
  silenceMs: 15_000,
  ackMs: 3_000,
  leaseMs: 30_000,
  graceMs: 10_000,
  pollMs: 60_000,
  affinityMs: 200,
};

/** How long a worker should wait before it connects to a daemon that restarts. */
const RECONNECT_AFTER_MS: Millis = 1_000;

export class WorkerPool implements WorkerDoor {
  readonly kind = "worker";
  readonly times: WorkerTimes;
  readonly #deps: WorkerPoolDeps;
  readonly #instances = new Map<string, WorkerInstance>();
  readonly leases: WorkerLeases;
  /** Room taken for tasks whose start is not durable yet, by run and task. */
  readonly #reserved = new Map<string, Seat>();
  readonly #routing: WorkerRouting;
  #above: PoolHost | undefined;
  #agents: readonly AgentInfo[] = [];
  #isDraining = false;

  constructor(times: Partial<WorkerTimes>, deps: WorkerPoolDeps) {
    this.times = { ...WORKER_TIMES, ...times };
    this.#deps = deps;
    this.leases = new WorkerLeases({
      host: deps.host,
      listener: () => present(this.#above, "the runtime above the pool").listener,
      onEnd: (lease) => this.#ended(lease),
    });
    this.#routing = new WorkerRouting({
      host: deps.host,
      instances: this.#instances,
      affinityMs: this.times.affinityMs,
      isLocal: (agent) => this.#above?.localSource(agent) !== undefined,
      localNames: () => this.#above?.localNames() ?? [],
      onRoom: () => this.#above?.onRoom(),
    });
  }

  attach(above: PoolHost): void {
    assert(this.#above === undefined, "a pool is attached once");
    this.#above = above;
  }

  /** Agents that workers serve, each in its newest version. */
  agents(): readonly AgentInfo[] {
    return this.#agents;
  }

  workers(): readonly WorkerStatus[] {
    return [...this.#instances.values()].flatMap((one) => one.status() ?? []);
  }

  recall(instance: string, lease: string, wish: AttemptQuestion): Promise<RecallAnswer> {
    return this.leases.recall(this.#instances.get(instance), lease, wish);
  }

  // Placement

  reserve(task: TaskState): string | undefined {
    const seat = this.#routing.choose(task);
    if (typeof seat === "string") return seat;
    seat.instance.take(seat.agent.slotClass, seat.agent.slotCost);
    this.#reserved.set(reservationOf(task.run.id, task.id), seat);
    return undefined;
  }

  release(task: TaskState): void {
    const key = reservationOf(task.run.id, task.id);
    const seat = this.#reserved.get(key);
    if (seat === undefined) return;
    this.#reserved.delete(key);
    this.#leaveSeat(seat);
  }

  workerOf(task: TaskState): string | undefined {
    if (this.#reserved.size === 0) return undefined;
    return this.#reserved.get(reservationOf(task.run.id, task.id))?.instance.id;
  }

  openings(): readonly Opening[] {
    return this.#routing.openings();
  }

  explain(task: TaskState): string | undefined {
    return this.#routing.explain(task);
  }

  /** Agents of the daemon itself changed: tasks may have waited for one. */
  localChanged(): void {
    this.#routing.roomy();
  }

  // Transport

  start(assignment: Assignment): void {
    const key = reservationOf(assignment.runId, assignment.taskId);
    const seat = this.#reserved.get(key);
    this.#reserved.delete(key);
    const { host } = this.#deps;
    if (seat?.instance.link === undefined || seat.instance.id !== assignment.worker) {
      if (seat !== undefined) this.#leaveSeat(seat);
      host.defer(() => this.leases.refuse(assignment.key));
      return;
    }
    const { instance } = seat;
    const lease = this.leases.give(seat, assignment);
    instance.offered.add(lease);
    if (!instance.timers.has("ack")) this.#armAck(instance);
    if (!instance.timers.has("lease")) this.#armExpiry(instance);
    instance.wanted--;
    const told = instance.takesSignals ? assignment : { ...assignment, signals: [] };
    if (!instance.link?.assign(told, seat.agent.version))
      host.defer(() => this.leases.oversize(lease));
  }

  /** Takes over an attempt that a worker got before a restart of the daemon. It has the grace to come back. */
  adopt(assignment: Assignment): void {
    const instance = this.#instanceOf(
      present(assignment.worker, "the worker of an adopted attempt"),
    );
    const { name } = agentReference(assignment.agent);
    const agent: ServedAgent = { name, version: "", slotClass: "default", slotCost: 1 };
    instance.take(agent.slotClass, agent.slotCost);
    const lease = this.leases.give({ instance, agent }, assignment);
    lease.phase = "HELD";
    lease.isAdopted = true;
    if (!instance.timers.has("grace")) this.#armGrace(instance);
  }

  signal(key: string, signal: DeliveredSignal): void {
    this.leases.signal(key, signal);
  }

  stop(key: string, request: StopRequest): void {
    this.leases.stop(key, request);
  }

  /** Tells workers to go, and forgets them; what they hold is theirs until the next start decides. */
  close(): Promise<void> {
    this.drain("the engine is shutting down");
    for (const instance of [...this.#instances.values()]) {
      instance.link?.close();
      this.#forget(instance);
    }
    return Promise.resolve();
  }

  /** No more work for anybody. */
  drain(reason: string): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    for (const { link } of this.#instances.values()) link?.goAway(reason, RECONNECT_AFTER_MS);
  }

  // Door

  open(hello: WorkerHello, link: WorkerLink): WorkerSession {
    const instance = this.#instanceOf(hello.instance);
    const isResumed = hello.resume !== undefined && hello.resume.token === instance.token;
    // Nobody may take the place of an instance that answers; one that does not may have lost the Welcome with its token.
    if (instance.link !== undefined && !isResumed && !instance.isSilent) {
      throw new FaultError(fault("WORKER_INSTANCE_TAKEN", { instance: hello.instance }));
    }
    // The new link takes over what the old one held.
    instance.link?.close();
    instance.disarmAll();
    const refused = this.#introduce(instance, hello, link);
    const { kept, dropped } = this.#reconcile(instance, hello);
    const welcome: WorkerWelcome = {
      sessionId: this.#deps.host.randomHex(8),
      epoch: instance.epoch,
      resumeToken: instance.token,
      times: this.times,
      kept,
      dropped,
      refused,
    };
    this.#deps.log.info(
      { instance: instance.id, worker: instance.name, surface: hello.surface, kept: kept.length },
      "worker connected",
    );
    this.#deps.host.defer(() => this.#greet(instance, link));
    return new PoolSession(welcome, { instance, link, pool: this });
  }

  #introduce(
    instance: WorkerInstance,
    hello: WorkerHello,
    link: WorkerLink,
  ): WorkerWelcome["refused"] {
    const { host } = this.#deps;
    const refused: { name: string; reason: string }[] = [];
    const agents = hello.agents.filter(({ name }) => {
      const source = this.#above?.localSource(name);
      if (source === undefined) return true;
      refused.push({ name, reason: `the daemon runs an agent of this name (${source})` });
      return false;
    });
    instance.introduce(hello);
    if (instance.state !== "AWAY") instance.state = "AWAY";
    instance.move("opened");
    instance.agents = agents;
    instance.link = link;
    instance.token = host.randomHex(16);
    instance.epoch++;
    instance.connectedAt = host.now();
    instance.arm("grace", undefined);
    for (const lease of instance.leases.values()) this.#reseat(lease, agents);
    this.heard(instance);
    this.#agentsChanged();
    return refused;
  }

  /** A lease from before a restart takes the slots that its agent is now known to take. */
  #reseat(lease: WorkerLease, agents: readonly ServedAgent[]): void {
    const agent = agents.find(({ name }) => name === lease.agent);
    if (!lease.isAdopted || agent === undefined) return;
    lease.instance.giveBack(lease.slotClass, lease.cost);
    lease.slotClass = agent.slotClass;
    lease.cost = agent.slotCost;
    lease.instance.take(lease.slotClass, lease.cost);
  }

  /** What goes on, what does not: leases the instance no longer has are ended, and those it never had are dropped. */
  #reconcile(
    instance: WorkerInstance,
    { resume, surface }: WorkerHello,
  ): Pick<WorkerWelcome, "kept" | "dropped"> {
    if (surface === "poll") return { kept: [], dropped: [] };
    const has = new Set(resume?.leases);
    for (const lease of [...instance.leases.values()]) {
      if (has.has(lease.id)) this.leases.renew(lease);
      else this.leases.lose(lease, "its worker came back without it");
    }
    const kept = [...has].filter((id) => instance.leases.has(id));
    return { kept, dropped: [...has].filter((id) => !instance.leases.has(id)) };
  }

  /** What has gathered while the instance was away. */
  #greet(instance: WorkerInstance, link: WorkerLink): void {
    if (instance.link !== link) return;
    for (const lease of instance.leases.values()) {
      if (lease.phase === "REPORTED") continue;
      if (instance.takesSignals) for (const signal of lease.signals) link.signal(lease.id, signal);
      if (lease.stop === undefined) continue;
      const { dueAt, reason } = lease.stop;
      link.cancel(lease.id, reason, Math.max(0, dueAt - this.#deps.host.now()));
    }
    if (this.#isDraining) link.goAway("the engine is shutting down", RECONNECT_AFTER_MS);
    if (instance.surface === "session") this.#armProbe(instance);
  }

  // What sessions say; called by PoolSession for the instance that speaks.

  /** Any sign that the instance is there. */
  heard(instance: WorkerInstance): void {
    instance.answeredAt = this.#deps.host.now();
    instance.unanswered = 0;
    if (instance.move("answered")) this.#routing.roomy();
    if (instance.surface === "poll") {
      const timer = this.#deps.host.setTimer(this.times.pollMs, () => this.disconnected(instance));
      instance.arm("probe", timer);
    }
  }

  roomChanged(): void {
    this.#routing.roomy();
  }

  /** The instance wants no more work; one that is leaving gives its leases up. */
  drainInstance(instance: WorkerInstance, leaving: boolean): void {
    instance.move("drained");
    if (leaving) this.leases.giveUp(instance);
  }

  /** The link of the instance ended. */
  disconnected(instance: WorkerInstance): void {
    this.#disconnect(instance);
    if (instance.state === "GONE") this.#forget(instance);
    else this.#armGrace(instance);
    this.#agentsChanged();
  }

  #disconnect(instance: WorkerInstance): void {
    instance.link?.close();
    instance.link = undefined;
    instance.disarmAll();
    if (instance.state === "DRAINING") this.leases.giveUp(instance);
    instance.move("closed");
    this.#deps.log.info(
      { instance: instance.id, worker: instance.name, held: instance.leases.size },
      "worker disconnected",
    );
  }

  // Instances

  #instanceOf(id: string): WorkerInstance {
    let instance = this.#instances.get(id);
    if (instance === undefined) {
      instance = new WorkerInstance(id);
      this.#instances.set(id, instance);
    }
    return instance;
  }

  #leaveSeat({ instance, agent }: Seat): void {
    instance.giveBack(agent.slotClass, agent.slotCost);
    this.#routing.roomy();
  }

  // Timers

  #armProbe(instance: WorkerInstance): void {
    const { host } = this.#deps;
    instance.arm(
      "probe",
      host.setTimer(this.times.probeMs, () => {
        instance.unanswered++;
        if (instance.isSilent && instance.move("missed")) {
          this.#deps.log.warn({ instance: instance.id, worker: instance.name }, "worker is silent");
        }
        instance.link?.probe(++instance.nonce);
        this.#armProbe(instance);
      }),
    );
  }

  /** The oldest assignment without an acknowledgement sets the time. */
  #armAck(instance: WorkerInstance): void {
    const [oldest] = instance.offered;
    if (oldest === undefined) return instance.arm("ack", undefined);
    const { host } = this.#deps;
    const delayMs = Math.max(0, oldest.offeredAt + this.times.ackMs - host.now());
    instance.arm(
      "ack",
      host.setTimer(delayMs, () => {
        const before = host.now() - this.times.ackMs;
        for (const lease of [...instance.offered]) {
          if (lease.offeredAt <= before) this.leases.lose(lease, "it did not acknowledge");
          else break;
        }
        this.#armAck(instance);
      }),
    );
  }

  #armExpiry(instance: WorkerInstance): void {
    const { host } = this.#deps;
    const dueAt = firstExpiry(instance.leases.values(), this.times.leaseMs);
    if (dueAt === undefined) return instance.arm("lease", undefined);
    instance.arm(
      "lease",
      host.setTimer(Math.max(0, dueAt - host.now()), () => {
        const before = host.now() - this.times.leaseMs;
        for (const lease of [...instance.leases.values()]) {
          if (lease.renewedAt <= before) this.leases.lose(lease, "it did not renew its lease");
        }
        this.#armExpiry(instance);
      }),
    );
  }

  #armGrace(instance: WorkerInstance): void {
    instance.arm(
      "grace",
      this.#deps.host.setTimer(this.times.graceMs, () => {
        instance.move("expired");
        for (const lease of [...instance.leases.values()]) {
          this.leases.lose(lease, "it did not come back in time");
        }
        this.#forget(instance);
        this.#agentsChanged();
      }),
    );
  }

  #forget(instance: WorkerInstance): void {
    instance.disarmAll();
    instance.state = "GONE";
    instance.link = undefined;
    if (instance.leases.size === 0) this.#instances.delete(instance.id);
  }

  #agentsChanged(): void {
    const agents = agentInfos(this.#instances.values());
    const isSame =
      agents.length === this.#agents.length &&
      agents.every(({ name, version }, at) => {
        const known = this.#agents[at] as AgentInfo;
        return known.name === name && known.version === version;
      });
    if (!isSame) {
      this.#agents = agents;
      this.#above?.onChange();
    }
    this.#routing.changed();
  }

  #ended({ instance, slotClass, cost }: WorkerLease): void {
    instance.giveBack(slotClass, cost);
    this.#routing.roomy();
    if (instance.state === "GONE" && instance.leases.size === 0) this.#forget(instance);
  }
}

function reservationOf(runId: string, taskId: string): string {
  return `${runId}/${taskId}`;
}

/** Each agent once, in its newest version. */
function agentInfos(instances: Iterable<WorkerInstance>): AgentInfo[] {
  const byName = new Map<string, AgentInfo>();
  for (const instance of instances) {
    if (instance.state === "GONE") continue;
    for (const { name, version, inputSchema, timeoutMs } of instance.agents) {
      const known = byName.get(name);
      if (known !== undefined && compareVersions(known.version, version) >= 0) continue;
      byName.set(name, {
        name,
        version,
        transport: "worker",
        source: `worker ${instance.name}`,
        ...(inputSchema === undefined ? {} : { inputSchema }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      });
    }
  }
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
