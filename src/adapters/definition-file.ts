/**
 * From the text of a definition or configuration file, YAML 1.2 or JSON, to its plain JSON value, with the line and
 * column of every path. It refuses what has no meaning here or could exhaust the reader: aliases, tags, several
 * documents, keys that are not text, duplicate keys, too much text, too much depth. It knows nothing about the fields
 * inside. This is the only importer of the YAML library.
 */
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  Parser,
} from "yaml";
import type { Violation } from "../base/fault.ts";
import type { Json } from "../base/payload.ts";

/** Largest text, and deepest nesting of maps and lists. */
export const FILE_LIMITS = { bytes: 1024 * 1024, depth: 64 } as const;

/** Problems of the text reported at once. */
const PROBLEMS_MAX = 20;

type Path = readonly (string | number)[];
type Position = { readonly line: number; readonly column: number };

/** The value of a text and where its parts stand: a field at its key, a list entry at its beginning. */
export interface DefinitionText {
  readonly value: Json;
  /** Of the path, or of the nearest part above it that exists; undefined in an empty text. */
  readonly position: (path: Path) => Position | undefined;
}

/** Reads YAML or JSON. A file called `*.json` must be JSON; everything else may be either. */
export function readDefinitionText(
  text: string,
  options: { readonly fileName: string },
): DefinitionText | { readonly violations: readonly Violation[] } {
  const bytes = Buffer.byteLength(text);
  if (bytes > FILE_LIMITS.bytes) {
    const message = `the file has ${bytes} bytes, at most ${FILE_LIMITS.bytes} are allowed`;
    return { violations: [{ field: "", message, remedy: "Split it into smaller ones." }] };
  }
  const source = new Source(text);
  const document = source.document();
  if (document !== undefined && options.fileName.endsWith(".json")) source.requireJson();
  const value = document === undefined ? null : source.valueOf(document.contents);
  const violations = source.violations();
  if (document === undefined || violations.length > 0) return { violations };
  return { value, position: (path) => source.position(document.contents, path) };
}

