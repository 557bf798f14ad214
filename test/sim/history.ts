/**
 * What may happen to a run, told a second time and from its events alone: legal moves, dependencies before starts, one
 * end per task and run and nothing after it, attempts in order, nothing earlier than it was due. It shares no code with
 * the core, so a mistake there does not hide itself here; the words of `test/sim` are one sentence per complaint.
 */
import type { TaskDefinition } from "../../src/core/dag/definition.ts";
import type { Plan } from "../../src/core/dag/plan.ts";
import type { Event } from "../../src/core/run/message.ts";

/** One task as its events tell it. */
export interface TaskFacts {
  readonly id: string;
  readonly task: TaskDefinition;
  status: string;
  reason: string;
  attempt: number;
  /** The attempt that holds a slot, 0 = none. */
  lease: number;
  lane: string;
  startedAt: number;
  dueAt: number;
  /** When the retry was decided that is due then. */
  retryingAt: number;
  /** Instances of an expanded task. */
  instances: TaskFacts[] | undefined;
  readonly signals: Map<string, string>;
}

type TaskEvent = Extract<Event, { task: string }>;

/** Events that change a status: from where they are legal. */
const LEGAL: { readonly [type: string]: readonly string[] } = {
  task_scheduled: ["PENDING", "RETRYING"],
  task_started: ["SCHEDULED"],
  task_completed: ["RUNNING", "WAITING"],
  task_retrying: ["RUNNING"],
  task_failed: ["PENDING", "SCHEDULED", "RUNNING", "WAITING", "RETRYING"],
  task_cancelled: ["PENDING", "SCHEDULED", "RUNNING", "WAITING", "RETRYING"],
  task_skipped: ["PENDING", "SCHEDULED"],
  task_expanded: ["PENDING"],
  task_progress: ["RUNNING"],
  task_checkpointed: ["RUNNING"],
  task_stopping: ["RUNNING"],
  lease_ended: ["RETRYING", "COMPLETED", "FAILED", "CANCELLED", "SKIPPED"],
  signal_accepted: ["PENDING", "SCHEDULED", "RUNNING", "RETRYING"],
  signal_collected: ["PENDING", "SCHEDULED", "RUNNING", "RETRYING", "WAITING"],
};

const RESULT: { readonly [type: string]: string } = {
  task_scheduled: "SCHEDULED",
  task_started: "RUNNING",
  task_completed: "COMPLETED",
  task_retrying: "RETRYING",
  task_failed: "FAILED",
  task_cancelled: "CANCELLED",
  task_skipped: "SKIPPED",
  task_expanded: "WAITING",
};

const ENDED: ReadonlySet<string> = new Set(["COMPLETED", "FAILED", "CANCELLED", "SKIPPED"]);
const RECEIPT_ORDER = ["accepted", "queued", "delivered", "admitted", "expired"];

/** The history of one run so far. */
export class RunHistory {
  readonly plan: Plan;
  readonly tasks = new Map<string, TaskFacts>();
  status: "PENDING" | "RUNNING" | "ENDED" = "PENDING";
  ending: string | undefined;
  /** Whether it waits for running tasks although one has failed. */
  #isPatient = false;
  #at = 0;

  constructor(plan: Plan) {
    this.plan = plan;
    for (const { task } of plan.nodes) this.#add(task.id, task);
  }

  /** Takes the next event; returns what is wrong with it, if anything. */
  take(event: Event): string | undefined {
    if (this.status === "ENDED") return `${event.type} after the end of the run`;
    const isBack = event.at < this.#at;
    this.#at = event.at;
    if (isBack) return `${event.type} is earlier than the event before`;
    switch (event.type) {
      case "run_accepted":
        return undefined;
      case "run_started": {
        const isLegal = this.status === "PENDING" && this.ending === undefined;
        this.status = "RUNNING";
        return isLegal ? undefined : "the run started twice, or while it ended";
      }
      case "run_ending": {
        // A run that failed and lets its running tasks finish may still be cancelled, or come to its deadline.
        const isLegal = this.ending === undefined || (this.#isPatient && event.task === undefined);
        this.ending = event.ending;
        this.#isPatient = event.task !== undefined && !this.plan.definition.failFast;
        return isLegal ? undefined : "the run began to end twice";
      }
      case "run_completed":
        return this.#end(this.ending === undefined);
      case "run_failed":
        return this.#end(this.ending !== "CANCELLED");
      case "run_cancelled":
        return this.#end(this.ending === "CANCELLED");
      default:
        return this.#takeOfTask(event);
    }
  }

  #end(isLegal: boolean): string | undefined {
    this.status = "ENDED";
    if (!isLegal) return `the run ended otherwise than announced (${this.ending})`;
    for (const { id, status, lease } of this.tasks.values()) {
      if (!ENDED.has(status)) return `the run ended while ${id} was ${status}`;
      if (lease !== 0) return `the run ended while ${id} held a lease`;
    }
    return undefined;
  }

