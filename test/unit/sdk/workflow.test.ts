/** What the builder hands to the validator: the JSON form of a definition, whole and without surprises. */
import { agent, workflow } from "goclaw";
import { describe, expect, test } from "vitest";

const page = agent("page", (input: { url: string }) => input.url, { cost: 2, version: "3" });

describe("a workflow", () => {
  const whole = workflow("whole")
    .task("page", page, {
      lane: "io",
      timeout: "5s",
      deadline: "1m",
      heartbeatTimeout: "10s",
      retry: { maxAttempts: 2, backoff: "1s", maxBackoff: "2s", jitter: 0 },
      priority: 5,
      cost: 3,
      onError: "continue",
      labels: { team: "x" },
      memory: { retrieve: { vectorQuery: "{{ input.url }}", topK: 7 } },
      compensate: { agent: "undo", input: { what: "{{ page }}" } },
    })
    .task("each", "Each", { deps: ["page"], forEach: "input.list", when: "page != null" })
    .output({ all: "{{ each }}" })
    .memory({ retrieveLastN: 3, forgetThreshold: 0.3 })
    .failFast(false)
    .version("1.4.0");

  test("becomes a definition with everything that was said", () => {
    expect(whole.toDefinition()).toMatchObject({
      name: "whole",
      version: "1.4.0",
      failFast: false,
      output: { all: "{{ each }}" },
      memory: { retrieveLastN: 3, forgetThreshold: 0.3 },
      tasks: [
        {
          id: "page",
          agent: "page",
          lane: "io",
          timeoutMs: 5_000,
          deadlineMs: 60_000,
          heartbeatTimeoutMs: 10_000,
          retry: { maxAttempts: 2, backoffMs: 1_000, maxBackoffMs: 2_000, jitter: 0 },
          priority: 5,
          cost: 3,
          onError: { kind: "continue" },
          labels: { team: "x" },
          memory: { retrieve: { vectorQuery: "{{ input.url }}", topK: 7 } },
          compensate: { agent: "undo", input: { what: "{{ page }}" } },
        },
        { id: "each", agent: "Each", deps: ["page"], forEach: "input.list", when: "page != null" },
      ],
    });
  });

  test("lists the agents it was given as objects, each once", () => {
    const twice = workflow("twice").task("a", page).task("b", page).task("c", "Named");
    expect(twice.agents).toEqual([page]);
    expect(page).toMatchObject({ name: "page", cost: 2, version: "3" });
  });

  test("is not changed by what is added to it", () => {
    const common = workflow("common").task("page", page);
    common.task("more", "Named", { deps: ["page"] });
    expect(common.toDefinition().tasks.map(({ id }) => id)).toEqual(["page"]);
  });

  test("takes a fallback", () => {
    const saved = workflow("saved")
      .task("spare", page)
      .task("page", page, { onError: { fallback: "spare" } });
    expect(saved.toDefinition().tasks[1]?.onError).toEqual({ kind: "fallback", taskId: "spare" });
  });

  test("without tasks is refused as a definition", () => {
    expect(() => workflow("empty").toDefinition()).toThrow(/"empty" has 1 problem/);
  });
});
