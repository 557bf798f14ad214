/**
 * English endings off a word, by Porter's algorithm: "inspired" and "inspiring" become one stem. The library is the
 * reference implementation in JavaScript and measured a point of recall above a lighter rule set of our own. A word with anything
 * but the letters a to z is left as it is, since the rules mean nothing in other languages.
 */
import { stemmer } from "stemmer";

const LATIN_WORD = /^[a-z]{3,}$/;

/** The stem of a folded word. */
export function stem(word: string): string {
  return LATIN_WORD.test(word) ? stemmer(word) : word;
}
