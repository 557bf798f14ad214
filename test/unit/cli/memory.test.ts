/**
 * `goclaw memory` against the real service on a memory hub in the process: the whole way from words on the command line
 * over the wire and back, and what a folder of notes becomes.
 */
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { beforeEach, describe, expect, test } from "vitest";
import { MemoryService } from "../../../gen/goclaw/v1/memory_service_pb.ts";
import { notesOf } from "../../../src/cli/markdown-notes.ts";
import { createErrorFunnel } from "../../../src/server/errors.ts";
import { createInterceptors } from "../../../src/server/interceptors.ts";
import { memoryService } from "../../../src/server/memory-service.ts";
import { FakeCli, type FakeCliOptions } from "../../support/fake-cli.ts";
import { DAY, MemoryRig, session } from "../../support/memory-rig.ts";

let rig: MemoryRig;
beforeEach(async () => {
  rig = await MemoryRig.open();
});

class Cli extends FakeCli {
  override async connect() {
    const { host, log } = rig;
    const funnel = createErrorFunnel({ host, log });
    return createRouterTransport(
      (router) => void router.service(MemoryService, memoryService({ memory: rig.hub })),
      { router: { interceptors: createInterceptors({ host, log, funnel, streams: 10 }) } },
    );
  }
}

/** Runs a command; answers what it printed, and fails unless it ended as expected. */
async function goclaw(words: readonly string[], options: FakeCliOptions & { exit?: number } = {}) {
  const cli = new Cli({ columns: 120, ...options });
  const code = await cli.run("memory", ...words);
  expect(code, cli.stderr + cli.stdout).toBe(options.exit ?? 0);
  return (options.exit ?? 0) === 0 ? cli.stdout : cli.stderr;
}

const S = ["-s", "support"];
const idIn = (text: string): string => /01JD\d+/.exec(text)?.[0] ?? "";

describe("commands", () => {
  test("add, search, context, review, list, forget, stats and erase", async () => {
    const added = await goclaw([
      "add",
      ...S,
      "Maria prefers tea",
      "--meta",
      "person=maria",
      "--task",
      "chat",
    ]);
    expect(added).toMatch(/^01JD\d{22} {2}stored\n$/);
    expect(await goclaw(["add", ...S, "Maria prefers tea"])).toContain("known already, reviewed");
    await goclaw(["add", ...S, "-", "--pin"], { input: "The harbour opens at dawn" });
    const found = await goclaw(["search", ...S, "who likes tea?", "--filter", "person=maria"]);
    expect(found).toMatch(
      /^1\. {2}Maria prefers tea\n.*score \d\.\d+, words #1.*matched tea.*strength 1\.00, forgotten in 297d/,
    );
    expect(await goclaw(["search", ...S, "tea", "--filter", "person=ana"])).toBe("");
    const json = JSON.parse(await goclaw(["search", ...S, "tea", "--json", "-n", "1"]));
    expect(json).toMatchObject({
      memory: { kind: "note", metadata: { person: "maria" }, taskId: "chat" },
      textRank: 1,
    });
    expect(await goclaw(["context", ...S, "harbour", "--last", "2", "-b", "100"])).toMatch(
      /^## 2027-01-15\n- The harbour/m,
    );
    const id = idIn(added);
    await rig.host.advance(7 * DAY);
    expect(await goclaw(["review", ...S, id, "--as", "wrong"])).toMatch(
      /strength 1\.00, forgotten in \d+d/,
    );
    expect(await goclaw(["review", ...S, id, "--pin"])).toContain("pinned");
    expect((await goclaw(["list", ...S])).split("\n")).toHaveLength(5);
    expect(await goclaw(["forget", ...S, id])).toBe("1 deleted\n");
    expect(await goclaw(["forget", ...S, "--below", "0.99"])).toBe("0 deleted\n");
    expect(await goclaw(["stats", ...S])).toMatch(/active entries +1\n/);
    expect(JSON.parse(await goclaw(["stats", "--json"]))).toMatchObject({
      active: "1",
      embedder: "hash/64",
    });
    expect(await goclaw(["erase", ...S])).toBe("1 deleted\n");
  });

  test("a successor, and a deep search", async () => {
    const old = idIn(await goclaw(["add", ...S, "The port is 8080", "--ttl", "90d"]));
    await goclaw(["add", ...S, "The port is 9090", "--important", "--supersedes", old]);
    expect(await goclaw(["search", ...S, "port"])).not.toContain("8080");
    expect(await goclaw(["search", ...S, "port", "--deep"])).toContain("superseded by");
  });

  test("namespaces keep sessions of one name apart", async () => {
    await goclaw(["add", ...S, "Maria prefers tea"]);
    expect(await goclaw(["search", ...S, "--namespace", "other", "tea"])).toBe("");
  });

  test.each([
    [["add", "x"], 2, "name a session"],
    [["add", ...S, "x", "--ttl", "soon"], 2, "is not a duration"],
    [["add", ...S, " "], 2, "there is nothing in it"],
    [["review", ...S, "x"], 2, "--as"],
    [["review", ...S, "01JD0000000000000000000099", "--as", "used"], 1, "MEMORY_NOT_FOUND"],
    [["forget", ...S], 2, "erase"],
    [["forget", ...S, "--below", "2"], 2, "not a strength"],
    [["search", ...S, "x", "-n", "0"], 2, "not a count"],
    [["search", "-s", "x".repeat(300), "x"], 2, "question.session.session_id"],
    [["import", "x.jsonl"], 2, "line 1 is no exported memory"],
  ] as const)("%j exits with %d", async (words, exit, text) => {
    expect(await goclaw(words, { exit, files: { "x.jsonl": "{" } })).toContain(text);
  });
});

