/**
 * Faults: everything the world can do wrong, as tagged data. A fault is `{code, …facts}`; this registry says for each
 * code what it means to a caller: the RPC code, whether trying again can help, the sentence, and the remedy. Core
 * returns faults, edges translate them, docs/errors.md is printed from here. Bugs are assertions, never faults.
 */

/** Canonical RPC codes, by their gRPC names. */
export type RpcCode =
  | "INVALID_ARGUMENT"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "RESOURCE_EXHAUSTED"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "DEADLINE_EXCEEDED"
  | "CANCELLED"
  | "PERMISSION_DENIED"
  | "UNIMPLEMENTED"
  | "INTERNAL";

interface FaultEntry<Facts> {
  readonly rpc: RpcCode;
  /** Whether the same request may succeed later without a change by the caller. */
  readonly retryable: boolean;
  /** One sentence naming the value at fault. */
  readonly says: (facts: Facts) => string;
  /** What the caller can do. */
  readonly remedy: string;
}

const entry = <Facts extends object>(
  rpc: RpcCode,
  options: { readonly retryable?: boolean; readonly remedy: string },
  says: (facts: Facts) => string,
): FaultEntry<Facts> => ({
  rpc,
  retryable: options.retryable ?? false,
  says,
  remedy: options.remedy,
});

/** One problem of a definition or request: where it is and what was expected. */
export interface Violation {
  /** Path of the field, such as `tasks[2].deps[0]`. */
  readonly field: string;
  /** What is wrong, naming the value. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
  /** 1-based position in the source text, where there is one. */
  readonly line?: number;
  readonly column?: number;
}

