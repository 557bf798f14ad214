/**
 * A small set of remembered talk with questions, written for the tests: tasks of short entries, and questions whose
 * evidence is named by task and place. Some questions use the entry's words, some those of its neighbour, some few of
 * either, and several tasks talk about alike things, so that a ranking has something to get wrong.
 */

export interface NoteTask {
  readonly id: string;
  readonly entries: readonly string[];
}

export interface NoteQuestion {
  readonly text: string;
  /** `task/place`, places from zero. */
  readonly evidence: string;
}

export const NOTE_TASKS: readonly NoteTask[] = [
  {
    id: "deploy",
    entries: [
      "Ana: how did the release of the billing service go on Tuesday?",
      "Ben: badly, the migration locked the invoices table for eleven minutes",
      "Ana: did customers notice?",
      "Ben: two of them opened tickets, both in the Nordic region",
      "Ana: what do we change before the next one?",
      "Ben: we add the column without a default and backfill in batches of five thousand",
    ],
  },
  {
    id: "search",
    entries: [
      "Cleo: the search page takes four seconds since the upgrade",
      "Ben: which query is slow?",
      "Cleo: everything that sorts by price, the index is not used",
      "Ben: the planner's statistics are stale after the restore",
      "Cleo: running analyze brought it down to ninety milliseconds",
      "Ben: put that into the restore runbook please",
    ],
  },
  {
    id: "hiring",
    entries: [
      "Ana: who is coming for the interview on Thursday?",
      "Dora: Miro Halas, he led the payments team of a travel agency",
      "Ana: what should we ask him?",
      "Dora: how he moved a ledger between two currencies without stopping sales",
      "Ana: and Lena?",
      "Dora: she withdrew, the commute from Graz is too long for her",
    ],
  },
  {
    id: "incident",
    entries: [
      "pager: checkout errors above five percent since 03:12",
      "Ben: the certificate of the card gateway expired at three",
      "Ben: I installed the renewed one on both balancers",
      "pager: checkout errors below one percent",
      "Cleo: why did nobody see the expiry coming?",
      "Ben: the reminder went to the mailbox of someone who left in spring",
      "Cleo: then the alert should go to the channel of the team",
    ],
  },
  {
    id: "customer",
    entries: [
      "Dora: the hospital in Bergen wants its data kept inside Norway",
      "Ana: what do we offer them?",
      "Dora: a region of their own in Oslo, with backups in Trondheim",
      "Ana: at what price?",
      "Dora: forty percent on top, and they agreed for three years",
    ],
  },
  {
    id: "garden",
    entries: [
      "Ana: what are you planting on the office roof this year?",
      "Cleo: tomatoes along the south wall and mint in the old sink",
      "Ana: the mint took over everything last summer",
      "Cleo: that is why it lives in the sink now",
      "Ana: who waters it in August?",
      "Cleo: Dora does, I am hiking in the Tatras for three weeks",
    ],
  },
  {
    id: "research",
    entries: [
      "agent: read the paper on write-ahead logging with group commit",
      "agent: one fsync for many transactions raised throughput ninefold on their disk",
      "agent: latency of a lonely transaction stayed the same",
      "agent: the authors warn about drives that acknowledge before they persist",
      "agent: they tested for it by cutting power with a relay",
    ],
  },
  {
    id: "budget",
    entries: [
      "Ana: how much is left for the second half of the year?",
      "Dora: sixty-two thousand, after the new balancers",
      "Ana: does that include the conference in Porto?",
      "Dora: no, travel comes from the training budget",
      "Ana: how many of us can go?",
      "Dora: three, if we book before the end of March",
    ],
  },
  {
    id: "style",
    entries: [
      "Cleo: do we put units into names?",
      "Ben: always at the end, so timeoutMs and never msTimeout",
      "Cleo: and abbreviations?",
      "Ben: only those that everybody outside the team knows too",
      "Cleo: what about comments?",
      "Ben: they say why, the code says what",
    ],
  },
  {
    id: "backup",
    entries: [
      "Cleo: when was the last restore drill?",
      "Ben: in February, it took fifty minutes from the snapshot in Trondheim",
      "Cleo: what was the slowest part?",
      "Ben: copying over the network, the disks were idle",
      "Cleo: can we compress it?",
      "Ben: yes, with zstd it should take under twenty",
    ],
  },
];

export const NOTE_QUESTIONS: readonly NoteQuestion[] = [
  { text: "How long was the invoices table locked?", evidence: "deploy/1" },
  { text: "What went wrong with the billing release?", evidence: "deploy/1" },
  { text: "Where were the customers who opened tickets?", evidence: "deploy/3" },
  { text: "How do we add a column safely?", evidence: "deploy/5" },
  { text: "What will change before the next release?", evidence: "deploy/5" },
  { text: "Why was the search page slow?", evidence: "search/3" },
  { text: "Which searches did not use the index?", evidence: "search/2" },
  { text: "What made search fast again?", evidence: "search/4" },
  { text: "What belongs into the restore runbook?", evidence: "search/4" },
  { text: "Who is interviewed on Thursday?", evidence: "hiring/1" },
  { text: "What do we ask Miro about?", evidence: "hiring/3" },
  { text: "Why did Lena withdraw?", evidence: "hiring/5" },
  { text: "When did checkout begin to fail?", evidence: "incident/0" },
  { text: "Which certificate expired?", evidence: "incident/1" },
  { text: "Where was the renewed certificate installed?", evidence: "incident/2" },
  { text: "Why did nobody see the certificate's expiry?", evidence: "incident/5" },
  { text: "Where should alerts go?", evidence: "incident/6" },
  { text: "Where does the hospital want its data?", evidence: "customer/0" },
  { text: "What did we offer the hospital in Bergen?", evidence: "customer/2" },
  { text: "What price did the hospital agree to?", evidence: "customer/4" },
  { text: "What grows on the office roof?", evidence: "garden/1" },
  { text: "Why is the mint in the sink?", evidence: "garden/2" },
  { text: "Who waters the plants in August?", evidence: "garden/5" },
  { text: "How much did group commit raise throughput?", evidence: "research/1" },
  { text: "Which drives do the authors warn about?", evidence: "research/3" },
  { text: "How did the authors test drives?", evidence: "research/4" },
  { text: "How much money is left this year?", evidence: "budget/1" },
  { text: "Who pays for travel to Porto?", evidence: "budget/3" },
  { text: "How many can go to the conference?", evidence: "budget/5" },
  { text: "Where do units stand in names?", evidence: "style/1" },
  { text: "Which abbreviations are allowed?", evidence: "style/3" },
  { text: "What should comments say?", evidence: "style/5" },
  { text: "How long did the restore drill take?", evidence: "backup/1" },
  { text: "What was slow in the restore drill?", evidence: "backup/3" },
  { text: "How fast is a restore with compression?", evidence: "backup/5" },
];
