/**
 * The index of one session: everything that is searched together and nothing else. It is a cache built from entries and
 * may be dropped at any time; adding the same entries in any order gives the same answers. It keeps words and vectors but
 * not texts, and never reads storage, a clock or another session.
 */
import type { Scored } from "./best.ts";
import { Best } from "./best.ts";
import type { OwnWords, Term } from "./bm25.ts";
import { WordIndex } from "./bm25.ts";
import { collapsed, DUPLICATE_JACCARD, diverse, nearlySame } from "./diversity.ts";
import { admits } from "./filter.ts";
import type { Fused } from "./fusion.ts";
import { fuse } from "./fusion.ts";
import type { WeightedStem } from "./hash-embedding.ts";
import { hashedDocument, hashedQuery } from "./hash-embedding.ts";
import type { CollectionStatistics, IndexedDocument, SearchHit, SearchQuery } from "./query.ts";
import { NEIGHBOUR_TENTHS, TaskOrder } from "./task-order.ts";
import { documentStems, queryStems } from "./tokens.ts";
import { VectorTable } from "./vectors.ts";

/** How an index is built. At most one of the two dimensions is given. */
export interface SessionIndexOptions {
  /** Dimension of the vectors that documents bring along. */
  readonly vectorDimension?: number;
  /** Dimension of the built-in embedder's vectors, made here from the words. */
  readonly hashDimension?: number;
  /** Document frequencies to use instead of the session's own. */
  readonly statistics?: CollectionStatistics;
}

/** Candidates each side puts forward. */
const CANDIDATES = 100;
/** How many times more they put forward when those were mostly duplicates. */
const MORE_CANDIDATES = 8;
/** How many of the best are reordered for diversity. */
const DIVERSE_AMONG = 50;
const DEFAULT_DAMPING = 0.1;
/** Bytes of an entry besides its words, vector, metadata and id. */
const ENTRY_BYTES = 400;

type Entry = Omit<IndexedDocument, "text" | "vector">;

/** A candidate with its final score. */
interface Ranked extends Fused {
  readonly strength: number;
}

/** Most texts whose stems are kept between the question of the write gate and the entry. */
const ASKED_MAX = 256;

/** The searchable form of one session. */
export class SessionIndex {
  readonly #order = new TaskOrder();
  readonly #words: WordIndex;
  readonly #vectors: VectorTable | undefined;
  readonly #hashing: boolean;
  readonly #entries: (Entry | undefined)[] = [];
  readonly #slotOf = new Map<string, number>();
  readonly #free: number[] = [];
  /** Slots whose built-in vector is older than their document. */
  readonly #stale = new Set<number>();
  #entryBytes = 0;

  /** Stems of texts the write gate asked about: those it lets in are added next, and stemming is most of the work. */
  readonly #asked = new Map<string, readonly string[]>();

  constructor(options: SessionIndexOptions = {}) {
    const dimension = options.hashDimension ?? options.vectorDimension;
    this.#words = new WordIndex(this.#order, options.statistics);
    this.#vectors = dimension === undefined ? undefined : new VectorTable(dimension);
    this.#hashing = options.hashDimension !== undefined;
  }

  /** Entries inside, hidden ones included. */
  get size(): number {
    return this.#slotOf.size;
  }

  /** Approximate resident bytes, for the cache's budget. */
  get bytes(): number {
    return this.#entryBytes + this.#words.bytes + (this.#vectors?.bytes ?? 0);
  }

  has(id: string): boolean {
    return this.#slotOf.has(id);
  }

