/**
 * A Redis for a comparison, on loopback with a directory of its own and every write synced before it is answered
 * (`appendfsync always`), which is what GoClaw does; and BullMQ processes on it, one workload at a time.
 */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { scratchDirectory } from "../scratch.ts";

/** Whether BullMQ's client and worker share a process. */
export type Topology = "together" | "apart";

/** What one repetition of a workload came to; the fields depend on the workload. */
export interface BullSample {
  readonly perSecond: number;
  readonly startMs: readonly number[];
}

export interface Bull {
  run(workload: object): Promise<BullSample>;
  stop(): Promise<void>;
}

/** Starts a Redis and resolves with its port. */
export async function startRedis(): Promise<{
  readonly port: number;
  stop(): Promise<void>;
}> {
  const port = await freePort();
  const settings = {
    bind: "127.0.0.1",
    port: String(port),
    dir: await scratchDirectory(),
    appendonly: "yes",
    appendfsync: "always",
    save: "",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn("redis-server", options, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  process.once("exit", () => child.kill("SIGKILL"));
  await untilReady(child);
  return {
    port,
    stop: async () => {
      child.kill("SIGTERM");
      await exited;
    },
  };
}

async function untilReady({ stdout }: ChildProcess): Promise<void> {
  if (stdout === null) throw new Error("redis-server has no output");
  const lines = createInterface({ input: stdout });
  for await (const line of lines) {
    if (/ready to accept connections/i.test(line)) {
      stdout.resume();
      return;
    }
  }
  throw new Error("redis-server ended before it was ready");
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

let queues = 0;

/** Starts BullMQ's processes on a queue of their own. */
export async function startBull(port: number, topology: Topology): Promise<Bull> {
  const file = join(import.meta.dirname, "bullmq.mjs");
  const child = fork(file, [topology, String(port), `bench-${queues++}`]);
  const killed = (): boolean => child.kill("SIGKILL");
  process.once("exit", killed);
  await once(child, "message");
  return {
    run: async (workload) => {
      const stopWaiting = new AbortController();
      const { signal } = stopWaiting;
      const answer = Promise.race([
        once(child, "message", { signal }),
        once(child, "exit", { signal }).then(() => {
          throw new Error("BullMQ's process ended");
        }),
      ]);
      child.send(workload);
      const [sample] = await answer;
      stopWaiting.abort();
      return sample;
    },
    stop: async () => {
      const exited = once(child, "exit");
      child.send({});
      await exited;
      process.off("exit", killed);
    },
  };
}
