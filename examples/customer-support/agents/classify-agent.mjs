/**
 * Says what a ticket is about and how urgent it is, with rules over its words: every rule that matches adds its weight
 * to a category, the heaviest category wins, and the share it has of all weights is the confidence. The evidence is part
 * of the answer, so that a person can see why.
 */

/** Category → patterns with weights. A pattern in the subject counts twice. */
const RULES = {
  billing: [
    [/\b(?:refund|charged?(?: twice)?|invoice|billing|overcharged|double payment)\b/gi, 3],
    [/\b(?:payment|card|price|subscription|vat|receipt)\b/gi, 1],
  ],
  shipping: [
    [/\b(?:parcel|package|delivery|shipment|tracking|courier)\b/gi, 3],
    [/\b(?:deliver(?:ed)?|arriv(?:e|ed)|late|address|order)\b/gi, 1],
  ],
  account: [
    [/\b(?:password|log ?in|sign ?in|locked out|two-factor|2fa|verification code)\b/gi, 3],
    [/\b(?:account|e-?mail address|username|profile)\b/gi, 1],
  ],
  technical: [
    [/\b(?:crash(?:es|ed)?|error|bug|exception|freezes?|timeout|outage|broken)\b/gi, 3],
    [/\b(?:app|update|version|install|website|slow|load(?:s|ing)?|server)\b/gi, 1],
  ],
  cancellation: [
    [/\b(?:cancel(?:lation|ling|led)?|unsubscribe|terminate|close my account)\b/gi, 3],
    [/\b(?:contract|end of (?:the )?(?:month|year)|stop)\b/gi, 1],
  ],
};

const URGENT = [
  [/\b(?:urgent(?:ly)?|asap|immediately|right away|today|production|outage|fraud|stolen)\b/gi, 2],
  [
    /\b(?:lawyer|legal|chargeback|consumer protection|third time|again and again|unacceptable)\b/gi,
    2,
  ],
  [/!{2,}|\b[A-Z]{5,}\b/g, 1],
];

export const classifyAgent = {
  name: "ClassifyAgent",
  version: "1",
  run({ intake }) {
    const scores = Object.entries(RULES)
      .map(([category, rules]) => ({ category, ...weigh(rules, intake) }))
      .sort((a, b) => b.weight - a.weight);
    const total = scores.reduce((sum, { weight }) => sum + weight, 0);
    const [first] = scores;
    const urgency = weigh(URGENT, intake).weight;
    return {
      category: total === 0 ? "general" : first.category,
      confidence: total === 0 ? 0 : Math.round((100 * first.weight) / total) / 100,
      priority: urgency >= 4 ? "high" : urgency >= 2 ? "raised" : "normal",
      evidence: total === 0 ? [] : first.evidence,
      // The next task sees this output only.
      ticket: intake,
    };
  },
};

function weigh(rules, { subject, text }) {
  const evidence = new Set();
  let weight = 0;
  for (const [pattern, value] of rules) {
    const inSubject = subject.match(pattern) ?? [];
    const inText = text.match(pattern) ?? [];
    weight += value * (2 * inSubject.length + inText.length);
    for (const word of [...inSubject, ...inText]) evidence.add(word.toLowerCase());
  }
  return { weight, evidence: [...evidence] };
}
