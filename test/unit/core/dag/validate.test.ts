/** What a valid definition becomes, and the rules that need more than one field. Malformed files have their own corpus. */
import { describe, expect, test } from "vitest";
import { readDefinitionText } from "../../../../src/adapters/definition-file.ts";
import type { Json } from "../../../../src/base/payload.ts";
import { DEFINITION_LIMITS } from "../../../../src/core/dag/definition.ts";
import { readDefinition } from "../../../../src/core/dag/validate.ts";

const SEED = `name: customer_support
tasks:
  - { id: intake,   agent: IntakeAgent,   lane: io }
  - { id: classify, agent: ClassifyAgent, deps: [intake],   lane: cpu }
  - { id: resolve,  agent: ResolveAgent,  deps: [classify], lane: cpu,
      memory: { retrieve: { vector_query: "{{classify.category}}", top_k: 5 } } }
`;

function read(source: Json) {
  const result = readDefinition(source);
  if ("violations" in result) throw new Error(JSON.stringify(result.violations, null, 1));
  return result;
}

function readText(text: string) {
  const parsed = readDefinitionText(text, { fileName: "w.yaml" });
  if ("violations" in parsed) throw new Error(JSON.stringify(parsed.violations));
  return read(parsed.value);
}

function violations(source: Json) {
  const result = readDefinition(source);
  return "violations" in result ? result.violations : [];
}

const messages = (source: Json) =>
  violations(source).map(({ field, message }) => `${field}: ${message}`);

const workflow = (...tasks: Json[]): Json => ({ name: "w", tasks });

const DEFAULT_TASK = {
  deps: [],
  lane: "default",
  retry: { maxAttempts: 4, backoffMs: 200, maxBackoffMs: 30_000, jitter: 0.2 },
  priority: 0,
  cost: 1,
  onError: { kind: "fail" },
  labels: {},
};

