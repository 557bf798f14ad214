/**
 * The engine's whole language on one page. A command asks, `decide` answers with events, events are journaled, and
 * effects leave after the commit. Commands and events are plain immutable data; every instant, id and seed in them was
 * minted at the edge. Events name tasks by id, so a journal can be read without its definition. Commands and effects name
 * attempts by their lease: a number that only grows per task, so that whoever holds an older one is told apart.
 */
import type { RunId, TaskId } from "../../base/ids.ts";
import type { Payload } from "../../base/payload.ts";
import type { Instant, Millis } from "../../base/time.ts";
import type { RunRequest } from "../dag/definition.ts";
import type { RunLimits } from "./limits.ts";
import type { MemoryOutcome, MemoryWrite, Recall } from "./recall.ts";
import type { FailureClass, Reason } from "./status.ts";

/** How an attempt ended, as its transport reports it; exactly one per attempt. */
export type Outcome =
  | {
      readonly kind: "success";
      readonly output: Payload;
      /** What the attempt wants remembered. */
      readonly memories?: readonly MemoryWrite[];
    }
  | {
      readonly kind: "failure";
      readonly failure: FailureClass;
      readonly message: string;
      /** The agent's own wish for the next attempt. */
      readonly retryAfterMs?: Millis;
    }
  | {
      readonly kind: "lost";
      readonly reason: "WORKER_LOST" | "HEARTBEAT_LOST";
      readonly message: string;
      /** Whether it uses up one of the policy's attempts. Default true; not when the engine or an operator ended it. */
      readonly counted?: boolean;
    }
  /** Nobody took it up: the same attempt is to be started again, under another lease. */
  | { readonly kind: "returned" }
  /** Answered a stop request without a result. */
  | { readonly kind: "stopped" };

/** Something an attempt did that must not be done twice; the latest of a name counts. Later attempts are told. */
export interface Deed {
  readonly name: string;
  readonly value: Payload;
}

export const RECEIPTS = [
  "accepted",
  "queued",
  "delivered",
  "admitted",
  "expired",
  "refused",
] as const;
/** Where a signal stands. */
export type Receipt = (typeof RECEIPTS)[number];

/** When a collect is complete. */
export type CollectMode =
  | { readonly kind: "all" }
  | { readonly kind: "any" }
  | { readonly kind: "quorum"; readonly count: number };

/** What a signal asks of a task. */
export type SignalContent =
  | { readonly kind: "steer"; readonly payload: Payload; readonly text: string }
  | {
      readonly kind: "interrupt";
      readonly reason: string;
      /** Time to stop by itself; 0 stops at once. */
      readonly graceMs: Millis;
      /** Input of a new attempt that takes over. */
      readonly replaceWith?: Payload;
    }
  | {
      readonly kind: "collect";
      readonly tasks: readonly TaskId[];
      readonly mode: CollectMode;
      readonly deadlineMs?: Millis;
    };

/** Timers the state arms; their due times follow from journaled instants. */
export type TimerKind =
  | "run_deadline"
  | "task_deadline"
  | "attempt_timeout"
  | "retry_due"
  | "collect_deadline";

