/**
 * A run's state as one text: what a run costs in memory while nothing happens to it. It is the state record of a
 * snapshot without envelope and position, so that whatever survives a restart survives this, and both are kept true by
 * the same tests. Nothing of it is ever written.
 */
import { bytesOfText, bytesToText } from "../base/bytes.ts";
import type { RunId } from "../base/ids.ts";
import type { Plan } from "../core/dag/plan.ts";
import type { RunState } from "../core/run/state.ts";
import { decode } from "./decode.ts";
import { encode } from "./encode.ts";
import { snapshotKey } from "./keys.ts";
import { recordOf, restoreState } from "./snapshot.ts";
import { STATE } from "./state-table.ts";
import { ByteReader, ByteWriter } from "./wire.ts";

/** Packs runs, with one buffer for all of them. */
export class RunPacker {
  readonly #writer = new ByteWriter();

  /** The state as a text of one character a byte. */
  pack(run: RunState): string {
    this.#writer.reset();
    encode(this.#writer, STATE, recordOf(run));
    return bytesToText(this.#writer.since(0));
  }

  /** The state again, on the plan it had. */
  unpack(id: RunId, plan: Plan, packed: string): RunState {
    const record = decode(new ByteReader(bytesOfText(packed)), STATE);
    return restoreState(id, snapshotKey(id), plan, record);
  }
}
