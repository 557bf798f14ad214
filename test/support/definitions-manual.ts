/**
 * Prints the tables of docs/definitions.md from the schema and the limits, and puts them between the page's marks. A
 * test compares the page with this output and `UPDATE_DOCS=1` rewrites it; the prose between the tables stays.
 */
import { formatDuration } from "../../src/base/time.ts";
import { DEFAULTS, DEFINITION_LIMITS } from "../../src/core/dag/definition.ts";
import {
  type Field,
  type Fields,
  RUN_FIELDS,
  snakeCase,
  TASK_FIELDS,
  WORKFLOW_FIELDS,
} from "../../src/core/dag/schema.ts";

/** What each limit counts; the type demands a line for every one. */
const LIMITS: { readonly [Name in keyof typeof DEFINITION_LIMITS]: string } = {
  fileBytes: "bytes of a file",
  tasks: "tasks",
  edges: "dependencies of all tasks together",
  deps: "dependencies of one task",
  jsonDepth: "levels of nested maps and lists",
  labels: "labels of a task or run",
  labelBytes: "bytes of a label's name or value",
  attempts: "attempts of a task",
  expressionChars: "characters of distinct expressions",
  violations: "problems reported at once; the rest is counted",
  templateOutputBytes: "bytes of a filled mapping",
};

/** The page with its tables printed anew. */
export function withTables(page: string): string {
  const tables: { readonly [mark: string]: string } = {
    "fields workflow": fieldTable(WORKFLOW_FIELDS),
    "fields task": fieldTable(TASK_FIELDS),
    "fields run": fieldTable(RUN_FIELDS),
    limits: limitTable(),
  };
  return page.replace(/<!-- ([a-z ]+) -->\n[\s\S]*?<!-- end -->/g, (_, mark: string) => {
    const table = tables[mark];
    if (table === undefined) throw new Error(`the page has an unknown mark "${mark}"`);
    return `<!-- ${mark} -->\n${table}\n<!-- end -->`;
  });
}

function fieldTable(fields: Fields): string {
  return [
    "| field | value | default | meaning |",
    "|---|---|---|---|",
    ...fieldRows(fields, ""),
  ].join("\n");
}

function fieldRows(fields: Fields, prefix: string): string[] {
  return Object.entries(fields).flatMap(([name, field]) => {
    const path = `${prefix}${snakeCase(name)}`;
    const row = `| \`${path}\` | ${kindOf(name, field)} | ${defaultOf(name, field)} | ${field.doc} |`;
    return field.kind === "group" ? [row, ...fieldRows(field.fields, `${path}.`)] : [row];
  });
}

function kindOf(name: string, field: Field): string {
  switch (field.kind) {
    case "name":
      return "name";
    case "agent":
      return "name, or `name@version`";
    case "text":
      return `text, at most ${field.maxBytes} bytes`;
    case "integer":
      return `whole number from ${field.min} to ${field.max}`;
    case "number":
      return `number from ${field.min} to ${field.max}`;
    case "flag":
      return "`true` or `false`";
    case "duration":
      return `duration from ${formatDuration(field.minMs)}`;
    case "expression":
      return "CEL";
    case "template":
      return "text with templates";
    case "json":
      return field.templates ? "any value, with templates" : "any value";
    case "names":
      return `list of names, at most ${field.max}`;
    case "labels":
      return "mapping of text to text";
    case "onError":
      return "`fail`, `continue`, `{fallback: TASK}`";
    case "group":
      return "mapping";
    case "groups":
      return `list of ${field.min} to ${field.max} ${name}`;
  }
}

function defaultOf(name: string, field: Field): string {
  if (field.required === true) return "required";
  if (name === "onError") return "`fail`";
  if (name === "namespace") return `\`${DEFAULTS.namespace}\``;
  if (!("default" in field) || field.default === undefined) return "";
  if (field.default === "") return "empty";
  return field.kind === "duration"
    ? `\`${formatDuration(field.default as number)}\``
    : `\`${field.default}\``;
}

function limitTable(): string {
  const rows = Object.entries(LIMITS).map(([name, what]) => {
    const limit = DEFINITION_LIMITS[name as keyof typeof DEFINITION_LIMITS];
    return `| ${limit.toLocaleString("en-US")} | ${what} |`;
  });
  return ["| at most | of |", "|---|---|", ...rows].join("\n");
}