describe("a valid definition", () => {
  test("the customer support workflow runs as it stands", () => {
    expect(readText(SEED)).toEqual({
      run: {},
      definition: {
        name: "customer_support",
        version: "",
        failFast: true,
        tasks: [
          { ...DEFAULT_TASK, id: "intake", agent: "IntakeAgent", lane: "io" },
          {
            ...DEFAULT_TASK,
            id: "classify",
            agent: "ClassifyAgent",
            lane: "cpu",
            deps: ["intake"],
          },
          {
            ...DEFAULT_TASK,
            id: "resolve",
            agent: "ResolveAgent",
            lane: "cpu",
            deps: ["classify"],
            memory: { retrieve: { vectorQuery: "{{classify.category}}", topK: 5 } },
          },
        ],
      },
    });
  });

  test("every field is read, in either spelling", () => {
    const task = {
      id: "a",
      agent: "A",
      deps: [],
      lane: "io",
      input: { x: "{{ input.x }}" },
      when: "input.x > 1",
      for_each: "input.items",
      timeout: "1m30s",
      deadline: "1h",
      heartbeat_timeout: "500ms",
      retry: { max_attempts: 2, backoff: "1s", max_backoff: "2s", jitter: 0 },
      priority: -5,
      cost: 3,
      on_error: "continue",
      compensate: { agent: "Undo", input: { id: "{{ a.id }}" } },
      memory: {
        retrieve: { vector_query: "{{ item }}", top_k: 7, filter: { kind: "fact" } },
        memorize: { content: "{{ a.text }}", kind: "fact" },
      },
      labels: { team: "x" },
    };
    const source = {
      name: "full",
      version: "1.2",
      tasks: [task],
      output: { all: "{{ a }}" },
      fail_fast: false,
      memory: { retrieve_last_n: 3, forget_threshold: 0.5 },
      input: { x: 2, items: [] },
      session_id: "s",
      namespace: "n",
      priority: 9,
      deadline: "2d",
      labels: { env: "test" },
    };
    const camel = JSON.parse(
      JSON.stringify(source).replace(/"([a-z]+(?:_[a-z]+)+)":/g, (_, key: string) => {
        return `"${key.replace(/_(.)/g, (__, letter: string) => letter.toUpperCase())}":`;
      }),
    ) as Json;
    expect(Object.keys(camel as object)).toContain("sessionId");
    expect(read(camel)).toEqual(read(source));
    expect(read(source)).toEqual({
      definition: {
        name: "full",
        version: "1.2",
        failFast: false,
        output: { all: "{{ a }}" },
        memory: { retrieveLastN: 3, forgetThreshold: 0.5 },
        tasks: [
          {
            id: "a",
            agent: "A",
            deps: [],
            lane: "io",
            input: { x: "{{ input.x }}" },
            when: "input.x > 1",
            forEach: "input.items",
            timeoutMs: 90_000,
            deadlineMs: 3_600_000,
            heartbeatTimeoutMs: 500,
            retry: { maxAttempts: 2, backoffMs: 1_000, maxBackoffMs: 2_000, jitter: 0 },
            priority: -5,
            cost: 3,
            onError: { kind: "continue" },
            compensate: { agent: "Undo", input: { id: "{{ a.id }}" } },
            memory: {
              retrieve: { vectorQuery: "{{ item }}", topK: 7, filter: { kind: "fact" } },
              memorize: { content: "{{ a.text }}", kind: "fact" },
            },
            labels: { team: "x" },
          },
        ],
      },
      run: {
        input: { x: 2, items: [] },
        sessionId: "s",
        namespace: "n",
        priority: 9,
        deadlineMs: 172_800_000,
        labels: { env: "test" },
      },
    });
  });

  test.each<[Json, Json]>([
    ["fail", { kind: "fail" }],
    ["continue", { kind: "continue" }],
    ["fallback:b", { kind: "fallback", taskId: "b" }],
    ["fallback: b", { kind: "fallback", taskId: "b" }],
    [{ fallback: "b" }, { kind: "fallback", taskId: "b" }],
  ])("on_error %j", (onError, expected) => {
    const source = workflow({ id: "a", agent: "A", on_error: onError }, { id: "b", agent: "B" });
    expect(read(source).definition.tasks[0]?.onError).toEqual(expected);
  });

  test("null is an absent field, but a value of input and output", () => {
    const { definition, run } = read({
      name: "w",
      output: null,
      input: null,
      labels: null,
      tasks: [{ id: "a", agent: "A", lane: null, deps: null, input: null, timeout: null }],
    });
    expect(definition.tasks[0]).toEqual({ ...DEFAULT_TASK, id: "a", agent: "A", input: null });
    expect(definition.output).toBeNull();
    expect(run).toEqual({ input: null });
  });

  test("the input's strings are data, the task's are templates", () => {
    expect(read({ name: "w", input: "{{ x", tasks: [{ id: "a", agent: "A" }] }).run.input).toBe(
      "{{ x",
    );
  });

  test("a fallback may read the task it guards and stand behind it with its dependents", () => {
    const source = workflow(
      { id: "a", agent: "A", on_error: { fallback: "f" } },
      { id: "f", agent: "F", input: { failed: "{{ a }}" } },
      { id: "b", agent: "B", deps: ["a"] },
      { id: "c", agent: "C", deps: ["a", "f"], when: "f != null" },
    );
    expect(messages(source)).toEqual([]);
  });

  test("ancestors far away may be read", () => {
    const chain = Array.from({ length: 200 }, (_, at) => ({
      id: `t${at}`,
      agent: "A",
      deps: at === 0 ? [] : [`t${at - 1}`],
      input: at === 0 ? null : { first: "{{ t0.x }}", middle: `{{ t${at >> 1} }}` },
    }));
    expect(messages(workflow(...chain))).toEqual([]);
  });
});

describe("an invalid definition", () => {
  test("names in a broken mapping are checked too", () => {
    const source = workflow({ id: "a", agent: "A", input: ["{{ nope.x }}", "{{ broken"] });
    expect(messages(source)).toEqual([
      expect.stringContaining("tasks[0].input[1]: "),
      'tasks[0].input[0]: "nope" is neither a task nor input, run or item',
    ]);
  });

  test("a task behind a cycle is not asked about ancestors", () => {
    const source = workflow(
      { id: "a", agent: "A", deps: ["b"] },
      { id: "b", agent: "B", deps: ["a"] },
      { id: "c", agent: "C", deps: ["b"], when: "a.ok" },
      { id: "d", agent: "D", when: "a.ok" },
    );
    expect(messages(source)).toEqual([
      "tasks[0].deps[0]: tasks wait for each other: a → b → a",
      'tasks[3].when: "a" is not an ancestor of "d", so its output may not be there',
    ]);
  });

  test("positions come from the source when it has them", () => {
    const parsed = readDefinitionText("name: w\ntasks:\n  - id: a\n    agnt: A\n", {
      fileName: "w",
    });
    if ("violations" in parsed) throw new Error("the text is valid YAML");
    expect(readDefinition(parsed.value, parsed)).toEqual({
      violations: [
        expect.objectContaining({ field: "tasks[0]", line: 3, column: 5 }),
        expect.objectContaining({ field: "tasks[0].agnt", line: 4, column: 5 }),
      ],
    });
  });
});

