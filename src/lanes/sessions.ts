/**
 * The session lane. With scope `run`, runs of one session take turns in order of acceptance; with scope `task`, runs
 * begin at once and only their tasks take turns: the flows of a session without room are parked, so that they never
 * stand before other sessions. A session exists here from its first open run to its last; what it holds is derived from
 * the runs and tasks that the engine reports.
 */
import { present } from "../base/assert.ts";
import type { RunId } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import type { LaneStatus, LanesConfig } from "../core/lane/lane.ts";
import type { Flow } from "../core/lane/ticket.ts";
import type { RunState } from "../core/run/state.ts";

interface Session {
  /** Runs that began or may begin, oldest first. */
  readonly active: RunId[];
  /** Runs that wait for their turn, in order of acceptance, with its instant; made when the first one must wait. */
  waiting: Map<RunId, Instant> | undefined;
  /** Tasks that hold a slot; counted for scope `task` only. */
  tasks: number;
  /** Flows that wait for this session; made when the first one must. */
  parked: Set<Flow> | undefined;
}

/** All sessions with open runs. */
export class Sessions {
  readonly #scope: "run" | "task";
  /** Runs or tasks of one session at once. */
  readonly #concurrency: number;
  readonly #sessions = new Map<string, Session>();

  constructor(config: LanesConfig["session"]) {
    this.#scope = config.scope;
    this.#concurrency = config.scope === "run" ? 1 : config.concurrency;
  }

  /** Notes an accepted run; true when it may begin (or has begun, after a restart), false when it waits. */
  accept(run: RunState): boolean {
    const key = sessionKey(run);
    if (key === undefined) return true;
    const session = this.#open(key);
    const isFull = session.active.length >= this.#concurrency;
    if (this.#scope === "run" && run.status === "PENDING" && isFull) {
      session.waiting ??= new Map();
      session.waiting.set(run.id, run.acceptedAt);
      return false;
    }
    session.active.push(run.id);
    return true;
  }

  /** Forgets a run that ended, waiting or active; answers the run whose turn it is now. */
  end(run: RunState): RunId | undefined {
    const key = sessionKey(run);
    const session = key === undefined ? undefined : this.#sessions.get(key);
    if (key === undefined || session === undefined || session.waiting?.delete(run.id))
      return undefined;
    const place = session.active.indexOf(run.id);
    if (place !== -1) session.active.splice(place, 1);
    const next = session.waiting?.keys().next().value;
    if (next !== undefined && session.active.length < this.#concurrency) {
      session.waiting?.delete(next);
      session.active.push(next);
      return next;
    }
    if (session.active.length === 0) this.#sessions.delete(key);
    return undefined;
  }

  /** The runs of a session that have begun or may begin, oldest first. */
  activeRuns(sessionId: string, namespace: string): readonly RunId[] {
    return this.#sessions.get(`${namespace}/${sessionId}`)?.active ?? [];
  }

  /** Where flows of this run wait because its session has no room for a task; `undefined` when it has room. */
  parkingFor(run: RunState): Set<Flow> | undefined {
    const session = this.#taskSession(run);
    if (session === undefined || session.tasks < this.#concurrency) return undefined;
    session.parked ??= new Set();
    return session.parked;
  }

  /** A task of this run takes a slot. */
  taskTook(run: RunState): void {
    const session = this.#taskSession(run);
    if (session !== undefined) session.tasks++;
  }

  /** A task of this run gave its slot back; answers the flows that may compete again. */
  taskGaveBack(run: RunState): Flow[] {
    const session = this.#taskSession(run);
    if (session === undefined) return [];
    session.tasks--;
    return session.parked === undefined ? [] : [...session.parked];
  }

  /** The session lane as operators see it. */
  status(): LaneStatus {
    let occupied = 0;
    let queued = 0;
    let oldestSince: Instant | undefined;
    for (const { active, waiting, tasks } of this.#sessions.values()) {
      occupied += this.#scope === "run" ? active.length : tasks;
      queued += waiting?.size ?? 0;
      const oldest = waiting?.values().next().value;
      if (oldest !== undefined) oldestSince = Math.min(oldest, oldestSince ?? oldest);
    }
    return {
      name: "session",
      kind: "session",
      concurrency: this.#concurrency,
      capacity: 0,
      overflow: { kind: "block" },
      rate: undefined,
      paused: false,
      occupied,
      queued,
      blocked: 0,
      oldestSince,
      opensAt: undefined,
    };
  }

  /** Tasks of each session that hold a slot, for the audit. */
  *heldTasks(): Iterable<readonly [string, number]> {
    for (const [key, { tasks }] of this.#sessions) if (tasks !== 0) yield [key, tasks];
  }

  /** The session of a run, when tasks of a session are counted. */
  #taskSession(run: RunState): Session | undefined {
    if (this.#scope === "run") return undefined;
    const key = sessionKey(run);
    return key === undefined ? undefined : present(this.#sessions.get(key), `session ${key}`);
  }

  #open(key: string): Session {
    let session = this.#sessions.get(key);
    if (session === undefined) {
      session = { active: [], waiting: undefined, tasks: 0, parked: undefined };
      this.#sessions.set(key, session);
    }
    return session;
  }
}

/** The session of a run inside its namespace; namespaces hold no `/`. */
export function sessionKey(run: RunState): string | undefined {
  const { namespace, sessionId } = run.request;
  return sessionId === undefined ? undefined : `${namespace}/${sessionId}`;
}
