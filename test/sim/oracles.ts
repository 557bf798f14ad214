/**
 * What must hold, checked as it happens. Each commit is held against the run's history, the lanes and what agents said
 * when the journal gets it; acknowledgements, attempts and watched events are held against what is on the disk when
 * they are seen. A complaint is kept, never thrown: it must not change what the engine does.
 */
import { isDeepStrictEqual } from "node:util";
import { idempotencyKey, type RunId } from "../../src/base/ids.ts";
import { type Payload, payloadSize } from "../../src/base/payload.ts";
import type { LanesConfig } from "../../src/core/lane/lane.ts";
import type { Event, Outcome } from "../../src/core/run/message.ts";
import type { RunState } from "../../src/core/run/state.ts";
import { weigh } from "../../src/core/run/weight.ts";
import { copyRun } from "../../src/engine/run-copy.ts";
import type { Assignment } from "../../src/ports/agent.ts";
import type { Commit, RecoveredRun } from "../../src/ports/journal.ts";
import { RunHistory } from "./history.ts";
import { LaneWatch, type Newcomer, type Start } from "./lane-watch.ts";
import { isLast, type Ledger, marksIn, type RunRecord } from "./ledger.ts";
import { ExternalService } from "./service.ts";
import type { Trace } from "./trace.ts";

/** What the oracles look at. */
export interface OraclesDeps {
  readonly ledger: Ledger;
  readonly trace: Trace;
  readonly lanes: LanesConfig;
  /** Largest output an agent may have. */
  readonly payloadBytes: number;
  /** The true time, which no clock of a process can falsify. */
  readonly trueMs: () => number;
  readonly complain: (message: string) => void;
}

/** Events have whole instants: something noted at .9 is due by a clock that read .0. */
const ROUNDING_MS = 1;

export class Oracles {
  readonly lanes: LaneWatch;
  /** What each attempt's agent said first. */
  readonly said = new Map<string, Outcome>();
  readonly #deps: OraclesDeps;
  readonly service: ExternalService;
  /** Weight of the largest page of events so far: a watcher holds one whatever its buffer. */
  largestPage = 0;
  #histories = new Map<RunId, RunHistory>();
  /** When, by the true time, attempts started and retries were decided in the present life: by run and task. */
  #since = new Map<string, number>();
  readonly #dispatched = new Set<string>();

  constructor(deps: OraclesDeps) {
    this.#deps = deps;
    this.lanes = new LaneWatch(deps.lanes);
    this.service = new ExternalService(deps.complain);
  }

  /** The journal gets a commit that travels in this disk batch. */
  append(commit: Commit, batch: number): void {
    const { ledger, complain } = this.#deps;
    ledger.append(commit, batch, complain);
    const starts: Start[] = [];
    const newcomers: Newcomer[] = [];
    const begun: string[] = [];
    this.lanes.beginCommit();
    for (const { runId, firstSequence, events } of commit.runs) {
      const record = ledger.runs.get(runId);
      if (record === undefined) continue;
      this.largestPage = Math.max(this.largestPage, weigh(events));
      events.forEach((event, at) => {
        this.#deps.trace.note(`${runId.slice(-4)} ${firstSequence + at} ${wordsOf(event)}`);
        this.#take(record, event, starts, newcomers);
        if (event.type === "run_started") begun.push(runId);
      });
    }
    for (const problem of this.lanes.check(starts, begun, newcomers)) complain(problem);
  }

