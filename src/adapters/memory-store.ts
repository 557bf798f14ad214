/**
 * The in-memory twin of the disk stores: same port, same guarantees, nothing on disk. A {@link MemoryDisk} stands for
 * the medium and outlives the stores opened on it, so that tests can close, crash and re-open. A simulated disk
 * extends it and decides when, and whether, a batch becomes durable; the store itself never decides that.
 */
import { FaultError, fault } from "../base/fault.ts";
import { SortedMap } from "../base/sorted-map.ts";
import type { WriteFrame } from "../base/write-frame.ts";
import type { Entry, KeyRange, Mark, OrderedStore, RangeOptions, Write } from "../ports/store.ts";

/** One change on its way to the medium. Keys are strings of one UTF-16 unit per byte. */
export type DiskChange =
  | { readonly kind: "put"; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: "delete"; readonly key: string }
  | { readonly kind: "delete_range"; readonly from: string; readonly to: string };

/** What outlives a {@link MemoryStore}: its contents, the mark beside it, and the lock. */
export class MemoryDisk {
  readonly contents = new SortedMap<Uint8Array>();
  mark: bigint | undefined;
  bytes = 0;
  #holder = 0;
  #locked = false;

  /** Takes the lock and returns its number, or undefined while somebody holds it. */
  lock(): number | undefined {
    if (this.#locked) return undefined;
    this.#locked = true;
    this.#holder++;
    return this.#holder;
  }

  /** Whether the lock of this number is still the valid one. */
  holds(lock: number): boolean {
    return this.#locked && this.#holder === lock;
  }

  /** Frees the lock, as the end of a process does; its former holder can do nothing more. */
  unlock(): void {
    this.#locked = false;
  }

  /** Makes one atomic batch durable and visible, in call order. Rejecting means that nothing later is accepted. */
  sync(batch: readonly DiskChange[]): Promise<void> {
    this.apply(batch);
    return Promise.resolve();
  }

  /** Makes a new value of the mark durable. */
  syncMark(value: bigint): Promise<void> {
    this.mark = value;
    return Promise.resolve();
  }

  protected apply(batch: readonly DiskChange[]): void {
    for (const change of batch) {
      if (change.kind === "put") this.#put(change.key, change.value);
      else if (change.kind === "delete") this.#delete(change.key);
      else this.#deleteRange(change.from, change.to);
    }
  }

  #deleteRange(from: string, to: string): void {
    for (const [key, value] of this.contents.range({ from, to })) {
      this.bytes -= key.length + value.length;
    }
    this.contents.deleteRange(from, to);
  }

  #put(key: string, value: Uint8Array): void {
    this.#delete(key);
    this.contents.set(key, value);
    this.bytes += key.length + value.length;
  }

  #delete(key: string): void {
    const old = this.contents.get(key);
    if (old === undefined) return;
    this.contents.delete(key);
    this.bytes -= key.length + old.length;
  }
}

/** An {@link OrderedStore} on a {@link MemoryDisk}. Values it returns are the stored ones and must not be changed. */
export class MemoryStore implements OrderedStore {
  readonly #disk: MemoryDisk;
  readonly #lock: number;
  readonly #pending = new Set<Promise<void>>();
  #failure: FaultError | undefined;
  #closing: Promise<void> | undefined;

  /** Opens the disk; throws `STORE_LOCKED` while another store holds it. */
  constructor(disk: MemoryDisk = new MemoryDisk()) {
    const lock = disk.lock();
    if (lock === undefined) throw new FaultError(fault("STORE_LOCKED", { directory: "memory" }));
    this.#disk = disk;
    this.#lock = lock;
  }

  write(batch: readonly Write[] | WriteFrame): Promise<void> {
    const changes: DiskChange[] = [];
    for (const { key, value } of batch) changes.push(toChange(key, value));
    return this.#sync("write", changes);
  }

  deleteRange(range: KeyRange): Promise<void> {
    const change = { from: keyText(range.from), to: keyText(range.to) };
    return this.#sync("delete", [{ kind: "delete_range", ...change }]);
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#checkOpen("read");
    return this.#disk.contents.get(keyText(key));
  }

  async range(range: KeyRange, options: RangeOptions = {}): Promise<readonly Entry[]> {
    this.#checkOpen("read");
    const found: Entry[] = [];
    const walk = this.#disk.contents.range({
      from: keyText(range.from),
      to: keyText(range.to),
      limit: options.limit ?? 1_000,
      reverse: options.reverse ?? false,
    });
    for (const [key, value] of walk) found.push({ key: keyBytes(key), value });
    return found;
  }

  async sizeBytes(): Promise<number> {
    this.#checkOpen("measure");
    return this.#disk.bytes;
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#pending).then(() => {
      if (this.#disk.holds(this.#lock)) this.#disk.unlock();
    });
    return this.#closing;
  }

  async #sync(operation: string, batch: readonly DiskChange[]): Promise<void> {
    this.#checkOpen(operation);
    if (this.#failure !== undefined) throw this.#failure;
    const synced = this.#disk.sync(batch).catch((cause: unknown) => {
      const detail = cause instanceof Error ? cause.message : String(cause);
      this.#failure ??= new FaultError(fault("STORE_FAILED", { operation, detail }), { cause });
      throw this.#failure;
    });
    this.#pending.add(synced);
    try {
      await synced;
    } finally {
      this.#pending.delete(synced);
    }
  }

  #checkOpen(operation: string): void {
    if (this.#closing === undefined && this.#disk.holds(this.#lock)) return;
    throw new FaultError(fault("STORE_FAILED", { operation, detail: "the store is closed" }));
  }
}

/** The {@link Mark} of a {@link MemoryDisk}. */
export class MemoryMark implements Mark {
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
  }

  load(): Promise<bigint | undefined> {
    return Promise.resolve(this.#disk.mark);
  }

  save(value: bigint): Promise<void> {
    return this.#disk.syncMark(value);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function toChange(bytes: Uint8Array, value: Uint8Array | undefined): DiskChange {
  const key = keyText(bytes);
  return value === undefined ? { kind: "delete", key } : { kind: "put", key, value: value.slice() };
}

/** Bytes as a string of one unit per byte; the order stays. */
export function keyText(key: Uint8Array): string {
  let text = "";
  for (let at = 0; at < key.length; at += 4_096) {
    text += String.fromCharCode(...key.subarray(at, at + 4_096));
  }
  return text;
}

/** The reverse of {@link keyText}. */
export function keyBytes(text: string): Uint8Array {
  const key = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) key[at] = text.charCodeAt(at);
  return key;
}
