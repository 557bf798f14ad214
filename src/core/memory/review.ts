/**
 * What counts as a review of a memory, and how it is graded. Being found by a search is no review: otherwise whatever
 * is returned once would be returned for ever. Nothing here is ever graded `easy` by inference; that takes a caller who
 * says so.
 */
import type { Grade } from "./strength.ts";

/** How sure the author was when it was memorised. */
export type Importance = "important" | "normal" | "captured" | "noise";

/** Grade of the first meeting. */
export const FIRST_GRADE: Readonly<Record<Importance, Grade>> = {
  important: "easy",
  normal: "good",
  /** Picked up automatically, not checked. */
  captured: "hard",
  /** Output of tools. */
  noise: "again",
};

/** What became of an entry that somebody had in front of them. */
export type Verdict = "used" | "essential" | "tangential" | "wrong";

/** Grade of a later meeting. */
export const VERDICT_GRADE: Readonly<Record<Verdict, Grade>> = {
  /** Put into a context and the task succeeded, or cited, or memorised again. */
  used: "good",
  essential: "easy",
  tangential: "hard",
  /** Wrong, contradicted or superseded. */
  wrong: "again",
};
