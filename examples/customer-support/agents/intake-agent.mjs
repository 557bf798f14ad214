/**
 * Reads a ticket as it came in, usually as e-mail, and keeps what matters: the words of the customer without quoted
 * replies, signature and markup, and the facts that can be picked out of them. Everything later works on this.
 */

const TEXT_MAX = 20_000;

/** Where the customer's own words end: quoted replies, forwarded mails, signatures. */
const END_OF_WORDS = [
  /^\s*>/m,
  /^-- ?$/m,
  /^\s*On .{0,200} wrote:\s*$/m,
  /^\s*Am .{0,200} schrieb .{0,200}:\s*$/m,
  /^-{2,}\s*(?:Original|Forwarded) Message\s*-{2,}/im,
  /^Sent from my \w+/m,
];

const FACTS = {
  orders:
    /\b(?:order|invoice|rma)\s*(?:number|no\.?|id)?\s*[:#]?\s*#?((?=[A-Z-]*\d)[A-Z0-9-]{4,20})\b/gi,
  errors: /\b(?:error|code|status)\s*[:#]?\s*((?=[A-Z_-]*\d)[A-Z0-9_-]{3,20})\b/gi,
  amounts: /((?:[€$£]\s?\d[\d.,]*\d|\d[\d.,]*\s?(?:€|EUR|USD|GBP)))/g,
  emails: /\b([\w.+-]+@[\w-]+\.[\w.-]*\w)/g,
};

export const intakeAgent = {
  name: "IntakeAgent",
  version: "1",
  inputSchema: {
    type: "object",
    properties: {
      subject: { type: "string" },
      body: { type: "string" },
      from: { type: "string" },
    },
    required: ["body"],
  },
  run(ticket) {
    if (typeof ticket?.body !== "string" || ticket.body.trim() === "") {
      // Another attempt would read the same ticket.
      throw Object.assign(new Error('the ticket has no "body"'), { retryable: false });
    }
    const text = wordsOf(ticket.body);
    const subject = String(ticket.subject ?? "").replace(/^(?:\s*(?:re|fwd?|aw)\s*:)+\s*/i, "");
    const searched = `${subject}\n${text}`;
    const facts = Object.entries(FACTS).map(([name, pattern]) => [name, all(searched, pattern)]);
    return {
      from: String(ticket.from ?? "unknown"),
      customer: customerOf(ticket.from, text),
      subject,
      text,
      facts: Object.fromEntries(facts),
    };
  },
};

function wordsOf(body) {
  const plain = body
    .slice(0, TEXT_MAX)
    .replace(/\r\n?/g, "\n")
    .replace(/<br\s*\/?>|<\/p>/gi, "\n")
    .replace(/<[^<>]{0,500}>/g, " ");
  const ends = END_OF_WORDS.map((pattern) => plain.search(pattern)).filter((at) => at > 0);
  return plain
    .slice(0, Math.min(plain.length, ...ends))
    .replace(/[ \t]+/g, " ")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

/** Distinct matches in order. Upper case, because people write order numbers as they like. */
function all(text, pattern) {
  return [...new Set([...text.matchAll(pattern)].map(([, value]) => value.toUpperCase()))];
}

/** A name to address: that of the sender, else the last short line of the text, else nobody. */
function customerOf(from, text) {
  const named = /^\s*"?([^"<@]{2,60}?)"?\s*</.exec(String(from ?? ""))?.[1];
  const signed = /\n[ \t]*(\p{Lu}[\p{L}'-]{1,20}(?: \p{Lu}[\p{L}'-]{1,20}){0,2})$/u.exec(text)?.[1];
  return named ?? signed ?? "";
}
