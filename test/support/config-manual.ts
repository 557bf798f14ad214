/**
 * Prints docs/configuration.md from the table, so that the manual cannot differ from what is read. A test compares
 * the file with this output and `UPDATE_DOCS=1` rewrites it.
 */
import { unreachable } from "../../src/base/assert.ts";
import { formatDuration } from "../../src/base/time.ts";
import { OTHER_VARIABLES, variableOf } from "../../src/config/environment.ts";
import type { Field, IntegerField, LeafField, PerCore } from "../../src/config/field.ts";
import { keyOf } from "../../src/config/field.ts";
import { expectationOf, formatBytes } from "../../src/config/read.ts";
import { BUILT_IN_LANES, CONFIG_SCHEMA } from "../../src/config/schema.ts";

const INTRODUCTION = `# Configuration

One table in \`src/config/schema.ts\` holds every setting; this page is printed from it.

Settings come from three places. Later ones win, key by key:

1. **A file**, YAML or JSON: \`--config FILE\`, else \`$GOCLAW_CONFIG\`, else \`goclaw.yaml\`, \`goclaw.yml\` or \`goclaw.json\` in the
   working directory (for \`goclaw run FILE\`: beside the definition). Keys may also be written in snake_case.
   [examples/goclaw.yaml](../examples/goclaw.yaml) is a commented one.
2. **The environment**: \`GOCLAW_\` and the key in capitals, words parted by one underscore, levels by two:
   \`GOCLAW_DRAIN_TIMEOUT=10s\`, \`GOCLAW_LANES__NAMED__IO__CONCURRENCY=32\`. Lists are separated by commas; any list or
   mapping may also be given as JSON. Empty variables count as unset.
3. **Flags** of \`goclaw serve\` and \`goclaw run\`; see [cli.md](cli.md).

Unknown keys and wrong values are refused, all at once, with file, line and column, and the nearest known key. Relative
paths count from the file that names them; those of the environment, of flags and of defaults from the working
directory. Durations are text with a unit (\`250ms\`, \`30s\`, \`1h30m\`, \`7d\`), sizes are bytes or text (\`64KiB\`, \`2MiB\`, \`10GB\`).
`;

/** The whole page. */
export function configurationManual(): string {
  const rows: string[] = [];
  collectRows(CONFIG_SCHEMA, [], rows);
  return [
    INTRODUCTION,
    "## Settings\n",
    "| key | value | default | meaning |",
    "|---|---|---|---|",
    ...rows,
    "",
    "`LANE`, `VARIABLE` and `MODULE` stand for names of your own; `[]` marks the entries of a list. Lanes that exist",
    `without being declared: ${builtInLanes()}.`,
    "",
    "## Other variables\n",
    "These are read by the program but are not settings, so files do not have them:\n",
    "| variable | meaning |",
    "|---|---|",
    ...Object.entries(OTHER_VARIABLES).map(([name, doc]) => `| \`${name}\` | ${doc} |`),
    "",
    "Variables that Kubernetes and Docker links set for a service called `goclaw` (`GOCLAW_SERVICE_HOST`,",
    "`GOCLAW_PORT_7420_TCP`, …) are ignored; every other unknown `GOCLAW_` variable is an error.",
    "",
    "## Example of names\n",
    "| key | variable |",
    "|---|---|",
    ...[
      ["listen"],
      ["drainTimeout"],
      ["lanes", "global", "concurrency"],
      ["limits", "requestBytes"],
    ].map((path) => `| \`${path.join(".")}\` | \`${variableOf(path)}\` |`),
    "",
  ].join("\n");
}

function builtInLanes(): string {
  return Object.entries(BUILT_IN_LANES)
    .map(([name, count]) => `\`${name}\` (concurrency ${countText(count)})`)
    .join(", ");
}

function collectRows(field: Field, path: readonly string[], rows: string[]): void {
  const key = path.join(".");
  switch (field.kind) {
    case "group":
      if (key !== "") rows.push(row(key, "", field.optional ? "absent" : "", field.doc));
      collectFields(field.fields, path, rows);
      return;
    case "records":
      rows.push(row(`${key}[]`, "", "none", field.doc));
      collectFields(field.fields, [...path.slice(0, -1), `${path.at(-1)}[]`], rows);
      return;
    case "map":
      if (field.of.kind === "group") rows.push(row(key, "", "", field.doc));
      collectRows(
        field.of.kind === "group" ? field.of : { ...field.of, doc: field.doc },
        [...path, field.name],
        rows,
      );
      return;
    case "list": {
      const of = field.of.kind === "path" ? "paths" : "texts";
      const none = field.required ? "required" : "none";
      const shown = field.default?.length ? field.default.map(code).join(", ") : none;
      rows.push(row(key, `list of ${of}`, shown, field.doc));
      return;
    }
    case "text":
    case "path":
    case "flag":
    case "integer":
    case "duration":
    case "bytes":
    case "choice":
      rows.push(row(key, expectationOf(field), defaultText(field), field.doc));
      return;
    default:
      unreachable(field);
  }
}

function collectFields(
  fields: { readonly [property: string]: Field },
  path: readonly string[],
  rows: string[],
): void {
  for (const [property, inner] of Object.entries(fields)) {
    collectRows(inner, [...path, keyOf(property)], rows);
  }
}

function defaultText(field: LeafField): string {
  if (field.required) return "required";
  if (field.default === undefined || field.default === "") return "none";
  switch (field.kind) {
    case "integer":
      return countText(field.default as NonNullable<IntegerField["default"]>);
    case "duration":
      return code(formatDuration(Number(field.default)));
    case "bytes":
      return code(formatBytes(Number(field.default)));
    case "text":
    case "path":
    case "flag":
    case "choice":
      return code(String(field.default));
    default:
      return unreachable(field);
  }
}

function countText(count: number | PerCore): string {
  if (typeof count === "number") return code(String(count));
  const times = count.perCore === 1 ? "cores" : `${count.perCore} × cores`;
  return count.atMost === undefined ? times : `${times}, at most ${count.atMost}`;
}

function code(text: string): string {
  return `\`${text}\``;
}

function row(key: string, value: string, standard: string, doc: string): string {
  return `| \`${key}\` | ${value} | ${standard} | ${doc} |`;
}
