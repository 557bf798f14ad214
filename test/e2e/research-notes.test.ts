/** The demo of examples/research-notes as a person runs it, on a folder of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { scratchDirectory } from "../support/git-fixture.ts";

const DEMO = join(import.meta.dirname, "../../examples/research-notes/demo.sh");

test("documents are read into memory, and what later runs use of it grows strong", async () => {
  const folder = scratchDirectory();
  const page = "Memories grow weak with time and are forgotten below a threshold of 0.3.";
  writeFileSync(join(folder, "forgetting.md"), `# Forgetting\n\n${page}\n\n## Empty\n\n| a |\n`);
  // As many that speak of the same and of lamps as a question finds, so that the notes are found by their own questions only.
  const more = ["Weak memories", "Forgotten memories", "A lamp", "Who paints"].map(
    (heading) => `# ${heading}\n\n${heading}: this is told at some length in another place.\n`,
  );
  writeFileSync(join(folder, "more.md"), more.join("\n"));
  const child = spawn("bash", [DEMO, folder], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  expect([exitCode, stderr]).toEqual([0, ""]);
  expect(stdout).toContain("Read 2 documents with 5 findings.");
  expect(stdout).toContain(`"answer": "Forgetting: ${page}"`);
  const strengths = [...stdout.matchAll(/"(\d\.\d\d) Harbour/g)].map(([, strength]) => strength);
  expect(strengths).toEqual([expect.stringMatching(/^0\.[34]/), "1.00"]);
  expect(stdout).toMatch(/orchard.*strength 0\.[345]/s);
});
