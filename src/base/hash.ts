/**
 * Deterministic hashing and pseudo-random numbers. Jitter, sampling and the simulator draw from here, so equal inputs
 * give equal outputs on every machine and every replay. None of this is cryptographic: content addresses use SHA-256
 * from the host instead.
 */

/** FNV-1a, 32 bit, over UTF-16 code units. Source: Fowler, Noll, Vo (draft-eastlake-fnv). */
export function hashText(text: string, seed = 0x811c9dc5): number {
  let hash = seed >>> 0;
  for (let at = 0; at < text.length; at++) {
    hash ^= text.charCodeAt(at);
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash;
}

/** Finalizer of MurmurHash3 (Appleby): spreads every input bit over the 32 output bits. */
export function mix32(value: number): number {
  let mixed = value >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** A number in [0, 1) fixed by its parts; the engine's only source of jitter. */
export function hashFraction(...parts: readonly (string | number)[]): number {
  let hash = 0x811c9dc5;
  for (const part of parts) hash = hashText(`${part}\u0000`, hash);
  return mix32(hash) / 0x1_0000_0000;
}

/** A seeded generator: call it for the next number in [0, 1). */
export type Prng = () => number;

/** sfc32 (Chris Doty-Humphrey, PractRand), seeded from one integer; passes PractRand to multiple terabytes. */
export function prng(seed: number): Prng {
  let a = mix32(seed + 0x9e3779b9);
  let b = mix32(seed ^ 0x243f6a88);
  let c = mix32(seed + 0xb7e15162);
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) >>> 0;
    counter = (counter + 1) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = ((c << 21) | (c >>> 11)) >>> 0;
    c = (c + sum) >>> 0;
    return sum / 0x1_0000_0000;
  };
  for (let warm = 0; warm < 12; warm++) next();
  return next;
}
