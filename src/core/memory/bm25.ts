/**
 * The words of a session and how well they answer a query: BM25+ (Lv and Zhai, CIKM 2011) where a document is an entry
 * with its neighbours. Postings hold an entry's own words only; the neighbours' share is added while a query runs, so
 * adding or removing an entry never touches the postings of others. Document frequencies count own words, of the session
 * or of a larger collection.
 */
import type { CollectionStatistics } from "./query.ts";
import type { TaskOrder } from "./task-order.ts";
import { NEIGHBOUR_TENTHS } from "./task-order.ts";

/** Constants of BM25+: saturation of repetition, weight of length, and the floor every match gets. */
export const BM25 = { k1: 1.2, b: 0.75, delta: 0.5 };

/** One stem and the entries it occurs in; `counts` runs beside `slots`. */
export interface Term {
  readonly stem: string;
  readonly slots: number[];
  readonly counts: number[];
}

/** The distinct words of one entry; `counts` runs beside `terms`. */
export interface OwnWords {
  readonly terms: readonly Term[];
  readonly counts: readonly number[];
  /** Words in all. */
  readonly length: number;
}

/** Bytes one posting and its place in the entry's own list take. */
const POSTING_BYTES = 32;
/** Bytes of a stem that no other entry has: map entry, object and two arrays. */
const TERM_BYTES = 240;

/** The inverted index of one session. */
export class WordIndex {
  readonly #order: TaskOrder;
  readonly #statistics: CollectionStatistics | undefined;
  readonly #terms = new Map<string, Term>();
  readonly #words: (OwnWords | undefined)[] = [];
  /** Words of an entry's document in tenths, neighbours included, by slot; and their sum. */
  readonly #lengths: number[] = [];
  #total = 0;
  #documents = 0;
  #bytes = 0;

  constructor(order: TaskOrder, statistics?: CollectionStatistics) {
    this.#order = order;
    this.#statistics = statistics;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the words of the entry at a free slot. */
  add(slot: number, stems: readonly string[]): void {
    const counted = new Map<string, number>();
    for (const stem of stems) counted.set(stem, (counted.get(stem) ?? 0) + 1);
    const terms = [...counted.keys()].map((stem) => this.#term(stem));
    const counts = [...counted.values()];
    for (const [at, term] of terms.entries()) {
      term.slots.push(slot);
      term.counts.push(counts[at] as number);
    }
    this.#words[slot] = { terms, counts, length: stems.length };
    this.#documents++;
    this.#bytes += terms.length * POSTING_BYTES;
  }

  /** Forgets the words at a slot. */
  remove(slot: number): void {
    const { terms } = this.own(slot);
    for (const term of terms) this.#dropPosting(term, slot);
    this.#words[slot] = undefined;
    this.#setLength(slot, 0);
    this.#documents--;
    this.#bytes -= terms.length * POSTING_BYTES;
  }

  /** Measures the document at a slot again, after it or a neighbour came or went. */
  measure(slot: number): void {
    let tenths = 0;
    this.#order.eachSource(slot, (source, share) => {
      tenths += share * this.own(source).length;
    });
    this.#setLength(slot, tenths);
  }

  /** The words of the entry at a used slot. */
  own(slot: number): OwnWords {
    return this.#words[slot] as OwnWords;
  }

  /** The terms of those stems that occur at all, in the given order. */
  known(stems: readonly string[]): Term[] {
    return stems.flatMap((stem) => this.#terms.get(stem) ?? []);
  }

  /** How much a match of this stem says: ln(1 + (N − n + ½) / (n + ½)). */
  idf(term: Term): number {
    const documents = this.#statistics?.documents ?? this.#documents;
    const found = Math.min(this.#statistics?.frequency(term.stem) ?? term.slots.length, documents);
    return Math.log(1 + (documents - found + 0.5) / (found + 0.5));
  }

  /**
   * Scores by slot; zero where no word matches.
   * @param capacity one more than the highest slot in use.
   */
  scores(terms: readonly Term[], capacity: number): Float64Array {
    const scores = new Float64Array(capacity);
    const tenths = new Int32Array(capacity);
    const averageLength = this.#total / this.#documents;
    for (const term of terms) {
      const idf = this.idf(term);
      for (const slot of this.#spread(term, tenths)) {
        const frequency = (tenths[slot] as number) / NEIGHBOUR_TENTHS.own;
        const length = (this.#lengths[slot] as number) / averageLength;
        const saturation = BM25.k1 * (1 - BM25.b + BM25.b * length);
        const part = BM25.delta + (frequency * (BM25.k1 + 1)) / (frequency + saturation);
        scores[slot] = (scores[slot] as number) + idf * part;
        tenths[slot] = 0;
      }
    }
    return scores;
  }

  /** Adds the occurrences of a term to every document they belong to, and returns the slots of those. */
  #spread({ slots, counts }: Term, tenths: Int32Array): number[] {
    const touched: number[] = [];
    let count = 0;
    const add = (target: number, share: number): void => {
      const before = tenths[target] as number;
      if (before === 0) touched.push(target);
      tenths[target] = before + share * count;
    };
    for (let at = 0; at < slots.length; at++) {
      count = counts[at] as number;
      this.#order.eachTarget(slots[at] as number, add);
    }
    return touched;
  }

  #term(stem: string): Term {
    const known = this.#terms.get(stem);
    if (known !== undefined) return known;
    const term: Term = { stem, slots: [], counts: [] };
    this.#terms.set(stem, term);
    this.#bytes += TERM_BYTES + stem.length;
    return term;
  }

  #dropPosting(term: Term, slot: number): void {
    const at = term.slots.indexOf(slot);
    const lastSlot = term.slots.pop() as number;
    const lastCount = term.counts.pop() as number;
    if (at < term.slots.length) {
      term.slots[at] = lastSlot;
      term.counts[at] = lastCount;
    }
    if (term.slots.length > 0) return;
    this.#terms.delete(term.stem);
    this.#bytes -= TERM_BYTES + term.stem.length;
  }

  #setLength(slot: number, tenths: number): void {
    this.#total += tenths - (this.#lengths[slot] ?? 0);
    this.#lengths[slot] = tenths;
  }
}
