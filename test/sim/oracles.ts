/**
 * What must hold, checked as it happens. Each commit is held against the run's history, the lanes and what agents said
 * when the journal gets it; acknowledgements, attempts and watched events are held against what is on the disk when
 * they are seen. A complaint is kept, never thrown: it must not change what the engine does.
 */
import { isDeepStrictEqual } from "node:util";
import type { RunId } from "../../src/base/ids.ts";
import type { LanesConfig } from "../../src/core/lane/lane.ts";
import type { Event, Outcome } from "../../src/core/run/message.ts";
import type { RunState } from "../../src/core/run/state.ts";
import { copyRun } from "../../src/engine/run-copy.ts";
import type { Commit, RecoveredRun } from "../../src/ports/journal.ts";
import { RunHistory } from "./history.ts";
import { LaneWatch, type Start } from "./lane-watch.ts";
import { isLast, type Ledger, type RunRecord } from "./ledger.ts";
import type { Trace } from "./trace.ts";

/** What the oracles look at. */
export interface OraclesDeps {
  readonly ledger: Ledger;
  readonly trace: Trace;
  readonly lanes: LanesConfig;
  readonly complain: (message: string) => void;
}

export class Oracles {
  readonly lanes: LaneWatch;
  /** What each attempt's agent said first. */
  readonly said = new Map<string, Outcome>();
  readonly #deps: OraclesDeps;
  #histories = new Map<RunId, RunHistory>();
  readonly #dispatched = new Set<string>();

  constructor(deps: OraclesDeps) {
    this.#deps = deps;
    this.lanes = new LaneWatch(deps.lanes);
  }

  /** The journal gets a commit that travels in this disk batch. */
  append(commit: Commit, batch: number): void {
    const { ledger, complain } = this.#deps;
    ledger.append(commit, batch, complain);
    const starts: Start[] = [];
    const begun: string[] = [];
    for (const { runId, firstSequence, events } of commit.runs) {
      const record = ledger.runs.get(runId);
      if (record === undefined) continue;
      events.forEach((event, at) => {
        this.#deps.trace.note(`${runId.slice(-4)} ${firstSequence + at} ${wordsOf(event)}`);
        this.#take(record, event, starts);
        if (event.type === "run_started") begun.push(runId);
      });
    }
    for (const problem of this.lanes.check(starts, begun)) complain(problem);
  }

