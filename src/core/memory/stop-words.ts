/**
 * English function words, which say how a sentence is built and not what it is about. A question repeats them and an
 * answer rarely does, so they would only rank long sentences first. Contractions stand here without their apostrophe,
 * as the tokenizer leaves them. Other languages are not listed: a word that is common in a session has a low weight there anyway.
 */

const GROUPS: readonly string[] = [
  "a an the this that these those",
  "i me my mine myself we us our ours ourselves you your yours yourself yourselves",
  "he him his himself she her hers herself it its itself they them their theirs themselves",
  "who whom whose which what when where why how",
  "am is are was were be been being do does did doing done have has had having",
  "can could will would shall should may might must ought",
  "and or but if then else than because as while until although though whether nor",
  "of at by for with about against between into through during before after above below to from up down in out on off over under again further",
  "no not only own same so too very just also there here now both each few more most other some such any all",
  "im ive id ill youre youve youd youll hes shes weve were theyre theyve theyd theyll thats whats wheres whos heres theres",
  "isnt arent wasnt werent dont doesnt didnt havent hasnt hadnt cant couldnt wont wouldnt shouldnt mustnt lets",
];

/** Whether a folded word carries no meaning of its own. */
export const STOP_WORDS: ReadonlySet<string> = new Set(GROUPS.flatMap((group) => group.split(" ")));
