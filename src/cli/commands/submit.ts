/**
 * `goclaw submit` starts a run on a daemon and leaves it there; `goclaw cancel` ends one. Both return as soon as the
 * daemon has made it durable.
 */
import { toJsonString } from "@bufbuild/protobuf";
import { StartRunResponseSchema } from "../../../gen/goclaw/v1/run_service_pb.ts";
import { clientsOf } from "../client.ts";
import { command, JSON_OPTION, SERVER_OPTION } from "../command.ts";
import type { SubmissionOptions } from "../submission.ts";
import { readDefinitionFile, SUBMISSION_OPTIONS, specOf, submissionOf } from "../submission.ts";
import { EXIT } from "../terminal.ts";

interface SubmitOptions extends SubmissionOptions {
  readonly server?: string;
  readonly json?: boolean;
}

export const submitCommand = command<SubmitOptions>({
  name: "submit",
  summary: "start a run on a daemon and print its id",
  arguments: [
    {
      term: "<definition>",
      doc: "definition file, or name (or name@version) of a registered definition",
    },
  ],
  options: [...SUBMISSION_OPTIONS, SERVER_OPTION, JSON_OPTION],
  examples: ["goclaw watch $(goclaw submit workflow.yaml --input @ticket.json)"],
  action: async (cli, [definition = ""], options) => {
    const isFile = await cli.files.exists(definition);
    const source = isFile ? specOf(await readDefinitionFile(cli, definition)) : definition;
    const run = await submissionOf(cli, source, options);
    const { runs } = await clientsOf(cli, options.server);
    const started = await runs.startRun({ run });
    cli.terminal.out(
      `${options.json ? toJsonString(StartRunResponseSchema, started) : started.runId}\n`,
    );
    return EXIT.ok;
  },
});

interface CancelOptions {
  readonly reason?: string;
  readonly grace?: string;
  readonly server?: string;
}

export const cancelCommand = command<CancelOptions>({
  name: "cancel",
  summary: "cancel a run",
  details: "Returns when the cancellation is durable; running agents get the grace to stop.",
  arguments: [{ term: "<run>", doc: "id of the run" }],
  options: [
    { flags: "--reason <text>", doc: "why, for the record" },
    { flags: "--grace <duration>", doc: "how long running agents may take to stop (default: 5s)" },
    SERVER_OPTION,
  ],
  action: async (cli, [runId = ""], options) => {
    const { runs } = await clientsOf(cli, options.server);
    await runs.cancelRun({ runId, reason: options.reason ?? "", grace: options.grace ?? "" });
    return EXIT.ok;
  },
});
