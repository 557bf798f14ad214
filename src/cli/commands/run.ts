/**
 * `goclaw run FILE`: one run from a definition file, watched to its end. Without `--server` an engine lives in this
 * process for as long as the run does, in memory unless a data directory is named; with it the run belongs to the
 * daemon. Both speak the public API, so they behave alike.
 */
import type { RunSubmission } from "../../../gen/goclaw/v1/run_service_pb.ts";
import type { Clients } from "../client.ts";
import { clientsOf } from "../client.ts";
import { AGENTS_OPTION, CONFIG_OPTION, command, DATA_OPTION, SERVER_OPTION } from "../command.ts";
import { onFirstSignal } from "../stopping.ts";
import type { SubmissionOptions } from "../submission.ts";
import { readDefinitionFile, SUBMISSION_OPTIONS, specOf, submissionOf } from "../submission.ts";
import type { Cli, ConfigOptions } from "../terminal.ts";
import { EXIT, UsageError } from "../terminal.ts";
import type { ViewOptions } from "../watching.ts";
import { exitCodeOf, VIEW_OPTIONS, watchToEnd } from "../watching.ts";
import { storeFailure } from "./serve.ts";

interface RunOptions extends SubmissionOptions, ConfigOptions, ViewOptions {
  readonly server?: string;
}

export const runCommand = command<RunOptions>({
  name: "run",
  summary: "run a definition file and wait for it",
  details:
    "The engine lives in this process and keeps nothing, unless --data names a directory or --server a daemon. " +
    "In a terminal the tasks are drawn live; piped output is one event per line. Ctrl-C cancels the run.",
  arguments: [{ term: "<file>", doc: "definition, YAML or JSON" }],
  options: [
    ...SUBMISSION_OPTIONS,
    AGENTS_OPTION,
    CONFIG_OPTION,
    DATA_OPTION,
    { ...SERVER_OPTION, doc: "run on this daemon, with its agents, instead of in this process" },
    ...VIEW_OPTIONS,
  ],
  examples: [
    'goclaw run workflow.yaml --input \'{"text": "hello"}\'',
    "goclaw run workflow.yaml --input @ticket.json --agents ./agents",
    "goclaw run workflow.yaml --server http://127.0.0.1:7420 --json",
  ],
  action: async (cli, [file = ""], options) => {
    const submission = await submissionOf(
      cli,
      specOf(await readDefinitionFile(cli, file)),
      options,
    );
    if (options.server !== undefined) {
      refuseLocalOptions(options);
      return runOn(cli, await clientsOf(cli, options.server), submission, options);
    }
    return runHere(cli, file, submission, options);
  },
});

/** Flags that would be silently without effect on a daemon. */
function refuseLocalOptions(options: RunOptions): void {
  const given = (["agents", "config", "data"] as const).filter(
    (name) => options[name] !== undefined,
  );
  if (given.length === 0) return;
  throw new UsageError(
    `--${given.join(", --")} cannot be combined with --server; they belong to the daemon`,
  );
}

async function runHere(
  cli: Cli,
  file: string,
  submission: RunSubmission,
  options: RunOptions,
): Promise<number> {
  const daemon = await cli.embed(options, cli.files.dirname(file));
  for (const notice of daemon.notices) cli.terminal.err(`goclaw: ${notice}\n`);
  const run = async (): Promise<number> => {
    try {
      return await runOn(cli, await clientsOf(cli, daemon.address), submission, options);
    } finally {
      await daemon.stop();
    }
  };
  const result = await Promise.race([run(), daemon.failed]);
  if (typeof result === "number") return result;
  cli.terminal.err(storeFailure(result));
  return EXIT.software;
}

async function runOn(
  cli: Cli,
  clients: Clients,
  submission: RunSubmission,
  view: ViewOptions,
): Promise<number> {
  const { runId } = await clients.runs.startRun({ run: submission });
  const watching = new AbortController();
  const release = onFirstSignal(cli, () => {
    cli.terminal.err("goclaw: cancelling the run; once more to leave at once\n");
    clients.runs
      .cancelRun({ runId, reason: "cancelled at the command line" })
      .catch((error: unknown) => {
        watching.abort(error);
      });
  });
  try {
    const watch = { runId, afterSequence: 0n };
    return exitCodeOf(await watchToEnd(cli, clients, watch, view, watching.signal));
  } finally {
    release();
  }
}
