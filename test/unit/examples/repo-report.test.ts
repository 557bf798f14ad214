/** What the repository report's agents decide by themselves, without an engine: measuring, resolving, printing. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { scratchDirectory } from "../../support/git-fixture.ts";

const EXAMPLE = new URL("../../../examples/repo-report/agents/", import.meta.url);

interface Measures {
  readonly generated: boolean;
  readonly lines: number;
  readonly code: number;
  readonly comments: number;
  readonly complexity: number;
  readonly todoCount: number;
  readonly todos: readonly { readonly line: number; readonly text: string }[];
  readonly imports: readonly string[];
}

/** The example is plain JavaScript; these are the types its comments describe. */
const load = async <T>(module: string): Promise<T> =>
  (await import(new URL(module, EXAMPLE).href)) as T;
const { scan } = await load<{ scan(text: string, language: unknown): Measures }>("lib/scan.mjs");
const { languageOf } = await load<{ languageOf(path: string): { name: string } | undefined }>(
  "lib/languages.mjs",
);
const { code, plain, count, counted, table } = await load<{
  code(text: string): string;
  plain(text: string): string;
  count(number: number): string;
  counted(number: number, noun: string): string;
  table(headings: readonly string[], rows: readonly (readonly string[])[]): string;
}>("lib/markdown.mjs");
interface Dependencies {
  readonly links: number;
  readonly mostImported: readonly { readonly name: string; readonly importers: number }[];
  readonly packages: readonly { readonly name: string; readonly importers: number }[];
}
const { mapDependencies } = await load<{
  mapDependencies: { run(input: { analyze: readonly unknown[] }): Dependencies };
}>("map-dependencies.mjs");

interface SelectedFile {
  readonly path: string;
}
const { selectFiles } = await load<{
  selectFiles: {
    run(input: unknown, ctx: unknown): { readonly files: readonly SelectedFile[] };
  };
}>("select-files.mjs");
const { analyzeFile } = await load<{
  analyzeFile: {
    run(file: unknown, ctx: unknown): Promise<{ todoCount: number; cut?: true }>;
  };
}>("analyze-file.mjs");

const measure = (path: string, text: string) => scan(text, languageOf(path));

describe("languages", () => {
  test.each([
    ["src/a.ts", "TypeScript"],
    ["A.PY", "Python"],
    ["deep/x.test.mjs", "JavaScript"],
  ])("%s is %s", (path, name) => expect(languageOf(path)?.name).toBe(name));
  test.each(["README.md", "Makefile", ".ts", "dir.ts/file", "a.b/c"])("%s is none", (path) => {
    expect(languageOf(path)).toBeUndefined();
  });
});

describe("measuring", () => {
  test("tells code, comments and blank lines apart", () => {
    const text = "// one\nconst a = 1; // two\n\n/* three\n   four */\nconst b = '// no';\n";
    expect(measure("a.js", text)).toMatchObject({ lines: 6, code: 2, comments: 3 });
  });

  test.each([
    ["", 0],
    ["a", 1],
    ["a\n", 1],
    ["a\n\n", 2],
    ["a\nb", 2],
  ])("%j has %i lines", (text, lines) => expect(measure("a.js", text).lines).toBe(lines));

  test.each([
    ["a.js", "if (a && b) {} else if (c || d ? e : f) {}", 6],
    ["a.ts", "function f(a?: string) { return a?.b ?? c; }", 2],
    ["a.js", "// if if if\nconst s = 'if while';", 1],
    ["a.js", "const s = `\nif (x) while\n`;", 1],
    ["a.py", 'if a and b:\n  """ if for """\n  pass\nelif c:\n  pass', 4],
    ["a.go", "for { if x { } }\nselect { case a: case b: }", 6],
    ["a.rs", "fn f<'a>(x: &'a str) { if true { loop {} } }", 3],
    ["a.sh", 'echo "$# ${x#y}" # if while\nif a && b; then c; fi', 3],
  ])("%s: %j has complexity %i", (path, text, complexity) => {
    expect(measure(path, text).complexity).toBe(complexity);
  });

  test("finds notes in comments only, and counts what it does not list", () => {
    const one = measure("a.js", "const todo = 'TODO: no';\nx(); /* FIXME: yes */\n// TODOS\n");
    expect(one.todos).toEqual([{ line: 2, marker: "FIXME", text: "FIXME: yes" }]);
    const many = measure("a.py", "# TODO x\n".repeat(30));
    expect(many.todoCount).toBe(30);
    expect(many.todos.length).toBeLessThan(30);
  });

  test.each([
    [
      "a.ts",
      'import a from "./a.ts";\nimport type {\n  B,\n} from "b";\nimport "c";',
      ["./a.ts", "b", "c"],
    ],
    [
      "a.js",
      'const x = require("x"); await import("./y.js"); export * from "z";',
      ["x", "./y.js", "z"],
    ],
    ["a.js", '// import "no";\nconst s = `\nimport "no";\n`;', []],
    ["a.py", "import os\nfrom .a.b import c\n# import no", ["os", ".a.b"]],
    ["a.go", 'import (\n\t"fmt"\n\tx "net/http"\n)\nvar a = "no"', ["fmt", "net/http"]],
    ["a.c", '#include <stdio.h>\n#include "a.h"\n', ["stdio.h", "a.h"]],
    ["a.proto", 'import "b/c.proto";\nimport public "d.proto";', ["b/c.proto", "d.proto"]],
    ["a.rs", "use crate::a;\npub use serde::Serialize;", ["crate::a", "serde::Serialize"]],
  ])("%s: %j imports %j", (path, text, imports) => {
    expect(measure(path, text).imports).toEqual(imports);
  });

  test.each([
    ["// @generated by protoc\nx", true],
    ["// Code generated by x. DO NOT EDIT.\n", true],
    ["const a = '@generated';", false],
    [`${"//\n".repeat(500)}// @generated`, false],
  ])(
    "the mark of a generated file counts near the beginning of comments (%#)",
    (text, generated) => {
      expect(measure("a.js", text).generated).toBe(generated);
    },
  );

  test.each(["'", '"', "`", "/*", "'\\", "\\", "/", "/*/", '"""', "\ud800"])(
    "survives %j at the end of every language",
    (text) => {
      for (const path of ["a.ts", "a.py", "a.go", "a.rs", "a.sh", "a.sql", "a.lua", "a.php"]) {
        expect(measure(path, `x ${text}`).lines).toBe(1);
      }
    },
  );
});

