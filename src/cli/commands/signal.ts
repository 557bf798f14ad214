/**
 * `goclaw signal RUN TASK`: steers, interrupts or asks a running task to collect others' results. Exactly one of the
 * three; the answer says where the signal stands.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { toJsonString } from "@bufbuild/protobuf";
import type { SignalRequestSchema } from "../../../gen/goclaw/v1/engine_pb.ts";
import { CollectMode } from "../../../gen/goclaw/v1/engine_pb.ts";
import { SignalReceipt } from "../../../gen/goclaw/v1/run_pb.ts";
import { SendSignalResponseSchema } from "../../../gen/goclaw/v1/run_service_pb.ts";
import { clientsOf } from "../client.ts";
import { command, JSON_OPTION, SERVER_OPTION } from "../command.ts";
import { wordOf } from "../look.ts";
import { jsonValue } from "../submission.ts";
import { EXIT, parseJson, UsageError } from "../terminal.ts";

interface SignalOptions {
  readonly steer?: string;
  readonly text?: string;
  readonly interrupt?: boolean;
  readonly reason?: string;
  readonly grace?: string;
  readonly replaceWith?: string;
  readonly collect?: string;
  readonly mode?: string;
  readonly deadline?: string;
  readonly id?: string;
  readonly server?: string;
  readonly json?: boolean;
}

type Content = NonNullable<MessageInitShape<typeof SignalRequestSchema>["signal"]>;

export const signalCommand = command<SignalOptions>({
  name: "signal",
  summary: "steer, interrupt or collect for a task",
  arguments: [
    { term: "<run>", doc: "id of the run" },
    { term: "<task>", doc: "id of the task" },
  ],
  options: [
    { flags: "--steer <json>", doc: "guidance for the agent, as a JSON value" },
    { flags: "--text <text>", doc: "guidance for the agent, as text" },
    { flags: "--interrupt", doc: "ask the running attempt to stop" },
    { flags: "--reason <text>", doc: "with --interrupt: why" },
    { flags: "--grace <duration>", doc: "with --interrupt: time to stop by itself (default: 5s)" },
    {
      flags: "--replace-with <json>",
      doc: "with --interrupt: input of a new attempt that takes over",
    },
    { flags: "--collect <tasks>", doc: "deliver the results of these tasks (a,b,c) as one signal" },
    { flags: "--mode <mode>", doc: "with --collect: all, any, or how many (default: all)" },
    {
      flags: "--deadline <duration>",
      doc: "with --collect: deliver what is there after this long",
    },
    { flags: "--id <id>", doc: "id chosen by the sender; equal ids are one signal" },
    SERVER_OPTION,
    JSON_OPTION,
  ],
  examples: [
    "goclaw signal $RUN research --text 'focus on the last quarter'",
    'goclaw signal $RUN draft --interrupt --grace 2s --replace-with \'{"tone": "short"}\'',
    "goclaw signal $RUN join --collect a,b,c --mode 2 --deadline 30s",
  ],
  action: async (cli, [runId = "", taskId = ""], options) => {
    const signal = contentOf(options);
    const { runs } = await clientsOf(cli, options.server);
    const response = await runs.sendSignal({
      signal: { runId, taskId, signalId: options.id ?? "", signal },
    });
    const lines = options.json
      ? [toJsonString(SendSignalResponseSchema, response)]
      : response.answers.map(
          (answer) =>
            `${answer.taskId}  ${wordOf(SignalReceipt, answer.receipt)}  ${answer.signalId}`,
        );
    cli.terminal.out(lines.map((line) => `${line}\n`).join(""));
    return EXIT.ok;
  },
});

/** Options that belong to each kind of signal; the first of each row asks for it. */
const KINDS = {
  steer: ["steer", "text"],
  interrupt: ["interrupt", "reason", "grace", "replaceWith"],
  collect: ["collect", "mode", "deadline"],
} as const satisfies Record<string, readonly (keyof SignalOptions)[]>;

function contentOf(options: SignalOptions): Content {
  const kinds = Object.entries(KINDS).filter(([, names]) =>
    names.some((name) => options[name] !== undefined),
  );
  if (kinds.length !== 1) {
    throw new UsageError("a signal is one of --steer or --text, --interrupt, --collect");
  }
  if (options.steer !== undefined || options.text !== undefined) return steer(options);
  if (options.collect !== undefined) return collect(options, options.collect);
  if (options.interrupt === true) return interrupt(options);
  const given = kinds[0]?.[0] ?? "";
  throw new UsageError(`these options go with --${given}, which is missing`);
}

function steer({ steer: payload, text }: SignalOptions): Content {
  return {
    case: "steer",
    value: {
      text: text ?? "",
      ...(payload === undefined ? {} : { payload: jsonValue(parseJson(payload, "--steer")) }),
    },
  };
}

function interrupt({ reason, grace, replaceWith }: SignalOptions): Content {
  return {
    case: "interrupt",
    value: {
      reason: reason ?? "",
      grace: grace ?? "",
      ...(replaceWith === undefined
        ? {}
        : { replaceWith: jsonValue(parseJson(replaceWith, "--replace-with")) }),
    },
  };
}

function collect({ mode = "all", deadline }: SignalOptions, tasks: string): Content {
  const taskIds = tasks.split(",").map((id) => id.trim());
  const quorum = /^[1-9]\d{0,4}$/.test(mode) ? Number(mode) : 0;
  const modes: Readonly<Record<string, CollectMode>> = {
    all: CollectMode.ALL,
    any: CollectMode.ANY,
  };
  const named = quorum > 0 ? CollectMode.QUORUM : modes[mode];
  if (named === undefined) {
    throw new UsageError(`"${mode}" is not a mode of collecting; use all, any, or how many`);
  }
  return { case: "collect", value: { taskIds, mode: named, quorum, deadline: deadline ?? "" } };
}
