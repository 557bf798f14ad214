/**
 * A value on its way between client, task and agent. Most are JSON and stay *text* from the wire to the agent, so the
 * engine parses a value only where a template or a condition looks inside it; everything else is bytes with a media
 * type. A payload is immutable and may be shared by any number of holders.
 */
import { utf8Length } from "./utf8.ts";

/** Any JSON value. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/** JSON text, or opaque bytes with their media type. */
export type Payload =
  | { readonly json: string }
  | { readonly mediaType: string; readonly bytes: Uint8Array };

/** The JSON `null` payload: the output of a task that returned nothing. */
export const NULL_PAYLOAD: Payload = { json: "null" };

/** Largest payload accepted, in bytes. */
export const PAYLOAD_MAX_BYTES = 2 * 1024 * 1024;

/** Wraps a JSON value. */
export function jsonPayload(value: Json): Payload {
  return { json: JSON.stringify(value) };
}

/**
 * JSON text of a payload. Bytes become `{"media_type": …, "base64": …}` so that a binary output can still be named in
 * a template or printed by a JSON client.
 */
export function payloadText(payload: Payload): string {
  if ("json" in payload) return payload.json;
  return JSON.stringify({ media_type: payload.mediaType, base64: toBase64(payload.bytes) });
}

/** Parsed value of a payload; see {@link payloadText} for bytes. */
export function payloadValue(payload: Payload): Json {
  return JSON.parse(payloadText(payload)) as Json;
}

/** Size in bytes: exact for bytes, for JSON text its UTF-16 units, which no text falls below. */
export function payloadSize(payload: Payload): number {
  return "json" in payload ? payload.json.length : payload.bytes.byteLength;
}

/** Exact size of a payload that has more than `limitBytes`, else undefined. Texts that must fit are not counted. */
export function sizeBeyond(payload: Payload, limitBytes: number): number | undefined {
  if ("json" in payload && payload.json.length * 3 <= limitBytes) return undefined;
  const size = "json" in payload ? utf8Length(payload.json) : payload.bytes.byteLength;
  return size > limitBytes ? size : undefined;
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** RFC 4648 base64 without any platform help, because `base` runs without Node's types. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const word = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += ALPHABET.charAt(word >> 18) + ALPHABET.charAt((word >> 12) & 63);
    text += left > 1 ? ALPHABET.charAt((word >> 6) & 63) : "=";
    text += left > 2 ? ALPHABET.charAt(word & 63) : "=";
  }
  return text;
}
