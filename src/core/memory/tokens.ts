/**
 * From text to the stems that are indexed and asked for. Words are runs of letters, marks and digits in any script, with
 * case and Latin accents folded, possessives and stop words dropped, and English endings taken off. Scripts that put no
 * spaces between words (Chinese, Japanese, Korean with its particles, Thai and its relatives) become overlapping pairs of
 * characters. The same function serves entries and queries, except that a query asks for single characters only where
 * it has nothing longer.
 */
import { stem } from "./stem.ts";
import { STOP_WORDS } from "./stop-words.ts";

const WORD = /[\p{L}\p{M}\p{N}]+(?:['’][\p{L}\p{M}]+)*/gu;
const UNSPACED =
  /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Hang}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}]+/gu;
const ASCII = /^[\p{ASCII}’]*$/u;
/** Combining accents of Latin, Greek and Cyrillic; the voice marks of kana are elsewhere and stay. */
const ACCENTS = /[\u0300-\u036f]/g;
const POSSESSIVE = /['’]s$/;
const APOSTROPHES = /['’]/g;

/** Stems of an entry, in order, repeated as often as they occur. */
export function documentStems(text: string): string[] {
  return stemsOf(text, (pairs, single) => [...pairs, ...single]);
}

/** Stems of a query, in order of first occurrence, each once. */
export function queryStems(text: string): string[] {
  return [...new Set(stemsOf(text, (pairs, single) => (pairs.length > 0 ? pairs : single)))];
}

type Choice = (pairs: readonly string[], single: readonly string[]) => readonly string[];

function stemsOf(text: string, choice: Choice): string[] {
  const stems: string[] = [];
  const hasApostrophe = text.search(APOSTROPHES) !== -1;
  for (const [word] of folded(text).matchAll(WORD)) {
    const spaced = ASCII.test(word) ? word : withoutUnspaced(word, choice, stems);
    for (const part of spaced.split(" ")) {
      const plain = hasApostrophe ? part.replace(POSSESSIVE, "").replace(APOSTROPHES, "") : part;
      if (plain !== "" && !STOP_WORDS.has(plain)) stems.push(stem(plain));
    }
  }
  return stems;
}

/** Moves the runs of unspaced script out of `word` into `stems`, and returns what is left, with spaces in their place. */
function withoutUnspaced(word: string, choice: Choice, stems: string[]): string {
  return word.replace(UNSPACED, (run) => {
    const characters = [...run];
    const pairs = characters.slice(1).map((next, at) => `${characters[at]}${next}`);
    stems.push(...choice(pairs, characters));
    return " ";
  });
}

/** One spelling for what is written in many: case, width and accents. */
function folded(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  return text.normalize("NFKD").replace(ACCENTS, "").normalize("NFC").toLowerCase();
}
