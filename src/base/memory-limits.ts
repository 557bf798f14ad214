/**
 * How much of the memory one task may ask for and leave behind. The numbers bound journal records and messages, not the
 * memory itself, and are the same wherever an agent runs. Characters are UTF-16 units.
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
  /** Entries of one attempt, and UTF-8 bytes of one text and of everything: with its output they are one message. */
  writes: 100,
  writeBytes: 65_536,
  writtenBytes: 1_048_576,
} as const;
