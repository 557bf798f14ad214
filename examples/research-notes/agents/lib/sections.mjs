/** Cuts Markdown into sections: a heading and the first paragraph of prose below it. Tables and code say nothing alone. */

const TEXT_MAX = 600;

export function sectionsOf(markdown) {
  const prose = markdown.replace(/^```[\s\S]*?^```/gm, "");
  return prose.split(/^#+ /m).flatMap((part) => {
    const [heading = "", ...rest] = part.split("\n");
    const text = rest
      .join("\n")
      .split(/\n\s*\n/)
      .map(plain)
      .find(isProse);
    return heading.trim() === "" || text === undefined
      ? []
      : [{ heading: plain(heading), text: text.slice(0, TEXT_MAX) }];
  });
}

/** Links without their targets, no emphasis, one line. */
function plain(markdown) {
  return markdown
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[*`]/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

function isProse(paragraph) {
  return paragraph.length >= 40 && !/^[|<!-]/.test(paragraph);
}
