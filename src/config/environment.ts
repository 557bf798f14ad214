/**
 * Turns `GOCLAW_*` variables into a configuration tree: `GOCLAW_DRAIN_TIMEOUT` is `drainTimeout`, a double underscore
 * goes one level down, and lists may be written with commas or, like every structure, as JSON. Names that mean
 * nothing stay in the tree as they are, so that the reader reports them like any unknown key.
 */
import type { Json } from "../base/payload.ts";
import type { Field } from "./field.ts";
import { keyOf, snakeCase } from "./field.ts";
import type { Path } from "./read.ts";

const PREFIX = "GOCLAW_";

/** Variables that are not configuration: read by the command line and the launcher. */
export const OTHER_VARIABLES: Readonly<Record<string, string>> = {
  GOCLAW_CONFIG: "Configuration file to read when `--config` is not given",
  GOCLAW_NODE: "Node.js binary that `bin/goclaw` starts",
  GOCLAW_SERVER: "Daemon that client commands talk to when `--server` is not given",
};

/** What Kubernetes and Docker links set in every container when some service is called `goclaw`. */
const SERVICE_LINK = /^GOCLAW_(?:SERVICE_|PORT(?:$|_))/;

/** Spells a path as a variable: `lanes.global.concurrency` is `GOCLAW_LANES__GLOBAL__CONCURRENCY`. */
export function variableOf(path: Path): string {
  return PREFIX + path.map((part) => snakeCase(String(part)).toUpperCase()).join("__");
}

interface Branch {
  [key: string]: Branch | Json;
}

/** The tree that the variables describe. `names` are existing names of a map, for matching them without case. */
export function environmentTree(
  schema: Field,
  environment: Readonly<Record<string, string | undefined>>,
  names: (path: readonly string[]) => readonly string[],
): Json {
  const root: Branch = {};
  for (const [variable, text] of Object.entries(environment).sort()) {
    if (!isSetting(variable) || text === undefined || text === "") continue;
    const { path, field } = locate(schema, variable.slice(PREFIX.length).split("__"), names);
    plant(root, path, field === undefined ? text : parsed(field, text));
  }
  return root as Json;
}

function isSetting(variable: string): boolean {
  return (
    variable.startsWith(PREFIX) && !(variable in OTHER_VARIABLES) && !SERVICE_LINK.test(variable)
  );
}

/** Walks the table along the segments; `field` is absent where they leave it. */
function locate(
  schema: Field,
  segments: readonly string[],
  names: (path: readonly string[]) => readonly string[],
): { path: string[]; field: Field | undefined } {
  const path: string[] = [];
  let field: Field | undefined = schema;
  for (const segment of segments) {
    const known: readonly string[] =
      field?.kind === "group"
        ? Object.keys(field.fields)
        : field?.kind === "map"
          ? names(path)
          : [];
    const match = known.find((key) => plain(keyOf(key)) === plain(segment));
    const next: Field | undefined =
      field?.kind === "map"
        ? field.of
        : field?.kind === "group"
          ? field.fields[match ?? ""]
          : undefined;
    path.push(match === undefined ? segment.toLowerCase() : keyOf(match));
    field = next;
  }
  return { path, field };
}

function plain(name: string): string {
  return name.replace(/[-_.]/g, "").toLowerCase();
}

/** Structures are JSON; lists also comma-separated. What is not JSON stays text, for the reader to refuse. */
function parsed(field: Field, text: string): Json {
  const structured = field.kind === "group" || field.kind === "map" || field.kind === "records";
  if (structured || (field.kind === "list" && text.startsWith("["))) {
    try {
      return JSON.parse(text) as Json;
    } catch {
      return text;
    }
  }
  return field.kind === "list" ? text.split(",").map((item) => item.trim()) : text;
}

function plant(root: Branch, path: readonly string[], value: Json): void {
  let branch = root;
  for (const key of path.slice(0, -1)) {
    const next = Object.hasOwn(branch, key) ? branch[key] : undefined;
    if (typeof next === "object" && next !== null && !Array.isArray(next)) {
      branch = next as Branch;
    } else {
      const fresh: Branch = {};
      define(branch, key, fresh);
      branch = fresh;
    }
  }
  define(branch, path.at(-1) ?? "", value);
}

/** `__proto__` becomes an ordinary (then refused) key. */
function define(branch: Branch, key: string, value: Branch | Json): void {
  Object.defineProperty(branch, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
}
