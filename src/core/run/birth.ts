/**
 * How runs and tasks come into being. Every field is written here once, in one order, so that all states share one
 * hidden class however they were made: by a new run, by replay, or from a snapshot.
 */
import { instanceId, type RunId } from "../../base/ids.ts";
import type { Payload } from "../../base/payload.ts";
import type { Plan, PlanNode } from "../dag/plan.ts";
import type { Deed, Event } from "./message.ts";
import { NO_RECALLS } from "./recall.ts";
import { type EndedAttempt, IDLE_AGENDA, type RunState, type TaskState } from "./state.ts";
import { weigh } from "./weight.ts";

/** Shared by all tasks that have none. */
export const NO_DEEDS: readonly Deed[] = [];
const NO_ENDED: readonly EndedAttempt[] = [];

/** The run that a `run_accepted` event brings to life. */
export function newRun(
  id: RunId,
  plan: Plan,
  event: Extract<Event, { type: "run_accepted" }>,
): RunState {
  const run: RunState = {
    id,
    plan,
    request: event.request,
    idempotency: event.idempotency,
    acceptedAt: event.at,
    status: "PENDING",
    sequence: 1,
    historyBytes: weigh(event),
    latestAt: event.at,
    startedAt: 0,
    endedAt: 0,
    tasks: new Array<TaskState>(plan.nodes.length),
    open: plan.nodes.length,
    leases: 0,
    ending: undefined,
    agenda: IDLE_AGENDA,
  };
  for (const [index, node] of plan.nodes.entries()) {
    run.tasks[index] = newTask(run, node, index, { id: node.task.id, at: event.at });
  }
  return run;
}

/** A task in its first state, for its place in the run. `item` makes it an instance of its node's `for_each`. */
export function newTask(
  run: RunState,
  node: PlanNode,
  index: number,
  {
    id,
    item,
    at,
  }: { readonly id: string; readonly item?: Payload | undefined; readonly at: number },
): TaskState {
  return {
    id,
    index,
    node,
    run,
    status: "PENDING",
    since: at,
    waitingFor: item === undefined ? node.deps.length : 0,
    attempt: 0,
    failures: 0,
    readyAt: 0,
    startedAt: 0,
    lease: 0,
    fence: 0,
    worker: undefined,
    dueAt: 0,
    lane: "",
    output: undefined,
    reason: undefined,
    message: "",
    ended: NO_ENDED,
    percent: 0,
    note: "",
    group: undefined,
    item,
    checkpoint: undefined,
    deeds: NO_DEEDS,
    recalls: NO_RECALLS,
    replacedInput: undefined,
    stopping: undefined,
    mailbox: undefined,
    place: undefined,
  };
}

/** Adds the instances of a `for_each` task to its run. */
export function addInstances(
  run: RunState,
  parent: TaskState,
  items: readonly Payload[],
  at: number,
): void {
  parent.group = { first: run.tasks.length, count: items.length, open: items.length };
  items.forEach((item, position) => {
    const id = instanceId(parent.id, position);
    run.tasks.push(newTask(run, parent.node, run.tasks.length, { id, item, at }));
  });
  run.open += items.length;
}