describe("export and import", () => {
  test("carry everything over, and twice changes nothing", async () => {
    await goclaw(["add", ...S, "Maria prefers tea", "--kind", "taste", "--pin"]);
    await goclaw(["add", "-s", "sales", "The harbour opens at dawn"]);
    await rig.host.advance(299 * DAY);
    await rig.hub.sweep();
    const exported = await goclaw(["export"]);
    expect(exported.trim().split("\n")).toHaveLength(2);
    const now = rig.host.now();
    rig = await MemoryRig.open();
    rig.host.notBefore(now);
    const files = { "backup.jsonl": exported };
    expect(await goclaw(["import", "backup.jsonl"], { files })).toBe(
      "2 imported, 0 there already\n",
    );
    expect(await goclaw(["import", "-"], { input: exported })).toBe(
      "0 imported, 2 there already\n",
    );
    expect(await goclaw(["export"])).toBe(exported);
    expect(await rig.find(session("sales"), "harbour", { deep: true })).toEqual([
      "The harbour opens at dawn",
    ]);
  });

  test("a folder of notes: undated ones are pinned, dated ones keep their date, again changes nothing", async () => {
    const files = {
      "notes/MEMORY.md":
        "# People\n\nMaria prefers tea.\n\n# Places\n\nThe harbour opens at dawn.\n",
      "notes/memory/2026-03-01.md": "Snow fell on the northern road.\n",
      "notes/picture.png": "not a note",
    };
    expect(await goclaw(["import", ...S, "notes"], { files })).toBe(
      "3 stored from 2 files, 0 known already\n",
    );
    const [, , dated] = await rig.hub.list({ sessionId: session("support") });
    expect(dated?.strength).toBeLessThan(0.5);
    expect(await goclaw(["import", ...S, "notes"], { files })).toBe(
      "0 stored from 2 files, 3 known already\n",
    );
    const all = await rig.hub.list({ sessionId: session("support") });
    expect(
      all.map(({ entry }) => [
        entry.metadata,
        entry.pinned,
        new Date(entry.createdAt).getUTCFullYear(),
      ]),
    ).toEqual([
      [{ file: "MEMORY.md", heading: "People" }, true, 2027],
      [{ file: "MEMORY.md", heading: "Places" }, true, 2027],
      [{ file: "memory/2026-03-01.md" }, false, 2026],
    ]);
  });
});

describe("the service", () => {
  test("refuses a condition that would delete everything, and records nobody wrote", async () => {
    const client = createClient(MemoryService, await new Cli().connect());
    const address = { sessionId: "s" };
    await expect(client.forget({ session: address })).rejects.toThrow(
      "EraseSession deletes everything",
    );
    const broken = async function* () {
      yield { record: { memory: { id: "../../etc", session: address } } };
    };
    await expect(client.importMemories(broken())).rejects.toThrow("record.memory.id");
  });
});

describe("notes", () => {
  test("headings make entries, code and front matter do not", () => {
    const text =
      "---\ntitle: x\n---\nIntro\n\n## One #\n```sh\n# not a heading\n```\n\n## Two\n\n## Three\nthree\n";
    expect(notesOf("a.md", text).map((note) => note.text)).toEqual([
      "Intro",
      "One\n```sh\n# not a heading\n```",
      "Three\nthree",
    ]);
  });

  test("long sections are cut between paragraphs", () => {
    const paragraphs = Array.from({ length: 5 }, (_, n) => `${n}`.repeat(900));
    const notes = notesOf("2026-13-40.md", paragraphs.join("\n\n"));
    expect(notes.map(({ text }) => text.length)).toEqual([1_802, 1_802, 900]);
    expect(notes[0]?.at).toBeUndefined();
  });

  test.each([
    ["2026-03-01.md", Date.UTC(2026, 2, 1)],
    ["memory/2026-03-01-trip.md", Date.UTC(2026, 2, 1)],
    ["MEMORY.md", undefined],
    ["build-12026-03-011.md", undefined],
  ])("%s has its date", (file, at) => {
    expect(notesOf(file, "text")[0]?.at).toBe(at);
  });
});
