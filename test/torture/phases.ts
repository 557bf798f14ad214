/**
 * Loaded into a daemon under torture before the program (`--import`): says on file descriptor 3 what the daemon is about
 * to do and has done, one line each (`+snapshot`, `-snapshot`), so that whoever kills it can choose the moment and
 * afterwards knows which it was. It changes nothing else, and nothing at all in the daemon's threads and children.
 */
import { writeSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { isMainThread } from "node:worker_threads";

const PHASES_FD = 3;
const ROOT = join(import.meta.dirname, "../..");

type Method = (this: unknown, ...args: unknown[]) => Promise<unknown>;

function say(line: string): void {
  writeSync(PHASES_FD, `${line}\n`);
}

/** Marks begin and end of a method; it is called and answers exactly as before. */
function mark(owner: object, name: string, phase: string): void {
  const original = Reflect.get(owner, name) as Method;
  Reflect.set(owner, name, function marked(this: unknown, ...args: unknown[]) {
    say(`+${phase}`);
    const result = original.apply(this, args);
    const done = (): void => say(`-${phase}`);
    result.then(done, done);
    return result;
  });
}

async function markAll(): Promise<void> {
  say("+boot");
  enableCompileCache(join(ROOT, "node_modules/.cache/goclaw"));
  const [{ RocksStore }, { LevelStore }, { FileMark }, { StoreJournal }, { Engine }] =
    await Promise.all([
      import("../../src/adapters/rocks-store.ts"),
      import("../../src/adapters/level-store.ts"),
      import("../../src/adapters/file-mark.ts"),
      import("../../src/journal/journal.ts"),
      import("../../src/engine/engine.ts"),
    ]);
  mark(RocksStore, "open", "open");
  mark(LevelStore, "open", "open");
  mark(FileMark.prototype, "save", "mark");
  mark(StoreJournal.prototype, "recover", "recover");
  mark(Engine.prototype, "start", "start");
  mark(StoreJournal.prototype, "append", "commit");
  mark(StoreJournal.prototype, "snapshot", "snapshot");
  mark(StoreJournal.prototype, "trim", "trim");
  mark(StoreJournal.prototype, "retain", "retention");
  mark(Engine.prototype, "drain", "drain");
  mark(StoreJournal.prototype, "close", "close");
}

if (isMainThread && process.argv[1] === join(ROOT, "src/main.ts")) await markAll();
