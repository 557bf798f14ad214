import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bar,
  briefDuration,
  clip,
  counted,
  pad,
  painter,
  printable,
  table,
  widthOf,
} from "../../../src/cli/layout.ts";

const plain = painter(false);

describe("text from elsewhere", () => {
  test("escape sequences lose their power and lines stay one line", () => {
    expect(printable("\u001b[31mred\u001b[0m\r\nnext\tcell")).toBe("[31mred[0m next cell");
    expect(printable("safe\u202e\u2066txt.exe\u009b2J\u0007")).toBe("safetxt.exe2J");
    expect(printable("naïve – 日本 🎉")).toBe("naïve – 日本 🎉");
  });

  test("nothing printable moves the cursor, whatever comes in", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
});

describe("width", () => {
  test("wide characters take two columns, combining marks none", () => {
    expect(widthOf("abc")).toBe(3);
    expect(widthOf("日本")).toBe(4);
    expect(widthOf("🎉")).toBe(2);
    expect(widthOf("e\u0301")).toBe(1);
    expect(widthOf("✔●│█…")).toBe(5);
  });

  test("clipping never exceeds the room", () => {
    expect(clip("abcdef", 6)).toBe("abcdef");
    expect(clip("abcdef", 5)).toBe("abcd…");
    expect(clip("日本語", 4)).toBe("日…");
    expect(clip("abc", 0)).toBe("");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.nat(20), (text, width) => {
        expect(widthOf(clip(text, width))).toBeLessThanOrEqual(width);
      }),
    );
  });

  test("padding fills columns, not characters", () => {
    expect(pad("日", 4)).toBe("日  ");
    expect(pad("7", 3, "right")).toBe("  7");
    expect(pad("long", 2)).toBe("long");
  });
});

test.each([
  [-5, "0ms"],
  [0, "0ms"],
  [12.4, "12ms"],
  [999, "999ms"],
  [1_000, "1.0s"],
  [3_449, "3.4s"],
  [59_940, "59.9s"],
  [59_960, "1m00s"],
  [125_000, "2m05s"],
  [3_599_999, "1h00m"],
  [3_600_000, "1h00m"],
  [86_340_000, "23h59m"],
  [93_600_000, "1d02h"],
])("%d ms reads %s", (durationMs, text) => {
  expect(briefDuration(durationMs)).toBe(text);
});

test("a bar fills by eighths and keeps its width", () => {
  expect(bar(0, 4)).toBe("    ");
  expect(bar(0.5, 4)).toBe("██  ");
  expect(bar(0.53125, 4)).toBe("██▏ ");
  expect(bar(1, 4)).toBe("████");
  expect(bar(7, 4)).toBe("████");
  expect(bar(-1, 4)).toBe("    ");
});

test("counts agree with their noun", () => {
  expect([0, 1, 2].map((count) => counted(count, "task"))).toEqual([
    "0 tasks",
    "1 task",
    "2 tasks",
  ]);
});

describe("table", () => {
  const columns = [{ title: "NAME" }, { title: "N", align: "right" as const }, { title: "NOTE" }];

  test("columns are as wide as their widest cell and lines have no trailing space", () => {
    expect(
      table(
        columns,
        [
          ["a", "1", ""],
          ["日本", "200", "x\ny"],
        ],
        plain,
      ),
    ).toEqual(["NAME    N  NOTE", "a       1", "日本  200  x y"]);
  });

  test("without rows only the header is left", () => {
    expect(table(columns, [], plain)).toEqual(["NAME  N  NOTE"]);
  });

  test("tones become colours only where colour is wanted", () => {
    const rows = [[{ text: "bad", tone: "bad" as const }, "1", "x"]];
    expect(table(columns, rows, plain)[1]).toBe("bad   1  x");
    expect(table(columns, rows, painter(true))[1]).toBe("\u001b[31mbad \u001b[0m  1  x");
  });
});
