/**
 * The agents of the transport suite as plain objects: registered as functions in one test, loaded by plugin threads in
 * another. The file is itself a plugin module, so it imports nothing but types.
 */
import type { Agent, AgentContext } from "../../../src/ports/agent-context.ts";

/** Resolves when the attempt is asked to stop. */
function stopOf({ signal }: AgentContext): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
}

class Terminal extends Error {
  readonly retryable = false;
}

export const echo: Agent<unknown> = { name: "echo", run: (input) => input };

export const context: Agent<unknown> = {
  name: "context",
  run: async (input, ctx) => ({
    input,
    run_id: ctx.runId,
    task_id: ctx.taskId,
    attempt: ctx.attempt,
    idempotency_key: ctx.idempotencyKey,
    trace_id: ctx.traceId,
    session_id: ctx.sessionId,
    run_input: ctx.runInput,
    last_checkpoint: Buffer.from(ctx.lastCheckpoint ?? []).toString("base64"),
  }),
};

export const throws: Agent<unknown> = {
  name: "throws",
  run: () => {
    throw new Error("boom");
  },
};

export const terminal: Agent<unknown> = {
  name: "terminal",
  run: () => Promise.reject(new Terminal("never again")),
};

export const reporter: Agent<unknown> = {
  name: "reporter",
  run: async (_input, { progress, checkpoint, log }) => {
    progress(40, "half");
    const data = new Uint8Array([1, 2, 3]);
    checkpoint(data);
    data.fill(9);
    log.info("a line");
  },
};

export const waits: Agent<unknown> = {
  name: "waits",
  run: async (_input, ctx) => {
    ctx.progress(1);
    await stopOf(ctx);
    throw ctx.signal.reason;
  },
};

export const returns: Agent<unknown> = {
  name: "returns",
  run: async (_input, ctx) => {
    ctx.progress(1);
    await stopOf(ctx);
    return "in time";
  },
};

export const deaf: Agent<unknown> = {
  name: "deaf",
  run: (_input, ctx) => {
    ctx.progress(1);
    return new Promise(() => {});
  },
};

/** Says what it is shown and told, and wants two things remembered unless it fails. */
export const remembers: Agent<{ readonly fails?: boolean } | null> = {
  name: "remembers",
  run: async (input, { memory }) => {
    memory.remember("plain");
    memory.remember("rich", { kind: "fact", metadata: { of: "x" }, importance: "important" });
    if (input?.fails) throw new Error("forget it");
    const told = await memory.recall("a question", { limit: 2, filter: { of: "x" } });
    return { shown: memory.shown, told };
  },
};

/** Looks into its mailbox once per turn of the event loop, until it is stopped. */
export const mail: Agent<unknown> = {
  name: "mail",
  run: async (_input, ctx) => {
    ctx.progress(1);
    const texts: string[] = [];
    while (!texts.includes("last") && !ctx.signal.aborted) {
      await new Promise((resolve) => setImmediate(resolve));
      for (const signal of ctx.signals()) if (signal.kind === "steer") texts.push(signal.text);
    }
    return texts;
  },
};
