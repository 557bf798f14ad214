/**
 * One call of an agent's `run`, in whatever thread it happens: it builds the context, keeps the mailbox, turns what
 * comes back into an outcome, and passes on the first end only. Functions of the embedded engine and plugin threads
 * both go through it, which is why an agent behaves alike in both. It never waits and sets no timer: when to give up on
 * a call is its owner's decision.
 */
import { PAYLOAD_MAX_BYTES } from "../../base/payload.ts";
import type {
  Assignment,
  AttemptListener,
  AttemptOutcome,
  DeliveredSignal,
} from "../../ports/agent.ts";
import type {
  Agent,
  AgentContext,
  AgentLog,
  AgentMemory,
  AgentMemoryEntry,
  AgentSignal,
  RecallOptions,
} from "../../ports/agent-context.ts";
import {
  agentSignal,
  agentValue,
  outputPayload,
  thrownMessage,
  thrownOutcome,
} from "./agent-value.ts";
import { recallWish, StagedMemories } from "./staged-memories.ts";

/** Reason of `ctx.signal`; named so that libraries take it for an ordinary abort. */
class StopError extends Error {
  override readonly name = "AbortError";
}

export class AgentCall {
  readonly key: string;
  readonly #agent: Agent;
  readonly #assignment: Assignment;
  readonly #listener: AttemptListener;
  #mailbox: DeliveredSignal[] = [];
  #known: Set<string> | undefined;
  #controller: AbortController | undefined;
  #stopReason: string | undefined;
  #over = false;
  /** What it wants remembered, once it does. */
  #staged: StagedMemories | undefined;
  /** Bytes of output so far. */
  #written = 0;

  constructor(agent: Agent, assignment: Assignment, listener: AttemptListener) {
    this.key = assignment.key;
    this.#agent = agent;
    this.#assignment = assignment;
    this.#listener = listener;
  }

  /** Calls the agent. Everything it says arrives at the listener, the end exactly once. */
  run(): void {
    for (const signal of this.#assignment.signals) this.deliver(signal);
    let result: unknown;
    try {
      const input = agentValue(this.#assignment.input);
      result = this.#agent.run(input as never, this.#context());
    } catch (error) {
      return this.fail(error);
    }
    if (!isThenable(result)) return this.#succeed(result);
    // A foreign thenable may throw or never call back twice; a promise around it cannot.
    Promise.resolve(result).then(
      (value) => this.#succeed(value),
      (error) => this.fail(error),
    );
  }

  /** Puts a signal into the mailbox; one that was here before is ignored. */
  deliver(signal: DeliveredSignal): void {
    this.#known ??= new Set();
    if (this.#over || this.#known.has(signal.signal)) return;
    this.#known.add(signal.signal);
    this.#mailbox.push(signal);
    this.#listener.receipt(this.key, signal.signal, "delivered");
  }

  /** Aborts `ctx.signal`. An agent that fails from now on has stopped, one that returns has succeeded. */
  abort(reason: string): void {
    if (this.#over || this.#stopReason !== undefined) return;
    this.#stopReason = reason;
    this.#controller?.abort(stopError(reason));
  }

  /** Ends the call for a reason outside of it; what the agent does later is ignored. */
  abandon(outcome: AttemptOutcome): void {
    this.#finish(outcome);
  }

  /** Ends the call because of something thrown. */
  fail(error: unknown): void {
    this.#finish(this.#stopReason === undefined ? thrownOutcome(error) : { kind: "stopped" });
  }

  #succeed(value: unknown): void {
    if (this.#over) return;
    try {
      const memories = this.#staged?.taken();
      const learned = memories === undefined ? {} : { memories };
      this.#finish({ kind: "success", output: outputPayload(value), ...learned });
    } catch (error) {
      const message = `the output of agent "${this.#agent.name}" is not JSON: ${thrownMessage(error)}`;
      this.#finish({ kind: "failure", failure: "invalid", message });
    }
  }

  #finish(outcome: AttemptOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#mailbox = [];
    this.#listener.finish(this.key, outcome);
  }

  #signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#stopReason !== undefined) this.#controller.abort(stopError(this.#stopReason));
    }
    return this.#controller.signal;
  }

  #takeSignals(): readonly AgentSignal[] {
    const taken = this.#mailbox;
    this.#mailbox = [];
    for (const { signal } of taken) this.#listener.receipt(this.key, signal, "admitted");
    return taken.map(agentSignal);
  }

