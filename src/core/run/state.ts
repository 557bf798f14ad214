/**
 * The state of one run: what folding its events gives, and nothing else. The writer loop owns it and `evolve` changes
 * it in place; everyone else only reads. Fields are all present from birth, so that a million tasks share one hidden
 * class and stay small. What can be computed (outputs of groups, inputs, occupancy) is not stored.
 */
import type { RunId, TaskId } from "../../base/ids.ts";
import type { Payload } from "../../base/payload.ts";
import type { Instant, Millis } from "../../base/time.ts";
import type { RunRequest } from "../dag/definition.ts";
import type { Plan, PlanNode } from "../dag/plan.ts";
import type { Deed, Idempotency, Receipt, SignalContent } from "./message.ts";
import type { Recall } from "./recall.ts";
import type { Reason, RunStatus, TaskStatus } from "./status.ts";

/** A signal in a task's mailbox, kept until the task ends. */
export interface MailboxEntry {
  readonly signal: string;
  readonly content: SignalContent;
  readonly acceptedAt: Instant;
  receipt: Receipt;
  /** Set when a collect is complete. */
  collected:
    | { readonly finished: readonly TaskId[]; readonly missing: readonly TaskId[] }
    | undefined;
}

/** Instances of a `for_each` task: a contiguous range of the run's tasks. */
export interface TaskGroup {
  readonly first: number;
  readonly count: number;
  /** Instances that are not terminal. */
  open: number;
}

/** Attempts of a task that are remembered. */
export const ENDED_KEPT = 16;
/** Most characters kept of what each of them said, so that a task that fails for ever stays small. */
export const ENDED_TEXT_MAX = 1_000;

/** An attempt that did not complete. */
export interface EndedAttempt {
  readonly attempt: number;
  readonly reason: Reason;
  readonly message: string;
}

/** One task of a run. */
export interface TaskState {
  readonly id: TaskId;
  /** Index in {@link RunState.tasks}. */
  readonly index: number;
  readonly node: PlanNode;
  readonly run: RunState;
  status: TaskStatus;
  /** Since when it is in this status. */
  since: Instant;
  /** Dependencies that are not resolved yet. */
  waitingFor: number;
  /** Number of the latest attempt; 0 before the first. */
  attempt: number;
  /** Attempts that count against the retry policy. */
  failures: number;
  /** When it first became ready; the task deadline counts from here. 0 = not yet. */
  readyAt: Instant;
  /** When the latest attempt started; 0 = never. */
  startedAt: Instant;
  /** Lease that is out (and its slot taken), 0 = none. May outlive RUNNING while a stopped agent answers. */
  lease: number;
  /** The latest lease given, 0 = none. Ahead of `attempt` when attempts came back that nobody took up. */
  fence: number;
  /** Instance of the worker that got the latest lease; undefined for the daemon's own agents. */
  worker: string | undefined;
  /** When a RETRYING task is due. */
  dueAt: Instant;
  /** The lane it is or was in; empty before the first. */
  lane: string;
  output: Payload | undefined;
  reason: Reason | undefined;
  message: string;
  /** How the latest attempts that did not complete ended, oldest first; at most {@link ENDED_KEPT}. */
  ended: readonly EndedAttempt[];
  percent: number;
  note: string;
  /** `for_each`: the group on the parent, the item on an instance. */
  group: TaskGroup | undefined;
  item: Payload | undefined;
  checkpoint: Uint8Array | undefined;
  /** What its attempts did that must not be done twice, by name. */
  deeds: readonly Deed[];
  /** What it was shown of the memory, one for each question. */
  recalls: readonly Recall[];
  /** Set by an interrupt that replaces the input. */
  replacedInput: Payload | undefined;
  /** Id of the interrupt that asked the running attempt to stop. */
  stopping: string | undefined;
  mailbox: MailboxEntry[] | undefined;
  /** Derived, owned by the lanes: its place in a queue. Never journaled, never read by `decide`. */
  place: object | undefined;
}