  #take(record: RunRecord, event: Event, starts: Start[]): void {
    const { complain } = this.#deps;
    const problem = this.#apply(record, event);
    if (problem !== undefined) complain(`run ${record.id}: ${problem}`);
    if (event.type === "task_started") {
      const lane = this.#histories.get(record.id)?.tasks.get(event.task)?.lane ?? "";
      starts.push({ lane, at: event.at });
    }
    if (event.type === "task_completed" && event.attempt > 0) {
      const key = `${record.id}/${event.task}/${event.attempt}`;
      const said = this.said.get(key);
      const isSaid = said?.kind === "success" && isDeepStrictEqual(said.output, event.output);
      if (!isSaid) complain(`attempt ${key} completed with what its agent did not say first`);
    }
  }

  /** Applies an event to history and lanes. */
  #apply(record: RunRecord, event: Event): string | undefined {
    let history = this.#histories.get(record.id);
    if (history === undefined) {
      history = new RunHistory(record.plan);
      this.#histories.set(record.id, history);
      this.lanes.accepted(record);
    }
    const facts = "task" in event ? history.tasks.get(event.task ?? "") : undefined;
    const leaseBefore = facts?.lease ?? 0;
    const problem = history.take(event);
    this.lanes.moved(record.id, event);
    if (facts === undefined) return problem;
    const { lease, lane, task } = facts;
    if (leaseBefore === 0 && lease !== 0) this.lanes.lease(record.id, lane, task.cost, 1);
    if (leaseBefore !== 0 && lease === 0) this.lanes.lease(record.id, lane, task.cost, -1);
    return problem;
  }

  /** A new process begins with what is durable. */
  rebuild(): void {
    this.lanes.reset();
    this.#histories = new Map();
    for (const record of this.#deps.ledger.runs.values()) {
      for (const event of record.events) this.#apply(record, event);
    }
  }

  /** An agent is given an attempt. */
  dispatched(key: string): void {
    const { ledger, complain, trace } = this.#deps;
    trace.note(`start ${key.slice(22)}`);
    if (!ledger.started.has(key)) complain(`attempt ${key} began before its start was durable`);
    if (this.#dispatched.has(key)) complain(`attempt ${key} was given out twice`);
    this.#dispatched.add(key);
  }

  /** An agent ends an attempt, the first time and every other. */
  ended(key: string, outcome: Outcome): void {
    if (!this.said.has(key)) this.said.set(key, outcome);
  }

  /** Something was acknowledged: an event that fits must be durable. */
  acknowledged(what: string, runId: RunId, fits: (event: Event) => boolean): void {
    const record = this.#deps.ledger.runs.get(runId);
    const isDurable = record?.events.slice(0, record.durable).some(fits) === true;
    this.#deps.trace.note(`ack ${what} ${runId.slice(-4)}`);
    if (!isDurable) this.#deps.complain(`${what} of run ${runId} was acknowledged, not durable`);
  }

  /** A watcher sees an event. */
  watched(runId: RunId, sequence: number, expected: number, event: Event): void {
    const record = this.#deps.ledger.runs.get(runId);
    const { complain } = this.#deps;
    if (sequence !== expected) complain(`watcher of ${runId}: ${sequence} instead of ${expected}`);
    if (record === undefined || sequence > record.durable) {
      complain(`watcher of ${runId}: event ${sequence} is not durable`);
    } else if (!isDeepStrictEqual(record.events[sequence - 1], event)) {
      complain(`watcher of ${runId}: event ${sequence} is another than journaled`);
    }
  }

  /** Somebody read a run: it must be the fold of its first events, all of them durable. */
  read(run: RunState): void {
    const { ledger, complain, trace } = this.#deps;
    trace.note(`read ${run.id.slice(-4)} ${run.sequence} ${run.status}`);
    const record = ledger.runs.get(run.id);
    if (record === undefined || run.sequence > record.durable) {
      complain(`run ${run.id} was read at ${run.sequence}, durable ${record?.durable}`);
      return;
    }
    const problem = difference(
      snapshotOf(ledger.fold(record, run.sequence)),
      snapshotOf(run),
      `run ${run.id} at ${run.sequence}`,
    );
    if (problem !== undefined) complain(problem);
  }

  /** The journal hands out an open run while it recovers. */
  recovered({ runId, snapshot, events }: RecoveredRun): void {
    const { ledger, complain } = this.#deps;
    const record = ledger.runs.get(runId);
    if (record === undefined) return complain(`run ${runId} was recovered and never durable`);
    const from = snapshot?.sequence ?? 0;
    if (!isDeepStrictEqual(record.events.slice(from), [...events.events])) {
      complain(`run ${runId} was recovered with another history than acknowledged`);
    }
    if (isLast(record.events.at(-1))) complain(`run ${runId} was recovered after its end`);
  }
}

/** What counts of a state: everything but the agenda, the plan and back references. */
export function snapshotOf(run: RunState): object {
  const { plan: _plan, agenda: _agenda, tasks, ...rest } = copyRun(run);
  return {
    ...rest,
    tasks: tasks.map(({ run: _run, node, place: _place, ...task }) => ({
      ...task,
      node: node.index,
    })),
  };
}

/** Where two values differ first; a field that is undefined is as good as none. */
function difference(expected: unknown, found: unknown, where: string): string | undefined {
  if (isDeepStrictEqual(expected, found)) return undefined;
  const isInside = typeof expected === "object" && typeof found === "object" && expected && found;
  if (!isInside) return `${where}: ${String(found)} instead of ${String(expected)}`;
  for (const key of new Set([...Object.keys(expected), ...Object.keys(found)])) {
    const [a, b] = [expected, found].map((value) => (value as Record<string, unknown>)[key]);
    const problem = difference(a, b, `${where}.${key}`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function wordsOf(event: Event): string {
  const task = "task" in event ? ` ${event.task}` : "";
  const attempt = "attempt" in event ? `/${event.attempt}` : "";
  const reason = "reason" in event ? ` ${event.reason}` : "";
  return `${event.type}${task}${attempt}${reason} @${event.at}`;
}
