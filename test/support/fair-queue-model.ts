/**
 * The order of a lane in its plainest form: arrays, linear scans, nothing clever. It says what `FairQueue` must do and
 * shares no code with it, so that a mistake in the heaps, links or parking shows itself as a difference.
 */
import type { TaskState } from "../../src/core/run/state.ts";

interface ModelFlow {
  readonly weight: number;
  tag: number;
  parked: boolean;
  readonly waiting: TaskState[];
}

interface ModelLevel {
  readonly priority: number;
  since: number;
  virtual: number;
  readonly flows: Map<string, ModelFlow>;
}

export class FairQueueModel {
  readonly #agingMs: number;
  readonly #weightOf: (namespace: string) => number;
  #levels: ModelLevel[] = [];
  #arrivals: TaskState[] = [];

  constructor(agingMs: number, weightOf: (namespace: string) => number) {
    this.#agingMs = agingMs;
    this.#weightOf = weightOf;
  }

  get size(): number {
    return this.#arrivals.length;
  }

  get oldest(): TaskState | undefined {
    return this.#arrivals[0];
  }

  push(task: TaskState, at: number): void {
    const priority = task.node.task.priority + task.run.request.priority;
    let level = this.#levels.find((known) => known.priority === priority);
    if (level === undefined) {
      level = { priority, since: at, virtual: 0, flows: new Map() };
      this.#levels.push(level);
    }
    const key = keyOf(task);
    const flow = level.flows.get(key);
    if (flow === undefined) {
      const weight = this.#weightOf(task.run.request.namespace);
      level.flows.set(key, { weight, tag: level.virtual, parked: false, waiting: [task] });
    } else {
      if (flow.waiting.length === 0) flow.tag = Math.max(flow.tag, level.virtual);
      flow.waiting.push(task);
    }
    this.#arrivals.push(task);
  }

  peek(): TaskState | undefined {
    const level = this.#next();
    return level && this.#head(this.#flow(level));
  }

  take(at: number): TaskState | undefined {
    const level = this.#next();
    if (level === undefined) return undefined;
    const flow = this.#flow(level);
    const task = this.#head(flow) as TaskState;
    const { cost } = task.node.task;
    level.since = at;
    level.virtual = Math.max(level.virtual, flow.tag);
    flow.tag += cost / flow.weight;
    this.#leave(flow, task);
    advance(level, cost);
    this.#sweep();
    return task;
  }

  remove(task: TaskState): void {
    for (const level of this.#levels) {
      for (const flow of level.flows.values()) {
        if (flow.waiting.includes(task)) this.#leave(flow, task);
      }
      for (const [key, flow] of level.flows) {
        if (flow.waiting.length === 0 && flow.tag <= level.virtual) level.flows.delete(key);
      }
    }
    this.#sweep();
  }

  /** Parks the flow of the head. */
  parkHead(): void {
    const level = this.#next();
    if (level !== undefined) this.#flow(level).parked = true;
  }

  unparkAll(): void {
    for (const level of this.#levels) {
      for (const flow of level.flows.values()) {
        if (flow.parked) flow.tag = Math.max(flow.tag, level.virtual);
        flow.parked = false;
      }
    }
  }

  #next(): ModelLevel | undefined {
    const due = (level: ModelLevel): number => level.since - level.priority * this.#agingMs;
    const open = this.#levels.filter((level) => competing(level).length > 0);
    return open.sort((a, b) => due(a) - due(b) || b.priority - a.priority)[0];
  }

  #flow(level: ModelLevel): ModelFlow {
    const flows = competing(level);
    flows.sort((a, b) => a.tag - b.tag || this.#compare(this.#head(a), this.#head(b)));
    return flows[0] as ModelFlow;
  }

  #head(flow: ModelFlow | undefined): TaskState | undefined {
    return flow?.waiting.sort((a, b) => this.#compare(a, b))[0];
  }

  #compare(a: TaskState | undefined, b: TaskState | undefined): number {
    if (a === undefined || b === undefined) throw new Error("nothing to compare");
    const interval = (task: TaskState): number => Math.floor(task.run.acceptedAt / this.#agingMs);
    return (
      interval(a) - interval(b) ||
      b.node.remainingMs - a.node.remainingMs ||
      a.run.acceptedAt - b.run.acceptedAt ||
      (a.run.id < b.run.id ? -1 : a.run.id > b.run.id ? 1 : a.index - b.index)
    );
  }

  #leave(flow: ModelFlow, task: TaskState): void {
    flow.waiting.splice(flow.waiting.indexOf(task), 1);
    if (flow.waiting.length === 0) flow.parked = false;
    this.#arrivals.splice(this.#arrivals.indexOf(task), 1);
  }

  #sweep(): void {
    const isUsed = (level: ModelLevel): boolean =>
      [...level.flows.values()].some(({ waiting }) => waiting.length > 0);
    this.#levels = this.#levels.filter(isUsed);
  }
}

function competing(level: ModelLevel): ModelFlow[] {
  return [...level.flows.values()].filter((flow) => flow.waiting.length > 0 && !flow.parked);
}

/** The fluid server works off `cost`, shared among all flows that are not parked; empty flows leave when it passes them. */
function advance(level: ModelLevel, cost: number): void {
  let left = cost;
  for (;;) {
    const sharing = [...level.flows].filter(([, flow]) => !flow.parked);
    const weight = sharing.reduce((sum, [, flow]) => sum + flow.weight, 0);
    const empty = sharing.filter(([, flow]) => flow.waiting.length === 0);
    const [next] = empty.sort(([, a], [, b]) => a.tag - b.tag);
    const until =
      next === undefined
        ? Number.POSITIVE_INFINITY
        : Math.max(0, next[1].tag - level.virtual) * weight;
    if (next === undefined || until > left) {
      if (weight > 0) level.virtual += left / weight;
      return;
    }
    left -= until;
    level.virtual = Math.max(level.virtual, next[1].tag);
    level.flows.delete(next[0]);
  }
}

function keyOf(task: TaskState): string {
  return JSON.stringify([task.run.request.namespace, task.run.request.sessionId]);
}
