/**
 * Notes in Markdown as things to remember, the way agents of other systems keep them: a folder with MEMORY.md, files per
 * day, and files per subject. Each heading's text is an entry; long texts are cut between paragraphs. MEMORY.md and files
 * without a date are what somebody chose to keep, so they are pinned; dated notes keep their date and may fade.
 */

/** One thing a note says. */
export interface Note {
  readonly text: string;
  /** The file, as entries of one file are neighbours. */
  readonly file: string;
  readonly heading: string;
  /** Milliseconds since the Unix epoch; undefined for notes without a date. */
  readonly at: number | undefined;
}

/** Longest entry made of a note, in UTF-16 units; a paragraph that is longer stays whole. */
const ENTRY_UNITS = 2_000;

/** The entries of one file; `file` is its path inside the folder. */
export function notesOf(file: string, markdown: string): readonly Note[] {
  const at = dateOf(file);
  return sections(markdown).flatMap(({ heading, paragraphs }) =>
    packed(paragraphs).map((body) => ({
      text: heading === "" ? body : `${heading}\n${body}`,
      file,
      heading,
      at,
    })),
  );
}

/** The first day of a path such as `memory/2026-03-01-trip.md`; undefined when there is none. */
function dateOf(file: string): number | undefined {
  const day = /(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)/.exec(file)?.[1];
  const at = day === undefined ? Number.NaN : Date.parse(`${day}T00:00:00Z`);
  return Number.isNaN(at) ? undefined : at;
}

interface Section {
  readonly heading: string;
  readonly paragraphs: readonly string[];
}

/** Headings inside fenced code are code. Front matter is left out. */
function sections(markdown: string): readonly Section[] {
  const text = markdown.replace(/^\uFEFF?---\n[\s\S]*?\n---\n/, "");
  const found: { heading: string; lines: string[] }[] = [{ heading: "", lines: [] }];
  let isCode = false;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(?:```|~~~)/.test(line)) isCode = !isCode;
    const heading = isCode ? null : /^#{1,6}\s+(.+?)\s*#*$/.exec(line);
    if (heading === null) found.at(-1)?.lines.push(line);
    else found.push({ heading: heading[1] ?? "", lines: [] });
  }
  return found.map(({ heading, lines }) => ({
    heading,
    paragraphs: lines
      .join("\n")
      .split(/\n\s*\n/)
      .map((paragraph) => paragraph.trim())
      .filter((paragraph) => paragraph !== ""),
  }));
}

/** Paragraphs together as long as they fit. */
function packed(paragraphs: readonly string[]): readonly string[] {
  const bodies: string[] = [];
  for (const paragraph of paragraphs) {
    const last = bodies.at(-1);
    if (last !== undefined && last.length + paragraph.length + 2 <= ENTRY_UNITS)
      bodies[bodies.length - 1] = `${last}\n\n${paragraph}`;
    else bodies.push(paragraph);
  }
  return bodies;
}
