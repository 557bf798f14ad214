/**
 * Which entries stand beside which: the entries of one task in the order of (time, id), as a doubly linked list over
 * slots. An entry is indexed together with its neighbours, because an answer often stands beside the words of its
 * question; the shares below are the measured ones. They are whole tenths, so that sums of them are exact and do not
 * depend on the order in which entries arrived.
 */

/** What the neighbours of an entry add to its document, in tenths of what its own words count. */
export const NEIGHBOUR_TENTHS = { own: 10, previous: 6, next: 4, secondPrevious: 3, secondNext: 2 };

const NONE = -1;

/** What decides the order inside a task. */
export interface OrderKey {
  readonly id: string;
  readonly taskId: string;
  readonly at: number;
}

/** The neighbours of every slot. */
export class TaskOrder {
  readonly #keys: (OrderKey | undefined)[] = [];
  readonly #previous: number[] = [];
  readonly #next: number[] = [];
  readonly #lastOf = new Map<string, number>();

  /** Puts a free slot into its place; entries arriving in order of time cost one step. */
  insert(slot: number, key: OrderKey): void {
    this.#keys[slot] = key;
    this.#link(NONE, slot);
    this.#link(slot, NONE);
    if (key.taskId === "") return;
    let before = this.#lastOf.get(key.taskId) ?? NONE;
    let after = NONE;
    while (before !== NONE && follows(this.#keys[before] as OrderKey, key)) {
      after = before;
      before = this.#previous[before] as number;
    }
    this.#link(before, slot);
    this.#link(slot, after);
    if (after === NONE) this.#lastOf.set(key.taskId, slot);
  }

  /** Takes a slot out; its neighbours close up. */
  remove(slot: number): void {
    const { taskId } = this.#keys[slot] as OrderKey;
    const before = this.#previous[slot] as number;
    const after = this.#next[slot] as number;
    this.#link(before, after);
    this.#keys[slot] = undefined;
    if (taskId === "" || after !== NONE) return;
    if (before === NONE) this.#lastOf.delete(taskId);
    else this.#lastOf.set(taskId, before);
  }

  /** Calls `visit` for every entry whose words are part of the document at `slot`, itself first. */
  eachSource(slot: number, visit: (source: number, tenths: number) => void): void {
    const { own, previous, next, secondPrevious, secondNext } = NEIGHBOUR_TENTHS;
    this.#eachAround(slot, [own, previous, next, secondPrevious, secondNext], visit);
  }

  /** Calls `visit` for every entry whose document has a part of the words at `slot`, itself first. */
  eachTarget(slot: number, visit: (target: number, tenths: number) => void): void {
    const { own, previous, next, secondPrevious, secondNext } = NEIGHBOUR_TENTHS;
    this.#eachAround(slot, [own, next, previous, secondNext, secondPrevious], visit);
  }

  /** `tenths` for the slot itself, the one before, the one after, the second before and the second after. */
  #eachAround(
    slot: number,
    tenths: readonly [number, number, number, number, number],
    visit: (slot: number, tenths: number) => void,
  ): void {
    visit(slot, tenths[0]);
    const before = this.#previous[slot] as number;
    const after = this.#next[slot] as number;
    if (before !== NONE) visit(before, tenths[1]);
    if (after !== NONE) visit(after, tenths[2]);
    const before2 = before === NONE ? NONE : (this.#previous[before] as number);
    const after2 = after === NONE ? NONE : (this.#next[after] as number);
    if (before2 !== NONE) visit(before2, tenths[3]);
    if (after2 !== NONE) visit(after2, tenths[4]);
  }

  #link(before: number, after: number): void {
    if (before !== NONE) this.#next[before] = after;
    if (after !== NONE) this.#previous[after] = before;
  }
}

function follows(a: OrderKey, b: OrderKey): boolean {
  return a.at === b.at ? a.id > b.id : a.at > b.at;
}