  #takeOfTask(event: TaskEvent): string | undefined {
    const facts = this.tasks.get(event.task);
    if (facts === undefined) return `${event.type} of the unknown task ${event.task}`;
    const from = LEGAL[event.type];
    if (from !== undefined && !from.includes(facts.status)) {
      return `${event.type} of ${facts.id}, which is ${facts.status}`;
    }
    const problem = this.#check(facts, event);
    this.#apply(facts, event);
    return problem && `${event.type} of ${facts.id}: ${problem}`;
  }

  #check(facts: TaskFacts, event: TaskEvent): string | undefined {
    switch (event.type) {
      case "task_scheduled":
      case "task_expanded":
      case "task_started":
        return this.#checkStart(facts, event);
      case "task_completed":
        if (event.attempt === 0) {
          const open = facts.instances?.find(({ status }) => !ENDED.has(status));
          return facts.instances === undefined ? "it is no group" : open && `${open.id} is open`;
        }
        return event.attempt === facts.lease ? undefined : "the attempt holds no lease";
      case "task_retrying":
      case "task_progress":
      case "task_checkpointed":
      case "task_stopping":
      case "lease_ended":
        if (event.attempt !== facts.lease) return "the attempt holds no lease";
        return checkTime(facts, event);
      case "task_failed":
        return checkTime(facts, event);
      case "signal_accepted":
        return facts.signals.has(event.signal) ? "it was accepted before" : undefined;
      case "signal_receipt": {
        const before = RECEIPT_ORDER.indexOf(facts.signals.get(event.signal) ?? "");
        const after = RECEIPT_ORDER.indexOf(event.receipt);
        return before === -1 || after <= before ? `${before} became ${event.receipt}` : undefined;
      }
      default:
        return undefined;
    }
  }

  #checkStart(
    facts: TaskFacts,
    event: Extract<TaskEvent, { type: "task_scheduled" | "task_expanded" | "task_started" }>,
  ): string | undefined {
    if (this.status !== "RUNNING") return "the run has not started";
    if (this.ending !== undefined) return "the run is ending";
    if (facts.lease !== 0) return "an attempt is still out";
    if (event.type === "task_started" && event.attempt !== facts.attempt + 1) {
      return `attempt ${event.attempt} follows ${facts.attempt}`;
    }
    if (facts.status === "RETRYING" && event.at < facts.dueAt) return "it is not due yet";
    const blocker = this.#unresolved(facts);
    return blocker && `${blocker} is not resolved`;
  }

  /** A dependency that has not ended, its fallback included when that stands in. */
  #unresolved({ id, task }: TaskFacts): string | undefined {
    if (id !== task.id) {
      return this.tasks.get(task.id)?.instances === undefined ? task.id : undefined;
    }
    for (const dep of task.deps) {
      const facts = this.tasks.get(dep) as TaskFacts;
      if (!ENDED.has(facts.status)) return dep;
      const { onError } = facts.task;
      if (onError.kind !== "fallback" || !isUnsuccessful(facts)) continue;
      const stand = this.tasks.get(onError.taskId) as TaskFacts;
      if (stand.id !== id && !ENDED.has(stand.status)) return stand.id;
    }
    for (const guarded of this.tasks.values()) {
      const { onError } = guarded.task;
      if (onError.kind === "fallback" && onError.taskId === id && !isUnsuccessful(guarded)) {
        return `${guarded.id}, whose failure it replaces,`;
      }
    }
    return undefined;
  }

  #apply(facts: TaskFacts, event: TaskEvent): void {
    facts.status = RESULT[event.type] ?? facts.status;
    if (event.type !== "signal_receipt" && "reason" in event) facts.reason = event.reason;
    switch (event.type) {
      case "task_scheduled":
        facts.lane = event.lane;
        return;
      case "task_started":
        facts.attempt = event.attempt;
        facts.lease = event.attempt;
        facts.startedAt = event.at;
        return;
      case "task_retrying":
        facts.dueAt = event.dueAt;
        facts.retryingAt = event.at;
        if (event.stopGraceMs === undefined) facts.lease = 0;
        return;
      case "task_failed":
      case "task_cancelled":
        if (event.stopGraceMs === undefined) facts.lease = 0;
        return;
      case "task_completed":
      case "lease_ended":
        facts.lease = 0;
        return;
      case "task_expanded":
        facts.instances = event.items.map((_, at) => this.#add(`${facts.id}[${at}]`, facts.task));
        return;
      case "signal_accepted":
        facts.signals.set(event.signal, "accepted");
        return;
      case "signal_receipt":
        facts.signals.set(event.signal, event.receipt);
        return;
      default:
        return;
    }
  }

  #add(id: string, task: TaskDefinition): TaskFacts {
    const facts: TaskFacts = {
      id,
      task,
      status: "PENDING",
      reason: "",
      attempt: 0,
      lease: 0,
      lane: "",
      startedAt: 0,
      dueAt: 0,
      retryingAt: 0,
      instances: undefined,
      signals: new Map(),
    };
    this.tasks.set(id, facts);
    return facts;
  }
}

function isUnsuccessful({ status, reason }: TaskFacts): boolean {
  return status === "FAILED" || (status === "CANCELLED" && reason === "INTERRUPTED");
}

/** A time-out is never early. */
function checkTime({ task, startedAt }: TaskFacts, event: TaskEvent): string | undefined {
  if (!("reason" in event) || event.reason !== "TIMED_OUT") return undefined;
  return event.at - startedAt >= (task.timeoutMs ?? 0) ? undefined : "it is too early for that";
}
