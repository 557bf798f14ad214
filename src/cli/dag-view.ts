/**
 * Draws a watched run for a terminal: a header, one line per task in the order of layers, totals. Pure: given a model,
 * the time and the size of the screen it returns lines that fit. When there are more tasks than lines, what runs or
 * failed is shown before what waits, and that before what is done.
 */
import { RunState, TaskState } from "../../gen/goclaw/v1/run_pb.ts";
import type { Instant } from "../base/time.ts";
import type { Paint } from "./layout.ts";
import { bar, briefDuration, clip, counted, pad, printable, widthOf } from "./layout.ts";
import { lookOf, reasonText, runTone, STATES, wordOf } from "./look.ts";
import type { RunModel, WatchedTask } from "./run-model.ts";
import { isTerminalRun, isTerminalTask } from "./run-model.ts";

/** What the drawing has to fit into. */
export interface Canvas {
  readonly now: Instant;
  readonly columns: number;
  /** Most lines to return. */
  readonly rows: number;
  readonly paint: Paint;
}

/** Lines that draw `run`. */
export function dagLines(run: RunModel, canvas: Canvas): readonly string[] {
  const layers = layersOf(run);
  const shown = choose(run, layers, canvas.rows - 3);
  const idWidth = Math.min(
    Math.max(8, Math.floor(canvas.columns / 3)),
    Math.max(...shown.map((task) => widthOf(task.id)), 1),
  );
  const agentWidth = Math.min(
    Math.max(6, Math.floor(canvas.columns / 4)),
    Math.max(...shown.map((task) => widthOf(printable(task.agent))), 1),
  );
  const lines = shown.map((task, at) => {
    const gutter = gutterOf(layers, shown, at);
    return taskLine(run, task, { ...canvas, gutter, idWidth, agentWidth });
  });
  const hidden = [...run.tasks.values()].filter((task) => !shown.includes(task));
  const more =
    hidden.length === 0
      ? []
      : [canvas.paint("faint", `   … ${counted(hidden.length, "more task")}`)];
  return [headerLine(run, canvas), ...lines, ...more, totalsLine(run, canvas)];
}

/** The run id gives way before the workflow's name becomes shorter than this. */
const NAME_MIN = 8;

function headerLine(run: RunModel, { now, columns, paint }: Canvas): string {
  const tone = runTone(run.state);
  const end = isTerminalRun(run.state) && run.endedAt > 0 ? run.endedAt : now;
  const state = wordOf(RunState, run.state);
  const id = `  ${run.runId}`;
  const facts = `  ${state}  ${briefDuration(run.acceptedAt > 0 ? end - run.acceptedAt : 0)}`;
  const roomBesideId = columns - widthOf(facts) - widthOf(id);
  const shownId = roomBesideId >= NAME_MIN ? id : "";
  const name = clip(printable(run.workflow), Math.max(0, columns - widthOf(facts + shownId)));
  return (
    paint("strong", name) +
    paint("faint", shownId) +
    paint(tone, facts.slice(0, state.length + 2)) +
    facts.slice(state.length + 2)
  );
}

/** Totals of the definition's tasks, instances of a group counted in its place. */
function totalsLine(run: RunModel, { columns, paint }: Canvas): string {
  const totals = tally(run);
  const count = [...totals.values()].reduce((sum, each) => sum + each, 0);
  const parts = [...totals].map(([state, each]) => `${each} ${lookOf(state).word}`);
  return paint("faint", clip(`${counted(count, "task")}: ${parts.join(", ")}`, columns));
}

/** How many tasks are in each state, in the order of {@link STATES}. */
export function tally(run: RunModel): ReadonlyMap<TaskState, number> {
  const counts = new Map<TaskState, number>();
  const add = (state: TaskState, by: number): void => {
    if (by > 0) counts.set(state, (counts.get(state) ?? 0) + by);
  };
  for (const task of run.tasks.values()) {
    if (task.instanceCount === 0) add(task.state, 1);
    for (const instance of task.instances.values()) add(instance.state, 1);
    add(TaskState.PENDING, task.instanceCount - task.instances.size);
  }
  const ordered = STATES.flatMap((state) => {
    const count = counts.get(state);
    return count === undefined ? [] : [[state, count] as const];
  });
  return new Map(ordered);
}

