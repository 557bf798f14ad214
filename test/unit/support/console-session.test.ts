/** A page test that accepts anything would protect nothing, so what it accepts and refuses is pinned here. */
import { tmpdir } from "node:os";
import { describe, expect, test } from "vitest";
import { blocksOf, commandsOf, matches, runSession } from "../../support/console-session.ts";

describe("matches", () => {
  test.each<[string, string[], string[], boolean]>([
    ["equal lines", ["a", "b"], ["a", "b"], true],
    ["another line", ["a", "b"], ["a", "c"], false],
    ["a missing line", ["a", "b"], ["a"], false],
    ["a line too many", ["a"], ["a", "b"], false],
    ["nothing against something", [], ["a"], false],
    ["another id", ["run 01JD0000000000000000000000"], ["run 01JDZZZZZZZZZZZZZZZZZZZZZZ"], true],
    ["another time", ["done in 1.5 s"], ["done in 27 ms"], true],
    ["another date", ["at 2026-01-01T00:00:00Z"], ["at 2027-12-31T23:59:59.999Z"], true],
    [
      "a column widened by another time",
      ["AGE  TOOK", "9ms  1s"],
      ["AGE    TOOK", "488ms  21ms"],
      true,
    ],
    ["another indentation", ["  a"], ["    a"], false],
    ["another number", ["3 tasks"], ["4 tasks"], false],
    ["an ellipsis in a line", ["a … z"], ["a b c z"], true],
    ["an ellipsis that would have to span lines", ["a … z"], ["a", "z"], false],
    ["an ellipsis for lines", ["a", "…", "z"], ["a", "b", "c", "z"], true],
    ["an ellipsis for no lines", ["a", "…", "z"], ["a", "z"], true],
    ["characters that mean something in patterns", ["(a+b)?"], ["(a+b)?"], true],
    ["a pattern read as one", ["a.b"], ["axb"], false],
  ])("%s", (_what, shown, actual, expected) => {
    expect(matches(shown, actual)).toBe(expected);
  });
});

test("blocksOf finds language, flags and line", () => {
  const page = "# t\n\n```console\n$ a\n```\ntext\n```ts no-run\nx;\n```\n";
  expect(blocksOf(page)).toEqual([
    { language: "console", flags: [], text: "$ a\n", line: 3 },
    { language: "ts", flags: ["no-run"], text: "x;\n", line: 7 },
  ]);
});

test("commandsOf joins continued lines and keeps output apart", () => {
  expect(commandsOf("$ a \\\n    b\nout\n$ c\n")).toEqual([
    { command: "a \\\n    b", output: ["out"] },
    { command: "c", output: [] },
  ]);
});

describe("runSession", () => {
  const run = (text: string) => runSession(tmpdir(), commandsOf(text), 7999);

  test("gives each command its own output, errors included, and its exit code", () => {
    expect(run("$ echo one; echo two >&2\n$ printf three\n$ (exit 3)\n")).toEqual([
      { output: ["one", "two"], exitCode: 0 },
      { output: ["three"], exitCode: 0 },
      { output: [], exitCode: 3 },
    ]);
  });

  test("keeps one shell, moves the port, and ends what runs in the background", () => {
    const ran = run(
      "$ sleep 600 &\n$ x=$!\n$ kill -0 $x && echo $GOCLAW_LISTEN 127.0.0.1:7420\n$ echo $x\n",
    );
    expect(ran[2]).toEqual({ output: ["127.0.0.1:7420 127.0.0.1:7420"], exitCode: 0 });
    expect(() => process.kill(Number(ran[3]?.output[0]), 0)).toThrow("ESRCH");
  });
});
