/**
 * Memories as text for people: results with the reasons they were found, and where an entry stands on its way to being
 * forgotten.
 */
import type { Memory, MemoryHit } from "../../gen/goclaw/v1/memory_service_pb.ts";
import { MemorizeOutcome } from "../../gen/goclaw/v1/memory_service_pb.ts";
import type { Instant } from "../base/time.ts";
import { briefDuration, clip, type Paint, printable } from "./layout.ts";

export interface MemoryStyle {
  readonly now: Instant;
  readonly paint: Paint;
  readonly columns: number;
}

/** One result: the text, then score, ranks, strength and time left. */
export function hitLines(hit: MemoryHit, at: number, style: MemoryStyle): readonly string[] {
  const { memory, score, textRank, vectorRank, matchedTerms } = hit;
  if (memory === undefined) return [];
  const number = `${at + 1}.`.padEnd(4);
  const reasons = [
    `score ${score.toFixed(3)}`,
    textRank === undefined ? "" : `words #${textRank}`,
    vectorRank === undefined ? "" : `vector #${vectorRank}`,
    matchedTerms.length === 0 ? "" : `matched ${matchedTerms.join(" ")}`,
    standing(memory, style.now),
  ].filter((reason) => reason !== "");
  return [
    `${number}${clip(contentText(memory), style.columns - 4)}`,
    style.paint("faint", `    ${memory.id}  ${printable(reasons.join(", "))}`),
  ];
}

/** One entry of a list. */
export function memoryLines(memory: Memory, style: MemoryStyle): readonly string[] {
  return [
    clip(contentText(memory), style.columns),
    style.paint("faint", `    ${memory.id}  ${standing(memory, style.now)}`),
  ];
}

/** `strength 0.83, forgotten in 284d 2h`. */
function standing(memory: Memory, now: Instant): string {
  const parts = [`strength ${memory.strength.toFixed(2)}`];
  if (memory.pinned) parts.push("pinned");
  if (memory.dormantSince !== undefined) parts.push("dormant");
  if (memory.supersededBy !== "") parts.push(`superseded by ${memory.supersededBy}`);
  if (memory.forgetAt !== undefined) {
    const leftMs = Math.max(0, Number(memory.forgetAt.seconds) * 1_000 - now);
    const verb = memory.dormantSince === undefined ? "forgotten" : "deleted";
    parts.push(`${verb} in ${briefDuration(leftMs)}`);
  }
  return parts.join(", ");
}

function contentText({ content, metadata }: Memory): string {
  if (content?.value.case === "text") return printable(content.value.value);
  const size = content?.value.case === "data" ? content.value.value.length : 0;
  const about = Object.values(metadata).join(" ");
  return printable(`[${content?.mediaType ?? "bytes"}, ${size} bytes] ${about}`);
}

/** What became of a request. */
export const OUTCOME_WORDS: Readonly<Record<MemorizeOutcome, string>> = {
  [MemorizeOutcome.UNSPECIFIED]: "unknown",
  [MemorizeOutcome.STORED]: "stored",
  [MemorizeOutcome.REVIEWED]: "known already, reviewed",
  [MemorizeOutcome.REINFORCED]: "nearly known already, reinforced",
  [MemorizeOutcome.RECALLED]: "only repeats what was recalled",
};