/** A text under examination. */
class Source {
  readonly #text: string;
  readonly #lines = new LineCounter();
  readonly #problems: Violation[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  violations(): readonly Violation[] {
    return this.#problems
      .sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
      .slice(0, PROBLEMS_MAX);
  }

  /** The one document of the text; undefined after a problem that makes its content meaningless. */
  document(): Document.Parsed | undefined {
    const tokens = this.#tokens();
    if (tokens === undefined) return undefined;
    // Unique keys are checked below: the library compares every key with every other one.
    const composer = new Composer({
      version: "1.2",
      schema: "core",
      uniqueKeys: false,
      resolveKnownTags: false,
      merge: false,
    });
    const documents = [...composer.compose(tokens, true, this.#text.length)];
    const [document, second] = documents;
    if (document === undefined) return undefined;
    // One mistake often confuses the rest of its line.
    const lines = new Set<number>();
    for (const { pos, code, message } of [...document.errors, ...document.warnings]) {
      const { line } = this.#at(pos[0]);
      // Tags are refused below, with the ones the library would understand.
      if (code === "TAG_RESOLVE_FAILED" || lines.has(line)) continue;
      lines.add(line);
      this.#refuse(pos[0], firstLine(message), "Correct the syntax.");
    }
    if (second !== undefined) {
      const message = "the file holds more than one document";
      this.#refuse(second.range[0], message, "Remove the `---` line, or split the file.");
    }
    return this.#problems.length === 0 ? document : undefined;
  }

  /** Tokens of the whole text, unless it nests too deeply for the recursive code behind this. */
  #tokens(): CST.Token[] | undefined {
    this.#lines.addNewLine(0);
    const parser = new Parser(this.#lines.addNewLine);
    const tokens: CST.Token[] = [];
    let offset = 0;
    for (const lexeme of new Lexer().lex(this.#text)) {
      tokens.push(...parser.next(lexeme));
      if (parser.stack.length > FILE_LIMITS.depth && depthOf(parser.stack) > FILE_LIMITS.depth) {
        const message = `maps and lists nest deeper than ${FILE_LIMITS.depth} levels`;
        this.#refuse(offset, message, "Flatten them.");
        return undefined;
      }
      offset = parser.offset;
    }
    tokens.push(...parser.end());
    return tokens;
  }

  /** Reports what YAML allows and JSON does not. */
  requireJson(): void {
    try {
      JSON.parse(this.#text.replace(/^\uFEFF/, ""));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const offset = Number(/at position (\d+)/.exec(message)?.[1] ?? 0);
      this.#refuse(offset, `this is not JSON: ${message}`, "Correct it, or call the file .yaml.");
    }
  }

  /** The JSON value of a node. Recursive: depth was checked before the nodes were made. */
  valueOf(node: Node | null): Json {
    if (node === null) return null;
    this.#checkProperties(node);
    if (isScalar(node)) return this.#scalar(node.value, node);
    if (isSeq(node)) return node.items.map((item) => this.valueOf(item as Node | null));
    if (isMap(node)) return this.#object(node.items as Pair<Node, Node | null>[]);
    return null;
  }

  #object(pairs: readonly Pair<Node, Node | null>[]): Json {
    const entries = new Map<string, Json>();
    for (const { key, value } of pairs) {
      this.#checkProperties(key);
      const inner = this.valueOf(value);
      if (isAlias(key)) continue;
      if (!isScalar(key) || typeof key.value !== "string") {
        const shown = isScalar(key) ? `the key ${String(key.value)}` : "a key";
        this.#refuse(startOf(key), `${shown} is not text`, "Put it in quotes.");
      } else if (entries.has(key.value)) {
        this.#refuse(startOf(key), `the key "${key.value}" appears twice`, "Keep one of them.");
      } else entries.set(key.value, inner);
    }
    return Object.fromEntries(entries);
  }

  #scalar(value: unknown, node: Node): Json {
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    if (typeof value === "number" && Number.isFinite(value)) return value;
    this.#refuse(startOf(node), `${String(value)} is not a number of JSON`, "Put it in quotes.");
    return null;
  }

  #checkProperties(node: Node): void {
    const at = startOf(node);
    if (isAlias(node))
      this.#refuse(at, `the alias *${node.source} is not allowed`, "Repeat the value.");
    else if (node.anchor !== undefined) {
      this.#refuse(
        at,
        `the anchor &${node.anchor} is not allowed`,
        "Repeat the value where it is needed.",
      );
    }
    if (node.tag !== undefined && !PLAIN_TAGS.has(node.tag)) {
      this.#refuse(at, `the tag ${node.tag} is not allowed`, "Remove it.");
    }
  }

  /** Where a path stands. */
  position(root: Node | null, path: Path): Position | undefined {
    let offset = root === null ? undefined : startOf(root);
    let node: unknown = root;
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => isScalar(key) && key.value === step);
        if (!isPair(pair)) break;
        offset = startOf(pair.key as Node);
        node = pair.value;
      } else if (isSeq(node) && typeof step === "number") {
        node = node.items[step];
        if (node === undefined || node === null) break;
        offset = startOf(node as Node);
      } else break;
    }
    return offset === undefined ? undefined : this.#at(offset);
  }

  #refuse(offset: number, message: string, remedy: string): void {
    this.#problems.push({ field: "", message, remedy, ...this.#at(offset) });
  }

  #at(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  }
}

const PLAIN_TAGS: ReadonlySet<string> = new Set(
  ["map", "seq", "str", "int", "float", "bool", "null"].map((name) => `tag:yaml.org,2002:${name}`),
);

const COLLECTIONS: ReadonlySet<string> = new Set(["block-map", "block-seq", "flow-collection"]);

function depthOf(stack: readonly CST.Token[]): number {
  return stack.filter(({ type }) => COLLECTIONS.has(type)).length;
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

function firstLine(message: string): string {
  const line = message.split("\n", 1)[0] ?? "";
  return line.replace(/[.:]\s*$/, "");
}
