/**
 * What a task may be given has a limit (2 MiB), and a join is given everything that a fan-out produced. So whoever makes
 * lists keeps them within a share of it. These are the shares; together they leave room for the words around them.
 */

/** Most of what GitHistory and of what GitFiles list; SelectFiles and WriteReport are given both. */
export const LIST_BYTES_MAX = 500_000;

/** Most of all analyses together; those who join them are given all. */
const ANALYSES_BYTES_MAX = 1_900_000;

/** An analysis without its path, notes and imports. */
const ANALYSIS_BYTES = 200;

/** Size of a value as JSON. */
function jsonBytes(value) {
  return Buffer.byteLength(JSON.stringify(value)) + 1;
}

/** The first items whose JSON fits. */
export function thatFit(items, bytesMax) {
  let bytes = 0;
  const end = items.findIndex((item) => {
    bytes += jsonBytes(item);
    return bytes > bytesMax;
  });
  return end === -1 ? items : items.slice(0, end);
}

/** Bytes that each of these files may use for notes and for imports. */
export function detailBytes(paths) {
  const fixed = paths.reduce((sum, path) => sum + jsonBytes(path) + ANALYSIS_BYTES, 0);
  return Math.max(0, Math.floor((ANALYSES_BYTES_MAX - fixed) / Math.max(1, paths.length) / 2));
}
