/**
 * LevelDB as an {@link OrderedStore}, for machines without a RocksDB binary. The package writes on a thread pool, where
 * two batches could overtake each other, so one synced write is under way at a time and carries every batch that waited
 * for it. The first failure refuses everything after it.
 */
import { ClassicLevel } from "classic-level";
import { type Fault, FaultError, fault } from "../base/fault.ts";
import type { WriteFrame } from "../base/write-frame.ts";
import type { Entry, KeyRange, OrderedStore, RangeOptions, Write } from "../ports/store.ts";
import { directoryBytes } from "./directory-bytes.ts";
import { checkLevelTables } from "./level-tables.ts";
import { frameOf } from "./store-frames.ts";

type Level = ClassicLevel<Uint8Array, Uint8Array>;
type Operation =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

interface Waiting {
  /** Adds what to do to the batch under construction. */
  readonly collect: (into: Operation[]) => void | Promise<void>;
  /** A range is read when its turn comes, so it cannot share a batch with what stands before it. */
  readonly isAlone: boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

const OPTIONS = {
  keyEncoding: "view",
  valueEncoding: "view",
  cacheSize: 32 * 1024 * 1024,
  writeBufferSize: 16 * 1024 * 1024,
  compression: false,
} as const;

/** How LevelDB words that a file ends before a block does, or that a file it knows of is gone: no disk says that. */
const CUT = /: (?:Invalid argument|No such file or directory)$/;

/** An {@link OrderedStore} in a directory of LevelDB's. */
export class LevelStore implements OrderedStore {
  readonly #directory: string;
  readonly #level: Level;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #failure: Fault | undefined;
  #closing: Promise<void> | undefined;

  /** Opens or creates the database. Rejects with `STORE_LOCKED`, `STORE_FAILED` or `DATA_LOSS`. */
  static async open(directory: string): Promise<LevelStore> {
    await checkLevelTables(directory);
    const level = new ClassicLevel<Uint8Array, Uint8Array>(directory, OPTIONS);
    try {
      await level.open();
    } catch (error) {
      const cause = error instanceof Error ? (error.cause ?? error) : error;
      throw new FaultError(problem("open", directory, cause), { cause: error });
    }
    return new LevelStore(directory, level);
  }

  private constructor(directory: string, level: Level) {
    this.#directory = directory;
    this.#level = level;
  }

  write(batch: readonly Write[] | WriteFrame): Promise<void> {
    const frame = frameOf(batch);
    return this.#enqueue("write", false, (into) => {
      for (const { key, value } of frame) {
        into.push(value === undefined ? { type: "del", key } : { type: "put", key, value });
      }
    });
  }

  deleteRange(range: KeyRange): Promise<void> {
    const bounds = { gte: range.from.slice(), lt: range.to.slice() };
    return this.#enqueue("delete", true, async (into) => {
      for await (const key of this.#level.keys(bounds)) into.push({ type: "del", key });
    });
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#checkOpen("read");
    return plain(await this.#reading(this.#level.get(key)));
  }

  async range(range: KeyRange, options: RangeOptions = {}): Promise<readonly Entry[]> {
    this.#checkOpen("read");
    const { limit = 1_000, reverse = false } = options;
    const iterator = this.#level.iterator({ gte: range.from, lt: range.to, limit, reverse });
    const found = await this.#reading(iterator.all());
    return found.map(([key, value]) => ({ key: plain(key), value: plain(value) }));
  }

  async sizeBytes(): Promise<number> {
    this.#checkOpen("measure");
    return directoryBytes(this.#directory);
  }

  close(): Promise<void> {
    this.#closing ??= Promise.resolve(this.#writing).then(() => this.#level.close());
    return this.#closing;
  }

  #enqueue(operation: string, isAlone: boolean, collect: Waiting["collect"]): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(new FaultError(closed(operation)));
    if (this.#failure !== undefined) return Promise.reject(new FaultError(this.#failure));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ collect, isAlone, resolve, reject });
      this.#writing ??= this.#writeAll();
    });
  }

  /** Writes group after group until nothing waits. Never rejects; its waiters are told. */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeGroup(this.#takeGroup());
    this.#writing = undefined;
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    try {
      if (this.#failure !== undefined) throw new FaultError(this.#failure);
      const operations: Operation[] = [];
      for (const { collect } of group) await collect(operations);
      await this.#level.batch(operations, { sync: true });
      for (const { resolve } of group) resolve();
    } catch (error) {
      this.#failure ??= problem("write", this.#directory, error);
      for (const { reject } of group) reject(new FaultError(this.#failure, { cause: error }));
    }
  }

  #takeGroup(): Waiting[] {
    const alone = this.#waiting.findIndex(({ isAlone }) => isAlone);
    const size = alone === -1 ? this.#waiting.length : Math.max(1, alone);
    return this.#waiting.splice(0, size);
  }

  async #reading<T>(found: Promise<T>): Promise<T> {
    try {
      return await found;
    } catch (error) {
      throw new FaultError(problem("read", this.#directory, error), { cause: error });
    }
  }

  #checkOpen(operation: string): void {
    if (this.#closing !== undefined) throw new FaultError(closed(operation));
  }
}

/** The package returns Node's buffers, whose methods differ from those of the arrays they extend. */
function plain<B extends Uint8Array | undefined>(buffer: B): B;
function plain(buffer: Uint8Array | undefined): Uint8Array | undefined {
  return buffer && new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function closed(operation: string): Fault {
  return fault("STORE_FAILED", { operation, detail: "the store is closed" });
}

function problem(operation: string, directory: string, error: unknown): Fault {
  const { code, message = "" } = error as { readonly code?: string; readonly message?: string };
  if (code === "LEVEL_LOCKED") return fault("STORE_LOCKED", { directory });
  const isDamage = code === "LEVEL_CORRUPTION" || (code === "LEVEL_IO_ERROR" && CUT.test(message));
  if (!isDamage) return failed(operation, error);
  return fault("DATA_LOSS", { where: directory, detail: message });
}

function failed(operation: string, error: unknown): Fault {
  const detail = error instanceof Error ? error.message : String(error);
  return fault("STORE_FAILED", { operation, detail });
}
