/**
 * The built-in embedder: words to vectors without a model or a download. Every stem owns a few signed places of the
 * vector, drawn from a hash of its letters, so a vector is a lossy copy of the words and nothing more; it calls itself
 * `lexical` for that reason. No statistics of a collection enter the vector of an entry, which therefore never goes
 * stale; how rare a word is counts only in the query's.
 */
import { hashText, mix32 } from "../../base/hash.ts";

/** Places per stem. More blur less and cost more; eight measured best. */
const PLACES = 8;
/** Saturation of repeated words, as k1 of BM25. */
const SATURATION = 1.2;
/** An odd step with well spread bits (2^32 over the golden ratio), so that the places of a stem differ. */
const STEP = 0x9e3779b9;

/** Dimension of the built-in embedder's vectors. */
export const HASH_DIMENSION = 384;

/** A stem and how much of it there is. */
export type WeightedStem = readonly [stem: string, weight: number];

/** The unit vector of an entry: `stems` with how often each occurs, neighbours' shares included. */
export function hashedDocument(stems: Iterable<WeightedStem>, into: Float32Array): Float32Array {
  return hashed(stems, into, (frequency) => frequency / (frequency + SATURATION));
}

/** The unit vector of a query: `stems` with how much each says. */
export function hashedQuery(stems: Iterable<WeightedStem>, into: Float32Array): Float32Array {
  return hashed(stems, into, (weight) => weight);
}

function hashed(
  stems: Iterable<WeightedStem>,
  into: Float32Array,
  value: (weight: number) => number,
): Float32Array {
  into.fill(0);
  for (const [stem, weight] of stems) {
    const amount = value(weight);
    let state = hashText(stem);
    for (let place = 0; place < PLACES; place++) {
      state = (state + STEP) >>> 0;
      const bits = mix32(state);
      const at = (bits >>> 1) % into.length;
      into[at] = (into[at] as number) + (bits & 1 ? amount : -amount);
    }
  }
  return normalized(into);
}

/** Scales a vector to unit length in place; a zero vector stays zero. */
export function normalized(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  if (squares === 0) return vector;
  const scale = 1 / Math.sqrt(squares);
  for (let at = 0; at < vector.length; at++) vector[at] = (vector[at] as number) * scale;
  return vector;
}
