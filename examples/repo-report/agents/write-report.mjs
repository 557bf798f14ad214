/**
 * Joins everything into one Markdown page. Where the run's input names a `report` file it is written there, whole or not
 * at all, so that a repeated attempt does no harm; the summary of the page is the task's output either way.
 */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { code, count, counted, plain, table } from "./lib/markdown.mjs";

const CHURN_ROWS = 15;

export const writeReport = {
  name: "WriteReport",
  version: "1",
  async run(parts, ctx) {
    const { report, repository } = ctx.runInput;
    const page = pageOf(basename(repository), parts);
    if (report !== undefined) await writeWhole(report, page, ctx.idempotencyKey);
    const { history, files, sizes, hotspots } = parts;
    return {
      report: report ?? null,
      ...(report === undefined ? { page } : {}),
      commits: history.commits,
      tracked: files.tracked,
      analysed: sizes.total.files,
      lines: sizes.total.lines,
      notes: sizes.noteCount,
      hottest: hotspots.hotSpots[0]?.path ?? null,
    };
  },
};

async function writeWhole(path, text, key) {
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${key.replaceAll("/", "-")}`;
  await writeFile(draft, text);
  await rename(draft, path);
}

function pageOf(name, { history, files, select, sizes, hotspots, dependencies }) {
  return `${[
    `# Report on ${plain(name)}`,
    summary(history, files, sizes),
    notes(history, files, select, sizes)
      .map((note) => `> ${note}`)
      .join("\n>\n"),
    section("Hot spots", HOT_SPOTS, hotSpotRows(hotspots.hotSpots)),
    section("Churn", CHURN, churnRows(history)),
    section("Languages", LANGUAGES, sizes.languages.map(languageRow)),
    section("Largest files", LARGEST, hotspots.largest.map(sizeRow)),
    section("Most complex files", COMPLEX, hotspots.mostComplex.map(sizeRow)),
    section("Open notes", notesTitle(sizes), sizes.notes.map(noteRow)),
    section(
      "Most imported files",
      importsTitle(dependencies),
      dependencies.mostImported.map(importRow),
    ),
    section("Packages", packagesTitle(dependencies), dependencies.packages.map(importRow)),
  ]
    .filter((part) => part !== "")
    .join("\n\n")}\n`;
}

function summary(history, files, sizes) {
  const revision =
    files.revision === null ? "no commit yet" : `commit ${code(files.revision.slice(0, 12))}`;
  const period =
    history.first === null ? "" : `, ${history.first.slice(0, 10)} to ${history.last.slice(0, 10)}`;
  const { total } = sizes;
  const commentShare =
    total.code + total.comments === 0 ? 0 : (100 * total.comments) / (total.code + total.comments);
  return table(
    ["What", "Number>"],
    [
      ["Revision", revision],
      ["Commits", `${count(history.commits)} by ${counted(history.authors, "author")}${period}`],
      ["Lines added and deleted", `${count(history.added)} and ${count(history.deleted)}`],
      ["Tracked files", count(files.tracked)],
      ["Source files analysed", count(total.files)],
      ["Lines in them", count(total.lines)],
      ["Share of comment lines", `${commentShare.toFixed(1)} %`],
      ["Open notes", `${count(sizes.noteCount)} in ${counted(sizes.notedFiles, "file")}`],
    ],
  );
}

/** Everything a reader must know to trust the numbers. */
function notes(history, files, select, sizes) {
  const { links, submodules, names } = files.skipped;
  return [
    history.commits === 0 && "The repository has no history; there is no churn to rank.",
    history.shallow &&
      "This is a shallow clone: history before its cut is unknown, and the oldest commit counts every line as added. `git fetch --unshallow` fetches the rest.",
    history.capped && `Only the latest ${counted(history.commits, "commit")} were read.`,
    history.omitted > 0 && `Changes of ${counted(history.omitted, "quiet file")} are left out.`,
    files.changed > 0 &&
      `${counted(files.changed, "tracked file")} differ from the commit; sizes are those of the working tree.`,
    select.omitted > 0 &&
      `${counted(select.omitted, "source file")} with the least churn were not analysed.`,
    names > 0 && `${counted(names, "file")} whose names are not UTF-8 were skipped.`,
    links + submodules > 0 &&
      `${counted(links, "link")} and ${counted(submodules, "submodule")} were skipped.`,
    sizes.cut > 0 &&
      `There are too many files to list everything: notes and imports of ${counted(sizes.cut, "file")} are incomplete.`,
    sizes.failed > 0 && `The analysis of ${counted(sizes.failed, "file")} failed.`,
    ...sizes.problems.map(problemNote),
  ].filter((note) => note !== false);
}

function problemNote({ problem, count: files, examples }) {
  const more = files > examples.length ? ", …" : "";
  return `Not measured, ${problem}: ${counted(files, "file")} (${examples.map(code).join(", ")}${more}).`;
}

const HOT_SPOTS = {
  lead: "Large files that change often: churn × lines, as a share of the first.",
  headings: ["#>", "File", "Commits>", "Churn>", "Lines>", "Complexity>", "Score>"],
};
const CHURN = {
  lead: "Lines added and deleted over the history that was read, files that are gone included.",
  headings: ["File", "Commits>", "Added>", "Deleted>"],
};
const LANGUAGES = {
  lead: "Of the analysed files.",
  headings: ["Language", "Files>", "Lines>", "Code>", "Comments>", "Bytes>"],
};
const LARGEST = { lead: "By lines.", headings: ["File", "Lines>", "Complexity>", "Commits>"] };
const COMPLEX = {
  lead: "By branching words and operators, a proxy of cyclomatic complexity.",
  headings: ["File", "Lines>", "Complexity>", "Commits>"],
};

function notesTitle({ noteCount, notes: shown }) {
  const cut = noteCount > shown.length ? `, the first ${shown.length} by churn of their file` : "";
  return {
    lead: `${counted(noteCount, "comment")} with TODO, FIXME, HACK or XXX${cut}.`,
    headings: ["File", "Line>", "Note"],
  };
}

function importsTitle({ links, files }) {
  return {
    lead: `${counted(links, "import")} between ${counted(files, "analysed file")}.`,
    headings: ["File", "Imported by>"],
  };
}

function packagesTitle({ packageCount }) {
  return {
    lead: `${counted(packageCount, "package")} from outside.`,
    headings: ["Package", "Files>"],
  };
}

function section(title, { lead, headings }, rows) {
  return rows.length === 0 ? "" : `## ${title}\n\n${lead}\n\n${table(headings, rows)}`;
}

function hotSpotRows(hotSpots) {
  const most = hotSpots[0]?.score ?? 1;
  return hotSpots.map(({ path, commits, churn, lines, complexity, score }, index) => [
    String(index + 1),
    code(path),
    ...[commits, churn, lines, complexity].map(count),
    `${Math.round((100 * score) / most)} %`,
  ]);
}

function churnRows({ files }) {
  return files
    .slice(0, CHURN_ROWS)
    .map(([path, ...numbers]) => [code(path), ...numbers.map(count)]);
}

function languageRow({ language, files, lines, code: codeLines, comments, bytes }) {
  return [language, ...[files, lines, codeLines, comments, bytes].map(count)];
}

function sizeRow({ path, lines, complexity, commits }) {
  return [code(path), ...[lines, complexity, commits].map(count)];
}

function noteRow({ path, line, text }) {
  return [code(path), count(line), plain(text)];
}

function importRow({ name, importers }) {
  return [code(name), count(importers)];
}
