/**
 * The live lanes, owned by the writer loop and as synchronous as it. The engine asks for a verdict when a task becomes
 * ready and polls for tasks that may start; it reports every scheduled, started and released task back, so that queues
 * and occupancy are only a view of task states (`audit` recomputes them). A task acquires session → named → global and
 * takes all at once or nothing. Time is an argument, nothing here waits or does I/O.
 *
 * Contract with the engine: `poll` hands every task out once. One in `start` already has its slots: `started` confirms
 * them, `remove` gives them back. One in `offer` has room kept for it: ask `verdict` again, then `enqueue`, `block` or
 * `remove`. One in `drop` has left the lanes. Each verdict is followed by its `enqueue` or `block` before the next.
 */
import { assert, present, unreachable } from "../base/assert.ts";
import { fault, refuse } from "../base/fault.ts";
import { nearestName, type RunId } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import { admit, LANE_GLOBAL, type LaneRoom } from "../core/lane/admission.ts";
import {
  LANE_DEFAULT,
  LANE_ORDER_DEFAULT,
  type LaneStatus,
  type LanesConfig,
  type Verdict,
} from "../core/lane/lane.ts";
import { Ticket, ticketOf } from "../core/lane/ticket.ts";
import type { RunState, TaskState } from "../core/run/state.ts";
import type { Opening, Placement } from "../ports/placement.ts";
import { auditLanes, type LaneAudit } from "./audit.ts";
import { Gate } from "./gate.ts";
import { Lane } from "./lane.ts";
import { Sessions } from "./sessions.ts";
import {
  type LaneSettings,
  namedLanes,
  refuseIfUsed,
  refuseNewUntilRestart,
  refuseWrongConfig,
  refuseWrongSettings,
} from "./settings.ts";

/** What `poll` hands over. */
export interface LaneMoves {
  /** Tasks that may start; their slots are taken. */
  readonly start: TaskState[];
  /** Queued tasks that their full lane gives up. */
  readonly drop: TaskState[];
  /** Blocked tasks for which there is room now. */
  readonly offer: TaskState[];
}

const NO_OPENINGS: readonly Opening[] = [];

/** All lanes of one engine. */
export class LaneManager {
  readonly #agingMs: number;
  readonly #sessions: Sessions;
  readonly #global: Gate;
  readonly #lanes = new Map<string, Lane>();
  /** The named lanes in the order in which they may start next: whoever starts a task goes to the end. */
  #rotation: Lane[] = [];
  #weights = new Map<string, number>();
  readonly #placement: Placement | undefined;
  /** What was missing and has come back, with the room there was; nobody has been refused it since. */
  readonly #open = new Map<string, number>();
  #config: LanesConfig;
  /** The latest instant seen. */
  #now: Instant = 0;

  /**
   * Throws `ARGUMENT_INVALID` or `LANE_UNKNOWN` for settings that could not work. Without `placement` every task that
   * has its slots can be run.
   */
  constructor(config: LanesConfig, placement?: Placement) {
    refuseWrongConfig(config);
    this.#placement = placement;
    this.#config = config;
    this.#agingMs = (config.order ?? LANE_ORDER_DEFAULT).agingMs;
    this.#sessions = new Sessions(config.session);
    this.#global = new Gate(config.global.concurrency, config.global.rate);
    this.#adoptNamed(config);
  }

