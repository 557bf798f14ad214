/**
 * The planted defects by name: what each breaks, the parts it takes the place of, and what the oracle says that is there
 * for it. They exist to test the simulator: an oracle that never complains about any of them watches nothing, and a
 * defect that nobody finds is an oracle that is missing. Only a test switches one on.
 */
import * as engine from "./defects-of-engine.ts";
import * as storage from "./defects-of-storage.ts";
import type { Parts } from "./parts.ts";

/** One planted defect. */
export interface PlantedDefect {
  readonly breaks: string;
  readonly parts: Partial<Parts>;
  /** What its oracle says. */
  readonly oracle: RegExp;
}

const NOT_DURABLE =
  /was acknowledged, not durable|before its start was durable|is not durable|durable before|, durable \d/;
const STUCK = /never came to pass|nothing happens any more/;
const DAMAGED =
  /recovery failed|with another history than acknowledged|the journal is damaged|was not recovered/;

const TABLE = {
  "early ack": {
    breaks: "the disk says durable before it is",
    parts: { Disk: storage.LyingDisk },
    oracle: NOT_DURABLE,
  },
  "effect before commit": {
    breaks: "attempts leave before their start is durable",
    parts: { Journal: storage.EagerJournal },
    oracle: NOT_DURABLE,
  },
  "lost write": {
    breaks: "every fiftieth batch is called durable and is nowhere",
    parts: { Disk: storage.LeakyDisk },
    oracle: DAMAGED,
  },
  "torn batch": {
    breaks: "every twentieth batch is kept without its last change",
    parts: { Disk: storage.TearingDisk },
    oracle: DAMAGED,
  },
  "fsync again": {
    breaks: "a failed sync is tried again, and the second says that all is well",
    parts: { Store: storage.StubbornStore },
    oracle: NOT_DURABLE,
  },
  "no checksums": {
    breaks: "readers take a value whatever its checksum",
    parts: { checksChecksums: false },
    oracle: /^rot: /,
  },
  "early snapshot": {
    breaks: "a snapshot is on the disk before the events it stands for",
    parts: { Disk: storage.HastyDisk },
    oracle: DAMAGED,
  },
  "early trim": {
    breaks: "events are deleted whose snapshot is not saved",
    parts: { Journal: storage.TrimmingJournal },
    oracle: DAMAGED,
  },
  "greedy retention": {
    breaks: "retention deletes a run that is open",
    parts: { Journal: storage.GreedyJournal },
    oracle: DAMAGED,
  },
  "forgotten key": {
    breaks: "idempotency keys of former processes are not found",
    parts: { Journal: storage.KeylessJournal },
    oracle: /started .* and |no order of the calls/,
  },
  "forgotten run": {
    breaks: "recovery leaves out every fifth run",
    parts: { Journal: storage.ForgetfulJournal },
    oracle: /open runs, the journal|slots occupied/,
  },
  "forgotten name": {
    breaks: "registered definitions of former processes are not found",
    parts: { Journal: storage.NamelessJournal },
    oracle: /is registered as nothing/,
  },
  "early cursor": {
    breaks: "the cursor of the event bus moves before the bus has the events",
    parts: { Journal: storage.HastyCursorJournal },
    oracle: /bus: event .* follows|the bus has \d+ of/,
  },
  "wrong order of ends": {
    breaks: "a run ends before the last of its tasks",
    parts: { Journal: storage.DisorderlyJournal },
    oracle: /the run ended while|after the end of the run|the engine threw/,
  },
  "two results": {
    breaks: "one result is committed twice",
    parts: { Journal: storage.DoublingJournal },
    oracle: /task_completed of .*, which is|after the end of the run/,
  },
  "lost timer": {
    breaks: "every twentieth timer never fires",
    parts: { Host: engine.ForgetfulHost },
    oracle: STUCK,
  },
  "lost recovered timer": {
    breaks: "timers that recovery sets never fire",
    parts: { Host: engine.AmnesicHost },
    oracle: STUCK,
  },
  "wall clock": {
    breaks: "engine time follows jumps of the wall clock",
    parts: { Host: engine.WallClockHost },
    oracle: /ms early|earlier than the event before|too early|not due yet/,
  },
  "dropped release": {
    breaks: "every seventh slot is not given back",
    parts: { Lanes: engine.LeakyLanes },
    oracle: /slots diverged/,
  },
  "double release": {
    breaks: "every seventh slot is given back twice",
    parts: { Lanes: engine.GenerousLanes },
    oracle: /slots diverged|gave back/,
  },
  "extra slot": {
    breaks: "every lane has one slot more than configured",
    parts: { configured: engine.widened },
    oracle: /slots occupied/,
  },
  "ignored turn": {
    breaks: "runs do not wait for their session",
    parts: { Lanes: engine.TurnlessLanes },
    oracle: /began before .* of its session/,
  },
  "bottomless lane": {
    breaks: "tasks enter a lane that is full instead of the one they are redirected to",
    parts: { Lanes: engine.BottomlessLanes },
    oracle: /tasks queued, of/,
  },
  "ignored pause": {
    breaks: "lanes do not hear of pauses",
    parts: { Lanes: engine.RestlessLanes },
    oracle: /is paused and a task started/,
  },
  "skipped event": {
    breaks: "every tenth publication does not reach the watchers",
    parts: { Hub: engine.SkippingHub },
    oracle: /has a gap|never came to pass|nothing happens any more|instead of/,
  },
  "repeated event": {
    breaks: "a watcher that comes back sees its last event again",
    parts: { Hub: engine.StutteringHub },
    oracle: /watcher of .* instead of/,
  },
  "endless buffer": {
    breaks: "events wait for a slow watcher without a bound",
    parts: { Hub: engine.PatientHub },
    oracle: /a watcher's buffer holds/,
  },
  "clinging watcher": {
    breaks: "watchers of ended runs are never let go",
    parts: { Hub: engine.ClingingHub },
    oracle: /never came to pass|watchers are left over|nothing happens any more/,
  },
  "last answer wins": {
    breaks: "of two ends of an attempt the second is taken",
    parts: { Agents: engine.FickleAgents },
    oracle: /completed with what its agent did not say first/,
  },
  "stale answer": {
    breaks: "the end of an older attempt ends the current one",
    parts: { Agents: engine.StaleAgents },
    oracle: /completed with what its agent did not say first/,
  },
  "lost report": {
    breaks: "every fifteenth end of an attempt is not heard",
    parts: { Agents: engine.MuteAgents },
    oracle: /never came to pass|nothing happens any more|what its agent did not say first/,
  },
  "mixed inputs": {
    breaks: "every tenth attempt gets the input of another run",
    parts: { Runtime: engine.ConfusedRuntime },
    oracle: /^isolation: /,
  },
  "key per attempt": {
    breaks: "every attempt has an idempotency key of its own",
    parts: { Runtime: engine.NaiveRuntime },
    oracle: /idempotency key|under two keys/,
  },
  "too large a result": {
    breaks: "results of any size are taken",
    parts: { configured: engine.unlimited },
    oracle: /has too large a result/,
  },
  "stale read": {
    breaks: "reads are answered from what was read before",
    parts: { Engine: engine.StaleEngine },
    oracle: /were durable before/,
  },
  "start before dependencies": {
    breaks: "tasks do not wait for the tasks they depend on",
    parts: { Engine: engine.HastyEngine },
    oracle: /is not resolved/,
  },
  "old version": {
    breaks: "a name stands for its oldest version",
    parts: { Engine: engine.NostalgicEngine },
    oracle: /newest were|no order of the calls explains/,
  },
} as const satisfies { readonly [name: string]: PlantedDefect };

/** The name of a defect. */
export type Defect = keyof typeof TABLE;

export const DEFECTS: { readonly [D in Defect]: PlantedDefect } = TABLE;
export const DEFECT_NAMES = Object.keys(TABLE) as Defect[];
