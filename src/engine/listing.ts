/**
 * Pages of runs, newest first, over two sources: open runs in memory and ended runs in the journal's list. A cursor is
 * the id of the last run seen; since ids sort by creation it stays valid while runs come and go, so pages never overlap
 * and never skip a run that existed when the first page was read.
 */
import { fault, refuse } from "../base/fault.ts";
import { parseRunId, type RunId } from "../base/ids.ts";
import type { Journal, RunSummary } from "../ports/journal.ts";
import type { RunPage, RunQuery } from "./api.ts";

/** Runs are read in pages of this size while filtering. */
const SCAN_PAGE = 500;

/** The open runs. Summaries are asked for a few at a time: there may be a million, and most of them sleep. */
export interface OpenRuns {
  /** All of them, in any order. */
  ids(): Promise<RunId[]>;
  /** Of those that are still open. */
  summaries(ids: readonly RunId[]): Promise<readonly RunSummary[]>;
}

/** Reads one page. */
export async function listRuns(
  query: RunQuery,
  journal: Pick<Journal, "listEnded">,
  open: OpenRuns,
): Promise<RunPage> {
  const before = cursorOf(query.pageToken);
  const wanted = query.pageSize + 1;
  const candidates = await openRuns(query, before, wanted, open);
  const seen = new Set(candidates.map((run) => run.runId));
  candidates.push(
    ...(await endedRuns(query, before, wanted, journal)).filter((run) => !seen.has(run.runId)),
  );
  const page = candidates.sort(newestFirst).slice(0, query.pageSize);
  const last = page.at(-1);
  const hasMore = candidates.length > query.pageSize && last !== undefined;
  return { runs: page, nextPageToken: hasMore ? `r1.${last.runId}` : "" };
}

async function openRuns(
  query: RunQuery,
  before: RunId | undefined,
  wanted: number,
  open: OpenRuns,
): Promise<RunSummary[]> {
  const ids = (await open.ids()).filter((id) => isBefore(id, before)).sort();
  const found: RunSummary[] = [];
  for (let end = ids.length; end > 0 && found.length < wanted; end -= SCAN_PAGE) {
    const page = ids.slice(Math.max(0, end - SCAN_PAGE), end);
    const summaries = await open.summaries(page);
    found.push(...summaries.filter((run) => matches(run, query)).sort(newestFirst));
  }
  return found.slice(0, wanted);
}

async function endedRuns(
  query: RunQuery,
  before: RunId | undefined,
  wanted: number,
  journal: Pick<Journal, "listEnded">,
): Promise<RunSummary[]> {
  const found: RunSummary[] = [];
  let cursor = before;
  for (;;) {
    const page = await journal.listEnded(
      cursor === undefined ? { limit: SCAN_PAGE } : { before: cursor, limit: SCAN_PAGE },
    );
    for (const run of page) if (matches(run, query) && found.push(run) === wanted) return found;
    cursor = page.at(-1)?.runId;
    if (page.length < SCAN_PAGE) return found;
  }
}

function matches(run: RunSummary, query: RunQuery): boolean {
  return (
    (query.namespace === undefined || run.namespace === query.namespace) &&
    (query.statuses === undefined || query.statuses.includes(run.status)) &&
    (query.name === undefined || run.name === query.name) &&
    (query.sessionId === undefined || run.sessionId === query.sessionId) &&
    (query.acceptedAfter === undefined || run.acceptedAt > query.acceptedAfter) &&
    (query.acceptedBefore === undefined || run.acceptedAt < query.acceptedBefore) &&
    Object.entries(query.labels ?? {}).every(([key, value]) => run.labels[key] === value)
  );
}

function newestFirst(a: RunSummary, b: RunSummary): number {
  return a.runId < b.runId ? 1 : a.runId > b.runId ? -1 : 0;
}

function isBefore(runId: RunId, before: RunId | undefined): boolean {
  return before === undefined || runId < before;
}

function cursorOf(token: string | undefined): RunId | undefined {
  if (token === undefined || token === "") return undefined;
  const runId = token.startsWith("r1.") ? parseRunId(token.slice(3)) : undefined;
  if (runId !== undefined) return runId;
  return refuse(
    fault("ARGUMENT_INVALID", {
      field: "page_token",
      value: `"${token}"`,
      expected: "the next_page_token of an earlier page",
    }),
  );
}
