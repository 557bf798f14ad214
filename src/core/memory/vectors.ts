/**
 * The vectors of one session side by side in one array, searched by comparing all of them. That is exact, needs no upkeep
 * and beats a filtered graph up to some twenty thousand entries. A query with few places set, as the built-in embedder
 * makes them, reads only those places.
 */
import { assert } from "../../base/assert.ts";

/** Below this share of places set, reading only those is faster than reading whole rows. */
const SPARSE_SHARE = 0.25;
const ROWS_AT_FIRST = 16;

/** Rows of equal dimension, by slot. */
export class VectorTable {
  readonly dimension: number;
  #rows = new Float32Array(0);
  #filled: boolean[] = [];

  constructor(dimension: number) {
    this.dimension = dimension;
  }

  get bytes(): number {
    return this.#rows.byteLength;
  }

  has(slot: number): boolean {
    return this.#filled[slot] === true;
  }

  /** The row of a slot to write a unit vector into; it counts as filled from now on. */
  row(slot: number): Float32Array {
    this.#reserve(slot + 1);
    this.#filled[slot] = true;
    return this.#view(slot);
  }

  /** Stores a copy of a unit vector. */
  set(slot: number, vector: Float32Array): void {
    assert(vector.length === this.dimension, "the vector has another dimension");
    this.row(slot).set(vector);
  }

  remove(slot: number): void {
    this.#filled[slot] = false;
  }

  /** Calls `visit` with the cosine of every slot below `capacity` that has a vector. */
  scan(query: Float32Array, capacity: number, visit: (slot: number, cosine: number) => void): void {
    assert(query.length === this.dimension, "the query's vector has another dimension");
    const rows = this.#rows;
    const places = placesOf(query);
    const product = places.length < SPARSE_SHARE * this.dimension ? sparseProduct : denseProduct;
    for (let slot = 0; slot < capacity; slot++) {
      if (this.#filled[slot] === true)
        visit(slot, product(rows, slot * this.dimension, query, places));
    }
  }

  #view(slot: number): Float32Array {
    return this.#rows.subarray(slot * this.dimension, (slot + 1) * this.dimension);
  }

  #reserve(rows: number): void {
    const held = this.#rows.length / this.dimension;
    if (rows <= held) return;
    const grown = new Float32Array(Math.max(rows, ROWS_AT_FIRST, held * 2) * this.dimension);
    grown.set(this.#rows);
    this.#rows = grown;
  }
}

function placesOf(vector: Float32Array): Uint32Array {
  const places: number[] = [];
  for (let at = 0; at < vector.length; at++) if (vector[at] !== 0) places.push(at);
  return Uint32Array.from(places);
}

function sparseProduct(
  rows: Float32Array,
  from: number,
  query: Float32Array,
  places: Uint32Array,
): number {
  let sum = 0;
  for (let at = 0; at < places.length; at++) {
    const place = places[at] as number;
    sum += (rows[from + place] as number) * (query[place] as number);
  }
  return sum;
}

/** Four sums side by side, because one would make every addition wait for the one before. */
function denseProduct(rows: Float32Array, from: number, query: Float32Array): number {
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  let at = 0;
  for (; at + 3 < query.length; at += 4) {
    a += (rows[from + at] as number) * (query[at] as number);
    b += (rows[from + at + 1] as number) * (query[at + 1] as number);
    c += (rows[from + at + 2] as number) * (query[at + 2] as number);
    d += (rows[from + at + 3] as number) * (query[at + 3] as number);
  }
  for (; at < query.length; at++) a += (rows[from + at] as number) * (query[at] as number);
  return a + b + (c + d);
}