/** What can be asked of one run. `at` is the engine's time when the command was taken. */
export type Command =
  | {
      readonly type: "accept";
      readonly at: Instant;
      readonly definition: string;
      readonly request: RunRequest;
      readonly idempotency?: Idempotency;
    }
  /** The session's turn has come. */
  | { readonly type: "begin"; readonly at: Instant }
  /** All lanes granted a slot; `worker` is the instance that will run it, if one of its workers will. */
  | {
      readonly type: "start";
      readonly at: Instant;
      readonly task: TaskId;
      readonly worker?: string;
    }
  /** The lane overflowed and gives this queued task up. */
  | { readonly type: "drop"; readonly at: Instant; readonly task: TaskId; readonly lane: string }
  | {
      readonly type: "report";
      readonly at: Instant;
      readonly task: TaskId;
      readonly lease: number;
      readonly outcome: Outcome;
    }
  | {
      readonly type: "progress";
      readonly at: Instant;
      readonly task: TaskId;
      readonly lease: number;
      readonly percent: number;
      readonly note: string;
      readonly limits: RunLimits;
    }
  | {
      readonly type: "checkpoint";
      readonly at: Instant;
      readonly task: TaskId;
      readonly lease: number;
      readonly data: Uint8Array;
    }
  /** The attempt has done something in the world that later ones must know of. */
  | {
      readonly type: "deeds";
      readonly at: Instant;
      readonly task: TaskId;
      readonly lease: number;
      readonly deeds: readonly Deed[];
    }
  /** The memory answered a question of the attempt. */
  | {
      readonly type: "recall";
      readonly at: Instant;
      readonly task: TaskId;
      readonly lease: number;
      readonly recall: Recall;
    }
  | {
      readonly type: "timer";
      readonly at: Instant;
      readonly timer: TimerKind;
      readonly task?: TaskId;
      readonly lease?: number;
      readonly signal?: string;
    }
  | {
      readonly type: "cancel";
      readonly at: Instant;
      readonly reason: string;
      readonly graceMs: Millis;
    }
  | {
      readonly type: "signal";
      readonly at: Instant;
      readonly task: TaskId;
      /** The client's id; a repeated one changes nothing and answers as before. */
      readonly signal: string;
      readonly content: SignalContent;
      readonly limits: RunLimits;
    }
  | {
      readonly type: "receipt";
      readonly at: Instant;
      readonly task: TaskId;
      readonly lease: number;
      readonly signal: string;
      readonly receipt: "delivered" | "admitted";
    }
  /** After a restart: every lease whose agent died with the process is lost; workers keep theirs. */
  | { readonly type: "recover"; readonly at: Instant };

/** A client's promise that equal keys mean equal requests. */
export interface Idempotency {
  readonly key: string;
  /** Hash of the request body, to tell a repeat from a conflict. */
  readonly fingerprint: string;
}

