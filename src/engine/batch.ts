/**
 * One turn of the writer loop in the making: what was decided so far, not yet durable. It collects events per run in
 * the order of the runs' first change, the effects and replies to release after the commit, and the index changes that
 * go into it; `commitOf` is what the journal gets.
 */
import { present } from "../base/assert.ts";
import type { FaultError } from "../base/fault.ts";
import type { RunId } from "../base/ids.ts";
import type { Instant } from "../base/time.ts";
import type { Effect, Event, RunEvents } from "../core/run/message.ts";
import { react } from "../core/run/react.ts";
import type { RunState } from "../core/run/state.ts";
import type { AcceptedRun, Commit, RunSummary, StoredDefinition } from "../ports/journal.ts";

/** Work for the loop, and whoever waits for its result. */
export interface Letter {
  /** Processes the letter inside a batch; the result goes to `resolve` once the commit is durable. */
  readonly open: (batch: Batch) => unknown;
  /** Absent, with `reject`, where nobody waits. */
  readonly resolve?: (value: never) => void;
  readonly reject?: (error: Error) => void;
}

/** What one batch does to one run; at the same time what the journal gets of it. */
export interface RunChange extends RunEvents {
  readonly run: RunState;
  readonly events: Event[];
  /** Whether the run ended in this batch. */
  isEnded: boolean;
}

/** A result or a refusal on its way to whoever waits; a refusal too may tell of something that is not durable yet. */
export interface Reply {
  readonly letter: Letter;
  readonly value: unknown;
  readonly error: FaultError | undefined;
}

export interface Batch {
  /** The instant of every event in it. */
  readonly at: Instant;
  readonly changes: Map<RunId, RunChange>;
  readonly effects: { readonly run: RunState; readonly effect: Effect }[];
  readonly definitions: StoredDefinition[];
  readonly accepted: AcceptedRun[];
  readonly ended: RunState[];
  readonly replies: Reply[];
  events: number;
}

export function newBatch(at: Instant): Batch {
  return {
    at,
    changes: new Map(),
    effects: [],
    definitions: [],
    accepted: [],
    ended: [],
    replies: [],
    events: 0,
  };
}

/** Notes an event that the run has just been evolved by. */
export function record(batch: Batch, run: RunState, event: Event): void {
  const change = batch.changes.get(run.id);
  if (change === undefined) {
    const { id: runId, sequence: firstSequence } = run;
    batch.changes.set(runId, { runId, firstSequence, events: [event], run, isEnded: false });
  } else {
    change.events.push(event);
  }
  batch.events++;
  for (const effect of react(run, event)) batch.effects.push({ run, effect });
}

/** Notes that a run's last event is in this batch. */
export function recordEnd(batch: Batch, run: RunState): void {
  batch.ended.push(run);
  present(batch.changes.get(run.id), "the last event of a run").isEnded = true;
}

/** What the journal gets; `runs` is in the order of `batch.changes`. */
export function commitOf({ changes, definitions, accepted, ended }: Batch): Commit {
  return { runs: [...changes.values()], definitions, accepted, ended: ended.map(summaryOf) };
}

/** What a list shows of a run. */
export function summaryOf(run: RunState): RunSummary {
  return {
    runId: run.id,
    namespace: run.request.namespace,
    name: run.plan.definition.name,
    status: run.status,
    sessionId: run.request.sessionId,
    labels: run.request.labels,
    acceptedAt: run.acceptedAt,
    endedAt: run.endedAt,
  };
}
