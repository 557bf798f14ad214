/**
 * `goclaw lanes`: shows the lanes of a daemon and changes them while it runs. Holders of slots are never revoked, so a
 * smaller lane fills down as they finish.
 */
import { toJsonString } from "@bufbuild/protobuf";
import type { Lane } from "../../../gen/goclaw/v1/admin_service_pb.ts";
import { LaneSchema } from "../../../gen/goclaw/v1/admin_service_pb.ts";
import type { Clients } from "../client.ts";
import { clientsOf } from "../client.ts";
import type { CommandSpec } from "../command.ts";
import { command, JSON_OPTION, SERVER_OPTION } from "../command.ts";
import { painter } from "../layout.ts";
import { laneTable } from "../run-text.ts";
import type { Cli } from "../terminal.ts";
import { EXIT, UsageError } from "../terminal.ts";

interface LaneOptions {
  readonly server?: string;
  readonly json?: boolean;
}

const OPTIONS = [
  SERVER_OPTION,
  { ...JSON_OPTION, doc: "print each lane as a line of protobuf JSON" },
];
const LANE = { term: "<lane>", doc: "name of the lane" };

export const lanesCommand: CommandSpec = {
  name: "lanes",
  summary: "show, pause, resume or resize lanes",
  commands: [
    command<LaneOptions>({
      name: "list",
      summary: "show all lanes",
      isDefault: true,
      options: OPTIONS,
      action: async (cli, _args, options) => {
        const { admin } = await clientsOf(cli, options.server);
        const { lanes } = await admin.listLanes({});
        return print(cli, lanes, options);
      },
    }),
    changing("pause", "let no task of a lane start", [LANE], () => ({ paused: true })),
    changing("resume", "let tasks of a lane start again", [LANE], () => ({ paused: false })),
    changing(
      "resize",
      "change how many tasks of a lane run at once",
      [LANE, { term: "<concurrency>", doc: "new number of slots" }],
      ([, count = ""]) => ({ concurrency: readCount(count) }),
    ),
  ],
};

type Change = Parameters<Clients["admin"]["changeLane"]>[0];

function changing(
  name: string,
  summary: string,
  args: NonNullable<CommandSpec["arguments"]>,
  changeOf: (args: readonly (string | undefined)[]) => Omit<Change, "name">,
): CommandSpec {
  return command<LaneOptions>({
    name,
    summary,
    arguments: args,
    options: OPTIONS,
    action: async (cli, given, options) => {
      const change: Change = { ...changeOf(given), name: given[0] ?? "" };
      const { admin } = await clientsOf(cli, options.server);
      const { lane } = await admin.changeLane(change);
      return print(cli, lane === undefined ? [] : [lane], options);
    },
  });
}

function print(cli: Cli, lanes: readonly Lane[], { json }: LaneOptions): number {
  const style = { now: cli.clock.now(), paint: painter(cli.terminal.colour) };
  const lines = json
    ? lanes.map((lane) => toJsonString(LaneSchema, lane, { alwaysEmitImplicit: true }))
    : laneTable(lanes, style);
  cli.terminal.out(lines.map((line) => `${line}\n`).join(""));
  return EXIT.ok;
}

function readCount(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) {
    throw new UsageError(`"${text}" is not a concurrency; use a whole number above 0`);
  }
  return Number(text);
}
