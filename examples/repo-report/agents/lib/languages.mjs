/**
 * What the analysis knows about programming languages, as a table: how comments and texts are written, what branches,
 * what imports. A file whose name is not in the table is no source file to this example. Nothing here parses a
 * language; everything is an approximation that is the same for all files of one language, which is all that ranking
 * files against each other needs.
 */

const BACKSLASH = "\\";
const line = (quote) => ({ open: quote, close: quote, escapedBy: BACKSLASH, multiline: false });
const block = (quote, escapedBy = BACKSLASH) => ({
  open: quote,
  close: quote,
  escapedBy,
  multiline: true,
});

const C_COMMENTS = { lineComments: ["//"], blockComments: [["/*", "*/"]] };
const HASH_COMMENTS = { lineComments: ["#"], blockComments: [] };
const C_BRANCHES = /\b(?:if|for|while|case|catch)\b|&&|\|\||\?(?![.?:])/g;

/** A specifier is whichever group of the pattern took part. */
const SCRIPT_IMPORTS =
  /\b(?:import|export)\b[^'";]*?\bfrom\s*["']([^"'\n]+)["']|\bimport\s*\(?\s*["']([^"'\n]+)["']|\brequire\s*\(\s*["']([^"'\n]+)["']/g;
const DOTTED_IMPORTS = /^[ \t]*import[ \t]+(?:static[ \t]+)?([\w.]+)/gm;

const script = (name, extensions) => ({
  name,
  extensions,
  ...C_COMMENTS,
  quotes: [line('"'), line("'"), block("`")],
  branches: C_BRANCHES,
  imports: SCRIPT_IMPORTS,
});
const cFamily = (name, extensions, imports) => ({
  name,
  extensions,
  ...C_COMMENTS,
  quotes: [line('"'), line("'")],
  branches: C_BRANCHES,
  imports,
});

/** All languages, by what the report calls them. Patterns have the `g` flag and are used with `matchAll` only. */
export const LANGUAGES = [
  script("TypeScript", [".ts", ".tsx", ".mts", ".cts"]),
  script("JavaScript", [".js", ".jsx", ".mjs", ".cjs"]),
  {
    name: "Python",
    extensions: [".py", ".pyi"],
    ...HASH_COMMENTS,
    quotes: [block('"""'), block("'''"), line('"'), line("'")],
    branches: /\b(?:if|elif|for|while|except|case|and|or)\b/g,
    imports: /^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b|import[ \t]+([.\w]+))/gm,
  },
  {
    name: "Go",
    extensions: [".go"],
    ...C_COMMENTS,
    quotes: [line('"'), line("'"), block("`", "")],
    branches: /\b(?:if|for|case|select)\b|&&|\|\|/g,
    imports: /^[ \t]*(?:import[ \t]+)?(?:[\w.]+[ \t]+)?"([\w./-]+)"[ \t]*$/gm,
  },
  {
    name: "Rust",
    extensions: [".rs"],
    ...C_COMMENTS,
    // An apostrophe is usually a lifetime.
    quotes: [block('"')],
    branches: /\b(?:if|for|while|loop)\b|=>|&&|\|\|/g,
    imports: /^[ \t]*(?:pub[ \t]+)?use[ \t]+([\w:]+)/gm,
  },
  cFamily("Java", [".java"], DOTTED_IMPORTS),
  cFamily("Kotlin", [".kt", ".kts"], DOTTED_IMPORTS),
  cFamily("Scala", [".scala"], DOTTED_IMPORTS),
  cFamily("Swift", [".swift"], DOTTED_IMPORTS),
  cFamily("C#", [".cs"], /^[ \t]*using[ \t]+([\w.]+)[ \t]*;/gm),
  cFamily("C", [".c", ".h"], /^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]/gm),
  cFamily(
    "C++",
    [".cc", ".cpp", ".cxx", ".hh", ".hpp"],
    /^[ \t]*#[ \t]*include[ \t]*[<"]([^>"\n]+)[>"]/gm,
  ),
  cFamily("Protocol Buffers", [".proto"], /^[ \t]*import[ \t]+(?:public[ \t]+)?"([^"\n]+)"/gm),
  {
    name: "PHP",
    extensions: [".php"],
    lineComments: ["//", "#"],
    blockComments: [["/*", "*/"]],
    quotes: [block('"'), block("'")],
    branches: C_BRANCHES,
    imports: /^[ \t]*use[ \t]+([\w\\]+)/gm,
  },
  {
    name: "Ruby",
    extensions: [".rb"],
    ...HASH_COMMENTS,
    quotes: [line('"'), line("'")],
    branches: /\b(?:if|elsif|unless|while|until|when|rescue)\b|&&|\|\|/g,
    imports: /^[ \t]*require(?:_relative)?[ \t(]+["']([^"'\n]+)["']/gm,
  },
  {
    name: "Shell",
    extensions: [".sh", ".bash", ".zsh"],
    ...HASH_COMMENTS,
    // `$#` and `${x#y}` are no comments.
    commentAfterSpace: true,
    quotes: [block('"'), block("'", "")],
    branches: /\b(?:if|elif|for|while|until)\b|;;|&&|\|\|/g,
    imports: /^[ \t]*(?:source|\.)[ \t]+(\S+)/gm,
  },
  {
    name: "SQL",
    extensions: [".sql"],
    lineComments: ["--"],
    blockComments: [["/*", "*/"]],
    quotes: [block("'", "")],
    branches: /\b(?:when|case|and|or)\b/gi,
    imports: undefined,
  },
  {
    name: "Lua",
    extensions: [".lua"],
    lineComments: ["--"],
    blockComments: [["--[[", "]]"]],
    quotes: [line('"'), line("'")],
    branches: /\b(?:if|elseif|for|while|until|and|or)\b/g,
    imports: /\brequire[ \t(]*["']([^"'\n]+)["']/g,
  },
];

const BY_EXTENSION = new Map(
  LANGUAGES.flatMap((language) => language.extensions.map((extension) => [extension, language])),
);

/** Last extension of a path in lower case, with its dot; empty when the name has none. */
export function extensionOf(path) {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const dot = name.lastIndexOf(".");
  return dot <= 0 ? "" : name.slice(dot).toLowerCase();
}

/** The language of a path, or undefined when it is not a source file. */
export function languageOf(path) {
  return BY_EXTENSION.get(extensionOf(path));
}
