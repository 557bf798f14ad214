/**
 * One turn of the writer loop in the making: what was decided so far, not yet durable. It collects events per run in
 * the order of the runs' first change, the effects and replies to release after the commit, and the index changes that
 * go into it; `commitOf` is what the journal gets.
 */
import type { Instant } from "../base/time.ts";
import type { Effect, Event, RunEvents } from "../core/run/message.ts";
import { react } from "../core/run/react.ts";
import type { RunState } from "../core/run/state.ts";
import type { AcceptedRun, Commit, RunSummary, StoredDefinition } from "../ports/journal.ts";

/** Somebody waiting for an answer from the loop. */
export interface Letter {
  /** Processes the letter inside a batch; the result goes to `resolve` once the commit is durable. */
  readonly open: (batch: Batch) => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

export interface Batch {
  /** The instant of every event in it. */
  readonly at: Instant;
  readonly changes: Map<RunState, { readonly firstSequence: number; readonly events: Event[] }>;
  readonly effects: { readonly run: RunState; readonly effect: Effect }[];
  readonly definitions: StoredDefinition[];
  readonly accepted: AcceptedRun[];
  readonly ended: RunState[];
  /** Results and refusals; a refusal too may tell of something that is not durable yet. */
  readonly replies: { readonly letter: Letter; readonly send: () => void }[];
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
  const change = batch.changes.get(run);
  if (change === undefined) {
    batch.changes.set(run, { firstSequence: run.sequence, events: [event] });
  } else {
    change.events.push(event);
  }
  batch.events++;
  for (const effect of react(run, event)) batch.effects.push({ run, effect });
}

/** What the journal gets; `runs` is in the order of `batch.changes`. */
export function commitOf(batch: Batch): Commit {
  const runs: RunEvents[] = [];
  for (const [run, { firstSequence, events }] of batch.changes) {
    runs.push({ runId: run.id, firstSequence, events });
  }
  return {
    runs,
    definitions: batch.definitions,
    accepted: batch.accepted,
    ended: batch.ended.map(summaryOf),
  };
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
