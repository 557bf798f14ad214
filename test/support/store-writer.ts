/**
 * A process that writes to a store until it is killed or the store fails: batch n sets `a<n>`, `b<n>` and `last` to n,
 * and deletes `a<n - 100>`. It prints `ack <n>` for each batch the store called durable, and `failed <code>` when a write
 * was refused, after which it tries three more. Arguments: engine, directory, first number.
 */
import { LevelStore } from "../../src/adapters/level-store.ts";
import { RocksStore } from "../../src/adapters/rocks-store.ts";
import { FaultError } from "../../src/base/fault.ts";
import type { OrderedStore, Write } from "../../src/ports/store.ts";

const [engine, directory = "", first = "1"] = process.argv.slice(2);
const FILLER = "x".repeat(2_000);

const key = (text: string): Uint8Array => new TextEncoder().encode(text);
const put = (name: string, value: string): Write => ({ key: key(name), value: key(value) });

function batch(n: number): Write[] {
  return [
    put(`a${n}`, `${n} ${FILLER}`),
    put(`b${n}`, `${n}`),
    put("last", `${n}`),
    { key: key(`a${n - 100}`), value: undefined },
  ];
}

async function writeFrom(store: OrderedStore, start: number): Promise<void> {
  let refusals = 0;
  const lane = async (from: number): Promise<void> => {
    for (let n = from; refusals < 4; n += 4) {
      try {
        await store.write(batch(n));
        process.stdout.write(`ack ${n}\n`);
      } catch (error) {
        if (!(error instanceof FaultError)) throw error;
        refusals++;
        process.stdout.write(`failed ${error.fault.code}\n`);
      }
    }
  };
  // Four batches are always on their way, in the order of their numbers.
  await Promise.all([0, 1, 2, 3].map((offset) => lane(start + offset)));
}

const store = await (engine === "rocksdb"
  ? RocksStore.open(directory)
  : LevelStore.open(directory));
process.stdout.write("open\n");
await writeFrom(store, Number(first));
await store.close();