  /** What the lane of a ready task answers; changes nothing. Retries return to the lane they were in, full or not. */
  verdict(task: TaskState): Verdict {
    if (task.attempt > 0) return { kind: "accepted", lane: this.#laneOf(task.lane).name };
    const ticket = ticketOf(task);
    const reserved = ticket?.standing === "offered" ? ticket.lane : undefined;
    return admit(task.node.task.lane, (name) => this.#roomOf(name, reserved));
  }

  /** The verdict was `blocked`: the task waits outside that lane, in the order of its queue. */
  block(task: TaskState): void {
    const { lane } = this.verdict(task);
    const ticket = this.#ticketAnew(task, "blocked", lane);
    this.#laneOf(lane).outside.push(ticket, this.#seen(task.since));
  }

  /** The task is SCHEDULED (first attempt, retry or found so after a restart). */
  enqueue(task: TaskState): void {
    const lane = this.#laneOf(task.lane);
    const ticket = this.#ticketAnew(task, "queued", lane.name);
    lane.enter(ticket, this.#seen(task.since));
  }

  /** How many tasks wait in the same place; whoever is still outside waits for all that are in the lane as well. */
  waitsBefore({ standing, lane }: Ticket): number {
    const { queued, outside } = this.#laneOf(lane);
    return standing === "blocked" ? queued + outside.size : queued;
  }

  /** Instance of the worker that a task in `start` is meant for; undefined for agents of the daemon. */
  workerOf(task: TaskState): string | undefined {
    return this.#placement?.workerOf(task);
  }

  /** The task holds a lease. Without a grant (after a restart) its slots are taken now, free or not. */
  started(task: TaskState): void {
    const ticket = ticketOf(task);
    if (ticket?.standing === "granted") {
      ticket.standing = "held";
      return;
    }
    assert(ticket?.standing !== "held", `task ${task.id} started twice`);
    this.#take(this.#ticketAnew(task, "held", this.#laneOf(task.lane).name));
  }

  /** The lease ended: its slots are free. */
  released(task: TaskState): void {
    const ticket = ticketOf(task);
    assert(ticket?.standing === "held", `task ${task.id} gave back slots it does not hold`);
    this.#giveBack(ticket);
    task.place = undefined;
  }

  /** The task will not start: it leaves at once. Does nothing to a task that holds a lease or is in no lane. */
  remove(task: TaskState): void {
    const ticket = ticketOf(task);
    if (ticket === undefined || ticket.standing === "held") return;
    this.#withdraw(ticket);
    task.place = undefined;
  }

  /** What may happen at `at`: at most `limit` starts, drops and offers each. Poll again when `limit` were returned. */
  poll(at: Instant, limit: number): LaneMoves {
    this.#seen(at);
    for (const { need, room } of this.#placement?.openings() ?? NO_OPENINGS) {
      this.#open.set(need, room);
    }
    for (const [need, room] of this.#open) this.#callBack(need, room, at);
    const start = this.#grant(at, limit);
    const { drop } = this.shed(limit);
    const offer: TaskState[] = [];
    for (const lane of this.#rotation) {
      for (let room = Math.min(lane.room, limit - offer.length); room > 0; room--) {
        const ticket = lane.outside.take(at);
        if (ticket === undefined) break;
        ticket.standing = "offered";
        lane.offered++;
        offer.push(ticket.task);
      }
    }
    return { start, drop, offer };
  }

  /** What happens where nothing may start: at most `limit` queued tasks lose their place to newcomers. */
  shed(limit: number): LaneMoves {
    const drop: TaskState[] = [];
    for (const lane of this.#rotation) {
      for (const { task } of lane.evict(limit - drop.length)) {
        task.place = undefined;
        drop.push(task);
      }
    }
    return { start: [], drop, offer: [] };
  }

  /** The next instant after `at` at which a rate opens for a task that waits for nothing else. */
  nextWake(at: Instant): Instant | undefined {
    if (this.#global.paused) return undefined;
    let wake: Instant | undefined;
    for (const lane of this.#rotation) {
      const head = this.#headOf(lane);
      if (head === undefined || !this.#global.fits(head.cost)) continue;
      const opensAt = Math.max(lane.gate.opensAt, this.#global.opensAt);
      if (opensAt > at) wake = Math.min(opensAt, wake ?? opensAt);
    }
    return wake;
  }

  /**
   * A run was accepted: may it begin at once? After a restart runs that have begun come before those that have not.
   */
  runAccepted(run: RunState): boolean {
    return this.#sessions.accept(run);
  }

  /** A run ended, or was cancelled while it waited: the run of its session whose turn it is now, if any. */
  runEnded(run: RunState): RunId | undefined {
    return this.#sessions.end(run);
  }

  /** The runs of a session that have begun or may begin, oldest first. */
  activeRuns(sessionId: string, namespace: string): readonly RunId[] {
    return this.#sessions.activeRuns(sessionId, namespace);
  }

  /** Whether tasks may name this lane. */
  has(name: string): boolean {
    return this.#lanes.has(name);
  }

  /** Lanes that tasks may name. */
  names(): string[] {
    return [...this.#lanes.keys()];
  }

  /** All lanes: global, session, then the named ones in the order of the configuration. */
  status(): LaneStatus[] {
    const named = [...this.#lanes.values()].map((lane) => lane.status(this.#now));
    return [this.#globalStatus(), this.#sessions.status(), ...named];
  }

  /**
   * Changes a named lane or `global` while it works; a smaller limit revokes no slot and drops no queued task.
   * Throws `LANE_UNKNOWN`, or `ARGUMENT_INVALID` for a value out of range or a setting the lane does not have.
   */
  change(name: string, settings: LaneSettings): LaneStatus {
    const lane = this.#lanes.get(name);
    const gate = name === LANE_GLOBAL ? this.#global : lane?.gate;
    refuseWrongSettings(name, settings);
    if (gate === undefined) {
      const nearest = nearestName(name, [...this.names(), LANE_GLOBAL]);
      return refuse(fault("LANE_UNKNOWN", { lane: name, nearest }));
    }
    const { paused, concurrency, capacity } = settings;
    if (lane !== undefined && capacity !== undefined) lane.capacity = capacity;
    gate.concurrency = concurrency ?? gate.concurrency;
    gate.paused = paused ?? gate.paused;
    return lane?.status(this.#now) ?? this.#globalStatus();
  }

  /**
   * Adopts new settings while everything goes on: queues and holders stay, a pause stays, other run-time changes give
   * way to the configuration. Throws like the constructor, `LANE_IN_USE` when a lane that is not empty would go, and
   * `ARGUMENT_INVALID` for a new session scope or ageing interval, which need a restart. Then nothing has changed.
   */
  reconfigure(config: LanesConfig): void {
    refuseWrongConfig(config);
    refuseNewUntilRestart(this.#config, config);
    const kept = new Set([LANE_DEFAULT, ...config.named.map(({ name }) => name)]);
    const gone = this.#rotation.filter(({ name }) => !kept.has(name));
    for (const lane of gone) refuseIfUsed(lane);
    for (const { name } of gone) this.#lanes.delete(name);
    this.#config = config;
    this.#global.concurrency = config.global.concurrency;
    this.#global.changeRate(config.global.rate);
    this.#adoptNamed(config);
  }

  /**
   * Recomputes queues and occupancy from task states and tells where the lanes differ from them. Of runs that are asleep
   * it counts the tickets.
   */
  audit(runs: Iterable<RunState>, asleep: Iterable<Ticket> = []): LaneAudit {
    return auditLanes(runs, asleep, {
      globalOccupied: this.#global.occupied,
      lanes: this.#rotation,
      sessionTasks: this.#config.session.scope === "task" ? this.#sessions.heldTasks() : undefined,
      laneOf: ({ lane }) => this.#laneOf(lane).name,
    });
  }

  /**
   * Brings back as many as could start, and goes on with that at every turn until one of them is refused or none is left.
   * One more than there was room for: it is refused, so that the others are called when room returns.
   */
  #callBack(need: string, room: number, at: Instant): void {
    let left = 0;
    for (const lane of this.#rotation) {
      left += lane.bringBack(need, Math.min(room + 1, lane.room), at);
    }
    if (left === 0) this.#open.delete(need);
  }

  #adoptNamed(config: LanesConfig): void {
    this.#weights = new Map(Object.entries((config.order ?? LANE_ORDER_DEFAULT).weights));
    const weightOf = (namespace: string): number => this.#weights.get(namespace) ?? 1;
    for (const settings of namedLanes(config)) {
      const lane = this.#lanes.get(settings.name);
      if (lane !== undefined) lane.adopt(settings);
      else this.#lanes.set(settings.name, new Lane(settings, this.#agingMs, weightOf));
    }
    const turn = new Map(this.#rotation.map((lane, place) => [lane, place]));
    const place = (lane: Lane): number => turn.get(lane) ?? turn.size;
    this.#rotation = [...this.#lanes.values()].sort((a, b) => place(a) - place(b));
  }

  /** A lane by name; tasks of a lane that the configuration no longer has belong to the default one. */
  #laneOf(name: string): Lane {
    return this.#lanes.get(name) ?? present(this.#lanes.get(LANE_DEFAULT), "the default lane");
  }

  #roomOf(name: string, reserved: string | undefined): LaneRoom {
    const lane = this.#lanes.get(name);
    if (lane === undefined)
      return { room: false, overflow: { kind: "redirect", to: LANE_DEFAULT } };
    return { room: name === reserved || lane.hasRoomForNewcomers, overflow: lane.overflow };
  }

  #seen(at: Instant): Instant {
    this.#now = Math.max(this.#now, at);
    return this.#now;
  }

  /** The ticket of a task, taken out of wherever it was, for its new standing. */
  #ticketAnew(task: TaskState, standing: Ticket["standing"], lane: string): Ticket {
    const ticket = ticketOf(task) ?? new Ticket(task, standing, lane);
    if (task.place === ticket) this.#withdraw(ticket);
    task.place = ticket;
    ticket.standing = standing;
    ticket.lane = lane;
    return ticket;
  }

  /** Takes a ticket out of the place its standing names. */
  #withdraw(ticket: Ticket): void {
    const lane = this.#laneOf(ticket.lane);
    switch (ticket.standing) {
      case "blocked":
        return lane.outside.remove(ticket);
      case "offered":
        lane.offered--;
        return;
      case "queued":
        return lane.remove(ticket);
      case "granted":
        this.#placement?.release(ticket.task);
        return this.#giveBack(ticket);
      case "held":
        return assert(false, `task ${ticket.task.id} holds slots and cannot wait for them`);
      default:
        return unreachable(ticket.standing);
    }
  }

  /** Starts what may start, one task per lane in turn. The first head that does not fit the global lane ends the turn. */
  #grant(at: Instant, limit: number): TaskState[] {
    const start: TaskState[] = [];
    const rotation = this.#rotation;
    for (let place = 0; place < rotation.length && start.length < limit; ) {
      if (this.#global.paused || this.#global.opensAt > at) break;
      const lane = rotation[place] as Lane;
      const head = lane.gate.opensAt > at ? undefined : this.#headOf(lane);
      if (head === undefined) {
        place++;
        continue;
      }
      if (!this.#global.fits(head.cost)) break;
      const need = this.#placement?.reserve(head.task);
      if (need !== undefined) {
        this.#open.delete(need);
        lane.setAside(head, need, at);
        continue;
      }
      lane.queue.take(at);
      lane.gate.spend(at);
      this.#global.spend(at);
      this.#take(head);
      head.standing = "granted";
      start.push(head.task);
      rotation.push(...rotation.splice(place, 1));
    }
    return start;
  }

  /** The ticket that would start next in a lane, if only the global lane and the rate let it; parks full sessions. */
  #headOf(lane: Lane): Ticket | undefined {
    if (lane.gate.paused) return undefined;
    for (let head = lane.queue.peek(); head !== undefined; head = lane.queue.peek()) {
      const parking = this.#sessions.parkingFor(head.task.run);
      if (parking === undefined) return lane.gate.fits(head.cost) ? head : undefined;
      lane.queue.park(head, parking);
    }
    return undefined;
  }

  #take(ticket: Ticket): void {
    this.#sessions.taskTook(ticket.task.run);
    this.#laneOf(ticket.lane).gate.occupy(ticket.cost);
    this.#global.occupy(ticket.cost);
  }

  #giveBack(ticket: Ticket): void {
    this.#laneOf(ticket.lane).gate.vacate(ticket.cost);
    this.#global.vacate(ticket.cost);
    for (const flow of this.#sessions.taskGaveBack(ticket.task.run)) {
      const head = present(flow.head, "the head of a parked flow");
      this.#laneOf(head.lane).queue.unpark(flow);
    }
  }

  #globalStatus(): LaneStatus {
    const { concurrency, rate, paused, occupied, opensAt } = this.#global;
    return {
      name: LANE_GLOBAL,
      kind: "global",
      concurrency,
      capacity: 0,
      overflow: { kind: "block" },
      rate,
      paused,
      occupied,
      queued: 0,
      blocked: 0,
      oldestSince: undefined,
      opensAt: opensAt > this.#now ? opensAt : undefined,
    };
  }
}
