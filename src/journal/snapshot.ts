/**
 * Compacted runs: the state as a record instead of the events that led to it. What the plan says is not written, so a
 * snapshot is restored on the plan of the same definition and refuses any other. It holds every payload inline and
 * needs nothing else from the journal.
 */

import type { RunId } from "../base/ids.ts";
import { newRun, newTask } from "../core/run/birth.ts";
import { agendaOf, type RunState, type TaskState } from "../core/run/state.ts";
import type { StoredSnapshot } from "../ports/journal.ts";
import { decode } from "./decode.ts";
import { encode } from "./encode.ts";
import type { OpenRecord } from "./index-table.ts";
import { damaged, decoded, readRecord, sealed } from "./record.ts";
import {
  SNAPSHOT,
  SNAPSHOT_UNREAD,
  type SnapshotHeader,
  STATE,
  type StateRecord,
  type TaskRecord,
} from "./state-table.ts";
import { ByteReader, type ByteWriter } from "./wire.ts";

/** A snapshot as found, with where it stands in the chains. */
export interface FoundSnapshot {
  readonly header: SnapshotHeader;
  readonly stored: StoredSnapshot;
}

/** The sealed record of a run's state; a view, valid until the writer is reset. */
export function encodeSnapshot(
  writer: ByteWriter,
  key: Uint8Array,
  run: RunState,
  position: OpenRecord,
  commit: number,
): Uint8Array {
  return sealed(writer, key, () =>
    encode(writer, SNAPSHOT, {
      ...position,
      definition: run.plan.hash,
      commit,
      state: recordOf(run),
    }),
  );
}

/** Reads a snapshot's header now and its state when a plan is there. Throws `DATA_LOSS`. */
export function decodeSnapshot(runId: RunId, key: Uint8Array, value: Uint8Array): FoundSnapshot {
  const { state, ...header } = readRecord(key, value, (reader) => decode(reader, SNAPSHOT_UNREAD));
  const restore = (plan: RunState["plan"]): RunState => {
    if (plan.hash !== header.definition)
      damaged(key, `it belongs to the definition ${header.definition}`);
    const record = decoded(key, () => decode(new ByteReader(state), STATE));
    return restoreState(runId, key, plan, record);
  };
  const { definition, sequence } = header;
  return { header, stored: { definition, sequence, restore } };
}

/** What is written of a run. */
export function recordOf(run: RunState): StateRecord {
  const { agenda } = run;
  return {
    ...run,
    agenda: { ...agenda, fatal: agenda.fatal?.index },
    tasks: run.tasks.map((task) => ({
      ...task,
      nodeIndex: task.node.index,
      mailbox: task.mailbox && { entries: task.mailbox },
    })),
  };
}

/** The run again; damage is told under its key. */
export function restoreState(
  runId: RunId,
  key: Uint8Array,
  plan: RunState["plan"],
  record: StateRecord,
): RunState {
  const { request, idempotency, acceptedAt } = record;
  const name = plan.definition.name;
  const run = newRun(runId, plan, {
    type: "run_accepted",
    at: acceptedAt,
    definition: plan.hash,
    name,
    request,
    ...(idempotency === undefined ? {} : { idempotency }),
  });
  const { agenda, tasks, ...plain } = record;
  for (const [index, task] of tasks.entries()) restoreTask(run, key, index, task);
  if (run.tasks.length !== tasks.length) damaged(key, "it has fewer tasks than its definition");
  Object.assign(run, plain);
  restoreAgenda(run, agenda);
  return run;
}

function restoreTask(run: RunState, key: Uint8Array, index: number, record: TaskRecord): void {
  const node = run.plan.nodes[record.nodeIndex];
  if (node === undefined) return damaged(key, `task ${record.id} has no place in its definition`);
  const { nodeIndex: _, mailbox, ...plain } = record;
  let task = run.tasks[index];
  if (task === undefined) {
    task = newTask(run, node, index, { id: record.id, item: record.item, at: record.since });
    run.tasks.push(task);
  } else if (task.id !== record.id) damaged(key, `task ${record.id} is in the place of ${task.id}`);
  Object.assign(task, plain);
  if (mailbox !== undefined) task.mailbox = [...mailbox.entries];
}

function restoreAgenda(run: RunState, record: StateRecord["agenda"]): void {
  const { ready, joinable, expiring, collecting, fatal, closing } = record;
  const entries = ready.length + joinable.length + expiring.length + collecting.length;
  if (entries === 0 && fatal === undefined && !closing) return;
  const agenda = agendaOf(run);
  agenda.ready.push(...ready);
  agenda.joinable.push(...joinable);
  agenda.expiring.push(...expiring);
  agenda.collecting.push(...collecting);
  agenda.fatal = fatal === undefined ? undefined : (run.tasks[fatal] as TaskState);
  agenda.closing = closing;
}
