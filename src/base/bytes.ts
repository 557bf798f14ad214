/**
 * Byte strings as keys: their order, and the ranges that prefixes make. Order is unsigned and lexicographic, the one
 * every ordered store uses.
 */

/** Negative, zero or positive as `a` sorts before, with, or after `b`. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** The smallest key after `key`: itself and one zero byte. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** The keys that begin with `prefix`. A prefix of nothing but 0xff has no upper end and is a programming error. */
export function prefixRange(prefix: Uint8Array): { from: Uint8Array; to: Uint8Array } {
  let last = prefix.length - 1;
  while (last >= 0 && prefix[last] === 0xff) last--;
  if (last < 0) throw new RangeError("the prefix has no upper end");
  const to = prefix.slice(0, last + 1);
  to[last] = (to[last] as number) + 1;
  return { from: prefix, to };
}

/** Most bytes that become text in one call: arguments lie on the stack. */
const TEXT_AT_ONCE = 4_096;

/** Bytes as a text of as many characters, the most compact form in which a heap keeps small ones. */
export function bytesToText(bytes: Uint8Array): string {
  let text = "";
  for (let from = 0; from < bytes.length; from += TEXT_AT_ONCE) {
    const part = bytes.subarray(from, from + TEXT_AT_ONCE);
    text += String.fromCharCode.apply(null, part as unknown as number[]);
  }
  return text;
}

/** The bytes of a text made by {@link bytesToText}. */
export function bytesOfText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}
