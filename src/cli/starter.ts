/**
 * The project that `goclaw init` writes: a definition with a fan-out and a join, three agents in plain JavaScript, a
 * configuration and a README. It needs no model, no network and no dependency, so it runs as it is. A test writes it
 * and runs it.
 */

const WORKFLOW = `# A definition: tasks, their agents and what they wait for. Every field is described in docs/definitions.md.
name: starter
tasks:
  # Without dependencies a task receives the run's input.
  - { id: split, agent: SplitText, lane: cpu }

  # One instance per paragraph, as many at once as the lane lets through.
  - id: measure
    agent: MeasureParagraph
    deps: [split]
    lane: cpu
    for_each: split.paragraphs
    input: { paragraph: "{{ item }}" }
    timeout: 10s
    retry: { max_attempts: 3, backoff: 200ms }

  # The output of a for_each is the list of its instances' outputs.
  - { id: summary, agent: WriteSummary, deps: [measure], lane: io }

# Used when a run brings no input of its own.
input:
  text: |
    GoClaw runs workflows of agents. This definition splits a text, measures its paragraphs one by one and sums up.

    Change an agent while the daemon runs: attempts that have begun finish on the old code, new ones use the new.

    Then try your own text: goclaw run workflow.yaml --input '{"text": "..."}'
`;

const SPLIT_TEXT = `/** An agent is an exported object with a name and a run function: input in, JSON out. */
export const splitText = {
  name: "SplitText",
  run(input) {
    if (typeof input?.text !== "string") {
      // Trying again cannot help, so the run fails at once.
      throw Object.assign(new Error("the input has no text"), { retryable: false });
    }
    const paragraphs = input.text.split(/\\n\\s*\\n/).map((part) => part.trim());
    return { paragraphs: paragraphs.filter((part) => part !== "") };
  },
};
`;

const MEASURE_PARAGRAPH = `/** ctx carries the ids of the attempt, its abort signal, a log, progress, checkpoints and signals. */
export const measureParagraph = {
  name: "MeasureParagraph",
  async run({ paragraph }, ctx) {
    const words = paragraph.split(/\\s+/);
    ctx.progress(50, \`\${words.length} words\`);
    const longest = words.reduce((best, word) => (word.length > best.length ? word : best), "");
    return { words: words.length, characters: paragraph.length, longest };
  },
};
`;

const WRITE_SUMMARY = `/** A task with dependencies receives an object with their outputs. */
export const writeSummary = {
  name: "WriteSummary",
  run({ measure }) {
    const words = measure.reduce((sum, each) => sum + each.words, 0);
    const longest = measure.map((each) => each.longest).sort((a, b) => b.length - a.length)[0];
    return { paragraphs: measure.length, words, longest };
  },
};
`;

const CONFIG = `# Settings of the daemon and of "goclaw run"; all of them are in docs/configuration.md.
listen: 127.0.0.1:7420
data: ./goclaw-data
agents: ./agents

lanes:
  named:
    # At most two measurements at once, whatever else runs.
    cpu: { concurrency: 2 }
`;

const README = `# A GoClaw project

\`workflow.yaml\` says what runs, \`agents/\` how, \`goclaw.yaml\` where.

    goclaw validate workflow.yaml      # every problem, with line and column
    goclaw plan workflow.yaml          # layers and hot path
    goclaw run workflow.yaml           # run it here and watch

With a daemon, runs survive restarts:

    goclaw serve                       # in another terminal
    goclaw run workflow.yaml --server http://127.0.0.1:7420
    goclaw list
`;

const GITIGNORE = "goclaw-data/\n";

/** Files of the project by path, in the order they are worth reading. */
export const STARTER_FILES: Readonly<Record<string, string>> = {
  "README.md": README,
  "workflow.yaml": WORKFLOW,
  "agents/split-text.mjs": SPLIT_TEXT,
  "agents/measure-paragraph.mjs": MEASURE_PARAGRAPH,
  "agents/write-summary.mjs": WRITE_SUMMARY,
  "goclaw.yaml": CONFIG,
  ".gitignore": GITIGNORE,
};
