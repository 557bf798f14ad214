/**
 * `goclaw get` and `goclaw list`: what a daemon knows about runs, as text or as protobuf JSON.
 */
import { fromJson, toJsonString } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { RunSummary } from "../../../gen/goclaw/v1/run_pb.ts";
import {
  RunInfoSchema,
  RunState,
  RunSummarySchema,
  TaskStatusSchema,
} from "../../../gen/goclaw/v1/run_pb.ts";
import { nearestName } from "../../base/ids.ts";
import type { Instant } from "../../base/time.ts";
import { parseDuration } from "../../base/time.ts";
import type { Clients } from "../client.ts";
import { clientsOf } from "../client.ts";
import { command, JSON_OPTION, SERVER_OPTION } from "../command.ts";
import { painter } from "../layout.ts";
import { runTable, runText, taskText } from "../run-text.ts";
import { readLabels } from "../submission.ts";
import type { Cli } from "../terminal.ts";
import { EXIT, UsageError } from "../terminal.ts";

interface ReadOptions {
  readonly server?: string;
  readonly json?: boolean;
}

export const getCommand = command<ReadOptions>({
  name: "get",
  summary: "show a run or one of its tasks",
  arguments: [
    { term: "<run>", doc: "id of the run" },
    { term: "[task]", doc: "id of a task, or of an instance such as analyze[3]" },
  ],
  options: [SERVER_OPTION, JSON_OPTION],
  action: async (cli, [runId = "", taskId], options) => {
    const { runs, engine } = await clientsOf(cli, options.server);
    const style = styleOf(cli);
    if (taskId !== undefined) {
      const task = await engine.getTaskStatus({ runId, taskId });
      printLines(
        cli,
        options.json ? [toJsonString(TaskStatusSchema, task)] : taskText(task, style),
      );
      return EXIT.ok;
    }
    const { run } = await runs.getRun({ runId });
    if (run === undefined) throw new Error("the daemon answered without a run");
    printLines(cli, options.json ? [toJsonString(RunInfoSchema, run)] : runText(run, style));
    return EXIT.ok;
  },
});

interface ListOptions extends ReadOptions {
  readonly state?: readonly RunState[];
  readonly name?: string;
  readonly namespace?: string;
  readonly session?: string;
  readonly label?: readonly string[];
  readonly since?: string;
  readonly limit?: number;
  readonly all?: boolean;
}

const LIMIT_DEFAULT = 20;
const PAGE_MAX = 1_000;

export const listCommand = command<ListOptions>({
  name: "list",
  summary: "list runs, newest first",
  options: [
    {
      flags: "--state <state>",
      doc: "running, failed, …; may be repeated",
      repeatable: true,
      parse: readState,
    },
    { flags: "--name <workflow>", doc: "runs of this workflow" },
    { flags: "--session <id>", doc: "runs of this session" },
    {
      flags: "--label <key=value>",
      doc: "runs with this label; may be repeated",
      repeatable: true,
    },
    { flags: "--namespace <name>", doc: "runs of this namespace" },
    {
      flags: "--since <time>",
      doc: "accepted after: a duration ago (2h), or a time (2026-03-01T10:00:00Z)",
    },
    {
      flags: "--limit <count>",
      doc: `most runs to list (default: ${LIMIT_DEFAULT})`,
      parse: readLimit,
    },
    { flags: "--all", doc: "list all that match" },
    SERVER_OPTION,
    { ...JSON_OPTION, doc: "print each run as a line of protobuf JSON" },
  ],
  action: async (cli, _args, options) => {
    const most = options.all ? Number.POSITIVE_INFINITY : (options.limit ?? LIMIT_DEFAULT);
    const listed = await listRuns(cli, (await clientsOf(cli, options.server)).runs, options, most);
    const lines = options.json
      ? listed.runs.map((run) => toJsonString(RunSummarySchema, run))
      : runTable(listed.runs, styleOf(cli));
    printLines(cli, lines);
    if (listed.more)
      cli.terminal.err(`goclaw: only the newest ${most}; --limit or --all shows more\n`);
    return EXIT.ok;
  },
});

async function listRuns(
  cli: Cli,
  client: Clients["runs"],
  options: ListOptions,
  most: number,
): Promise<{ readonly runs: readonly RunSummary[]; readonly more: boolean }> {
  const filter = {
    namespace: options.namespace ?? "",
    states: [...(options.state ?? [])],
    workflow: options.name ?? "",
    sessionId: options.session ?? "",
    labels: readLabels(options.label ?? []),
    ...(options.since === undefined
      ? {}
      : { acceptedAfter: readTime(options.since, cli.clock.now()) }),
  };
  const runs: RunSummary[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(PAGE_MAX, most - runs.length);
    const page = await client.listRuns({ ...filter, pageSize, pageToken });
    runs.push(...page.runs);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && runs.length < most);
  return { runs, more: pageToken !== "" };
}

function readState(text: string): RunState {
  const names = Object.keys(RunState).filter((name) => name !== "UNSPECIFIED");
  const state = RunState[text.toUpperCase() as keyof typeof RunState];
  if (state !== undefined && state !== RunState.UNSPECIFIED) return state;
  const nearest = nearestName(text, names);
  const known = names.map((name) => name.toLowerCase()).join(", ");
  const hint =
    nearest === undefined ? `states are ${known}` : `did you mean ${nearest.toLowerCase()}?`;
  throw new UsageError(`"${text}" is not a state of runs; ${hint}`);
}

function readLimit(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0) {
    throw new UsageError(`"${text}" is not a limit; use a whole number above 0`);
  }
  return Number(text);
}

function readTime(text: string, now: Instant): Timestamp {
  const agoMs = parseDuration(text);
  if (agoMs !== undefined) return timestampFromMs(now - agoMs);
  try {
    return fromJson(TimestampSchema, /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);
  } catch (error) {
    throw new UsageError(
      `"${text}" is neither a duration such as 2h nor a time such as 2026-03-01T10:00:00Z`,
      {
        cause: error,
      },
    );
  }
}

function styleOf(cli: Cli): Parameters<typeof runText>[1] {
  return { now: cli.clock.now(), paint: painter(cli.terminal.colour) };
}

function printLines(cli: Cli, lines: readonly string[]): void {
  cli.terminal.out(lines.map((line) => `${line}\n`).join(""));
}