  /** Adds an entry, or replaces the one with this id. */
  add(doc: IndexedDocument): void {
    this.remove(doc.id);
    const slot = this.#free.pop() ?? this.#entries.length;
    const { text, vector, ...entry } = doc;
    this.#entries[slot] = entry;
    this.#slotOf.set(doc.id, slot);
    this.#entryBytes += entryBytes(entry);
    this.#order.insert(slot, entry);
    this.#words.add(slot, this.#takeStems(text));
    this.#order.eachTarget(slot, (target) => this.#documentChanged(target));
    if (vector !== undefined && !this.#hashing) this.#vectors?.set(slot, vector);
  }

  /** Gives an entry its vector once the embedder has made it; false when the entry is gone or vectors are made here. */
  setVector(id: string, vector: Float32Array): boolean {
    const slot = this.#slotOf.get(id);
    if (slot === undefined || this.#hashing || this.#vectors === undefined) return false;
    this.#vectors.set(slot, vector);
    return true;
  }

  /** Removes an entry; an unknown id is no error. */
  remove(id: string): void {
    const slot = this.#slotOf.get(id);
    if (slot === undefined) return;
    const around: number[] = [];
    this.#order.eachTarget(slot, (target) => around.push(target));
    this.#words.remove(slot);
    this.#order.remove(slot);
    this.#vectors?.remove(slot);
    this.#stale.delete(slot);
    for (const other of around) if (other !== slot) this.#documentChanged(other);
    this.#entryBytes -= entryBytes(this.#entry(slot));
    this.#entries[slot] = undefined;
    this.#slotOf.delete(id);
    this.#free.push(slot);
  }

  #takeStems(text: string): readonly string[] {
    const known = this.#asked.get(text);
    if (known === undefined) return documentStems(text);
    this.#asked.delete(text);
    return known;
  }

  /** Ids whose words are nearly those of `text`, oldest first, for the write gate. */
  nearDuplicates(text: string): string[] {
    const words = documentStems(text);
    if (this.#asked.size >= ASKED_MAX) this.#asked.clear();
    this.#asked.set(text, words);
    const stems = new Set(words);
    // Sets this much alike share all but a few stems, so one of any few-and-one must be shared: the rarest are tried.
    const tried = stems.size - Math.ceil(DUPLICATE_JACCARD * stems.size) + 1;
    const known = this.#words.known([...stems]);
    const missing = stems.size - known.length;
    const rarest = known.toSorted((a, b) => a.slots.length - b.slots.length);
    const candidates = new Set(
      rarest.slice(0, Math.max(0, tried - missing)).flatMap(({ slots }) => slots),
    );
    return [...candidates]
      .filter((slot) => nearlySame(stems, new Set(this.#words.own(slot).terms.map(stemOf))))
      .map((slot) => this.#entry(slot))
      .sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
      .map(({ id }) => id);
  }

  /**
   * The best entries, best first; ties by newest, then id. Words and vectors each put forward their best, which are
   * fused, damped by strength and freed of near-duplicates. Where duplicates leave less than was asked for, more are
   * put forward.
   */
  search(query: SearchQuery): SearchHit[] {
    const terms = this.#words.known(queryStems(query.text));
    for (let each = Math.max(CANDIDATES, query.limit); ; each *= MORE_CANDIDATES) {
      const { hits, cut } = this.#searchAmong(each, terms, query);
      if (hits.length >= query.limit || !cut) return hits;
    }
  }

  /** `cut` says that a side may have had more to offer. */
  #searchAmong(
    each: number,
    terms: readonly Term[],
    query: SearchQuery,
  ): { hits: SearchHit[]; cut: boolean } {
    const mayAnswer = this.#mayAnswer(query);
    const texts = this.#bestByWords(terms, mayAnswer, each);
    const vectors = this.#bestByVector(query, terms, mayAnswer, each);
    const words = memo((slot: number) => new Set(this.#words.own(slot).terms));
    const ranked = this.#ranked(fuse(texts, vectors, query), query);
    const ordered = query.mmr === undefined ? ranked : reordered(ranked, query.mmr, words);
    const groups = collapsed(ordered, ({ slot }) => words(slot), query.limit);
    return {
      hits: groups.map(({ first, others }) => this.#hit(first, others, terms)),
      cut: texts.length === each || vectors.length === each,
    };
  }

  #mayAnswer({ filter, deep }: SearchQuery): (slot: number) => boolean {
    return (slot) => {
      const entry = this.#entries[slot];
      if (entry === undefined || (entry.hidden === true && deep !== true)) return false;
      return filter === undefined || admits(filter, entry);
    };
  }

  #bestByWords(
    terms: readonly Term[],
    mayAnswer: (slot: number) => boolean,
    limit: number,
  ): Scored[] {
    const best = new Best(limit, this.#precedes);
    if (terms.length === 0) return [];
    const scores = this.#words.scores(terms, this.#entries.length);
    for (let slot = 0; slot < scores.length; slot++) {
      const score = scores[slot] as number;
      if (score > 0 && score >= best.bar && mayAnswer(slot)) best.offer(slot, score);
    }
    return best.sorted();
  }

  #bestByVector(
    query: SearchQuery,
    terms: readonly Term[],
    mayAnswer: (slot: number) => boolean,
    limit: number,
  ): Scored[] {
    if (query.vectorHits !== undefined) return this.#foundElsewhere(query.vectorHits, mayAnswer);
    const vector = this.#queryVector(query, terms);
    if (vector === undefined || this.#vectors === undefined) return [];
    const best = new Best(limit, this.#precedes);
    this.#vectors.scan(vector, this.#entries.length, (slot, cosine) => {
      if (cosine > 0 && cosine >= best.bar && mayAnswer(slot)) best.offer(slot, cosine);
    });
    return best.sorted();
  }

  /** What a larger vector index found, as far as it is here and may answer. */
  #foundElsewhere(
    hits: NonNullable<SearchQuery["vectorHits"]>,
    mayAnswer: (slot: number) => boolean,
  ): Scored[] {
    return hits.flatMap(({ id, score }) => {
      const slot = this.#slotOf.get(id);
      return slot !== undefined && mayAnswer(slot) ? [{ slot, score }] : [];
    });
  }

  #queryVector(query: SearchQuery, terms: readonly Term[]): Float32Array | undefined {
    if (this.#vectors === undefined || query.embedderKind === "none") return undefined;
    if (!this.#hashing) return query.vector;
    if (terms.length === 0) return undefined;
    for (const slot of this.#stale)
      hashedDocument(this.#documentWords(slot), this.#vectors.row(slot));
    this.#stale.clear();
    const weighted = terms.map((term): WeightedStem => [term.stem, this.#words.idf(term)]);
    return hashedQuery(weighted, new Float32Array(this.#vectors.dimension));
  }

  /** The words of an entry and its neighbours, always in the same order. */
  #documentWords(slot: number): Map<string, number> {
    const frequencies = new Map<string, number>();
    this.#order.eachSource(slot, (source, tenths) => {
      eachWord(this.#words.own(source), (stem, count) => {
        const part = (count * tenths) / NEIGHBOUR_TENTHS.own;
        frequencies.set(stem, (frequencies.get(stem) ?? 0) + part);
      });
    });
    return frequencies;
  }

  #ranked(fused: readonly Fused[], query: SearchQuery): Ranked[] {
    const damping = query.damping ?? DEFAULT_DAMPING;
    return fused
      .map((found) => {
        const strength = query.strengthOf(this.#entry(found.slot).id);
        return { ...found, strength, score: found.score * (1 - damping + damping * strength) };
      })
      .sort((a, b) => b.score - a.score || (this.#precedes(a.slot, b.slot) ? -1 : 1));
  }

  #hit(found: Ranked, duplicates: readonly Ranked[], terms: readonly Term[]): SearchHit {
    const { slot, score, strength, text, vector } = found;
    return {
      id: this.#entry(slot).id,
      score,
      strength,
      ...(text === undefined ? {} : { text }),
      ...(vector === undefined ? {} : { vector }),
      matchedTerms: this.#matched(slot, terms),
      duplicates: duplicates.map((other) => this.#entry(other.slot).id),
    };
  }

  #matched(slot: number, terms: readonly Term[]): string[] {
    const near = new Set<Term>();
    this.#order.eachSource(slot, (source) => {
      for (const term of this.#words.own(source).terms) near.add(term);
    });
    return terms.filter((term) => near.has(term)).map(stemOf);
  }

  #documentChanged(slot: number): void {
    this.#words.measure(slot);
    if (this.#hashing) this.#stale.add(slot);
  }

  /** Newest first, then by id; total, because ids differ. */
  readonly #precedes = (a: number, b: number): boolean => {
    const left = this.#entry(a);
    const right = this.#entry(b);
    return left.at === right.at ? left.id < right.id : left.at > right.at;
  };

  #entry(slot: number): Entry {
    return this.#entries[slot] as Entry;
  }
}

const stemOf = ({ stem }: Term): string => stem;

function eachWord({ terms, counts }: OwnWords, visit: (stem: string, count: number) => void): void {
  for (const [at, { stem }] of terms.entries()) visit(stem, counts[at] as number);
}

/** The best of the list reordered for diversity, the rest behind them as it was. */
function reordered(
  ranked: readonly Ranked[],
  lambda: number,
  words: (slot: number) => ReadonlySet<Term>,
): Ranked[] {
  const head = diverse(
    ranked.slice(0, DIVERSE_AMONG),
    lambda,
    ({ score }) => score,
    ({ slot }) => words(slot),
  );
  return [...head, ...ranked.slice(DIVERSE_AMONG)];
}

function memo<K, V>(compute: (key: K) => V): (key: K) => V {
  const known = new Map<K, V>();
  return (key) => {
    const value = known.get(key) ?? compute(key);
    known.set(key, value);
    return value;
  };
}

function entryBytes({ id, taskId, kind, metadata }: Entry): number {
  let characters = id.length + taskId.length + kind.length;
  for (const [key, value] of Object.entries(metadata)) characters += 64 + key.length + value.length;
  return ENTRY_BYTES + 2 * characters;
}