/** What happened. The n-th event of a run has sequence n, starting at 1. */
export type Event =
  | {
      readonly type: "run_accepted";
      readonly at: Instant;
      /** Content hash of the definition. */
      readonly definition: string;
      readonly name: string;
      readonly request: RunRequest;
      readonly idempotency?: Idempotency;
    }
  | { readonly type: "run_started"; readonly at: Instant }
  | { readonly type: "run_completed"; readonly at: Instant }
  | {
      /** The run will end as FAILED or CANCELLED once its leases are back; no new task starts. */
      readonly type: "run_ending";
      readonly at: Instant;
      readonly ending: "FAILED" | "CANCELLED";
      readonly reason: Reason;
      readonly message: string;
      /** The task that failed, when one did. */
      readonly task?: TaskId;
      readonly graceMs: Millis;
    }
  | {
      readonly type: "run_failed";
      readonly at: Instant;
      readonly reason: Reason;
      readonly message: string;
      readonly task?: TaskId;
    }
  | { readonly type: "run_cancelled"; readonly at: Instant; readonly message: string }
  | {
      readonly type: "task_scheduled";
      readonly at: Instant;
      readonly task: TaskId;
      readonly lane: string;
      /** The lane it was meant for, when overflow redirected it. */
      readonly redirectedFrom?: string;
    }
  | {
      readonly type: "task_started";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      /** What a person should know about the start. */
      readonly note?: string;
      /** Number of the lease; absent when it is the attempt's own. */
      readonly lease?: number;
      /** Instance of the worker that runs it; absent for the daemon's own agents. */
      readonly worker?: string;
    }
  /** Nobody took the attempt up in time: it waits in its lane again, with the number that it had. */
  | {
      readonly type: "task_returned";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
    }
  | {
      readonly type: "task_deeds";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      readonly deeds: readonly Deed[];
    }
  /** What the task is shown of the memory; later attempts that ask the same are shown the same. */
  | {
      readonly type: "task_recalled";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      readonly recall: Recall;
    }
  | {
      readonly type: "task_progress";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      readonly percent: number;
      readonly note: string;
    }
  | {
      readonly type: "task_checkpointed";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      readonly data: Uint8Array;
    }
  /** `attempt` is 0 and `output` absent for a joined `for_each` group: its output is its instances'. */
  | {
      readonly type: "task_completed";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      readonly output?: Payload;
      /** Absent when it means nothing for the memory. */
      readonly memory?: MemoryOutcome;
    }
  | {
      readonly type: "task_retrying";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      readonly reason: Reason;
      readonly message: string;
      readonly dueAt: Instant;
      /** Input of the next attempt, when an interrupt replaced it. */
      readonly input?: Payload;
      /** Whether it uses up one of the policy's attempts; a lost daemon does not. */
      readonly counted: boolean;
      /** Set while the attempt is still out and told to stop: its lease ends with `lease_ended`. */
      readonly stopGraceMs?: Millis;
    }
  | {
      readonly type: "task_failed";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      readonly reason: Reason;
      readonly message: string;
      /** As for `task_retrying`. */
      readonly stopGraceMs?: Millis;
    }
  | {
      readonly type: "task_cancelled";
      readonly at: Instant;
      readonly task: TaskId;
      readonly reason: Reason;
      readonly message: string;
      /** As for `task_retrying`. */
      readonly stopGraceMs?: Millis;
    }
  | {
      readonly type: "task_skipped";
      readonly at: Instant;
      readonly task: TaskId;
      readonly reason: Reason;
    }
  /** A `for_each` list was evaluated; one instance per item follows. */
  | {
      readonly type: "task_expanded";
      readonly at: Instant;
      readonly task: TaskId;
      readonly items: readonly Payload[];
    }
  /** Room for suspended tasks (persons, timers): the slot is given back. */
  | {
      readonly type: "task_waiting";
      readonly at: Instant;
      readonly task: TaskId;
      readonly note: string;
    }
  | { readonly type: "task_resumed"; readonly at: Instant; readonly task: TaskId }
  /** The agent was asked to stop; `graceMs` later it is forced. */
  | {
      readonly type: "task_stopping";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
      readonly signal: string;
      readonly graceMs: Millis;
    }
  /** A lease that outlived its task's state (cancelled, timed out) is back; its slot is free. */
  | {
      readonly type: "lease_ended";
      readonly at: Instant;
      readonly task: TaskId;
      readonly attempt: number;
    }
  | {
      readonly type: "signal_accepted";
      readonly at: Instant;
      readonly task: TaskId;
      readonly signal: string;
      readonly content: SignalContent;
    }
  | {
      readonly type: "signal_receipt";
      readonly at: Instant;
      readonly task: TaskId;
      readonly signal: string;
      readonly receipt: Exclude<Receipt, "accepted">;
      /** Attempt that got it; 0 when none did. */
      readonly attempt: number;
      /** Why it was refused or expired; empty otherwise. */
      readonly reason: string;
    }
  /** A collect is complete (or its deadline passed): who had finished, who is missing. */
  | {
      readonly type: "signal_collected";
      readonly at: Instant;
      readonly task: TaskId;
      readonly signal: string;
      readonly finished: readonly TaskId[];
      readonly missing: readonly TaskId[];
    };

export type EventType = Event["type"];

/** What must be done once the events before it are durable. */
export type Effect =
  | {
      readonly type: "dispatch";
      readonly task: TaskId;
      readonly lease: number;
      /** What the agent should find in its mailbox at start, in order; later signals are delivered by themselves. */
      readonly mail: readonly string[];
    }
  | {
      readonly type: "stop";
      readonly task: TaskId;
      readonly lease: number;
      readonly reason: Reason;
      readonly graceMs: Millis;
    }
  | {
      readonly type: "deliver";
      readonly task: TaskId;
      readonly lease: number;
      readonly signal: string;
    }
  | {
      readonly type: "arm";
      readonly timer: TimerKind;
      readonly dueAt: Instant;
      readonly task?: TaskId;
      readonly lease?: number;
      readonly signal?: string;
    }
  /** Timers of this task (or of the whole run, when absent) are void. */
  | { readonly type: "disarm"; readonly task?: TaskId };

/** Events of one run in one commit, with the sequence of the first. */
export interface RunEvents {
  readonly runId: RunId;
  readonly firstSequence: number;
  readonly events: readonly Event[];
}
