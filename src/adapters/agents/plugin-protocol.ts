/**
 * What the engine's thread and a plugin thread say to each other. Both directions are lists, because the price of a
 * `postMessage` is per call and not per item; how a list crosses is `plugin-text.ts`'s matter. Two numbers are in shared memory instead: they must be readable
 * when the thread can no longer speak.
 */
import type { Json } from "../../base/payload.ts";
import type { Millis } from "../../base/time.ts";
import type {
  Assignment,
  AttemptOutcome,
  AttemptQuestion,
  DeliveredSignal,
  RecallAnswer,
} from "../../ports/agent.ts";

/** What a thread is started with. */
export interface ThreadData {
  /** Modules to load, in this order. */
  readonly files: readonly string[];
  readonly shared: SharedArrayBuffer;
}

/** Places in the shared memory, as 32-bit integers. */
export const SHARED = {
  /** Ticket of the attempt whose code is being called right now; 0 for none or unknown. */
  current: 0,
  /** 1 + index of the file being loaded; 0 when loading is over. */
  loading: 1,
  /** How many there are. */
  length: 2,
} as const;

/** Engine → thread. */
export type ThreadCommand =
  /** `ticket` names the attempt in shared memory. */
  | { readonly type: "start"; readonly ticket: number; readonly assignment: Assignment }
  | { readonly type: "signal"; readonly key: string; readonly signal: DeliveredSignal }
  | { readonly type: "stop"; readonly key: string; readonly reason: string }
  /** The answer to the thread's question of this number. */
  | {
      readonly type: "recalled";
      readonly key: string;
      readonly question: number;
      readonly answer: RecallAnswer;
    }
  /** The grace is over: answer with `abandoned`, or with the end if it was on its way. */
  | { readonly type: "abandon"; readonly key: string };

/** An agent as a thread found it. */
export interface LoadedAgent {
  readonly file: string;
  readonly name: string;
  readonly version?: string;
  readonly inputSchema?: Json;
  readonly cost?: number;
  readonly timeoutMs?: Millis;
}

/** A file, or an agent in it, that is not served, and why. */
export interface LoadProblem {
  readonly file: string;
  readonly detail: string;
}

/** A name that was already taken when the file was loaded. */
export interface LoadDuplicate {
  readonly agent: string;
  readonly kept: string;
  readonly refused: string;
}

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Thread → engine. */
export type ThreadReport =
  | {
      readonly type: "loaded";
      readonly agents: readonly LoadedAgent[];
      readonly problems: readonly LoadProblem[];
      readonly duplicates: readonly LoadDuplicate[];
    }
  | {
      readonly type: "progress";
      readonly key: string;
      readonly percent: number;
      readonly note: string;
    }
  | { readonly type: "checkpoint"; readonly key: string; readonly data: Uint8Array }
  | { readonly type: "beat"; readonly key: string }
  | {
      readonly type: "output";
      readonly key: string;
      readonly data: Uint8Array;
      readonly offset: number;
    }
  | { readonly type: "log"; readonly key: string; readonly level: LogLevel; readonly text: string }
  | {
      readonly type: "receipt";
      readonly key: string;
      readonly signal: string;
      readonly receipt: "delivered" | "admitted";
    }
  | {
      readonly type: "recall";
      readonly key: string;
      readonly question: number;
      readonly wish: AttemptQuestion;
    }
  | { readonly type: "finish"; readonly key: string; readonly outcome: AttemptOutcome }
  | { readonly type: "abandoned"; readonly key: string }
  /** Printed outside of any attempt. */
  | { readonly type: "print"; readonly level: LogLevel; readonly text: string }
  /** The last words of a thread: which attempt ended it, where that is known. */
  | { readonly type: "dying"; readonly key: string | undefined; readonly cause: string };