describe("limits", () => {
  const tasks = (count: number) =>
    Array.from({ length: count }, (_, at) => ({ id: `t${at}`, agent: "A" }));

  test("tasks", () => {
    const { tasks: limit } = DEFINITION_LIMITS;
    expect(messages(workflow(...tasks(limit)))).toEqual([]);
    expect(messages(workflow(...tasks(limit + 1)))).toContain(
      `tasks: ${limit + 1} entries exceed the limit of ${limit}`,
    );
  });

  test("dependencies of a task", () => {
    const { deps: limit } = DEFINITION_LIMITS;
    const many = tasks(limit + 1);
    const last = (count: number) => ({
      id: "z",
      agent: "A",
      deps: many.slice(0, count).map(({ id }) => id),
    });
    expect(messages(workflow(...many, last(limit)))).toEqual([]);
    expect(messages(workflow(...many, last(limit + 1)))).toEqual([
      `tasks[${limit + 1}].deps: ${limit + 1} entries exceed the limit of ${limit}`,
    ]);
  });

  test("edges", () => {
    const { edges: limit, deps } = DEFINITION_LIMITS;
    const sources = tasks(deps);
    const ids = sources.map(({ id }) => id);
    const full = Array.from({ length: limit / deps }, (_, at) => ({
      id: `f${at}`,
      agent: "A",
      deps: ids,
    }));
    expect(messages(workflow(...sources, ...full))).toEqual([]);
    expect(messages(workflow(...sources, ...full, { id: "z", agent: "A", deps: ["t0"] }))).toEqual([
      `tasks: ${limit + 1} dependencies exceed the limit of ${limit}`,
    ]);
  });

  test("depth", () => {
    const nested = (levels: number) =>
      JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`) as Json;
    const at = (levels: number) => workflow({ id: "a", agent: "A", input: nested(levels) });
    // The document, the list of tasks and the task are three levels already.
    expect(messages(at(DEFINITION_LIMITS.jsonDepth - 3))).toEqual([]);
    expect(messages(at(DEFINITION_LIMITS.jsonDepth - 2))).toEqual([
      expect.stringContaining("the value nests deeper than 64 levels"),
    ]);
    expect(messages(at(1_000_000))).toHaveLength(1);
  });

  test("the text of all conditions together, each counted once", () => {
    const { expressionChars: limit } = DEFINITION_LIMITS;
    const long = `input.x == "${"y".repeat(4_000)}"`;
    const repeated = tasks(100).map((task) => ({ ...task, when: long }));
    expect(messages(workflow(...repeated))).toEqual([]);
    const distinct = tasks(20).map((task, at) => ({ ...task, when: `${long} + "${at}"` }));
    const problem = `the conditions of the definition exceed ${limit} characters together`;
    expect(messages(workflow(...distinct))).toContain(`tasks[19].when: ${problem}`);
  });

  test("problems reported", () => {
    const bad = tasks(3_000).map((task) => ({ ...task, cost: 0 }));
    const reported = violations(workflow(...bad));
    expect(reported).toHaveLength(DEFINITION_LIMITS.violations + 1);
    expect(reported.at(-1)?.message).toBe("2000 more problems are not listed");
  });

  test("guesses do not cost more than they are worth", () => {
    const { tasks: limit } = DEFINITION_LIMITS;
    const typos = tasks(limit).map((task, at) => ({ ...task, deps: [`t${at}x`] }));
    const reported = violations(workflow(...typos));
    const guessed = reported.filter(({ remedy }) => remedy.startsWith("Did you mean"));
    expect(guessed.length).toBeGreaterThan(0);
    expect(guessed.length).toBeLessThanOrEqual(50_000 / limit);
  });
});
