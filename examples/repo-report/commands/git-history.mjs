#!/usr/bin/env node
/**
 * Command agent `GitHistory`: who changed what how often. Reads the log once, as a stream, and adds up per path. Merges
 * count as commits but not as changes, renames as a deletion and an addition, because that is what the numbers of
 * `git log --numstat --no-renames` say and a reader can check them.
 */
import { LIST_BYTES_MAX, thatFit } from "../agents/lib/fit.mjs";
import { answer, git, gitFields } from "./git.mjs";

/** Older commits than this many are left out, and the report says so. */
const COMMITS_MAX = 20_000;

const EMPTY = {
  commits: 0,
  authors: 0,
  first: null,
  last: null,
  added: 0,
  deleted: 0,
  files: [],
  omitted: 0,
};

await answer(async (repository, input) => {
  const commitsMax = input.commitsMax ?? COMMITS_MAX;
  const shallow =
    (await git(repository, ["rev-parse", "--is-shallow-repository"])).trim() === "true";
  const history = (await hasCommits(repository)) ? await read(repository, commitsMax) : EMPTY;
  return { ...history, shallow, capped: history.commits === commitsMax };
});

async function hasCommits(repository) {
  try {
    await git(repository, ["rev-parse", "--verify", "--quiet", "HEAD"]);
    return true;
  } catch {
    return false;
  }
}

async function read(repository, commitsMax) {
  const authors = new Set();
  const paths = new Map();
  const sum = { commits: 0, first: null, last: null, added: 0, deleted: 0 };
  // \x02 begins a commit: no line of numbers can begin like that.
  const format = "--format=%x02%cI%x1f%aN";
  const args = ["log", "-z", "--numstat", "--no-renames", format, `--max-count=${commitsMax}`];
  await gitFields(repository, args, (field) => {
    if (field.startsWith("\x02")) {
      const [date, author] = field.slice(1).split("\x1f");
      sum.commits++;
      sum.last ??= date;
      sum.first = date;
      authors.add(author);
      return;
    }
    const change = /^\n?(\d+|-)\t(\d+|-)\t([\s\S]+)$/.exec(field);
    if (change !== null) addChange(paths, sum, change);
  });
  const files = [...paths].map(([path, { commits, added, deleted }]) => [
    path,
    commits,
    added,
    deleted,
  ]);
  files.sort((a, b) => b[2] + b[3] - (a[2] + a[3]) || (a[0] < b[0] ? -1 : 1));
  const kept = thatFit(files, LIST_BYTES_MAX);
  return { ...sum, authors: authors.size, files: kept, omitted: files.length - kept.length };
}

/** A dash instead of a number is a binary file: changed, but not in lines. */
function addChange(paths, sum, [, addedText, deletedText, path]) {
  const added = Number(addedText) || 0;
  const deleted = Number(deletedText) || 0;
  sum.added += added;
  sum.deleted += deleted;
  const known = paths.get(path) ?? { commits: 0, added: 0, deleted: 0 };
  known.commits++;
  known.added += added;
  known.deleted += deleted;
  paths.set(path, known);
}
