/**
 * CRC32C (Castagnoli), the checksum of every record on disk: it catches each burst of up to 32 bits and lets through
 * one random change in four billion. It is table-driven and reads eight bytes per turn, because it runs over all the
 * bytes the engine writes. It is no defence against someone who changes records on purpose.
 */

const POLYNOMIAL = 0x82f63b78;

/** Tables for slicing-by-8: `TABLES[n * 256 + b]` is the CRC of byte `b` followed by `n` zero bytes. */
const TABLES = makeTables();

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[byte] = crc;
  }
  for (let at = 256; at < tables.length; at++) {
    const shorter = tables[at - 256] as number;
    tables[at] = (shorter >>> 8) ^ (tables[shorter & 255] as number);
  }
  return tables;
}

/**
 * CRC32C of `bytes[from, to)`, unsigned. Passing the result for one part as `previous` continues it over the next, as
 * if both were one array. Source: RFC 3720 appendix B.4; slicing-by-8 after Kounavis and Berry (2005).
 */
export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length, previous = 0): number {
  const tables = TABLES;
  let crc = ~previous;
  let at = from;
  for (const fast = to - 7; at < fast; at += 8) {
    crc ^=
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24);
    crc =
      (tables[1792 + (crc & 255)] as number) ^
      (tables[1536 + ((crc >>> 8) & 255)] as number) ^
      (tables[1280 + ((crc >>> 16) & 255)] as number) ^
      (tables[1024 + (crc >>> 24)] as number) ^
      (tables[768 + (bytes[at + 4] as number)] as number) ^
      (tables[512 + (bytes[at + 5] as number)] as number) ^
      (tables[256 + (bytes[at + 6] as number)] as number) ^
      (tables[bytes[at + 7] as number] as number);
  }
  for (; at < to; at++) {
    crc = (crc >>> 8) ^ (tables[(crc ^ (bytes[at] as number)) & 255] as number);
  }
  return ~crc >>> 0;
}
