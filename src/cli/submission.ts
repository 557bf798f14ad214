/**
 * Builds the request that starts a run from what a user typed: a definition file or a registered name, input given as
 * JSON, as a file or on standard input, labels as `key=value`. Files are checked here, with lines and columns, before
 * anything is sent; what only a daemon can know (agents, lanes) it checks itself.
 */
import { create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { RunSubmission } from "../../gen/goclaw/v1/run_service_pb.ts";
import { RunSubmissionSchema } from "../../gen/goclaw/v1/run_service_pb.ts";
import type { WorkflowSpec } from "../../gen/goclaw/v1/workflow_pb.ts";
import { WorkflowSpecSchema } from "../../gen/goclaw/v1/workflow_pb.ts";
import type { Json } from "../base/payload.ts";
import type { OptionSpec } from "./command.ts";
import type { ReadDefinition } from "./definition-view.ts";
import type { Cli } from "./terminal.ts";
import { parseJson, UsageError } from "./terminal.ts";

/** Options of commands that start a run. */
export interface SubmissionOptions {
  readonly input?: string;
  readonly session?: string;
  readonly label?: readonly string[];
  readonly namespace?: string;
  readonly priority?: number;
  readonly deadline?: string;
  readonly idempotencyKey?: string;
}

export const SUBMISSION_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "-i, --input <json>",
    doc: "input of the run: JSON, @FILE with JSON, or - for standard input",
  },
  { flags: "--session <id>", doc: "session; runs of one session go one at a time" },
  { flags: "--label <key=value>", doc: "label of the run; may be repeated", repeatable: true },
  { flags: "--namespace <name>", doc: "namespace (default: default)" },
  {
    flags: "--priority <number>",
    doc: "-100 to 100, added to each task's own",
    parse: readPriority,
  },
  { flags: "--deadline <duration>", doc: "longest time to the end, such as 10m" },
  { flags: "--idempotency-key <key>", doc: "equal keys with equal requests are one run" },
];

function readPriority(text: string): number {
  if (!/^-?\d{1,3}$/.test(text) || Math.abs(Number(text)) > 100) {
    throw new UsageError(`"${text}" is not a priority; use a whole number from -100 to 100`);
  }
  return Number(text);
}

/** A definition file that is wrong; the message is what to print, one line per problem. Exit code 2. */
export class InvalidFile extends Error {
  override readonly name = "InvalidFile";
}

/** Reads a definition file. Throws {@link InvalidFile} with every problem, {@link UsageError} when it cannot be read. */
export async function readDefinitionFile(cli: Cli, path: string): Promise<ReadDefinition> {
  const text = await readFile(cli, path);
  const definitions = await cli.loadDefinitions();
  const read = definitions.read(path, text);
  if ("violations" in read) throw new InvalidFile(definitions.format(path, read.violations));
  return read;
}

async function readFile(cli: Cli, path: string): Promise<string> {
  try {
    return await cli.files.readText(path);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${path} cannot be read: ${detail}`, { cause: error });
  }
}

/** A definition as the API takes it. */
export function specOf(read: ReadDefinition): WorkflowSpec {
  return fromJson(WorkflowSpecSchema, read.spec as Parameters<typeof fromJson>[1]);
}

/** The request for one run of a spec or of a registered definition. */
export async function submissionOf(
  cli: Cli,
  source: WorkflowSpec | string,
  options: SubmissionOptions,
): Promise<RunSubmission> {
  const submission = create(RunSubmissionSchema, {
    source:
      typeof source === "string"
        ? { case: "definition", value: source }
        : { case: "spec", value: source },
    sessionId: options.session ?? "",
    priority: options.priority ?? 0,
    deadline: options.deadline ?? "",
    namespace: options.namespace ?? "",
    idempotencyKey: options.idempotencyKey ?? "",
    labels: readLabels(options.label ?? []),
  });
  const input = await readInput(cli, options.input);
  if (input !== undefined) submission.input = jsonValue(input);
  return submission;
}

/** A JSON value on the wire. */
export function jsonValue(value: Json) {
  return fromJson(ValueSchema, value as Parameters<typeof fromJson>[1]);
}

async function readInput(cli: Cli, input: string | undefined): Promise<Json | undefined> {
  if (input === undefined) return undefined;
  if (input === "-") return parseJson(await cli.terminal.readInput(), "standard input");
  if (!input.startsWith("@")) return parseJson(input, "--input");
  const path = input.slice(1);
  return parseJson(await readFile(cli, path), path);
}

/** Reads `key=value` pairs. Throws {@link UsageError}. */
export function readLabels(pairs: readonly string[]): { [key: string]: string } {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new UsageError(`"${pair}" is not a label; write it like team=search`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