  #take(record: RunRecord, event: Event, starts: Start[], newcomers: Newcomer[]): void {
    const { complain } = this.#deps;
    const facts = this.#histories
      .get(record.id)
      ?.tasks.get("task" in event ? (event.task ?? "") : "");
    const early = this.#earliness(record, event, facts?.status);
    if (early !== undefined) complain(`run ${record.id}: ${early}`);
    if (event.type === "task_scheduled") {
      newcomers.push({ lane: event.lane, isRetry: (facts?.attempt ?? 0) > 0 });
    }
    const problem = this.#apply(record, event);
    if (problem !== undefined) complain(`run ${record.id}: ${problem}`);
    if (event.type === "task_started") {
      const lane = this.#histories.get(record.id)?.tasks.get(event.task)?.lane ?? "";
      starts.push({ lane, at: event.at });
    }
    if (event.type === "task_completed") this.#checkResult(record, event);
    for (const payload of payloadsOf(event)) this.#checkMarks(record, payload, event.type);
  }

  #checkResult(record: RunRecord, event: Extract<Event, { type: "task_completed" }>): void {
    if (event.attempt === 0) return;
    const { complain, payloadBytes } = this.#deps;
    const key = `${record.id}/${event.task}/${event.attempt}`;
    const said = this.said.get(key);
    const isSaid = said?.kind === "success" && isDeepStrictEqual(said.output, event.output);
    if (!isSaid) complain(`attempt ${key} completed with what its agent did not say first`);
    if (event.output !== undefined && payloadSize(event.output) > payloadBytes)
      complain(`attempt ${key} has too large a result`);
    if (!this.service.has(`${record.id}/${event.task}`)) {
      complain(`task ${event.task} of run ${record.id} completed without its effect`);
    }
  }

  /** Every run's payloads carry its own watermark: another one in them has leaked. */
  #checkMarks({ id, mark }: RunRecord, payload: Payload, where: string): void {
    const foreign = marksIn(payload).find((found) => found !== mark);
    if (foreign !== undefined) {
      this.#deps.complain(`isolation: ${where} of run ${id} (${mark}) contains ${foreign}`);
    }
  }

  /** Whether something came to pass before its time, by the true time of one life; clocks may say what they like. */
  #earliness({ id }: RunRecord, event: Event, status: string | undefined): string | undefined {
    if (!("task" in event) || event.task === undefined) return undefined;
    const name = `${id}/${event.task}`;
    const now = this.#deps.trueMs();
    const since = this.#since.get(name);
    const passedMs = since === undefined ? Number.POSITIVE_INFINITY : now - since + ROUNDING_MS;
    if (event.type === "task_started") this.#since.set(name, now);
    const facts = this.#histories.get(id)?.tasks.get(event.task);
    if (event.type === "task_retrying") this.#since.set(name, now);
    if (event.type === "task_scheduled" && status === "RETRYING") {
      const waitMs = (facts?.dueAt ?? 0) - (facts?.retryingAt ?? 0);
      if (passedMs < waitMs)
        return `task ${event.task} is tried again ${waitMs - passedMs} ms early`;
    }
    const isTimeOut = status === "RUNNING" && "reason" in event && event.reason === "TIMED_OUT";
    const limitMs = facts?.task.timeoutMs ?? 0;
    if (isTimeOut && passedMs < limitMs) {
      return `task ${event.task} timed out ${limitMs - passedMs} ms early by the true time`;
    }
    return undefined;
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
    const wasQueued = facts?.status === "SCHEDULED";
    const problem = history.take(event);
    this.lanes.moved(record.id, event);
    if (facts === undefined) return problem;
    const { lease, lane, task } = facts;
    const isQueued = facts.status === "SCHEDULED";
    if (wasQueued !== isQueued) this.lanes.queue(lane, isQueued ? 1 : -1);
    if (leaseBefore === 0 && lease !== 0) this.lanes.lease(record.id, lane, task.cost, 1);
    if (leaseBefore !== 0 && lease === 0) this.lanes.lease(record.id, lane, task.cost, -1);
    return problem;
  }

  /** A new process begins with what is durable. */
  rebuild(): void {
    this.lanes.reset();
    this.#histories = new Map();
    this.#since = new Map();
    for (const record of this.#deps.ledger.open()) {
      for (const event of record.events) this.#apply(record, event);
    }
  }

  /** An agent is given an attempt; the first thing it does is to ask for its effect. */
  dispatched(assignment: Assignment): void {
    const { key, runId, taskId, input, runInput } = assignment;
    const { ledger, complain, trace } = this.#deps;
    trace.note(`start ${key.slice(22)}`);
    if (!ledger.started.has(key)) complain(`attempt ${key} began before its start was durable`);
    if (this.#dispatched.has(key)) complain(`attempt ${key} was given out twice`);
    this.#dispatched.add(key);
    this.service.request(assignment.idempotencyKey, `${runId}/${taskId}`);
    if (assignment.idempotencyKey !== idempotencyKey(runId, taskId)) {
      complain(`attempt ${key} has the idempotency key ${assignment.idempotencyKey}`);
    }
    const record = ledger.runs.get(runId);
    if (record === undefined) return;
    for (const payload of [input, runInput]) this.#checkMarks(record, payload, "an assignment");
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

  /** An event is on its way to the event bus. */
  published(runId: RunId, sequence: number, event: Event): void {
    const record = this.#deps.ledger.runs.get(runId);
    if (record === undefined || sequence > record.durable) {
      this.#deps.complain(`bus: event ${runId}/${sequence} is published and not durable`);
    } else if (!isDeepStrictEqual(record.events[sequence - 1], event)) {
      this.#deps.complain(`bus: event ${runId}/${sequence} is another than journaled`);
    }
  }

  /** Retention is about to delete runs. */
  deleting(records: readonly RunRecord[], consumed: (runId: RunId) => number): void {
    for (const { id, events, durable } of records) {
      this.#deps.trace.note(`delete ${id.slice(-4)}`);
      const isOver = durable === events.length && isLast(events.at(-1));
      if (!isOver) this.#deps.complain(`run ${id} is deleted before its end`);
      if (consumed(id) < durable) {
        this.#deps.complain(`run ${id} is deleted before the event bus has it`);
      }
    }
  }

  /** Somebody read a run: it must be the fold of its first events, all of them durable, and at least `atLeast`. */
  read(run: RunState, atLeast: number): void {
    const { ledger, complain, trace } = this.#deps;
    trace.note(`read ${run.id.slice(-4)} ${run.sequence} ${run.status}`);
    const record = ledger.runs.get(run.id);
    if (record === undefined || run.sequence > record.durable) {
      complain(`run ${run.id} was read at ${run.sequence}, durable ${record?.durable}`);
      return;
    }
    if (run.sequence < atLeast) {
      complain(
        `run ${run.id} was read at ${run.sequence}, although ${atLeast} were durable before`,
      );
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

/** The payloads of an event that came from clients and agents. */
function payloadsOf(event: Event): readonly Payload[] {
  switch (event.type) {
    case "task_completed":
      return event.output === undefined ? [] : [event.output];
    case "task_expanded":
      return event.items;
    case "signal_accepted":
      return event.content.kind === "steer" ? [event.content.payload] : [];
    default:
      return [];
  }
}

function wordsOf(event: Event): string {
  const task = "task" in event ? ` ${event.task}` : "";
  const attempt = "attempt" in event ? `/${event.attempt}` : "";
  const reason = "reason" in event ? ` ${event.reason}` : "";
  return `${event.type}${task}${attempt}${reason} @${event.at}`;
}
