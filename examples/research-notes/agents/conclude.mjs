/** Says how much was read. What the definition remembers of this task is its `summary`. */
export const conclude = {
  name: "Conclude",
  version: "1",
  run({ read }) {
    const documents = read.filter((one) => one !== null);
    const findings = documents.reduce((sum, one) => sum + one.findings, 0);
    const missing = read.length - documents.length;
    const unread = missing === 0 ? "" : `; ${missing} could not be read`;
    return { summary: `Read ${documents.length} documents with ${findings} findings${unread}.` };
  },
};
