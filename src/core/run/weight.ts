/**
 * How much an event holds on to, near enough to bound a buffer or a history: text, bytes, and a fixed price for every
 * object and number. It walks the event because new fields then count by themselves. Events are flat; what users nest
 * deeply is text by the time it gets here. A field that is absent and one that is undefined weigh the same, so an event
 * weighs as much after a replay as when it happened.
 */

/** Rough cost of an object's header or of a number, in bytes. */
const SLOT_BYTES = 16;

/** Estimated bytes of plain data. */
export function weigh(value: unknown): number {
  if (value === undefined) return 0;
  if (typeof value === "string") return value.length + SLOT_BYTES;
  if (typeof value !== "object" || value === null) return SLOT_BYTES;
  if (ArrayBuffer.isView(value)) return value.byteLength + SLOT_BYTES;
  let bytes = SLOT_BYTES;
  for (const key in value) bytes += weigh((value as { readonly [key: string]: unknown })[key]);
  return bytes;
}
