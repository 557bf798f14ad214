/**
 * `make bench-memory DATA=FOLDER`: how well and how fast memory finds. A folder holds one set as `entries.jsonl` and
 * `questions.jsonl`, or one set per subfolder. Every target prints one JSON line on standard output. Quality is measured on
 * the pure index in the default configuration, without any network; nothing in it is fitted to single questions.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { latencyLines } from "./memory-latency.ts";
import { qualityLines, type RetrievalSet } from "./memory-quality.ts";

const { values } = parseArgs({ options: { data: { type: "string" }, only: { type: "string" } } });
const wanted = (part: string) => values.only === undefined || values.only.split(",").includes(part);

if (wanted("quality")) for (const set of setsOf(dataFolder())) print(qualityLines(set));
if (wanted("latency")) print(latencyLines());

function print(lines: Iterable<object>): void {
  for (const line of lines) console.log(JSON.stringify(line));
}

/** The folder named, or the one that lies beside a checkout; without either, quality is not measured. */
function dataFolder(): string | undefined {
  const beside = join(import.meta.dirname, "../../shared/data");
  if (values.data !== undefined && values.data !== "") return values.data;
  if (existsSync(beside)) return beside;
  console.error("no DATA=FOLDER with entries.jsonl and questions.jsonl: retrieval is not measured");
  return undefined;
}

function setsOf(folder: string | undefined): RetrievalSet[] {
  if (folder === undefined) return [];
  const folders = [folder, ...readdirSync(folder).map((name) => join(folder, name))];
  return folders
    .filter((each) => existsSync(join(each, "questions.jsonl")))
    .map((each) => ({
      name: basename(each),
      entries: linesOf(join(each, "entries.jsonl")),
      questions: linesOf(join(each, "questions.jsonl")),
    }));
}

function linesOf<T>(path: string): T[] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as T);
}