/** The registry. Groups by area; codes are alphabetic inside a group and never change their meaning. */
export const FAULTS = {
  // Definitions and requests
  ARGUMENT_INVALID: entry<{ field: string; value: string; expected: string }>(
    "INVALID_ARGUMENT",
    { remedy: "Correct the field and send the request again." },
    (f) => `${f.field}: ${f.value} is not valid, expected ${f.expected}`,
  ),
  CONFIG_INVALID: entry<{
    violations: readonly (Violation & { readonly source: string })[];
  }>(
    "INVALID_ARGUMENT",
    { remedy: "Correct every listed setting; docs/configuration.md describes them all." },
    (f) =>
      `the configuration has ${f.violations.length} problem${f.violations.length === 1 ? "" : "s"}: ` +
      f.violations.map((v) => `${v.source}: ${v.field}: ${v.message}`).join("; "),
  ),
  DEFINITION_INVALID: entry<{ name: string; violations: readonly Violation[] }>(
    "INVALID_ARGUMENT",
    {
      remedy: "Correct every listed field; `goclaw validate FILE` shows them with line and column.",
    },
    (f) =>
      `definition "${f.name}" has ${f.violations.length} problem${f.violations.length === 1 ? "" : "s"}: ` +
      f.violations
        .slice(0, 3)
        .map((v) => `${v.field}: ${v.message}`)
        .join("; "),
  ),
  DEFINITION_NOT_FOUND: entry<{ name: string; nearest?: string | undefined }>(
    "NOT_FOUND",
    { remedy: "Register the definition, or send its full text." },
    (f) =>
      `no definition "${f.name}" is registered${f.nearest ? `; did you mean "${f.nearest}"?` : ""}`,
  ),
  LIMIT_EXCEEDED: entry<{ field: string; value: number; limit: number; unit: string }>(
    "INVALID_ARGUMENT",
    { remedy: "Make the request smaller, or raise the limit in the daemon's configuration." },
    (f) => `${f.field}: ${f.value} ${f.unit} exceeds the limit of ${f.limit}`,
  ),
  REQUEST_INVALID: entry<{ violations: readonly Violation[] }>(
    "INVALID_ARGUMENT",
    { remedy: "Correct every listed field and send the request again." },
    (f) =>
      `the request has ${f.violations.length} problem${f.violations.length === 1 ? "" : "s"}: ` +
      f.violations
        .slice(0, 3)
        .map((v) => `${v.field}: ${v.message}`)
        .join("; "),
  ),

  // Runs and tasks
  CURSOR_EXPIRED: entry<{ runId: string; sequence: number; oldest: number }>(
    "OUT_OF_RANGE",
    { remedy: "Read the run again with GetRun and watch from its sequence." },
    (f) => `run ${f.runId}: events after ${f.sequence} are gone, the oldest kept is ${f.oldest}`,
  ),
  IDEMPOTENCY_CONFLICT: entry<{ key: string; runId: string }>(
    "ALREADY_EXISTS",
    { remedy: "Use a new idempotency key for a different request." },
    (f) => `idempotency key "${f.key}" already started run ${f.runId} with another request`,
  ),
  RUN_NOT_FOUND: entry<{ runId: string }>(
    "NOT_FOUND",
    { remedy: "Check the id; finished runs are deleted after the retention time." },
    (f) => `run ${f.runId} does not exist`,
  ),
  RUN_TERMINAL: entry<{ runId: string; status: string }>(
    "FAILED_PRECONDITION",
    { remedy: "A finished run does not change; start a new one." },
    (f) => `run ${f.runId} is already ${f.status}`,
  ),
  TASK_NOT_FOUND: entry<{ runId: string; taskId: string; nearest?: string | undefined }>(
    "NOT_FOUND",
    { remedy: "Name a task of this run; GetRun lists them." },
    (f) =>
      `run ${f.runId} has no task "${f.taskId}"${f.nearest ? `; did you mean "${f.nearest}"?` : ""}`,
  ),
  WATCHER_SLOW: entry<{ runId: string; lastSequence: number }>(
    "RESOURCE_EXHAUSTED",
    { retryable: true, remedy: "Watch again from the last sequence seen, and read faster." },
    (f) =>
      `the watcher of run ${f.runId} fell too far behind, the last event it took is ${f.lastSequence}`,
  ),

  // Signals
  SESSION_IDLE: entry<{ sessionId: string }>(
    "FAILED_PRECONDITION",
    { remedy: "Start a run in this session first, or address the run by its id." },
    (f) => `session "${f.sessionId}" has no task that could take a signal`,
  ),
  SIGNAL_MAILBOX_FULL: entry<{ runId: string; taskId: string; of: "task" | "run"; limit: number }>(
    "RESOURCE_EXHAUSTED",
    { retryable: true, remedy: "Wait until the agent admits the earlier signals." },
    (f) =>
      `no signal to task "${f.taskId}" of run ${f.runId}: the ${f.of} holds ${f.limit} already`,
  ),
  TASK_TERMINAL: entry<{ runId: string; taskId: string; status: string }>(
    "FAILED_PRECONDITION",
    { remedy: "A finished task takes no signals; start a new run or address another task." },
    (f) => `task "${f.taskId}" of run ${f.runId} is already ${f.status}`,
  ),

  // Agents and lanes
  AGENT_DUPLICATE: entry<{ agent: string; kept: string; refused: string }>(
    "ALREADY_EXISTS",
    { remedy: "Rename one of the two agents." },
    (f) => `agent "${f.agent}" of ${f.refused} is not loaded: ${f.kept} already has that name`,
  ),
  AGENT_LOAD_FAILED: entry<{ source: string; detail: string }>(
    "FAILED_PRECONDITION",
    { remedy: "Correct the source; it is loaded again when it changes." },
    (f) => `agents of ${f.source} could not be loaded: ${f.detail}`,
  ),
  AGENT_UNKNOWN: entry<{ agent: string; nearest?: string | undefined }>(
    "FAILED_PRECONDITION",
    { remedy: "Add the agent to the agents directory or to the configuration." },
    (f) => `no agent "${f.agent}" is loaded${f.nearest ? `; did you mean "${f.nearest}"?` : ""}`,
  ),
  LANE_IN_USE: entry<{ lane: string; waiting: number; occupied: number }>(
    "FAILED_PRECONDITION",
    { retryable: true, remedy: "Wait until the lane is empty, then reload again." },
    (f) => `lane "${f.lane}" still has ${f.waiting} tasks waiting and ${f.occupied} slots taken`,
  ),
  LANE_UNKNOWN: entry<{ lane: string; nearest?: string | undefined }>(
    "NOT_FOUND",
    { remedy: "Declare the lane in the configuration, or use a known one." },
    (f) => `no lane "${f.lane}" exists${f.nearest ? `; did you mean "${f.nearest}"?` : ""}`,
  ),
  WORKER_INSTANCE_TAKEN: entry<{ instance: string }>(
    "ALREADY_EXISTS",
    { remedy: "Give every process an instance id of its own; to take over a stream, resume it." },
    (f) => `a worker with the instance id "${f.instance}" is connected`,
  ),
  WORKER_PROTOCOL_UNKNOWN: entry<{ asked: number; spoken: number }>(
    "FAILED_PRECONDITION",
    { remedy: "Use a worker made for this version of the daemon." },
    (f) => `protocol version ${f.asked} is not spoken here, version ${f.spoken} is`,
  ),

  // Memory
  EMBEDDER_FAILED: entry<{ embedder: string; detail: string }>(
    "UNAVAILABLE",
    {
      retryable: true,
      remedy: "Check the embedder's address, key and model; text search goes on.",
    },
    (f) => `embedder ${f.embedder} made no vectors: ${f.detail}`,
  ),
  MEMORY_DAMAGED: entry<{ where: string; detail: string }>(
    "DATA_LOSS",
    { remedy: "Erase the session, or restore the data directory from a backup." },
    (f) => `the memory is damaged at ${f.where}: ${f.detail}`,
  ),
  MEMORY_NOT_FOUND: entry<{ sessionId: string; id: string }>(
    "NOT_FOUND",
    { remedy: "Check session and id; an entry may have been forgotten." },
    (f) => `session "${f.sessionId}" remembers nothing under ${f.id}`,
  ),
  VECTOR_STORE_FAILED: entry<{ store: string; operation: string; detail: string }>(
    "UNAVAILABLE",
    { retryable: true, remedy: "Check the vector store; entries stay readable without it." },
    (f) => `vector store ${f.store} failed to ${f.operation}: ${f.detail}`,
  ),

  // Engine and storage
  DATA_LOSS: entry<{ where: string; detail: string }>(
    "DATA_LOSS",
    { remedy: "Restore the data directory from a backup; nothing past the damage was served." },
    (f) => `the journal is damaged at ${f.where}: ${f.detail}`,
  ),
  ENGINE_DRAINING: entry<{ retryAfterMs: number }>(
    "UNAVAILABLE",
    {
      retryable: true,
      remedy: "Send the request to another instance, or again after the restart.",
    },
    () => "the engine is shutting down and takes no new work",
  ),
  ENGINE_OVERLOADED: entry<{ what: string; limit: number; retryAfterMs: number }>(
    "RESOURCE_EXHAUSTED",
    {
      retryable: true,
      remedy: "Wait for the time given in RetryInfo, then send the request again.",
    },
    (f) => `${f.what} reached its limit of ${f.limit}`,
  ),
  LISTEN_EXPOSED: entry<{ host: string }>(
    "FAILED_PRECONDITION",
    { remedy: "Listen on 127.0.0.1, or permit it with --insecure where the network is trusted." },
    (f) => `listening on ${f.host} would let any machine that reaches it use the daemon`,
  ),
  LISTEN_FAILED: entry<{ address: string; detail: string }>(
    "UNAVAILABLE",
    { remedy: "Stop what uses the address, or choose another." },
    (f) => `cannot listen on ${f.address}: ${f.detail}`,
  ),
  STORE_FAILED: entry<{ operation: string; detail: string }>(
    "UNAVAILABLE",
    { retryable: true, remedy: "Check disk space and health, then restart the daemon." },
    (f) => `the store failed to ${f.operation}: ${f.detail}`,
  ),
  STORE_FORMAT: entry<{ directory: string; found: string; expected: string }>(
    "FAILED_PRECONDITION",
    { remedy: "Open the directory with the version that wrote it, or choose an empty one." },
    (f) => `${f.directory} was written as ${f.found}, this program reads ${f.expected}`,
  ),
  STORE_LOCKED: entry<{ directory: string }>(
    "FAILED_PRECONDITION",
    { remedy: "Stop the other process, or choose another data directory." },
    (f) => `${f.directory} is in use by another process`,
  ),
} as const;

