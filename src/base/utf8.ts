/**
 * How long a text is once it is bytes. Base and core run without a platform's encoder, and a count needs none. Limits
 * that are promised in bytes are checked with it.
 */

/** Bytes of a text in UTF-8; a lone surrogate counts as the three bytes of its replacement. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x80) continue;
    if (code < 0x800) bytes += 1;
    else if (isPair(text, at, code)) {
      bytes += 2;
      at++;
    } else bytes += 2;
  }
  return bytes;
}

/** Whether a high surrogate is followed by its low one: together two units of text and four bytes. */
function isPair(text: string, at: number, code: number): boolean {
  if (code < 0xd800 || code > 0xdbff) return false;
  const next = text.charCodeAt(at + 1);
  return next >= 0xdc00 && next <= 0xdfff;
}
