/** The directive by which a program writes for whoever watches. */
import { expect, test } from "vitest";
import { readLine } from "../../../../src/adapters/agents/command-protocol.ts";

test("what follows the word is the text, whatever it is", () => {
  expect(readLine("::goclaw output half  done")).toEqual({ kind: "output", text: "half  done" });
  expect(readLine("::goclaw output")).toEqual({ kind: "output", text: "" });
  expect(readLine("output x")).toMatchObject({ kind: "log" });
});