  /** Reports only while the call lasts: an agent that goes on after its end talks to nobody. */
  #report(pass: (listener: AttemptListener) => void): void {
    if (!this.#over) pass(this.#listener);
  }

  /** Own properties only, so that authors can destructure; what few agents use is made when first asked for. */
  #context(): AgentContext {
    const { key } = this;
    const assignment = this.#assignment;
    const call = this;
    let runInput: { readonly value: unknown } | undefined;
    let log: AgentLog | undefined;
    let memory: AgentMemory | undefined;
    return {
      runId: assignment.runId,
      taskId: assignment.taskId,
      attempt: assignment.attempt,
      workflow: assignment.workflow,
      namespace: assignment.namespace,
      sessionId: assignment.sessionId,
      idempotencyKey: assignment.idempotencyKey,
      traceId: assignment.traceId,
      lastCheckpoint: assignment.lastCheckpoint,
      get runInput() {
        runInput ??= { value: agentValue(assignment.runInput) };
        return runInput.value;
      },
      get signal() {
        return call.#signal();
      },
      get log() {
        log ??= call.#log();
        return log;
      },
      get memory() {
        memory ??= call.#memory();
        return memory;
      },
      progress: (percent, note = "") =>
        call.#report((to) => to.progress(key, Number(percent), String(note))),
      checkpoint: (data) => call.#checkpoint(data),
      output: (chunk) => call.#write(chunk),
      heartbeat: () => call.#report((to) => to.beat(key)),
      signals: () => call.#takeSignals(),
    };
  }

  #memory(): AgentMemory {
    return {
      shown: this.#assignment.memories ?? [],
      recall: (text, options) => this.#recall(text, options),
      remember: (text, options) => {
        if (this.#over) return;
        this.#staged ??= new StagedMemories();
        this.#staged.add(text, options);
      },
    };
  }

  /** Never settles once the call is over: whoever waits then is nobody's any more. */
  async #recall(text: string, options?: RecallOptions): Promise<readonly AgentMemoryEntry[]> {
    const wish = recallWish(text, options);
    return new Promise((resolve) => {
      this.#report((to) =>
        to.recall(this.key, wish, ({ memories, note }) => {
          if (note !== "") this.#report((log) => log.log(this.key, "warn", `memory: ${note}`));
          resolve(memories);
        }),
      );
    });
  }

  #log(): AgentLog {
    const line = (level: keyof AgentLog) => (message: string) =>
      this.#report((to) => to.log(this.key, level, String(message)));
    return { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };
  }

  #write(chunk: string | Uint8Array): void {
    // A copy, because the agent goes on writing into its buffer.
    const data =
      typeof chunk === "string" ? new TextEncoder().encode(chunk) : new Uint8Array(chunk);
    const offset = this.#written;
    this.#written += data.length;
    this.#report((to) => to.output(this.key, data, offset));
  }

  #checkpoint(data: Uint8Array): void {
    if (!(data instanceof Uint8Array)) throw new TypeError("a checkpoint is a Uint8Array");
    if (data.byteLength > PAYLOAD_MAX_BYTES) {
      throw new RangeError(
        `a checkpoint of ${data.byteLength} bytes exceeds the limit of ${PAYLOAD_MAX_BYTES}`,
      );
    }
    // A copy, because the agent goes on writing into its buffer.
    this.#report((to) => to.checkpoint(this.key, new Uint8Array(data)));
  }
}

function stopError(reason: string): StopError {
  return new StopError(`the attempt is to stop: ${reason}`);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  return "then" in value && typeof value.then === "function";
}
