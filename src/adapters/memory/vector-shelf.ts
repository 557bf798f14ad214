/**
 * The vectors of one session in the index thread: all of them in a table, and above a size a graph that leads to the
 * nearest without looking at every one. The graph lags behind and is brought up little by little; while it lags, or when
 * what it finds is not enough, the table is scanned. So an answer is never short, whatever state the graph is in.
 */

import type { VectorHit } from "../../ports/memory.ts";
import type { StoredGraph } from "./graph-file.ts";
import type { Graph, GraphLibrary } from "./hnsw-library.ts";

export interface ShelfOptions {
  readonly dimension: number;
  readonly library: GraphLibrary | undefined;
  /** Up to this many vectors there is no graph. */
  readonly exactUpTo: number;
}

/** How many times more a graph is asked for than is wanted, because it may hold removed ones. */
const OVER_FETCH = 4;
/** A graph with more removed points than this share is built again. */
const REMOVED_SHARE = 0.3;

interface Item {
  readonly id: string;
  readonly vector: Float32Array;
}

/** One session's vectors. */
export class VectorShelf {
  readonly #options: ShelfOptions;
  readonly #numberOf = new Map<string, number>();
  readonly #items = new Map<number, Item>();
  #graph: Graph | undefined;
  #removed = 0;
  /** Puts that the graph does not have yet, oldest first. */
  #waiting = new Set<number>();

  constructor(options: ShelfOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#items.size;
  }

  get graph(): Graph | undefined {
    return this.#waiting.size === 0 ? this.#graph : undefined;
  }

  items(): Iterable<readonly [number: number, item: Item]> {
    return this.#items;
  }

  put(number: number, id: string, vector: Float32Array): void {
    this.remove(id);
    this.#numberOf.set(id, number);
    this.#items.set(number, { id, vector });
    this.#waiting.add(number);
  }

  remove(id: string): void {
    const number = this.#numberOf.get(id);
    if (number === undefined) return;
    this.#numberOf.delete(id);
    this.#items.delete(number);
    if (this.#waiting.delete(number) || this.#graph === undefined) return;
    this.#graph.markDeleted(number);
    this.#removed++;
  }

  /** Takes a graph from disk in place of building one; what it has too much or too little of is put right. */
  adopt({ graph, watermark }: StoredGraph): void {
    const held = new Set(graph.labels());
    for (const label of held) {
      if (this.#items.has(label)) continue;
      graph.markDeleted(label);
      this.#removed++;
    }
    this.#graph = graph;
    this.#waiting = new Set([...this.#items.keys()].filter((n) => n > watermark || !held.has(n)));
  }

  /** Brings the graph up by at most `points`; true when nothing is left to do. */
  catchUp(points: number): boolean {
    const { library, dimension, exactUpTo } = this.#options;
    if (library === undefined || this.size <= exactUpTo) {
      this.#dropGraph();
      return true;
    }
    if (this.#removed > REMOVED_SHARE * this.size) this.#dropGraph();
    this.#graph ??= library.create(dimension, this.size);
    let left = points;
    for (const number of this.#waiting) {
      if (left-- === 0) break;
      this.#addToGraph(this.#graph, number);
    }
    return this.#waiting.size === 0;
  }

  /** The nearest, best first: exactly `limit` unless there are fewer. */
  search(vector: Float32Array, limit: number): readonly VectorHit[] {
    const wanted = Math.min(limit, this.size);
    if (wanted === 0) return [];
    const near = this.#nearInGraph(vector, wanted);
    return near.length < wanted
      ? best([...this.#items.values()], vector, wanted)
      : best(near, vector, wanted);
  }

  #nearInGraph(vector: Float32Array, wanted: number): readonly Item[] {
    const graph = this.graph;
    if (graph === undefined) return [];
    const limit = Math.min(wanted * OVER_FETCH, graph.size - this.#removed);
    return graph.nearest(vector, limit).flatMap((label) => this.#items.get(label) ?? []);
  }

  #addToGraph(graph: Graph, number: number): void {
    if (graph.size === graph.capacity) graph.grow(2 * graph.capacity);
    graph.add(number, (this.#items.get(number) as Item).vector);
    this.#waiting.delete(number);
  }

  #dropGraph(): void {
    if (this.#graph === undefined) return;
    this.#graph = undefined;
    this.#removed = 0;
    this.#waiting = new Set(this.#items.keys());
  }
}

function best(items: readonly Item[], query: Float32Array, limit: number): VectorHit[] {
  return items
    .map(({ id, vector }) => ({ id, score: product(vector, query) }))
    .sort((a, b) => b.score - a.score || (a.id < b.id ? 1 : -1))
    .slice(0, limit);
}

function product(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] as number) * (b[at] as number);
  return sum;
}
