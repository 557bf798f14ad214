/**
 * How much of the memory one task may ask for and leave behind. The numbers bound journal records and messages, not the
 * memory itself, and are the same wherever an agent runs; they are counted in UTF-16 units because agents count so.
 */

/** Bounds of what one task may ask and have remembered. */
export const MEMORY_LIMITS = {
  /** Different questions of a task. */
  questions: 32,
  questionChars: 8_192,
  /** Entries of one answer, and characters of one entry and of all. */
  entries: 1_000,
  entryChars: 16_384,
  answerChars: 262_144,
  /** Entries of one attempt, and characters of one and of all. */
  writes: 100,
  writeChars: 65_536,
  writtenChars: 1_048_576,
} as const;
