/**
 * A program of its own that finds out whether RocksDB works on this machine: a binary for another processor does not
 * fail, it aborts the process, so somebody expendable has to try. It opens a database in the directory given, writes
 * and reads one key, and exits with 0.
 */
import { loadRocks } from "./rocks-binding.ts";

const rocks = loadRocks();
const database = rocks.db_init(process.argv[2] ?? "");

rocks.db_open(database, { createIfMissing: true }, (error) => {
  if (error) throw error;
  const key = Uint8Array.of(1);
  const batch = rocks.batch_init();
  rocks.batch_put(batch, key, key, undefined);
  rocks.batch_write(database, batch, { sync: false });
  const [found] = rocks.db_get_many_sync(database, [key], { valueEncoding: "buffer" });
  process.exitCode = found?.[0] === 1 ? 0 : 1;
  rocks.db_close(database, () => {});
});
