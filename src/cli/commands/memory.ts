/**
 * `goclaw memory`: what a daemon remembers. Sessions are named by `--session` inside `--namespace`; results say why they
 * were found and when they will be forgotten. Import takes JSON lines of an export, or a folder of Markdown notes.
 */
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  GetMemoryStatsResponseSchema,
  Importance,
  ImportMemoriesRequestSchema,
  MemoryHitSchema,
  MemoryRecordSchema,
  MemorySchema,
  ReviewVerdict,
} from "../../../gen/goclaw/v1/memory_service_pb.ts";
import { parseDuration } from "../../base/time.ts";
import { clientsOf } from "../client.ts";
import type { CommandSpec, OptionSpec } from "../command.ts";
import { command, JSON_OPTION, SERVER_OPTION } from "../command.ts";
import { painter } from "../layout.ts";
import { notesOf } from "../markdown-notes.ts";
import { hitLines, type MemoryStyle, memoryLines, OUTCOME_WORDS } from "../memory-text.ts";
import { readLabels } from "../submission.ts";
import type { Cli } from "../terminal.ts";
import { EXIT, UsageError } from "../terminal.ts";

interface MemoryOptions {
  readonly server?: string;
  readonly json?: boolean;
  readonly session?: string;
  readonly namespace?: string;
}

const SESSION: OptionSpec = { flags: "-s, --session <id>", doc: "session (required)" };
const NAMESPACE: OptionSpec = { flags: "--namespace <name>", doc: "namespace (default: default)" };
const OPTIONS = [SESSION, NAMESPACE, SERVER_OPTION];
const DEEP: OptionSpec = { flags: "--deep", doc: "also what is dormant or superseded" };
const LIMIT: OptionSpec = {
  flags: "-n, --limit <count>",
  doc: "most results (default: 5)",
  parse: readCount,
};
/** Notes of one request. */
const NOTES_BATCH = 200;

const VERDICTS: Readonly<Record<string, ReviewVerdict>> = {
  used: ReviewVerdict.USED,
  essential: ReviewVerdict.ESSENTIAL,
  tangential: ReviewVerdict.TANGENTIAL,
  wrong: ReviewVerdict.WRONG,
};

interface AddOptions extends MemoryOptions {
  readonly kind?: string;
  readonly task?: string;
  readonly meta?: readonly string[];
  readonly pin?: boolean;
  readonly important?: boolean;
  readonly ttl?: string;
  readonly supersedes?: readonly string[];
}

const add = command<AddOptions>({
  name: "add",
  summary: "remember a text",
  arguments: [{ term: "<text>", doc: "what to remember; - reads standard input" }],
  options: [
    ...OPTIONS,
    { flags: "--kind <word>", doc: "what it is (default: note)" },
    { flags: "--task <id>", doc: "entries of one task are found together" },
    { flags: "--meta <key=value>", doc: "metadata; may be repeated", repeatable: true },
    { flags: "--pin", doc: "never forget it for weakness" },
    { flags: "--important", doc: "forget it later than others" },
    { flags: "--ttl <duration>", doc: "delete it after this time" },
    {
      flags: "--supersedes <id>",
      doc: "entry that this one replaces; may be repeated",
      repeatable: true,
    },
  ],
  examples: ['goclaw memory add -s support "Maria prefers tea" --meta person=maria'],
  action: async (cli, [text = ""], options) => {
    const { memory } = await clientsOf(cli, options.server);
    if (options.ttl !== undefined && parseDuration(options.ttl) === undefined)
      throw new UsageError(`"${options.ttl}" is not a duration; write it like 7d`);
    const value = text === "-" ? await cli.terminal.readInput() : text;
    const { results } = await memory.memorize({
      entries: [
        {
          session: sessionOf(options),
          content: { value: { case: "text", value } },
          kind: options.kind ?? "",
          taskId: options.task ?? "",
          metadata: readLabels(options.meta ?? []),
          pinned: options.pin ?? false,
          importance: options.important ? Importance.IMPORTANT : Importance.NORMAL,
          ttl: options.ttl ?? "",
          supersedes: [...(options.supersedes ?? [])],
        },
      ],
    });
    for (const { id, outcome } of results) print(cli, [`${id}  ${OUTCOME_WORDS[outcome] ?? ""}`]);
    return EXIT.ok;
  },
});