describe("dependencies", () => {
  const file = (path: string, ...imports: readonly string[]) => ({
    path,
    language: languageOf(path)?.name,
    imports,
  });

  test.each([
    ["src/a.ts", "./b.ts", "src/b.ts"],
    ["src/a.ts", "./b.js", "src/b.ts"],
    ["src/a.js", "./dir", "src/dir/index.js"],
    ["src/x/a.ts", "../b", "src/b.ts"],
    ["app/a.py", ".c", "app/c.py"],
    ["x.py", "app.c", "app/c.py"],
    ["x.py", "app.pack", "app/pack/__init__.py"],
    ["lib/a.c", "a.h", "lib/a.h"],
    ["x/y.c", "lib/a.h", "lib/a.h"],
    ["a.proto", "v1/b.proto", "proto/v1/b.proto"],
    ["X.java", "com.acme.Y", "src/com/acme/Y.java"],
  ])("%s importing %s leans on %s", (from, specifier, target) => {
    const found = mapDependencies.run({ analyze: [file(from, specifier), file(target), null] });
    expect(found.mostImported).toEqual([{ name: target, importers: 1 }]);
    expect(found).toMatchObject({ links: 1, packages: [] });
  });

  test.each([
    ["a.ts", "@scope/name/deep", "@scope/name"],
    ["a.ts", "lodash/fp", "lodash"],
    ["a.ts", "node:fs/promises", "node:fs/promises"],
    ["a.py", "numpy.linalg", "numpy"],
    ["a.go", "net/http", "net/http"],
    ["a.rs", "serde::de::Error", "serde"],
    ["A.java", "java.util.List", "java.util"],
  ])("%s importing %s uses the package %s", (from, specifier, name) => {
    const found = mapDependencies.run({ analyze: [file(from, specifier)] });
    expect(found.packages).toEqual([{ name, importers: 1 }]);
    expect(found.links).toBe(0);
  });

  test("a file that is meant and not there is no package", () => {
    const found = mapDependencies.run({ analyze: [file("a.ts", "./gone.ts")] });
    expect(found).toMatchObject({ links: 0, packages: [] });
  });
});

describe("a join is given no more than 2 MiB", () => {
  const PAYLOAD_BYTES_MAX = 2 * 1024 * 1024;
  const text =
    "import './abcdefghijklmnopqrstuvwxyz.js'; // TODO: something to be done here\n".repeat(200);

  test.each([
    [1, 20],
    [300, 60],
    [4_000, 60],
    // As long as GitFiles may list.
    [4_000, 120],
  ])("by %i files with paths of %i characters", async (count, length) => {
    const root = scratchDirectory();
    const name = "x.js";
    const sources = Array.from(
      { length: count },
      (_, at) => `${at}/`.padEnd(length - name.length, "é/").replace(/[^/]$/, "/") + name,
    );
    const run = { runInput: { repository: root }, log: { info: () => {} } };
    const history = { files: sources.map((path) => [path, 999_999, 9_999_999, 9_999_999]) };
    const { files } = selectFiles.run({ history, files: { sources, omitted: 0 } }, run);
    // All files are the same one; only their names differ.
    writeFileSync(join(root, name), text);
    const one = await analyzeFile.run({ ...(files[0] as object), path: name }, run);
    const analyze = files.map((file) => ({ ...one, path: file.path }));
    expect(Buffer.byteLength(JSON.stringify({ analyze }))).toBeLessThan(PAYLOAD_BYTES_MAX);
    expect(one.todoCount).toBe(200);
    expect(one.cut).toBe(count === 4_000 ? true : undefined);
  });
});

describe("printing", () => {
  test.each([
    ["a|b", "`a\\|b`"],
    ["a`b", "`` a`b ``"],
    ["a``b", "``` a``b ```"],
    ["a\nb\u0007", "`a\\nb\\u0007`"],
  ])("code(%j)", (text, printed) => expect(code(text)).toBe(printed));

  test("plain text cannot become formatting", () => {
    expect(plain("[x](y) <b> *z* |\n")).toBe("\\[x\\](y) \\<b\\> \\*z\\* \\|\\\\n");
  });

  test("numbers and tables", () => {
    expect(count(1234567)).toBe("1 234 567");
    expect([counted(1, "file"), counted(2, "file")]).toEqual(["1 file", "2 files"]);
    expect(table(["A", "B>"], [["x", "1"]])).toBe("| A | B |\n| --- | ---: |\n| x | 1 |");
  });
});
