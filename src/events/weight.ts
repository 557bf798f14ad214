/**
 * How much memory an event holds on to, near enough to bound a buffer: text, bytes, and a fixed price for every object
 * and number. It walks the event because new fields then count by themselves. Events are flat; what users nest deeply
 * is text by the time it gets here.
 */

/** Rough cost of an object's header or of a number, in bytes. */
const SLOT_BYTES = 16;

/** Estimated bytes of plain data. */
export function weigh(value: unknown): number {
  if (typeof value === "string") return value.length + SLOT_BYTES;
  if (typeof value !== "object" || value === null) return SLOT_BYTES;
  if (ArrayBuffer.isView(value)) return value.byteLength + SLOT_BYTES;
  let bytes = SLOT_BYTES;
  for (const part of Object.values(value)) bytes += weigh(part);
  return bytes;
}