/** How a run is about to end while leases are still out. */
export interface RunEnding {
  readonly status: "FAILED" | "CANCELLED";
  readonly reason: Reason;
  readonly message: string;
  readonly task: TaskId | undefined;
  /** Time its running tasks get to stop by themselves. */
  readonly graceMs: Millis;
}

/** One run. */
export interface RunState {
  readonly id: RunId;
  readonly plan: Plan;
  readonly request: RunRequest;
  readonly idempotency: Idempotency | undefined;
  readonly acceptedAt: Instant;
  status: RunStatus;
  /** Sequence of the latest event. */
  sequence: number;
  /** Estimated bytes of all events so far. */
  historyBytes: number;
  /** Instant of the latest event. */
  latestAt: Instant;
  startedAt: Instant;
  endedAt: Instant;
  /** Plan nodes first (same index), then `for_each` instances in order of expansion. */
  readonly tasks: TaskState[];
  /** Tasks that are not terminal. */
  open: number;
  /** Leases out. */
  leases: number;
  ending: RunEnding | undefined;
  /** What `advance` has to look at next; derived by `evolve`, drained by `advance`. Written through {@link agendaOf}. */
  agenda: Agenda;
}

/** Consequences that follow from the state alone and are not drawn yet. */
export interface Agenda {
  /** Indexes of tasks whose dependencies are resolved, or that are due again. */
  readonly ready: number[];
  /** Indexes of groups whose instances are all terminal. */
  readonly joinable: number[];
  /** Indexes of ended tasks whose mailbox holds signals nobody admitted. */
  readonly expiring: number[];
  /** Collects that are not complete. */
  readonly collecting: { readonly task: number; readonly signal: string }[];
  /** The task whose failure ends the run, until the ending is an event. */
  fatal: TaskState | undefined;
  /** Set by an ending whose other tasks are not closed yet. */
  closing: boolean;
}

/** The agenda of every run with nothing on it: a million of them may wait, and almost all have none. */
export const IDLE_AGENDA: Agenda = Object.freeze({
  ready: Object.freeze([]) as unknown as number[],
  joinable: Object.freeze([]) as unknown as number[],
  expiring: Object.freeze([]) as unknown as number[],
  collecting: Object.freeze([]) as unknown as Agenda["collecting"],
  fatal: undefined,
  closing: false,
});

/** The run's own agenda, to write on. */
export function agendaOf(run: RunState): Agenda {
  if (run.agenda === IDLE_AGENDA) {
    run.agenda = {
      ready: [],
      joinable: [],
      expiring: [],
      collecting: [],
      fatal: undefined,
      closing: false,
    };
  }
  return run.agenda;
}

/** Longest a stopped agent may take to answer when nobody said otherwise. */
export const STOP_GRACE_MS: Millis = 5_000;

/** Whether a run has failed and lets its running tasks finish (`fail_fast: false`). */
export function letsTasksFinish({ ending, open, plan }: RunState): boolean {
  return ending?.task !== undefined && open > 0 && !plan.definition.failFast;
}

/** Finds a task by id, instances included. */
export function findTask(run: RunState, id: TaskId): TaskState | undefined {
  const index = run.plan.indexOf.get(id);
  if (index !== undefined) return run.tasks[index];
  const bracket = id.indexOf("[");
  if (bracket === -1) return undefined;
  const parentIndex = run.plan.indexOf.get(id.slice(0, bracket));
  const group = parentIndex === undefined ? undefined : run.tasks[parentIndex]?.group;
  const position = Number(id.slice(bracket + 1, -1));
  if (
    group === undefined ||
    !Number.isInteger(position) ||
    position < 0 ||
    position >= group.count
  ) {
    return undefined;
  }
  const instance = run.tasks[group.first + position];
  return instance?.id === id ? instance : undefined;
}
