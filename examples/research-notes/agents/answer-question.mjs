/**
 * Answers from what the definition had looked up: the best memory, and where else to look. A language model would be
 * given the same texts; the memory does not care who uses them. Without a memory it fails, so that nothing is reviewed.
 */
export const answerQuestion = {
  name: "AnswerQuestion",
  version: "1",
  run({ question }, { memory }) {
    if (memory.shown.length === 0) {
      throw Object.assign(new Error(`nothing is remembered about: ${question}`), {
        retryable: false,
      });
    }
    const line = (text) => text.replaceAll("\n", " ");
    return {
      question,
      answer: line(memory.shown[0].text),
      // What the answer rests on, and how strong each memory was when it was looked up.
      memories: memory.shown.map(
        ({ text, strength }) => `${strength.toFixed(2)} ${line(text).slice(0, 70)}`,
      ),
    };
  },
};
