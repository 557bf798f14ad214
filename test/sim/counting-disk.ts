/**
 * A simulated disk that numbers the batches it is given and says which of them it keeps, so that the ledger knows what
 * is durable without asking the engine. It changes nothing about how the disk behaves.
 */
import type { DiskChange } from "../../src/adapters/memory-store.ts";
import { type DiskOptions, SimulatedDisk } from "./disk.ts";

/** Who is told. */
export interface DiskObserver {
  /** A batch is on its way. */
  readonly onIssued: (batch: number, changes: readonly DiskChange[]) => void;
  /** A batch is durable. */
  readonly onDurable: (batch: number) => void;
}

export class CountingDisk extends SimulatedDisk {
  /** Batches handed over since the beginning. */
  issued = 0;
  readonly #numbers = new WeakMap<readonly DiskChange[], number>();
  readonly #observer: DiskObserver;

  constructor(options: DiskOptions, observer: DiskObserver) {
    super(options);
    this.#observer = observer;
  }

  override sync(batch: readonly DiskChange[]): Promise<void> {
    this.issued++;
    this.#numbers.set(batch, this.issued);
    this.#observer.onIssued(this.issued, batch);
    return super.sync(batch);
  }

  protected override apply(batch: readonly DiskChange[]): void {
    this.keep(batch);
    const number = this.#numbers.get(batch);
    if (number !== undefined) this.#observer.onDurable(number);
  }

  /** Puts a batch on the medium. */
  protected keep(batch: readonly DiskChange[]): void {
    super.apply(batch);
  }
}
