/**
 * A growable ring buffer: O(1) at both ends, where `Array.shift` is O(n) on long arrays. Mailboxes and watcher buffers
 * use it; whoever owns one sets the limit, because only the owner knows what to do when it is reached.
 */

/** Double-ended queue. */
export class Deque<T> {
  #ring: (T | undefined)[] = new Array(16);
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Adds at the end. */
  push(value: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#ring[(this.#head + this.#size) & (this.#ring.length - 1)] = value;
    this.#size++;
  }

  /** Adds at the front. */
  unshift(value: T): void {
    if (this.#size === this.#ring.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#ring.length - 1);
    this.#ring[this.#head] = value;
    this.#size++;
  }

  /** Removes from the front; `undefined` when empty. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const value = this.#ring[this.#head];
    this.#ring[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#ring.length - 1);
    this.#size--;
    return value;
  }

  /** The front without removing it. */
  peek(): T | undefined {
    return this.#size === 0 ? undefined : this.#ring[this.#head];
  }

  /** The n-th from the front without removing it. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.#size) return undefined;
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)];
  }

  #grow(): void {
    const next: (T | undefined)[] = new Array(this.#ring.length * 2);
    for (let at = 0; at < this.#size; at++) {
      next[at] = this.#ring[(this.#head + at) & (this.#ring.length - 1)];
    }
    this.#ring = next;
    this.#head = 0;
  }
}
