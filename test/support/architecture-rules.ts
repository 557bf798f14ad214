/**
 * The invariants of ARCHITECTURE.md as data and as pure functions from source files to violations. Each rule takes all
 * files and returns sentences, one per violation; it decides nothing about which files exist, so a test can hand it a
 * planted violation and see it caught. Changing a table here changes the architecture: write an ADR with it.
 */
import type { Import, SourceFile } from "./source-text.ts";
import { moduleUrlLiterals } from "./source-text.ts";

export type Rule = (files: readonly SourceFile[]) => readonly string[];

/** What a layer may import: layers in full, layers for their types only, npm packages, and Node's own modules. */
interface Layer {
  readonly layers: readonly string[];
  readonly typesOf?: readonly string[];
  readonly packages?: readonly string[];
  readonly node?: boolean;
}

const ANY = ["*"];
const SERVICE: Layer = { layers: ["base", "core", "ports"] };
const CONNECT = ["@connectrpc/connect", "@connectrpc/connect-node", "@bufbuild/protobuf"];

/** A file's layer is its folder under src, or its name for the files directly in src; gen is a layer too. */
export const LAYERS: Readonly<Record<string, Layer>> = {
  base: { layers: [] },
  core: { layers: ["base"], packages: ["@bufbuild/cel", "stemmer", "ts-fsrs"] },
  ports: { layers: [], typesOf: ["base", "core"] },
  journal: SERVICE,
  lanes: SERVICE,
  runtime: SERVICE,
  events: SERVICE,
  memory: SERVICE,
  engine: { layers: ["base", "core", "ports", "journal", "lanes", "runtime", "events", "memory"] },
  // core is pure, so its tables and predicates are as harmless in the server as its types.
  server: {
    layers: ["engine", "memory", "base", "core", "ports", "gen"],
    packages: [...CONNECT, "@bufbuild/protovalidate"],
    // It is an edge: it listens itself, and gets everything else through ports.
    node: true,
  },
  adapters: { layers: ["base", "ports"], packages: ANY, node: true },
  // An edge like app: an engine in the process shows runs as the server does, so it uses the server's words for them.
  sdk: {
    layers: ["base", "core", "config", "adapters", "server", "gen", "app"],
    typesOf: ["ports", "engine"],
    packages: CONNECT,
    node: true,
  },
  cli: {
    layers: ["base", "gen", "sdk", "config", "conformance", "app"],
    packages: ANY,
    node: true,
  },
  // Plays both sides of the public protocol; of the server it uses the listener, which knows no engine.
  conformance: {
    layers: ["base", "server", "gen"],
    typesOf: ["ports"],
    packages: CONNECT,
    node: true,
  },
  config: { layers: ["base", "core", "adapters"], typesOf: ["ports"], node: true },
  app: { layers: ANY, packages: ANY, node: true },
  main: { layers: ANY, packages: ANY, node: true },
  gen: { layers: [], packages: ["@bufbuild/protobuf", "@bufbuild/protovalidate"] },
};

/** Libraries that are a vocabulary and may be spoken in many files. Every other package has one importer. */
export const SHARED_PACKAGES: readonly string[] = CONNECT;

/** Files that a run of the program starts from, besides what other files import or start as a worker. */
export const ENTRIES: readonly string[] = ["src/main.ts", "src/sdk/goclaw.ts"];

/** The public entry is the one file whose purpose is to re-export. */
const PUBLIC_ENTRY = "src/sdk/goclaw.ts";

/** Who may touch ambient time, timers and randomness, each with the reason. */
export const AMBIENT: Readonly<Record<string, string>> = {
  "src/adapters/system-host.ts": "it is the host: everybody else gets time and randomness from it",
};

const LINES_MAX = 500;

interface Ban {
  readonly pattern: RegExp;
  readonly what: string;
}

