/**
 * Joins what was changed with what is there: the source files to analyse, most changed first, so that a repository too
 * large for one run loses its quietest files and not its hottest.
 */

import { detailBytes } from "./lib/fit.mjs";

/** One task per file; a run may have 10,000 tasks and 50,000 events, of which a file costs three or more. */
const FILES_MAX = 4_000;

export const selectFiles = {
  name: "SelectFiles",
  version: "1",
  run({ history, files }, ctx) {
    const changes = new Map(history.files.map(([path, ...numbers]) => [path, numbers]));
    const sources = files.sources.map((path) => {
      const [commits, added, deleted] = changes.get(path) ?? [0, 0, 0];
      return { path, commits, churn: added + deleted };
    });
    sources.sort((a, b) => b.churn - a.churn || (a.path < b.path ? -1 : 1));
    const selected = sources.slice(0, ctx.runInput.filesMax ?? FILES_MAX);
    const details = detailBytes(selected.map(({ path }) => path));
    const omitted = sources.length - selected.length + files.omitted;
    ctx.log.info(`${selected.length} files to analyse, ${omitted} left out`);
    return { files: selected.map((file) => ({ ...file, details })), omitted };
  },
};
