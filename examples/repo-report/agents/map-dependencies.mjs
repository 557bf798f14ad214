/**
 * Draws who imports whom: which files of the repository the others lean on, and which packages from outside. An import
 * is resolved by its path, as the language's own rules would in the common case; what leads to no analysed file counts
 * as a package of that name, unless it was meant to be a file.
 */
import { posix } from "node:path";

const TOP = 15;
const ENDINGS = [
  "",
  ".ts",
  ".tsx",
  ".mts",
  ".js",
  ".jsx",
  ".mjs",
  ".cjs",
  ".d.ts",
  ".rb",
  ".lua",
  ".sh",
];
const INDEXES = ["/index.ts", "/index.tsx", "/index.js", "/index.mjs"];

export const mapDependencies = {
  name: "MapDependencies",
  version: "1",
  run({ analyze }) {
    const files = analyze.filter((file) => file !== null && file.imports !== undefined);
    const tree = new Tree(files.map(({ path }) => path));
    const internal = new Map();
    const external = new Map();
    let links = 0;
    for (const file of files) {
      for (const specifier of file.imports) {
        const target = resolverOf(file.language)(tree, file.path, specifier);
        if (target.file !== undefined && target.file !== file.path) {
          links++;
          add(internal, target.file, file.path);
        } else if (target.package !== undefined) add(external, target.package, file.path);
      }
    }
    return {
      links,
      files: files.length,
      mostImported: top(internal),
      packages: top(external),
      packageCount: external.size,
    };
  },
};

/** The analysed paths, and which of them end in a given path. */
class Tree {
  #paths;
  #byName;

  constructor(paths) {
    this.#paths = new Set(paths);
    this.#byName = Map.groupBy(paths, (path) => posix.basename(path));
  }

  /** The first candidate that exists. */
  first(candidates) {
    return candidates.find((path) => this.#paths.has(path));
  }

  /** The one file whose path ends in this one; undefined when there are none or several. */
  endingIn(path) {
    const matching = (this.#byName.get(posix.basename(path)) ?? []).filter(
      (known) => known === path || known.endsWith(`/${path}`),
    );
    return matching.length === 1 ? matching[0] : undefined;
  }
}

const RESOLVERS = {
  TypeScript: resolveScript,
  JavaScript: resolveScript,
  Python: resolvePython,
  C: resolveInclude,
  "C++": resolveInclude,
  "Protocol Buffers": resolveInclude,
  Ruby: resolveScript,
  Shell: resolveScript,
  Java: resolveClass(".java"),
  Kotlin: resolveClass(".kt"),
  Scala: resolveClass(".scala"),
  Rust: resolveRust,
};

function resolverOf(language) {
  return RESOLVERS[language] ?? ((_tree, _from, specifier) => ({ package: specifier }));
}

function resolveScript(tree, from, specifier) {
  if (!specifier.startsWith(".")) return { package: scriptPackage(specifier) };
  const path = posix.join(posix.dirname(from), specifier);
  // A TypeScript file may be imported by the name of what it compiles to.
  const bases = [path, path.replace(/\.([cm]?)jsx?$/, ".$1ts")];
  const candidates = bases.flatMap((base) => [...ENDINGS, ...INDEXES].map((end) => base + end));
  return { file: tree.first(candidates) };
}

/** `@scope/name/path` → `@scope/name`; Node's own modules stay as they are. */
function scriptPackage(specifier) {
  if (specifier.startsWith("node:")) return specifier;
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

function resolvePython(tree, from, specifier) {
  const dots = /^\.*/.exec(specifier)[0].length;
  const path = specifier.slice(dots).replaceAll(".", "/");
  if (dots > 0) {
    const base = posix.join(posix.dirname(from), "../".repeat(dots - 1), path);
    return { file: tree.first([`${base}.py`, `${base}/__init__.py`]) };
  }
  const file = tree.endingIn(`${path}.py`) ?? tree.endingIn(`${path}/__init__.py`);
  return file === undefined ? { package: specifier.split(".")[0] } : { file };
}

function resolveInclude(tree, from, specifier) {
  const beside = posix.join(posix.dirname(from), specifier);
  const file = tree.first([beside, specifier]) ?? tree.endingIn(specifier);
  return file === undefined ? { package: specifier } : { file };
}

function resolveClass(extension) {
  return (tree, _from, specifier) => {
    const file = tree.endingIn(`${specifier.replaceAll(".", "/")}${extension}`);
    return file === undefined ? { package: specifier.split(".").slice(0, 2).join(".") } : { file };
  };
}

function resolveRust(_tree, _from, specifier) {
  const [root] = specifier.split("::");
  return ["crate", "self", "super"].includes(root) ? {} : { package: root };
}

function add(map, key, importer) {
  const importers = map.get(key) ?? new Set();
  map.set(key, importers.add(importer));
}

function top(map) {
  return [...map]
    .map(([name, importers]) => ({ name, importers: importers.size }))
    .sort((a, b) => b.importers - a.importers || (a.name < b.name ? -1 : 1))
    .slice(0, TOP);
}
