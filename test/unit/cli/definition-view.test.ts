import { expect, test } from "vitest";
import type { PlanView } from "../../../src/cli/definition-view.ts";
import { planJson, planMermaid, planText } from "../../../src/cli/definition-view.ts";
import { painter } from "../../../src/cli/layout.ts";

const PLAN: PlanView = {
  workflow: "report",
  version: "1.4.0",
  hash: "0123456789abcdef0123",
  tasks: [
    { id: "list", agent: "ListFiles", lane: "io", deps: [] },
    { id: "history", agent: "History", lane: "io", deps: [] },
    { id: "analyse", agent: "Analyse", lane: "cpu", deps: ["list"], forEach: "list.files" },
    { id: "join", agent: "Join", lane: "default", deps: ["analyse", "history"], fallback: "plain" },
    { id: "plain", agent: "Plain", lane: "default", deps: [], when: "input.plain" },
  ],
  layers: [["list", "history"], ["analyse"], ["join"], ["plain"]],
  hotPath: ["list", "analyse", "join"],
  hotPathMs: 10_500,
  laneDemand: { io: 2, cpu: 1 },
};

test("text shows layers, what tasks wait for, hot path and demand", () => {
  expect(planText(PLAN, painter(false))).toEqual([
    "report 1.4.0  0123456789ab",
    "",
    "LAYER  TASK     AGENT      LANE     DEPENDS ON",
    "    1  list     ListFiles  io",
    "    1  history  History    io",
    "    2  analyse  Analyse    cpu      list; for each list.files",
    "    3  join     Join       default  analyse, history; else plain",
    "    4  plain    Plain      default  when input.plain",
    "",
    "5 tasks, 3 edges, 4 layers",
    "hot path  list → analyse → join  (10.5s)",
    "most at once  io 2, cpu 1",
  ]);
});

test("a hot path of unit weights shows no duration", () => {
  const lines = planText({ ...PLAN, hotPathMs: 3 }, painter(false));
  expect(lines).toContain("hot path  list → analyse → join");
});

test("json has the names of PlanWorkflowResponse", () => {
  expect(planJson(PLAN)).toMatchObject({
    workflow: "report",
    definitionHash: "0123456789abcdef0123",
    layers: [{ taskIds: ["list", "history"] }, {}, {}, {}],
    hotPath: ["list", "analyse", "join"],
    hotPathMs: 10_500,
    laneDemand: { io: 2, cpu: 1 },
    tasks: [{ id: "list" }, {}, { forEach: "list.files" }, {}, {}],
  });
});

test("mermaid draws the hot path thick and fallbacks dotted", () => {
  expect(planMermaid(PLAN)).toEqual([
    "flowchart LR",
    '  t0["list<br/><small>ListFiles · io</small>"]',
    '  t1["history<br/><small>History · io</small>"]',
    '  t2[["analyse<br/><small>Analyse · cpu</small>"]]',
    '  t3["join<br/><small>Join · default</small>"]',
    '  t4["plain<br/><small>Plain · default</small>"]',
    "  t0 ==> t2",
    "  t2 ==> t3",
    "  t1 --> t3",
    "  t3 -. fails .-> t4",
  ]);
});

test("mermaid labels cannot break out of their quotes", () => {
  const task = { id: "a", agent: 'x"]; click t0 "javascript:', lane: "<b>", deps: [] };
  const [, line] = planMermaid({ ...PLAN, tasks: [task] });
  expect(line).toBe('  t0["a<br/><small>x#34;]#59; click t0 #34;javascript: · #60;b#62;</small>"]');
});