const AMBIENT_BANS: readonly Ban[] = [
  {
    pattern: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*\(\s*\)|\bnew\s+Date\b(?!\s*\()/,
    what: "the clock",
  },
  { pattern: /\bperformance\s*\.\s*(?:now|timeOrigin)\b|\bhrtime\b/, what: "the clock" },
  {
    pattern: /\b(?:setTimeout|setInterval|setImmediate)\b|\bAbortSignal\s*\.\s*timeout\b/,
    what: "a timer",
  },
  { pattern: /\bMath\s*\.\s*random\b/, what: "randomness" },
  { pattern: /\brandom(?:UUID|Bytes|Int|FillSync)\b|\bgetRandomValues\b/, what: "randomness" },
];

const PURITY_BANS: readonly Ban[] = [
  ...AMBIENT_BANS,
  { pattern: /\basync\b|\bawait\b|\bPromise\b/, what: "asynchrony" },
  { pattern: /\bqueueMicrotask\b/, what: "asynchrony" },
  { pattern: /\bDate\b/, what: "Date" },
  { pattern: /\bprocess\s*[.[]/, what: "the process" },
  { pattern: /\bconsole\s*[.[]/, what: "the console" },
  { pattern: /\b(?:globalThis|performance|crypto|fetch)\s*[.[(]/, what: "an ambient global" },
];

/** The layer of a path: `core` for `src/core/dag/plan.ts`, `config` for `src/config.ts` and `src/config/…`. */
export function layerOf(path: string): string {
  const [root = "", first = ""] = path.split("/");
  return root === "src" ? first.replace(/\.ts$/, "") : root;
}

/** The path a relative import means, or undefined for a package or a Node module. */
export function resolvedPath(from: string, { specifier }: Import): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

/** `@scope/name` or `name`, without the path inside the package; undefined for relative and Node modules. */
function packageOf({ specifier }: Import): string | undefined {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return undefined;
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

const allows = (list: readonly string[] | undefined, name: string) =>
  list === ANY || list?.includes(name) === true;

const ours = (files: readonly SourceFile[]) => files.filter(({ path }) => path.startsWith("src/"));

const perFile =
  (check: (file: SourceFile) => readonly string[]): Rule =>
  (files) =>
    ours(files).flatMap((file) => check(file).map((problem) => `${file.path}: ${problem}`));

function layerProblem(file: SourceFile, imported: Import): string | undefined {
  const layer = LAYERS[layerOf(file.path)];
  if (layer === undefined) return "is in no known layer";
  const target = resolvedPath(file.path, imported);
  if (target === undefined) {
    const name = packageOf(imported);
    if (name === undefined) return layer.node ? undefined : `must not import ${imported.specifier}`;
    return allows(layer.packages, name) ? undefined : `must not import the package ${name}`;
  }
  const to = layerOf(target);
  if (to === layerOf(file.path) || allows(layer.layers, to)) return undefined;
  if (!allows(layer.typesOf, to)) return `must not import ${to} (${imported.specifier})`;
  return imported.typeOnly ? undefined : `may import only types of ${to} (${imported.specifier})`;
}

/** Files import only what their layer allows. */
export const layers: Rule = perFile((file) =>
  file.imports.flatMap((imported) => layerProblem(file, imported) ?? []),
);

/** Ports are interfaces: nothing of them is left at run time. */
export const portsHaveNoCode: Rule = perFile(({ path, code, imports }) => {
  if (layerOf(path) !== "ports") return [];
  const declares = /\bexport\s+(?:const|let|var|function|class|async|abstract)\b/.test(code);
  return [
    ...(declares ? ["declares something that exists at run time"] : []),
    ...imports.filter(({ typeOnly }) => !typeOnly).map(({ specifier }) => `imports ${specifier}`),
  ];
});

/** base and core decide without time, chance, asynchrony or a process. */
export const purity: Rule = perFile(({ path, code }) =>
  ["base", "core"].includes(layerOf(path))
    ? PURITY_BANS.filter(({ pattern }) => pattern.test(code)).map(({ what }) => `uses ${what}`)
    : [],
);

/** Only the host adapter touches ambient time, timers and randomness. */
export const ambient: Rule = perFile(({ path, code, imports }) => {
  if (path in AMBIENT) return [];
  return [
    ...AMBIENT_BANS.filter(({ pattern }) => pattern.test(code)).map(({ what }) => `uses ${what}`),
    ...imports.filter(({ specifier }) => /^node:timers/.test(specifier)).map(() => "uses a timer"),
  ];
});

/** A package that is not shared vocabulary is known to one file. */
export const singleImporter: Rule = (files) => {
  const importers = new Map<string, Set<string>>();
  for (const file of ours(files)) {
    for (const imported of file.imports) {
      const name = packageOf(imported);
      if (name === undefined || SHARED_PACKAGES.includes(name)) continue;
      importers.set(name, (importers.get(name) ?? new Set()).add(file.path));
    }
  }
  return [...importers]
    .filter(([, paths]) => paths.size > 1)
    .map(([name, paths]) => `${name} is imported by ${[...paths].join(" and ")}`);
};

/** No cycle of imports, types included. Tarjan's strongly connected components, without recursion. */
export const cycles: Rule = (files) => {
  const graph = importGraph(files);
  return components(graph)
    .filter(
      (members) => members.length > 1 || graph.get(members[0] ?? "")?.includes(members[0] ?? ""),
    )
    .map((members) => `import cycle: ${members.sort().join(", ")}`);
};

function importGraph(files: readonly SourceFile[]): Map<string, readonly string[]> {
  const known = new Set(files.map(({ path }) => path));
  const targets = (file: SourceFile) =>
    file.imports.flatMap((imported) => resolvedPath(file.path, imported) ?? []);
  return new Map(files.map((file) => [file.path, targets(file).filter((path) => known.has(path))]));
}

interface Visit {
  readonly node: string;
  next: number;
}

function components(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const open: string[] = [];
  const found: string[][] = [];
  const enter = (node: string): Visit => {
    order.set(node, order.size);
    low.set(node, order.size - 1);
    open.push(node);
    return { node, next: 0 };
  };
  const lower = (node: string, to: number) => low.set(node, Math.min(low.get(node) ?? to, to));
  for (const root of graph.keys()) {
    if (order.has(root)) continue;
    const stack = [enter(root)];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const target = graph.get(top.node)?.[top.next++];
      if (target === undefined) {
        stack.pop();
        const parent = stack.at(-1);
        if (parent !== undefined) lower(parent.node, low.get(top.node) ?? 0);
        if (low.get(top.node) === order.get(top.node)) {
          found.push(open.splice(open.indexOf(top.node)));
        }
      } else if (!order.has(target)) stack.push(enter(target));
      else if (open.includes(target)) lower(top.node, order.get(target) ?? 0);
    }
  }
  return found;
}

/** Every file is used: reachable from an entry through imports and worker starts. */
export const noDeadFiles: Rule = (files) => {
  const graph = importGraph(files);
  const reached = new Set<string>();
  const queue = [...ENTRIES];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    queue.push(...(graph.get(path) ?? []));
  }
  return ours(files)
    .filter(({ path }) => !reached.has(path) && !path.endsWith(".d.ts"))
    .map(({ path }) => `${path}: nothing reaches it from ${ENTRIES.join(" or ")}`);
};

/** Imports name the file they mean, so no index file can stand between. */
export const importsNameFiles: Rule = (files) => {
  const known = new Set(files.map(({ path }) => path));
  return perFile((file) =>
    file.imports.flatMap((imported) => {
      const target = resolvedPath(file.path, imported);
      return target === undefined || known.has(target)
        ? []
        : [`imports no file: ${imported.specifier}`];
    }),
  )(files);
};

/** A file that starts another names it by its source and by what the build makes of it. */
export const startedFilesAreBuilt: Rule = perFile(({ text, code }) =>
  moduleUrlLiterals(text, code).flatMap((literals) =>
    literals
      .filter((path) => path.endsWith(".ts"))
      .filter((path) => !literals.includes(path.replace(/\.ts$/, ".js")))
      .map((path) => `starts ${path}, which is a .js file in a build`),
  ),
);

/** No file exists to re-export others, except the public entry. */
export const noBarrels: Rule = perFile(({ path, code }) => {
  const reexports =
    path !== PUBLIC_ENTRY && /\bexport\s+(?:type\s+)?(?:\*|\{[^}]*\}\s*from\b)/.test(code);
  return [
    ...(reexports ? ["re-exports another file"] : []),
    ...(/(?:^|\/)index\.ts$/.test(path) ? ["is an index file"] : []),
  ];
});

/** Exports have names. */
export const noDefaultExports: Rule = perFile(({ code }) =>
  /\bexport\s+default\b|\bas\s+default\b/.test(code) ? ["has a default export"] : [],
);

/** Files are named after what they decide, in kebab-case. */
export const fileNames: Rule = perFile(({ path }) => {
  const parts = path.replace(/(?:\.d)?\.ts$/, "").split("/");
  return [
    ...(parts.every((part) => /^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(part))
      ? []
      : ["is not kebab-case"]),
    ...(parts.some((part) => /^(?:utils?|common|helpers?|misc|shared)$/.test(part))
      ? ["is named after nothing in particular"]
      : []),
  ];
});

/** A file that outgrows this holds two ideas. */
export const fileLength: Rule = perFile(({ text }) => {
  const lines = text.trimEnd().split("\n").length;
  return lines > LINES_MAX ? [`has ${lines} lines, more than ${LINES_MAX}`] : [];
});

/** Every file opens by saying, in at least two sentences, why it exists. */
export const openingComment: Rule = perFile(({ text }) => {
  const comment = /^(?:#!.*\n)?\s*\/\*\*([\s\S]*?)\*\//.exec(text)?.[1] ?? "";
  const sentences = comment.match(/[.!?:;](?=\s|$)/g)?.length ?? 0;
  return sentences < 2 ? ["does not open with a comment of two sentences or more"] : [];
});

/** Every rule, by the words a failing test is named with. */
export const RULES: Readonly<Record<string, Rule>> = {
  "each file imports only what its layer allows": layers,
  "ports hold no code": portsHaveNoCode,
  "base and core are pure": purity,
  "only the host touches time, timers and randomness": ambient,
  "each package has one importer": singleImporter,
  "there are no import cycles": cycles,
  "there are no dead files": noDeadFiles,
  "imports name existing files": importsNameFiles,
  "started files are found in a build": startedFilesAreBuilt,
  "there are no barrels": noBarrels,
  "there are no default exports": noDefaultExports,
  "files are named after what they decide": fileNames,
  "files stay small": fileLength,
  "files open by saying why they exist": openingComment,
};
