/**
 * A process that remembers and forgets as fast as it can and says what was acknowledged, line by line, so that a test
 * can kill it at any moment. `node memory-writer.ts DIRECTORY SEED`
 */

import { RocksStore } from "../../src/adapters/rocks-store.ts";
import { SystemHost } from "../../src/adapters/system-host.ts";
import { prng } from "../../src/base/hash.ts";
import { MemoryHub } from "../../src/memory/hub.ts";
import { MemoryLogger } from "./memory-logger.ts";
import { HUB_OPTIONS } from "./memory-rig.ts";
import { NullMetrics } from "./metrics.ts";

const [directory = "", seed = "1"] = process.argv.slice(2);
const random = prng(Number(seed));
const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)] as T;
const WORDS = Array.from(
  { length: 300 },
  (_, n) => `w${n.toString(36)}x${(n * 7919).toString(36)}`,
);
const SESSIONS = ["default/a", "default/b", "default/a/b"];
const say = (line: string): void => void process.stdout.write(`${line}\n`);

// Without a quota: the test knows nothing of evictions.
const hub = await MemoryHub.open(
  { ...HUB_OPTIONS, sessionEntries: 1_000_000 },
  {
    store: await RocksStore.open(directory),
    host: new SystemHost(),
    log: new MemoryLogger(),
    metrics: new NullMetrics(),
  },
);
say("ready");

const known = new Map<string, string>();

async function remember(): Promise<void> {
  const sessionId = pick(SESSIONS);
  const ttl = random() < 0.2 ? { ttlMs: 1 } : {};
  const requests = Array.from({ length: 1 + Math.floor(random() * 5) }, () => ({
    sessionId,
    content: { text: Array.from({ length: 12 }, () => pick(WORDS)).join(" ") },
    taskId: pick(["", "t"]),
    ...ttl,
  }));
  for (const [at, { id, outcome }] of (await hub.memorize(requests)).entries()) {
    if (outcome !== "stored") continue;
    const text = requests[at]?.content.text ?? "";
    if (!("ttlMs" in ttl)) known.set(id, sessionId);
    say(`${"ttlMs" in ttl ? "brief" : "stored"} ${id} ${sessionId} ${text}`);
  }
}

async function forget(): Promise<void> {
  const [id, sessionId] = [...known][Math.floor(random() * known.size)] ?? [];
  if (id === undefined || sessionId === undefined) return;
  known.delete(id);
  say(`forgetting ${id}`);
  await hub.forget({ sessionId, ids: [id] });
  say(`forgotten ${id}`);
}

async function sweep(): Promise<void> {
  // Everything brief that was acknowledged before is over now.
  await new Promise((resolve) => setTimeout(resolve, 3));
  say("sweeping");
  await hub.sweep();
  say("swept");
}

async function erase(): Promise<void> {
  const sessionId = "default/a/b";
  say(`erasing ${sessionId}`);
  await hub.eraseSession(sessionId);
  for (const [id, of] of known) if (of === sessionId) known.delete(id);
  say(`erased ${sessionId}`);
}

for (;;) {
  const dice = random();
  if (dice < 0.7) await remember();
  else if (dice < 0.9) await forget();
  else if (dice < 0.98) await sweep();
  else await erase();
}
