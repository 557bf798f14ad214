#!/usr/bin/env node
/**
 * Command agent `GitFiles`: which files are there now. Lists what git tracks, tells source files from others by their
 * names, and leaves out what is no file of text to read: links, submodules, and names that are not UTF-8, which the
 * answer could not carry.
 */
import { LIST_BYTES_MAX, thatFit } from "../agents/lib/fit.mjs";
import { extensionOf, languageOf } from "../agents/lib/languages.mjs";
import { answer, git, gitFields } from "./git.mjs";

await answer(async (repository) => {
  const tracked = new Map();
  await gitFields(repository, ["ls-files", "--stage", "-z"], (field) => {
    const tab = field.indexOf("\t");
    // An unmerged path is listed once per stage.
    tracked.set(field.slice(tab + 1), field.slice(0, 6));
  });
  const skipped = { links: 0, submodules: 0, names: 0 };
  const sources = [];
  const kinds = new Map();
  for (const [path, mode] of tracked) {
    if (mode === "160000") skipped.submodules++;
    else if (mode === "120000") skipped.links++;
    else if (path.includes("\ufffd")) skipped.names++;
    else {
      const kind = extensionOf(path) || "no extension";
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      if (languageOf(path) !== undefined) sources.push(path);
    }
  }
  const kept = thatFit(sources, LIST_BYTES_MAX);
  return {
    revision: await revision(repository),
    changed: await changedFiles(repository),
    tracked: tracked.size,
    sources: kept,
    omitted: sources.length - kept.length,
    skipped,
    kinds: [...kinds].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 12),
  };
});

async function revision(repository) {
  try {
    return (await git(repository, ["rev-parse", "--verify", "--quiet", "HEAD"])).trim();
  } catch {
    return null;
  }
}

/** Tracked files that differ from the commit: what is read is the working tree. */
async function changedFiles(repository) {
  let changed = 0;
  await gitFields(
    repository,
    ["status", "--porcelain", "-z", "--no-renames", "--untracked-files=no"],
    () => changed++,
  );
  return changed;
}
