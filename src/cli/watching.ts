/**
 * Watching a run to its end on behalf of `run` and `watch`: as a live drawing, as lines of text, or as JSON lines.
 * All three fold the same events; what is left at the end is the run's outcome, which decides the exit code.
 */
import type { Reason, RunInfo, TaskEvent } from "../../gen/goclaw/v1/run_pb.ts";
import { RunState } from "../../gen/goclaw/v1/run_pb.ts";
import type { Clients } from "./client.ts";
import { followRun } from "./client.ts";
import type { OptionSpec } from "./command.ts";
import { JSON_OPTION } from "./command.ts";
import { jsonLine, plainLine } from "./event-line.ts";
import { painter } from "./layout.ts";
import { LiveView } from "./live-view.ts";
import { reasonText, runTone, wordOf } from "./look.ts";
import { instant, isTerminalRun, RunModel } from "./run-model.ts";
import { payloadLines } from "./run-text.ts";
import type { Cli } from "./terminal.ts";
import { EXIT } from "./terminal.ts";

/** How a watched run is shown. */
export interface ViewOptions {
  readonly json?: boolean;
  readonly plain?: boolean;
}

export const VIEW_OPTIONS: readonly OptionSpec[] = [
  { ...JSON_OPTION, doc: "print events as lines of protobuf JSON (default when piped)" },
  { flags: "--plain", doc: "print events as lines of text" },
];

/** How a run ended. */
export interface Outcome {
  readonly state: RunState;
  readonly reason: Reason;
  readonly message: string;
  readonly failedTask: string;
  readonly outputLines: readonly string[];
}

/** Which part of a run to watch. */
export interface Watch {
  readonly runId: string;
  readonly afterSequence: bigint;
}

/** Shows a run until it ends. Rejects with the failure of the watch, or when `abort` fires. */
export async function watchToEnd(
  cli: Cli,
  { runs }: Clients,
  watch: Watch,
  view: ViewOptions,
  abort: AbortSignal,
): Promise<Outcome> {
  const live = !view.json && !view.plain && cli.terminal.interactive;
  // Also the first contact: a run or daemon that does not exist fails here, and only a watch that began is resumed.
  const { run } = await runs.getRun({ runId: watch.runId, summaryOnly: !live });
  if (run === undefined) throw new Error("the daemon answered without a run");
  const onCut = (): void => cli.terminal.err("goclaw: the stream of events was cut; resuming it\n");
  const last = live
    ? await showLive(cli, runs, run, abort)
    : await showLines(
        cli,
        followRun(runs, cli.clock, { ...watch, onCut }, abort),
        lineOf(view, run),
      );
  const outcome = await outcomeOf(runs, watch.runId, last);
  if (live || view.plain) printEnd(cli, outcome);
  return outcome;
}

function lineOf(view: ViewOptions, run: RunInfo): (event: TaskEvent) => string {
  if (!view.plain) return jsonLine;
  const acceptedAt = instant(run.accepted);
  return (event) => plainLine(event, acceptedAt);
}

async function showLines(
  { terminal }: Cli,
  events: AsyncIterable<TaskEvent>,
  lineOf: (event: TaskEvent) => string,
): Promise<TaskEvent | undefined> {
  let last: TaskEvent | undefined;
  for await (const event of events) {
    terminal.out(`${lineOf(event)}\n`);
    last = event;
  }
  return last;
}

async function showLive(
  cli: Cli,
  runs: Clients["runs"],
  run: RunInfo,
  abort: AbortSignal,
): Promise<TaskEvent | undefined> {
  const model = new RunModel(run);
  const view = new LiveView(cli.terminal, cli.clock, model);
  let last: TaskEvent | undefined;
  try {
    if (isTerminalRun(model.state)) return undefined;
    const rest = { runId: model.runId, afterSequence: model.sequence };
    for await (const event of followRun(runs, cli.clock, rest, abort)) {
      model.apply(event);
      view.changed();
      last = event;
    }
    return last;
  } finally {
    view.close();
  }
}

/** The terminal event says everything; without it (a run that had ended before) the daemon is asked. */
async function outcomeOf(
  runs: Clients["runs"],
  runId: string,
  last: TaskEvent | undefined,
): Promise<Outcome> {
  if (last !== undefined && isTerminalRun(last.runState) && last.snapshot === undefined) {
    return {
      state: last.runState,
      reason: last.reason,
      message: last.message,
      failedTask: last.taskId,
      outputLines: payloadLines(last.output, last.outputData),
    };
  }
  const { run } = await runs.getRun({ runId });
  if (run === undefined) throw new Error("the daemon answered without a run");
  return { ...run, outputLines: payloadLines(run.output, run.outputData) };
}

function printEnd({ terminal }: Cli, outcome: Outcome): void {
  if (outcome.state === RunState.COMPLETED) {
    terminal.out(outcome.outputLines.map((line) => `${line}\n`).join(""));
    return;
  }
  const paint = painter(terminal.colour);
  const task = outcome.failedTask === "" ? "" : ` at task ${outcome.failedTask}`;
  const reason = reasonText(outcome);
  const line = `${wordOf(RunState, outcome.state)}${task}${reason === "" ? "" : `: ${reason}`}`;
  terminal.out(`${paint(runTone(outcome.state), line)}\n`);
}

/** Exit code of a command that waited for a run. */
export function exitCodeOf(outcome: Outcome): number {
  return outcome.state === RunState.COMPLETED ? EXIT.ok : EXIT.failed;
}
