/**
 * What an agent is shown of a session: as many of the best entries as a budget of tokens holds, printed in the order they
 * happened, under their day and task. The newest entries have a share of the budget of their own, since a conversation
 * goes on from its end whatever the question is. It decides only from its arguments, never cuts an entry short, and
 * never passes the budget.
 */
import type { Instant } from "../../base/time.ts";
import { calendarDay } from "./calendar.ts";
import { nearlySame } from "./diversity.ts";
import { documentStems } from "./tokens.ts";

/** Share of the budget reserved for the newest entries. */
export const RECENT_SHARE = 0.2;

/** An entry that may be shown. */
export interface ContextEntry {
  readonly id: string;
  readonly text: string;
  readonly taskId: string;
  readonly at: Instant;
}

export interface ContextRequest {
  readonly budgetTokens: number;
  /** Search results, best first. */
  readonly found: readonly ContextEntry[];
  /** The last entries of the session, newest first. Default: none, and then the whole budget is for `found`. */
  readonly recent?: readonly ContextEntry[];
  /** Default {@link RECENT_SHARE}. */
  readonly recentShare?: number;
  /** Default {@link estimatedTokens}. */
  readonly countTokens?: (text: string) => number;
}

/** What is shown, and what it costs. */
export interface Context {
  readonly text: string;
  readonly tokens: number;
  /** In the order of `text`. */
  readonly ids: readonly string[];
}

/** Scripts without spaces take about a token per character, others one per four (chars / 4). */
export function estimatedTokens(text: string): number {
  let quarters = 0;
  for (const character of text) quarters += (character.codePointAt(0) as number) < 0x2e80 ? 1 : 4;
  return Math.ceil(quarters / 4);
}

/** Fills the budget: first the newest within their share, then the best. Of near-duplicates only one is shown. */
export function assembleContext(request: ContextRequest): Context {
  const { budgetTokens, found, recent = [], recentShare = RECENT_SHARE } = request;
  const page = new Page(request.countTokens ?? estimatedTokens);
  for (const entry of recent) if (!page.offer(entry, budgetTokens * recentShare)) break;
  for (const entry of found) page.offer(entry, budgetTokens);
  return page.context();
}

interface Shown extends ContextEntry {
  readonly heading: string;
  readonly line: string;
  readonly lineTokens: number;
  readonly stems: ReadonlySet<string>;
}

/** The entries chosen so far, in the order of time. */
class Page {
  readonly #countTokens: (text: string) => number;
  #shown: readonly Shown[] = [];

  constructor(countTokens: (text: string) => number) {
    this.#countTokens = countTokens;
  }

  /** Takes an entry unless the page would pass `budgetTokens`; true also when it is there already or says nothing new. */
  offer(entry: ContextEntry, budgetTokens: number): boolean {
    const shown = this.#prepared(entry);
    if (this.#shown.some((other) => other.id === entry.id || nearlySame(other.stems, shown.stems)))
      return true;
    const next = [...this.#shown, shown].sort(byTime);
    if (this.#tokens(next) > budgetTokens) return false;
    this.#shown = next;
    return true;
  }

  context(): Context {
    const lines = this.#shown.flatMap((entry, at) =>
      opensGroup(this.#shown, at) ? [entry.heading, entry.line] : [entry.line],
    );
    return {
      text: lines.join(""),
      tokens: this.#tokens(this.#shown),
      ids: this.#shown.map(({ id }) => id),
    };
  }

  #prepared(entry: ContextEntry): Shown {
    const line = `- ${entry.text}\n`;
    const task = entry.taskId === "" ? "" : `, ${entry.taskId}`;
    return {
      ...entry,
      heading: `## ${calendarDay(entry.at)}${task}\n`,
      line,
      lineTokens: this.#countTokens(line),
      stems: new Set(documentStems(entry.text)),
    };
  }

  #tokens(shown: readonly Shown[]): number {
    let tokens = 0;
    for (const [at, { heading, lineTokens }] of shown.entries())
      tokens += lineTokens + (opensGroup(shown, at) ? this.#countTokens(heading) : 0);
    return tokens;
  }
}

function byTime(a: Shown, b: Shown): number {
  return a.at - b.at || (a.id < b.id ? -1 : 1);
}

function opensGroup(shown: readonly Shown[], at: number): boolean {
  return at === 0 || shown[at]?.heading !== shown[at - 1]?.heading;
}
