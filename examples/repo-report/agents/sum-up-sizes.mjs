/**
 * Adds up what the analysis measured: lines per language, open notes, and the files that could not be measured with the
 * reason. Lists are cut to what a page can show, counts are complete.
 */

const NOTES_MAX = 50;
const EXAMPLES_MAX = 3;
const NUMBERS = ["lines", "code", "comments", "bytes", "complexity"];

export const sumUpSizes = {
  name: "SumUpSizes",
  version: "1",
  run({ analyze }) {
    const reports = analyze.filter((file) => file !== null);
    const measured = reports.filter((file) => file.problem === undefined);
    const noted = measured.filter((file) => file.todoCount > 0);
    return {
      total: sum(measured),
      languages: languagesOf(measured),
      cut: measured.filter((file) => file.cut).length,
      failed: analyze.length - reports.length,
      problems: problemsOf(reports.filter((file) => file.problem !== undefined)),
      noteCount: noted.reduce((count, { todoCount }) => count + todoCount, 0),
      notedFiles: noted.length,
      notes: noted
        .flatMap(({ path, churn, todos }) => todos.map((todo) => ({ path, churn, ...todo })))
        .sort((a, b) => b.churn - a.churn || (a.path < b.path ? -1 : 1) || a.line - b.line)
        .slice(0, NOTES_MAX)
        .map(({ path, line, marker, text }) => ({ path, line, marker, text })),
    };
  },
};

function sum(files) {
  const total = Object.fromEntries(NUMBERS.map((name) => [name, 0]));
  for (const file of files) for (const name of NUMBERS) total[name] += file[name];
  return { files: files.length, ...total };
}

/** Why files were not measured: how often, with examples. */
function problemsOf(files) {
  const groups = Map.groupBy(files, ({ problem }) => problem);
  return [...groups].map(([problem, members]) => ({
    problem,
    count: members.length,
    examples: members.slice(0, EXAMPLES_MAX).map(({ path }) => path),
  }));
}

function languagesOf(files) {
  const groups = Map.groupBy(files, ({ language }) => language);
  return [...groups]
    .map(([language, members]) => ({ language, ...sum(members) }))
    .sort((a, b) => b.lines - a.lines || (a.language < b.language ? -1 : 1));
}
