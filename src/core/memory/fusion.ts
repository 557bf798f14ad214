/**
 * Two ranked lists into one. Reciprocal ranks (Cormack, Clarke, Büttcher, SIGIR 2009) look only at places; relative
 * scores stretch each list to [0, 1], so a list with a weak tail says so. How much each side counts follows from what the
 * embedder knows: vectors that are a lossy copy of the words can only dilute the words, so they get a small share.
 */
import { unreachable } from "../../base/assert.ts";
import type { Scored } from "./best.ts";
import type { EmbedderKind, FusionMethod, FusionWeights, SideRank } from "./query.ts";

/** The constant of reciprocal rank fusion, as in its paper. */
const RRF_K = 60;

const WEIGHTS: Readonly<Record<EmbedderKind, FusionWeights>> = {
  semantic: { vector: 0.7, text: 0.3 },
  lexical: { vector: 0.15, text: 0.85 },
  none: { vector: 0, text: 1 },
};

const METHODS: Readonly<Record<EmbedderKind, FusionMethod>> = {
  semantic: "rrf",
  lexical: "relative",
  none: "rrf",
};

/** One entry of either list. */
export interface Fused {
  readonly slot: number;
  readonly score: number;
  readonly text?: SideRank;
  readonly vector?: SideRank;
}

/** How a query wants its sides joined; what it leaves open follows from the embedder's kind. */
export interface FusionChoice {
  readonly embedderKind: EmbedderKind;
  readonly fusion?: FusionMethod;
  readonly weights?: FusionWeights;
}

/**
 * Joins two lists, each best first; the result has no order. An empty side takes no part, so that missing vectors leave
 * the words alone and a query without known words leaves the vectors alone.
 */
export function fuse(
  texts: readonly Scored[],
  vectors: readonly Scored[],
  choice: FusionChoice,
): Fused[] {
  const weights = choice.weights ?? WEIGHTS[choice.embedderKind];
  const total = (texts.length > 0 ? weights.text : 0) + (vectors.length > 0 ? weights.vector : 0);
  const method = choice.fusion ?? METHODS[choice.embedderKind];
  const share = (weight: number) => (total > 0 ? weight / total : 1);
  const fused = new Map<number, Fused>();
  addSide(fused, "text", texts, share(weights.text), method);
  addSide(fused, "vector", vectors, share(weights.vector), method);
  return [...fused.values()];
}

function addSide(
  fused: Map<number, Fused>,
  side: "text" | "vector",
  list: readonly Scored[],
  weight: number,
  method: FusionMethod,
): void {
  const worth = worthOf(list, method);
  for (const [at, { slot, score }] of list.entries()) {
    const known = fused.get(slot) ?? { slot, score: 0 };
    const total = known.score + weight * worth(at);
    fused.set(slot, { ...known, score: total, [side]: { rank: at + 1, score } });
  }
}

/** What a place in a list is worth, before weights. */
function worthOf(list: readonly Scored[], method: FusionMethod): (at: number) => number {
  switch (method) {
    case "rrf":
      return (at) => 1 / (RRF_K + at + 1);
    case "relative": {
      const most = list[0]?.score ?? 0;
      const span = most - (list.at(-1)?.score ?? 0);
      return (at) => (span > 0 ? 1 - (most - (list[at] as Scored).score) / span : 1);
    }
    default:
      return unreachable(method);
  }
}
