/**
 * Where the history of each open run stands: a table of numbers in columns, because a million runs may be open and an
 * object for each would hold four times as much. A row is read into a record that belongs to the table and is written
 * back from it, so nobody may keep one.
 */
import { present } from "../base/assert.ts";
import type { RunId } from "../base/ids.ts";

/** One row. */
export interface Position {
  sequence: number;
  high: number;
  low: number;
  bytes: number;
  /** Whether the open index has an entry for it. */
  isNoted: boolean;
  /** Whether it has changed since positions were last noted. */
  isTouched: boolean;
  /** The latest commit that has events of it, and its place in that commit's columns. */
  commit: number;
  column: number;
}

const NOTED = 1;
const TOUCHED = 2;
const FIRST_ROWS = 1_024;

interface Columns {
  readonly sequence: Float64Array;
  readonly bytes: Float64Array;
  readonly commit: Float64Array;
  readonly high: Uint32Array;
  readonly low: Uint32Array;
  readonly column: Uint32Array;
  readonly flags: Uint8Array;
}

function newColumns(rows: number): Columns {
  return {
    sequence: new Float64Array(rows),
    bytes: new Float64Array(rows),
    commit: new Float64Array(rows),
    high: new Uint32Array(rows),
    low: new Uint32Array(rows),
    column: new Uint32Array(rows),
    flags: new Uint8Array(rows),
  };
}

/** Positions of the runs without an end. */
export class Positions {
  readonly #rows = new Map<RunId, number>();
  readonly #free: number[] = [];
  #columns = newColumns(FIRST_ROWS);
  readonly #record: Position = {
    sequence: 0,
    high: 0,
    low: 0,
    bytes: 0,
    isNoted: false,
    isTouched: false,
    commit: 0,
    column: 0,
  };

  get size(): number {
    return this.#rows.size;
  }

  has(runId: RunId): boolean {
    return this.#rows.has(runId);
  }

  /** The position of a run, valid until the next call; undefined when it is not open. */
  get(runId: RunId): Position | undefined {
    const row = this.#rows.get(runId);
    if (row === undefined) return undefined;
    const { sequence, bytes, commit, high, low, column, flags } = this.#columns;
    const found = this.#record;
    found.sequence = sequence[row] as number;
    found.bytes = bytes[row] as number;
    found.commit = commit[row] as number;
    found.high = high[row] as number;
    found.low = low[row] as number;
    found.column = column[row] as number;
    found.isNoted = ((flags[row] as number) & NOTED) !== 0;
    found.isTouched = ((flags[row] as number) & TOUCHED) !== 0;
    return found;
  }

  /** Writes a run's position. */
  set(runId: RunId, position: Position): void {
    let row = this.#rows.get(runId);
    if (row === undefined) {
      row = this.#free.pop() ?? this.#rows.size;
      this.#rows.set(runId, row);
      if (row === this.#columns.flags.length) this.#grow();
    }
    const { sequence, bytes, commit, high, low, column, flags } = this.#columns;
    sequence[row] = position.sequence;
    bytes[row] = position.bytes;
    commit[row] = position.commit;
    high[row] = position.high;
    low[row] = position.low;
    column[row] = position.column;
    flags[row] = (position.isNoted ? NOTED : 0) | (position.isTouched ? TOUCHED : 0);
  }

  /** Forgets a run that ended. */
  delete(runId: RunId): void {
    this.#free.push(present(this.#rows.get(runId), `the open run ${runId}`));
    this.#rows.delete(runId);
  }

  /** Takes the mark off every run that is touched, and lists them. */
  takeTouched(): RunId[] {
    const { flags } = this.#columns;
    const touched: RunId[] = [];
    for (const [runId, row] of this.#rows) {
      const flag = flags[row] as number;
      if ((flag & TOUCHED) === 0) continue;
      flags[row] = flag & ~TOUCHED;
      touched.push(runId);
    }
    return touched;
  }

  #grow(): void {
    const old = this.#columns;
    const next = newColumns(old.flags.length * 2);
    for (const name of Object.keys(old) as (keyof Columns)[]) next[name].set(old[name]);
    this.#columns = next;
  }
}