interface SearchOptions extends MemoryOptions {
  readonly limit?: number;
  readonly deep?: boolean;
  readonly filter?: readonly string[];
}

const search = command<SearchOptions>({
  name: "search",
  summary: "find what a session remembers",
  arguments: [{ term: "<question>", doc: "what to look for" }],
  options: [
    ...OPTIONS,
    LIMIT,
    DEEP,
    {
      flags: "--filter <key=value>",
      doc: "metadata it must have; may be repeated",
      repeatable: true,
    },
    { ...JSON_OPTION, doc: "print each result as a line of protobuf JSON" },
  ],
  action: async (cli, [text = ""], options) => {
    const { memory } = await clientsOf(cli, options.server);
    const { hits, degraded } = await memory.retrieve({
      question: {
        session: sessionOf(options),
        text,
        deep: options.deep ?? false,
        filter: { metadata: readLabels(options.filter ?? []) },
      },
      limit: options.limit ?? 0,
    });
    if (degraded !== "") cli.terminal.err(`goclaw: found by words alone: ${degraded}\n`);
    const style = styleOf(cli);
    const lines = hits.flatMap((hit, at) =>
      options.json ? [toJsonString(MemoryHitSchema, hit)] : hitLines(hit, at, style),
    );
    print(cli, lines);
    return EXIT.ok;
  },
});

interface ContextOptions extends MemoryOptions {
  readonly budget?: number;
  readonly last?: number;
  readonly deep?: boolean;
}

const context = command<ContextOptions>({
  name: "context",
  summary: "print what to show a model about a question",
  arguments: [{ term: "<question>", doc: "what it is about" }],
  options: [
    ...OPTIONS,
    { flags: "-b, --budget <tokens>", doc: "most tokens (default: 1024)", parse: readCount },
    {
      flags: "--last <count>",
      doc: "also the newest entries, whatever the question",
      parse: readCount,
    },
    DEEP,
  ],
  action: async (cli, [text = ""], options) => {
    const { memory } = await clientsOf(cli, options.server);
    const answer = await memory.assembleContext({
      question: { session: sessionOf(options), text, deep: options.deep ?? false },
      budgetTokens: options.budget ?? 0,
      retrieveLastN: options.last ?? 0,
    });
    cli.terminal.out(answer.text);
    return EXIT.ok;
  },
});

interface ReviewOptions extends MemoryOptions {
  readonly as?: string;
  readonly pin?: boolean;
  readonly unpin?: boolean;
}

const review = command<ReviewOptions>({
  name: "review",
  summary: "say what became of entries, or pin them",
  arguments: [{ term: "<id...>", doc: "entries" }],
  options: [
    ...OPTIONS,
    { flags: "--as <verdict>", doc: "what became of them", choices: Object.keys(VERDICTS) },
    { flags: "--pin", doc: "never forget them for weakness" },
    { flags: "--unpin", doc: "let them fade again" },
  ],
  action: async (cli, ids, options) => {
    if (options.as === undefined && !options.pin && !options.unpin)
      throw new UsageError("say what became of the entries with --as, or use --pin or --unpin");
    const { memory } = await clientsOf(cli, options.server);
    const verdict = VERDICTS[options.as ?? ""] ?? ReviewVerdict.UNSPECIFIED;
    const pinned = options.pin ? { pinned: true } : options.unpin ? { pinned: false } : {};
    const items = ids.map((id = "") => ({ id, verdict, ...pinned }));
    const { memories } = await memory.review({ session: sessionOf(options), items });
    const style = styleOf(cli);
    print(
      cli,
      memories.flatMap((one) => memoryLines(one, style)),
    );
    return EXIT.ok;
  },
});

interface ListOptions extends MemoryOptions {
  readonly dormant?: boolean;
}

