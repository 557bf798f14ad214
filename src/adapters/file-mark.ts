/**
 * The high-water mark in a small file of its own, beside the store and independent of it. It has two slots on different
 * disk blocks, written in turn and synced, each with a checksum: a crash in the middle of a save leaves the other slot.
 * Saves that come while one is under way are combined, and the mark never goes back.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { crc32c } from "../base/crc32c.ts";
import { FaultError, fault } from "../base/fault.ts";
import type { Mark } from "../ports/store.ts";

const SLOT_BYTES = 4_096;
/** CRC32C of what follows, magic, value. */
const USED_BYTES = 16;
const MAGIC = 0x676f6d6b;

/** A {@link Mark} in a file. */
export class FileMark implements Mark {
  readonly #path: string;
  readonly #file: FileHandle;
  #saved: bigint | undefined;
  #wanted: bigint;
  #nextSlot: 0 | 1;
  #saving: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** Opens or creates the file. Rejects with `STORE_FAILED`, or `DATA_LOSS` when neither slot is readable. */
  static async open(path: string): Promise<FileMark> {
    const bytes = new Uint8Array(2 * SLOT_BYTES);
    let file: FileHandle;
    try {
      file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
      await file.read(bytes, 0, bytes.length, 0);
    } catch (error) {
      throw failed("open", path, error);
    }
    const slots = [readSlot(bytes, 0), readSlot(bytes, SLOT_BYTES)] as const;
    if (slots[0] === undefined && slots[1] === undefined && bytes.some((byte) => byte !== 0)) {
      await file.close();
      const detail = "neither slot of the high-water mark is readable";
      throw new FaultError(fault("DATA_LOSS", { where: path, detail }));
    }
    return new FileMark(path, file, slots);
  }

  private constructor(path: string, file: FileHandle, slots: readonly (bigint | undefined)[]) {
    const latest = (slots[1] ?? -1n) > (slots[0] ?? -1n) ? 1 : 0;
    this.#path = path;
    this.#file = file;
    this.#saved = slots[latest];
    this.#wanted = slots[latest] ?? 0n;
    this.#nextSlot = latest === 0 && slots[0] !== undefined ? 1 : 0;
  }

  /** The larger of the two slots; undefined in a new file. */
  load(): Promise<bigint | undefined> {
    return Promise.resolve(this.#saved);
  }

  save(value: bigint): Promise<void> {
    if (this.#closing !== undefined)
      return Promise.reject(failed("save", this.#path, "it is closed"));
    if (value > this.#wanted) this.#wanted = value;
    if (this.#saving === undefined && this.#wanted !== (this.#saved ?? 0n)) {
      this.#saving = this.#saveWanted();
    }
    return this.#saving ?? Promise.resolve();
  }

  close(): Promise<void> {
    this.#closing ??= Promise.resolve(this.#saving)
      .catch(() => {})
      .then(() => this.#file.close());
    return this.#closing;
  }

  async #saveWanted(): Promise<void> {
    try {
      while (this.#saved !== this.#wanted) {
        const value = this.#wanted;
        await this.#file.write(slotOf(value), 0, USED_BYTES, this.#nextSlot * SLOT_BYTES);
        await this.#file.datasync();
        this.#nextSlot = this.#nextSlot === 0 ? 1 : 0;
        this.#saved = value;
      }
    } catch (error) {
      throw failed("save", this.#path, error);
    } finally {
      this.#saving = undefined;
    }
  }
}

function slotOf(value: bigint): Uint8Array {
  const slot = new Uint8Array(USED_BYTES);
  const view = new DataView(slot.buffer);
  view.setUint32(4, MAGIC);
  view.setBigUint64(8, value);
  view.setUint32(0, crc32c(slot, 4));
  return slot;
}

function readSlot(bytes: Uint8Array, at: number): bigint | undefined {
  const view = new DataView(bytes.buffer, at, USED_BYTES);
  const isGood =
    view.getUint32(4) === MAGIC && view.getUint32(0) === crc32c(bytes, at + 4, at + USED_BYTES);
  return isGood ? view.getBigUint64(8) : undefined;
}

function failed(operation: string, path: string, error: unknown): FaultError {
  const detail = `${path}: ${error instanceof Error ? error.message : String(error)}`;
  return new FaultError(fault("STORE_FAILED", { operation, detail }), { cause: error });
}
