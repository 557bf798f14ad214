/**
 * A plugin transport over a directory of its own, for tests that write agents as they go. One thread by default, so that
 * attempts share it; the host remembers the delays it was asked for.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type PluginOptions, PluginTransport } from "../../src/adapters/agents/plugin-transport.ts";
import { SystemHost } from "../../src/adapters/system-host.ts";
import type { Millis } from "../../src/base/time.ts";
import type { Outcome } from "../../src/core/run/message.ts";
import type { Assignment } from "../../src/ports/agent.ts";
import type { TimerHandle } from "../../src/ports/host.ts";
import { assignment, ListLog, Recorder } from "./attempts.ts";

export class DelayHost extends SystemHost {
  readonly delays: Millis[] = [];
  /** Delays of timers that were cancelled, fired ones included. */
  readonly cancelled: Millis[] = [];

  override setTimer(delayMs: Millis, run: () => void): TimerHandle {
    this.delays.push(delayMs);
    const timer = super.setTimer(delayMs, run);
    return {
      cancel: () => {
        this.cancelled.push(delayMs);
        timer.cancel();
      },
    };
  }
}

export interface PluginRig {
  readonly directory: string;
  readonly host: DelayHost;
  readonly log: ListLog;
  readonly recorder: Recorder;
  readonly transport: PluginTransport;
  /** Resolves with the next announced change. */
  changed(): Promise<void>;
  write(name: string, text: string): Promise<string>;
  remove(name: string): Promise<void>;
  start(agent: string, input?: unknown, rest?: Partial<Assignment>): string;
  run(agent: string, input?: unknown, rest?: Partial<Assignment>): Promise<Outcome>;
  /** Starts an attempt and resolves with its key when it has reported progress. */
  running(agent: string, input?: unknown): Promise<string>;
  close(): Promise<void>;
}

export async function pluginRig(
  files: { readonly [name: string]: string },
  options: Partial<PluginOptions> = {},
): Promise<PluginRig> {
  const directory = await mkdtemp(join(tmpdir(), "goclaw-agents-"));
  const host = new DelayHost();
  const log = new ListLog();
  const recorder = new Recorder();
  const transport = new PluginTransport(
    { directories: [directory], threads: 1, watch: false, ...options },
    { host, log },
  );
  let changes: (() => void)[] = [];
  const rig: PluginRig = {
    directory,
    host,
    log,
    recorder,
    transport,
    changed: () => new Promise((resolve) => changes.push(resolve)),
    write: async (name, text) => {
      const path = join(directory, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
      return path;
    },
    remove: (name) => rm(join(directory, name)),
    start: (agent, input, rest) => {
      const given = assignment(agent, input, rest);
      transport.start(given);
      return given.key;
    },
    run: (agent, input, rest) => recorder.finished(rig.start(agent, input, rest)),
    running: async (agent, input) => {
      const key = rig.start(agent, input);
      await recorder.until(([method, k]) => method === "progress" && k === key);
      return key;
    },
    close: async () => {
      await transport.close();
      host.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  for (const [name, text] of Object.entries(files)) await rig.write(name, text);
  await transport.open(recorder, () => {
    const waiting = changes;
    changes = [];
    for (const resolve of waiting) resolve();
  });
  return rig;
}