const list = command<ListOptions>({
  name: "list",
  summary: "show everything a session remembers, oldest first",
  options: [
    ...OPTIONS,
    { flags: "--dormant", doc: "what is dormant instead" },
    { ...JSON_OPTION, doc: "print each entry as a line of protobuf JSON" },
  ],
  action: async (cli, _args, options) => {
    const { memory } = await clientsOf(cli, options.server);
    const session = sessionOf(options);
    const style = styleOf(cli);
    for (let pageToken = ""; ; ) {
      const page = await memory.listMemories({
        session,
        pageToken,
        dormant: options.dormant ?? false,
      });
      const lines = page.memories.flatMap((one) =>
        options.json ? [toJsonString(MemorySchema, one)] : memoryLines(one, style),
      );
      print(cli, lines);
      pageToken = page.nextPageToken;
      if (pageToken === "") return EXIT.ok;
    }
  },
});

interface ForgetOptions extends MemoryOptions {
  readonly below?: number;
}

const forget = command<ForgetOptions>({
  name: "forget",
  summary: "delete entries by id, or those that grew weak",
  arguments: [{ term: "[id...]", doc: "entries" }],
  options: [
    ...OPTIONS,
    { flags: "--below <strength>", doc: "all that are weaker", parse: readStrength },
  ],
  action: async (cli, ids, options) => {
    const { memory } = await clientsOf(cli, options.server);
    const named = ids.flatMap((id) => (id === undefined ? [] : [id]));
    if (named.length === 0 && options.below === undefined)
      throw new UsageError("name entries, or use --below; `goclaw memory erase` deletes a session");
    const below = options.below === undefined ? {} : { belowStrength: options.below };
    const { deleted } = await memory.forget({ session: sessionOf(options), ids: named, ...below });
    print(cli, [`${deleted} deleted`]);
    return EXIT.ok;
  },
});

const erase = command<MemoryOptions>({
  name: "erase",
  summary: "delete a session with everything it remembers",
  options: OPTIONS,
  action: async (cli, _args, options) => {
    const { memory } = await clientsOf(cli, options.server);
    const { deleted } = await memory.eraseSession({ session: sessionOf(options) });
    print(cli, [`${deleted} deleted`]);
    return EXIT.ok;
  },
});

const stats = command<MemoryOptions>({
  name: "stats",
  summary: "count what is remembered, in a session or altogether",
  options: [{ ...SESSION, doc: "only this session" }, NAMESPACE, SERVER_OPTION, JSON_OPTION],
  action: async (cli, _args, options) => {
    const { memory } = await clientsOf(cli, options.server);
    const request = options.session === undefined ? {} : { session: sessionOf(options) };
    const found = await memory.getMemoryStats(request);
    const lines = [
      `sessions           ${found.sessions}`,
      `active entries     ${found.active}`,
      `dormant entries    ${found.dormant}`,
      `bytes of contents  ${found.contentBytes}`,
      `bytes on disk      ${found.diskBytes}`,
      `sessions in memory ${found.residentSessions} (${found.residentBytes} bytes)`,
      `embedder           ${found.embedder} (${found.embeddingBacklog} waiting)`,
    ];
    print(
      cli,
      options.json
        ? [toJsonString(GetMemoryStatsResponseSchema, found, { alwaysEmitImplicit: true })]
        : lines,
    );
    return EXIT.ok;
  },
});

const exportCommand = command<MemoryOptions>({
  name: "export",
  summary: "print a session, or all of a namespace, as JSON lines",
  options: [{ ...SESSION, doc: "only this session" }, NAMESPACE, SERVER_OPTION],
  action: async (cli, _args, options) => {
    const { memory } = await clientsOf(cli, options.server);
    const request = { sessionId: options.session ?? "", namespace: options.namespace ?? "" };
    for await (const { record } of memory.exportMemories(request))
      if (record !== undefined) print(cli, [toJsonString(MemoryRecordSchema, record)]);
    return EXIT.ok;
  },
});