/** Every fault code. */
export type FaultCode = keyof typeof FAULTS;

/** The facts a fault of code `C` carries. */
export type FactsOf<C extends FaultCode> =
  (typeof FAULTS)[C] extends FaultEntry<infer Facts> ? Facts : never;

/** A fault: its code and its facts. */
export type Fault = { [C in FaultCode]: { readonly code: C } & FactsOf<C> }[FaultCode];

/** Makes a fault. */
export function fault<C extends FaultCode>(code: C, facts: FactsOf<C>): Fault {
  return { code, ...(facts as object) } as Fault;
}

/** The registry entry of a fault, typed for its facts. */
export function faultEntry(of: Fault): FaultEntry<Fault> {
  return FAULTS[of.code] as unknown as FaultEntry<Fault>;
}

/** One sentence naming what happened. */
export function faultMessage(of: Fault): string {
  return faultEntry(of).says(of);
}

/** A fault travelling as an exception through asynchronous edges; core code returns faults instead. */
export class FaultError extends Error {
  override readonly name = "FaultError";
  readonly fault: Fault;

  constructor(of: Fault, options?: { readonly cause?: unknown }) {
    super(faultMessage(of), options);
    this.fault = of;
  }
}

/** Throws `of`; for edges whose callers expect exceptions. */
export function refuse(of: Fault): never {
  throw new FaultError(of);
}
