/**
 * The public face of the package: everything that `import … from "goclaw"` can name, and nothing else. It is the one
 * file whose purpose is to re-export; what is not listed here may change at any time.
 */
// biome-ignore-all lint/performance/noBarrelFile: the public entry re-exports, see above
export type {
  Agent,
  AgentContext,
  AgentMemory,
  AgentMemoryEntry,
  AgentSignal,
  Binary,
  RecallOptions,
  RememberOptions,
} from "../ports/agent-context.ts";
export { type AgentOptions, agent } from "./agent.ts";
export {
  Client,
  type ClientOptions,
  type ListOptions,
  type RunDetails,
  type RunView,
} from "./client.ts";
export { Engine, type EngineOptions, type LaneOption } from "./engine.ts";
export { type FieldViolation, GoClawError, RunFailedError } from "./errors.ts";
export type { RunEvent } from "./run-event.ts";
export { RunHandle, type RunOptions, type SignalStanding, type TaskSignal } from "./run-handle.ts";
export { leveldb, memory, rocksdb, type StoreChoice } from "./store.ts";
export { type Worker, type WorkerOptions, type WorkerStatus, worker } from "./worker.ts";
export { Workflow, workflow } from "./workflow.ts";
