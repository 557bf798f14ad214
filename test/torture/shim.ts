/**
 * The fault shim from the outside: compiles shim.c with the machine's C compiler and writes the commands that it obeys.
 * The layout of the control file is that of `struct control` there.
 */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

const CONTROL_BYTES = 128;
const AT = {
  clockOffsetNs: 0,
  error: 8,
  calls: 12,
  firstAtNs: 16,
  failures: 24,
  only: 32,
} as const;
const ONLY_BYTES = 96;

/** Numbers of Linux, which has had them since the beginning. */
const ERRNO = { EIO: 5, ENOSPC: 28 } as const;
const CALLS = { write: 1, sync: 2, both: 3 } as const;

/** A shim for one daemon at a time. */
export class Shim {
  /** To be added to the daemon's environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly #file: number;

  /** Compiles the shim into `directory`; only files below `target` will fail. Throws when there is no compiler. */
  constructor(directory: string, target: string) {
    const library = join(directory, "shim.so");
    const control = join(directory, "shim.control");
    const source = join(import.meta.dirname, "shim.c");
    execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]);
    writeFileSync(control, new Uint8Array(CONTROL_BYTES));
    this.#file = openSync(control, "r+");
    this.env = {
      LD_PRELOAD: library,
      TORTURE_SHIM_CONTROL: control,
      TORTURE_SHIM_DIRECTORY: target,
    };
  }

  /** From now on these calls fail, on files whose path has `only` in it. */
  fail(error: keyof typeof ERRNO, calls: keyof typeof CALLS, only = ""): void {
    const name = Buffer.alloc(ONLY_BYTES);
    name.write(only);
    writeSync(this.#file, name, 0, ONLY_BYTES, AT.only);
    this.#write64(AT.firstAtNs, 0n);
    this.#write64(AT.failures, 0n);
    this.#write32(AT.calls, CALLS[calls]);
    this.#write32(AT.error, ERRNO[error]);
  }

  /** Everything works again. */
  heal(): void {
    this.#write32(AT.error, 0);
  }

  /** Moves the daemon's wall clock by this much from the real one. */
  setClock(offsetMs: number): void {
    this.#write64(AT.clockOffsetNs, BigInt(offsetMs) * 1_000_000n);
  }

  /** When the first call failed, on the clock of `process.hrtime.bigint()`; undefined while none has. */
  firstFailureNs(): bigint | undefined {
    return this.#read64(AT.failures) === 0n ? undefined : this.#read64(AT.firstAtNs);
  }

  close(): void {
    closeSync(this.#file);
  }

  #write32(at: number, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    writeSync(this.#file, bytes, 0, 4, at);
  }

  #write64(at: number, value: bigint): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    writeSync(this.#file, bytes, 0, 8, at);
  }

  #read64(at: number): bigint {
    const bytes = Buffer.alloc(8);
    readSync(this.#file, bytes, 0, 8, at);
    return bytes.readBigInt64LE();
  }
}