/** Layer of each task: one more than its deepest dependency. Tasks come after their dependencies or not; both work. */
function layersOf(run: RunModel): ReadonlyMap<string, number> {
  const layers = new Map<string, number>();
  const waiting = new Map<string, number>();
  const dependents = new Map<string, string[]>();
  const ready: string[] = [];
  for (const task of run.tasks.values()) {
    const deps = task.deps.filter((dep) => run.tasks.has(dep));
    waiting.set(task.id, deps.length);
    for (const dep of deps) dependents.set(dep, [...(dependents.get(dep) ?? []), task.id]);
    if (deps.length === 0) ready.push(task.id);
  }
  for (const id of ready) {
    const layer = layers.get(id) ?? 0;
    layers.set(id, layer);
    for (const next of dependents.get(id) ?? []) {
      layers.set(next, Math.max(layers.get(next) ?? 0, layer + 1));
      const left = (waiting.get(next) ?? 1) - 1;
      waiting.set(next, left);
      if (left === 0) ready.push(next);
    }
  }
  return layers;
}

/** The tasks there is room for, in the order of layers. */
function choose(
  run: RunModel,
  layers: ReadonlyMap<string, number>,
  room: number,
): readonly WatchedTask[] {
  const all = [...run.tasks.values()].sort(
    (a, b) => (layers.get(a.id) ?? 0) - (layers.get(b.id) ?? 0),
  );
  if (all.length <= room) return all;
  const kept = new Set(
    [...all]
      .sort((a, b) => lookOf(a.state).rank - lookOf(b.state).rank)
      .slice(0, Math.max(1, room - 1)),
  );
  return all.filter((task) => kept.has(task));
}

/** A bracket that holds the tasks of one layer together. */
function gutterOf(
  layers: ReadonlyMap<string, number>,
  shown: readonly WatchedTask[],
  at: number,
): string {
  const layer = (index: number): number | undefined => layers.get(shown[index]?.id ?? "");
  const above = at > 0 && layer(at - 1) === layer(at);
  const below = at + 1 < shown.length && layer(at + 1) === layer(at);
  return above ? (below ? "│" : "└") : below ? "┌" : "─";
}

interface Line extends Canvas {
  readonly gutter: string;
  readonly idWidth: number;
  readonly agentWidth: number;
}

function taskLine(run: RunModel, task: WatchedTask, line: Line): string {
  const { paint, idWidth, agentWidth } = line;
  const look = lookOf(task.state);
  const room = line.columns - 9 - idWidth - agentWidth;
  const detail = clip(printable(detailOf(run, task, line)), Math.max(0, room));
  return [
    paint("faint", ` ${line.gutter} `),
    paint(look.tone, look.symbol),
    " ",
    paint(look.rank <= 1 ? "strong" : "plain", pad(clip(task.id, idWidth), idWidth)),
    "  ",
    paint("faint", pad(clip(printable(task.agent), agentWidth), agentWidth)),
    "  ",
    paint(look.tone === "good" ? "faint" : look.tone, detail),
  ]
    .join("")
    .trimEnd();
}

/** What is worth saying about a task in its state. */
function detailOf(run: RunModel, task: WatchedTask, { now }: Canvas): string {
  if (task.instanceCount > 0) return groupDetail(task);
  const inState = task.since > 0 ? briefDuration(now - task.since) : "";
  switch (task.state) {
    case TaskState.PENDING: {
      const open = task.deps.filter((dep) => !isTerminalTask(run.tasks.get(dep)?.state ?? 0));
      return open.length === 0 ? "" : `after ${open.join(", ")}`;
    }
    case TaskState.SCHEDULED:
      return join(`in lane ${task.lane}`, inState);
    case TaskState.RUNNING:
      return join(
        task.percent > 0 ? `${bar(task.percent / 100, 10)} ${Math.floor(task.percent)}%` : "",
        inState,
        task.attempt > 1 ? `attempt ${task.attempt}` : "",
        task.message,
      );
    case TaskState.RETRYING:
      return join(
        `attempt ${task.attempt + 1} in ${briefDuration(task.dueAt - now)}`,
        reasonText(task),
      );
    case TaskState.COMPLETED:
      return task.startedAt > 0 ? briefDuration(task.since - task.startedAt) : "";
    default:
      return reasonText(task);
  }
}

function groupDetail(task: WatchedTask): string {
  let done = 0;
  const counts = new Map<string, number>();
  for (const instance of task.instances.values()) {
    if (isTerminalTask(instance.state)) done++;
    if (instance.state === TaskState.COMPLETED) continue;
    const { word } = lookOf(instance.state);
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const others = ["running", "retrying", "failed"].flatMap((word) => {
    const count = counts.get(word);
    return count === undefined ? [] : [`${count} ${word}`];
  });
  return join(
    bar(done / task.instanceCount, 10),
    `${done}/${task.instanceCount}`,
    others.join(", "),
    isTerminalTask(task.state) ? reasonText(task) : "",
  );
}

function join(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("  ");
}
