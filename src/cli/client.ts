/**
 * The command line as a client of the public API: typed clients over one transport, and a watch that survives being
 * cut off. A watch resumes after the last event it delivered, so whoever iterates sees every event once and in order,
 * across slow phases, a restart of the daemon and a broken connection.
 */
import type { Client } from "@connectrpc/connect";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { GoClawEngine } from "../../gen/goclaw/v1/engine_pb.ts";
import { MemoryService } from "../../gen/goclaw/v1/memory_service_pb.ts";
import type { TaskEvent } from "../../gen/goclaw/v1/run_pb.ts";
import { TaskEventType } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import type { Millis } from "../base/time.ts";
import { isTerminalRun } from "./run-model.ts";
import type { Cli, Clock } from "./terminal.ts";
import { UsageError } from "./terminal.ts";

/** Where a daemon listens unless told otherwise. */
export const SERVER_DEFAULT = "http://127.0.0.1:7420";

/** The services a command may call. */
export interface Clients {
  readonly runs: Client<typeof RunService>;
  readonly admin: Client<typeof AdminService>;
  readonly engine: Client<typeof GoClawEngine>;
  readonly memory: Client<typeof MemoryService>;
}

/** The daemon that `--server` or `GOCLAW_SERVER` names. Throws {@link UsageError} when that is no address. */
export function serverAddress(cli: Cli, server: string | undefined): string {
  const named = server ?? (cli.environment.GOCLAW_SERVER || SERVER_DEFAULT);
  const address = named.includes("://") ? named : `http://${named}`;
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol)) {
    throw new UsageError(`"${named}" is not a server address; write it like ${SERVER_DEFAULT}`);
  }
  return address.replace(/\/$/, "");
}

/** Clients of a daemon; see {@link serverAddress}. Nothing is sent yet. */
export async function clientsOf(cli: Cli, server: string | undefined): Promise<Clients> {
  const transport = await cli.connect(serverAddress(cli, server));
  return {
    runs: createClient(RunService, transport),
    admin: createClient(AdminService, transport),
    engine: createClient(GoClawEngine, transport),
    memory: createClient(MemoryService, transport),
  };
}

const RESUME_FIRST_MS: Millis = 200;
const RESUME_LONGEST_MS: Millis = 5_000;
/** Attempts without an event in between before a watch gives up; about half a minute. */
const RESUMES_MAX = 10;

/** Failures after which the run may well go on, only this stream did not. */
const RESUMABLE: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.ResourceExhausted,
  Code.Aborted,
]);

/** A watch of one run. */
export interface Follow {
  readonly runId: string;
  readonly afterSequence: bigint;
  /** Told once each time the stream is cut, before it is resumed. */
  readonly onCut?: () => void;
}

/** Events of a run after a sequence, to its end or until `abort`. */
export async function* followRun(
  runs: Clients["runs"],
  clock: Clock,
  watch: Follow,
  abort?: AbortSignal,
): AsyncIterable<TaskEvent> {
  let { afterSequence } = watch;
  let failures = 0;
  for (;;) {
    try {
      const stream = runs.watchRun(
        { runId: watch.runId, afterSequence },
        abort === undefined ? {} : { signal: abort },
      );
      for await (const { event } of stream) {
        if (event === undefined) continue;
        failures = 0;
        afterSequence = event.sequence;
        yield event;
        if (isTerminalRun(event.runState) && event.type !== TaskEventType.GAP) return;
      }
      // A run that ended before `afterSequence` has no more events; any other stream was cut.
      const { run } = await runs.getRun({ runId: watch.runId, summaryOnly: true });
      if (run !== undefined && isTerminalRun(run.state)) return;
      throw new ConnectError("the stream of events ended before the run", Code.Unavailable);
    } catch (error) {
      const failure = ConnectError.from(error);
      if (abort?.aborted === true || !RESUMABLE.has(failure.code) || failures >= RESUMES_MAX)
        throw error;
      if (failures === 0) watch.onCut?.();
      await pause(clock, Math.min(RESUME_LONGEST_MS, RESUME_FIRST_MS * 2 ** failures));
      failures++;
    }
  }
}

function pause(clock: Clock, delayMs: Millis): Promise<void> {
  return new Promise((resume) => {
    clock.setTimer(delayMs, resume);
  });
}
