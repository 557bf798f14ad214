/**
 * How much of the evidence a search finds. Recall is the share of a question's evidence among the first k, nDCG is
 * binary, and MRR looks at the first hundred; the questions' mean is printed. Besides the default each side is measured
 * alone and fused in both ways, because fusion must never cost more than a point against the better side.
 */
import { assembleContext, type ContextEntry } from "../src/core/memory/context.ts";
import { HASH_DIMENSION } from "../src/core/memory/hash-embedding.ts";
import type { SearchQuery } from "../src/core/memory/query.ts";
import { SessionIndex } from "../src/core/memory/session-index.ts";
import { StrengthModel } from "../src/core/memory/strength.ts";

export interface RetrievalSet {
  readonly name: string;
  readonly entries: readonly SetEntry[];
  readonly questions: readonly SetQuestion[];
}

interface SetEntry {
  readonly id: string;
  readonly sessionId: string;
  readonly taskId: string;
  readonly ts: string;
  readonly text: string;
  readonly speaker?: string;
  readonly caption?: string;
}

interface SetQuestion {
  readonly sessionId: string;
  readonly question: string;
  readonly evidence: readonly string[];
}

/** A way to search, by what it is called in the output. */
interface Recipe {
  readonly name: string;
  readonly hashDimension?: number;
  readonly query: Pick<SearchQuery, "embedderKind" | "fusion" | "weights" | "damping" | "mmr">;
}

const LEXICAL = { embedderKind: "lexical" } as const;

const RECIPES: readonly Recipe[] = [
  { name: "default", query: LEXICAL },
  { name: "text only", query: { embedderKind: "none" } },
  { name: "vector only", query: { ...LEXICAL, weights: { vector: 1, text: 0 } } },
  { name: "rrf", query: { ...LEXICAL, fusion: "rrf" } },
  { name: "undamped", query: { ...LEXICAL, damping: 0 } },
  { name: "mmr 0.9", query: { ...LEXICAL, mmr: 0.9 } },
  { name: "1024 places", hashDimension: 1024, query: LEXICAL },
];

const CONTEXT_BUDGETS = [512, 1024, 2048];
const DEPTH = 100;

/** The lines of one set: every recipe, then evidence in contexts. */
export function* qualityLines(set: RetrievalSet): Generator<object> {
  for (const recipe of RECIPES) yield recallLine(set, recipe);
  for (const budgetTokens of CONTEXT_BUDGETS) yield contextLine(set, budgetTokens);
}

function recallLine(set: RetrievalSet, { name, hashDimension, query }: Recipe): object {
  const sessions = sessionsOf(set, hashDimension ?? HASH_DIMENSION);
  const measured = set.questions.map(({ sessionId, question, evidence }) => {
    const found = sessions.get(sessionId)?.search(question, query) ?? [];
    const hits = found.map((id) => evidence.includes(id));
    return [
      share(hits.slice(0, 5), evidence.length),
      share(hits.slice(0, 10), evidence.length),
      ndcg(hits.slice(0, 10), evidence.length),
      hits.includes(true) ? 1 / (hits.indexOf(true) + 1) : 0,
    ];
  });
  const [recall5, recall10, ndcg10, mrr] = [0, 1, 2, 3].map((at) =>
    percent(measured.map((row) => row[at] as number)),
  );
  return {
    bench: "retrieval",
    set: set.name,
    recipe: name,
    "recall@5": recall5,
    "recall@10": recall10,
    "ndcg@10": ndcg10,
    mrr,
    questions: measured.length,
  };
}

function contextLine(set: RetrievalSet, budgetTokens: number): object {
  const sessions = sessionsOf(set, HASH_DIMENSION);
  const measured = set.questions.map(({ sessionId, question, evidence }) => {
    const session = sessions.get(sessionId);
    const found = session?.search(question, LEXICAL).map((id) => session.entry(id)) ?? [];
    const context = assembleContext({ budgetTokens, found });
    return {
      recall: share(
        context.ids.map((id) => evidence.includes(id)),
        evidence.length,
      ),
      tokens: context.tokens,
    };
  });
  return {
    bench: "context",
    set: set.name,
    budgetTokens,
    recall: percent(measured.map(({ recall }) => recall)),
    tokens: Math.round(mean(measured.map(({ tokens }) => tokens))),
    questions: measured.length,
  };
}

/** One session under test; strengths are those of entries nobody reviewed, at the session's last moment. */
class Session {
  readonly #index: SessionIndex;
  readonly #entries = new Map<string, ContextEntry>();
  readonly #strengths = new Map<string, number>();

  constructor(entries: readonly SetEntry[], hashDimension: number) {
    this.#index = new SessionIndex({ hashDimension });
    for (const { id, taskId, ts, text, speaker, caption } of entries) {
      const said = [speaker === undefined ? text : `${speaker}: ${text}`, caption];
      const entry = {
        id,
        taskId,
        at: Date.parse(ts),
        text: said.filter((part) => part !== undefined).join(" "),
      };
      this.#entries.set(id, entry);
      this.#index.add({ ...entry, kind: "note", metadata: {} });
    }
    const now = Math.max(...[...this.#entries.values()].map(({ at }) => at));
    const model = new StrengthModel();
    for (const { id, at } of this.#entries.values()) {
      this.#strengths.set(id, model.strength(model.first("good", at), now));
    }
  }

  search(text: string, query: Recipe["query"]): string[] {
    const strengthOf = (id: string) => this.#strengths.get(id) ?? 1;
    return this.#index.search({ ...query, text, limit: DEPTH, strengthOf }).map(({ id }) => id);
  }

  entry(id: string): ContextEntry {
    return this.#entries.get(id) as ContextEntry;
  }
}

function sessionsOf({ entries }: RetrievalSet, hashDimension: number): Map<string, Session> {
  const grouped = Map.groupBy(entries, ({ sessionId }) => sessionId);
  return new Map([...grouped].map(([id, own]) => [id, new Session(own, hashDimension)]));
}

const share = (hits: readonly boolean[], of: number) => hits.filter(Boolean).length / of;

function ndcg(hits: readonly boolean[], relevant: number): number {
  const gain = (at: number) => 1 / Math.log2(at + 2);
  const sum = (flags: readonly boolean[]) =>
    flags.reduce((total, flag, at) => total + (flag ? gain(at) : 0), 0);
  return sum(hits) / sum(Array.from({ length: Math.min(10, relevant) }, () => true));
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

const percent = (values: readonly number[]) => Math.round(mean(values) * 1_000) / 10;
