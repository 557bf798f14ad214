/**
 * Agents written as functions. What the engine sees is the same object that a plugin module exports, so an agent can move
 * from a program that embeds the engine to the agents directory of a daemon unchanged. Input and output types live in
 * the compiler only: at run time both are JSON.
 */
import type { Json } from "../base/payload.ts";
import type { Millis } from "../base/time.ts";
import type { Agent, AgentContext } from "../ports/agent-context.ts";

/** What an agent may say about itself besides its name and function. */
export interface AgentOptions {
  /** JSON Schema of the input, for people and tools. */
  readonly inputSchema?: Json;
  /** Slots an attempt takes in its lanes. Default 1. */
  readonly cost?: number;
  /** Longest attempt, where the task names none. */
  readonly timeoutMs?: Millis;
  readonly version?: string;
}

/**
 * Makes an agent of a function. `run` returns its output or a promise of it; a throw is a failed attempt, which is tried
 * again unless the error says `retryable: false`.
 */
export function agent<Input = unknown, Output = unknown>(
  name: string,
  run: (input: Input, ctx: AgentContext) => Output | Promise<Output>,
  options: AgentOptions = {},
): Agent<Input, Output> {
  return { ...options, name, run };
}
