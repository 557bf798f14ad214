/**
 * Room kept back for the day the disk is full: a file in the data directory that holds nothing and may be deleted at any
 * time. A start that finds less free space than that deletes it, so that the journal can be opened and the daemon can
 * answer, cancel and delete; when space has returned, a later start writes it again. It never fails a start: whoever
 * has no reserve is only worse off on a full disk.
 */
import { type FileHandle, open, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { prng } from "../base/hash.ts";

const RESERVE_FILE = "RESERVE";

/** Written over and over; not zeros, which some file systems do not store. */
const CHUNK_BYTES = 1024 * 1024;

const NONE_WANTED = "none is configured";

/** What happened to the reserve. */
export type ReserveState =
  | { readonly kind: "kept" }
  | { readonly kind: "released" }
  | { readonly kind: "absent"; readonly why: string };

/** The reserve of one data directory. */
export class ReserveFile {
  readonly #directory: string;
  readonly #path: string;
  readonly #bytes: number;
  #isClosed = false;
  #filling: Promise<ReserveState> | undefined;

  /** `bytes` 0 keeps no reserve and removes one that is there. */
  constructor(directory: string, bytes: number) {
    this.#directory = directory;
    this.#path = join(directory, RESERVE_FILE);
    this.#bytes = bytes;
  }

  /** Deletes the file if the disk has less room than it holds; call it before the store is opened. Never rejects. */
  async releaseIfShort(): Promise<ReserveState> {
    const heldBytes = await this.#heldBytes();
    if (heldBytes === 0) return { kind: "absent", why: "there is none yet" };
    const isShort = (await this.#freeBytes()) < heldBytes;
    if (!isShort && this.#bytes > 0) return { kind: "kept" };
    await rm(this.#path, { force: true }).catch(() => {});
    return isShort ? { kind: "released" } : { kind: "absent", why: NONE_WANTED };
  }

  /** Makes the file as large as it should be where that leaves as much room again. Never rejects. */
  fill(): Promise<ReserveState> {
    this.#filling ??= this.#fill().catch(async (error: Error): Promise<ReserveState> => {
      await rm(this.#path, { force: true }).catch(() => {});
      return { kind: "absent", why: error.message };
    });
    return this.#filling;
  }

  /** Waits until nothing is written any more; what is half written is completed at the next start. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#filling;
  }

  async #fill(): Promise<ReserveState> {
    if (this.#bytes === 0) return { kind: "absent", why: NONE_WANTED };
    const heldBytes = await this.#heldBytes();
    if (heldBytes === this.#bytes) return { kind: "kept" };
    if ((await this.#freeBytes()) + heldBytes < 2 * this.#bytes) {
      return { kind: "absent", why: "the disk has too little room" };
    }
    const file = await open(this.#path, "w", 0o600);
    try {
      await this.#write(file);
    } finally {
      await file.close();
    }
    return { kind: "kept" };
  }

  async #write(file: FileHandle): Promise<void> {
    const noise = prng(this.#bytes);
    const chunk = new Uint8Array(CHUNK_BYTES).map(() => noise() * 256);
    for (let left = this.#bytes; left > 0 && !this.#isClosed; left -= CHUNK_BYTES) {
      await file.writeFile(chunk.subarray(0, left));
    }
  }

  async #heldBytes(): Promise<number> {
    return stat(this.#path).then(
      ({ size }) => size,
      () => 0,
    );
  }

  /** Zero where the directory cannot be asked: then it cannot be written either. */
  async #freeBytes(): Promise<number> {
    return statfs(this.#directory).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => 0,
    );
  }
}