const importCommand = command<MemoryOptions>({
  name: "import",
  summary: "take in JSON lines of an export, or a folder of Markdown notes",
  details:
    "Notes go into the session that is named: MEMORY.md and files without a date in their name are pinned, dated ones keep their date.",
  arguments: [
    { term: "<path>", doc: "file of JSON lines, Markdown file, or folder; - reads JSON lines" },
  ],
  options: [{ ...SESSION, doc: "session of notes" }, NAMESPACE, SERVER_OPTION],
  examples: ["goclaw memory import -s me ~/notes", "goclaw memory import backup.jsonl"],
  action: async (cli, [path = ""], options) => {
    const files = path === "-" ? [] : await cli.files.list(path);
    const notes = files.filter((file) => /\.(?:md|markdown)$/i.test(file));
    if (path !== "-" && (notes.length > 0 || files.length !== 1))
      return importNotes(cli, path, notes, options);
    const text = path === "-" ? await cli.terminal.readInput() : await cli.files.readText(path);
    const { memory } = await clientsOf(cli, options.server);
    const { imported, present } = await memory.importMemories(records(text));
    print(cli, [`${imported} imported, ${present} there already`]);
    return EXIT.ok;
  },
});

/** All lines are read before the first is sent, so that a broken one changes nothing. */
function records(text: string) {
  const requests = text
    .split("\n")
    .flatMap((line, at) => (line.trim() === "" ? [] : [requestOf(line, at + 1)]));
  return streamOf(requests);
}

async function* streamOf<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items;
}

function requestOf(line: string, number: number) {
  try {
    return fromJsonString(ImportMemoriesRequestSchema, `{"record":${line}}`);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new UsageError(`line ${number} is no exported memory: ${detail}`, { cause: error });
  }
}

async function importNotes(
  cli: Cli,
  path: string,
  files: readonly string[],
  options: MemoryOptions,
): Promise<number> {
  const session = sessionOf(options);
  const { memory } = await clientsOf(cli, options.server);
  let stored = 0;
  let known = 0;
  for (const file of files) {
    const place = file === path ? path : `${path}/${file}`;
    const entries = notesOf(file, await cli.files.readText(place)).map(({ text, heading, at }) => ({
      session,
      content: { value: { case: "text" as const, value: text } },
      taskId: file,
      metadata: heading === "" ? { file } : { file, heading },
      pinned: at === undefined,
      ...(at === undefined ? {} : { created: timestampFromMs(at) }),
    }));
    for (let from = 0; from < entries.length; from += NOTES_BATCH) {
      const { results } = await memory.memorize({
        entries: entries.slice(from, from + NOTES_BATCH),
      });
      const fresh = results.filter(({ outcome }) => OUTCOME_WORDS[outcome] === "stored").length;
      stored += fresh;
      known += results.length - fresh;
    }
  }
  print(cli, [`${stored} stored from ${files.length} files, ${known} known already`]);
  return EXIT.ok;
}

export const memoryCommand: CommandSpec = {
  name: "memory",
  summary: "what agents remember: add, search, review, forget, export, import",
  commands: [
    add,
    search,
    context,
    review,
    list,
    forget,
    erase,
    stats,
    exportCommand,
    importCommand,
  ],
};

function sessionOf({ session, namespace = "" }: MemoryOptions) {
  if (session === undefined) throw new UsageError("name a session with --session");
  return { sessionId: session, namespace };
}

function styleOf(cli: Cli): MemoryStyle {
  const { colour, columns } = cli.terminal;
  return { now: cli.clock.now(), paint: painter(colour), columns };
}

function print(cli: Cli, lines: readonly string[]): void {
  cli.terminal.out(lines.map((line) => `${line}\n`).join(""));
}

function readCount(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new UsageError(`"${text}" is not a count above 0`);
  return Number(text);
}

function readStrength(text: string): number {
  const strength = Number(text);
  if (text.trim() === "" || !(strength >= 0 && strength <= 1))
    throw new UsageError(`"${text}" is not a strength from 0 to 1`);
  return strength;
}
