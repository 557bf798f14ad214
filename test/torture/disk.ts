/**
 * Disks that fail under load: writes or syncs that are refused (EIO, by the shim), and a file system that is full
 * (ENOSPC, on a small one of its own where mounting is permitted). The daemon must stop at the first error, and started
 * again it must have everything it acknowledged.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statfsSync } from "node:fs";
import { appendFile, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { AdminService } from "../../gen/goclaw/v1/admin_service_pb.ts";
import { RunState, type TaskEvent } from "../../gen/goclaw/v1/run_pb.ts";
import { RunService } from "../../gen/goclaw/v1/run_service_pb.ts";
import { problemsOf } from "../support/ledger.ts";
import { Shim } from "./shim.ts";
import { Victim, type VictimEnd } from "./victim.ts";
import { SPEC, writeAgents } from "./workload.ts";

export type TorturedStore = "rocksdb" | "leveldb";

/** A way for the disk to fail. */
export interface DiskFault {
  readonly error: "EIO" | "ENOSPC";
  readonly calls: "write" | "sync" | "both";
  /** Part of the paths that fail; empty for all files of the data directory. */
  readonly only: string;
}

export interface DiskReport {
  readonly fault: string;
  readonly store: TorturedStore;
  readonly acknowledged: number;
  /** Acknowledged, and not there after the restart. */
  readonly lost: number;
  readonly exit: number | string;
  /** From the first failed call to the end of the process. */
  readonly stoppedWithinMs: number;
  readonly problems: readonly string[];
  /** On a full disk: whether the start gave up the reserve and could read everything. */
  readonly startedFull?: boolean;
  /** Whether the reserve was there again after there was room. */
  readonly reserveIsBack?: boolean;
}

const CLIENTS = 8;
const MIB = 1024 * 1024;

/** The disk fails from one moment on, under load or (`isIdle`) while nobody asks for anything. */
export async function tortureByDiskErrors(
  store: TorturedStore,
  fault: DiskFault,
  isIdle = false,
): Promise<DiskReport> {
  const rig = await Rig.make(store);
  const shim = new Shim(rig.directory, join(rig.directory, "data"));
  try {
    const first = await rig.start(shim.env);
    const load = rig.load(first, isIdle ? 1 : CLIENTS, 10);
    await rig.acknowledgements(isIdle ? 5 : 60);
    if (isIdle) rig.pauseLoad();
    shim.fail(fault.error, fault.calls, fault.only);
    const end = await first.ended;
    await load;
    const failedAt = shim.firstFailureNs() ?? end.atNs;
    shim.heal();
    const second = await rig.start(shim.env);
    const problems = await rig.check(second);
    await second.stop();
    const calls = `${fault.error} on ${fault.calls} ${fault.only}${isIdle ? " idle" : ""}`;
    return rig.report(calls, end, failedAt, problems);
  } finally {
    shim.close();
    await rig.remove();
  }
}

const DISK_BYTES = 256 * MIB;
const RESERVE_BYTES = 32 * MIB;

/** A small file system fills up. `undefined` where this process may not mount one. */
export async function tortureByFullDisk(store: TorturedStore): Promise<DiskReport | undefined> {
  const rig = await Rig.make(store, RESERVE_BYTES);
  const data = join(rig.directory, "data");
  const ballast = join(data, "ballast");
  if (!mountTmpfs(data)) {
    await rig.remove();
    return undefined;
  }
  try {
    const first = await rig.start();
    const reserve = join(data, "RESERVE");
    const load = rig.load(first, CLIENTS, 20_000);
    await rig.acknowledgements(60);
    await fillDisk(data, ballast);
    const end = await first.ended;
    await load;
    await fillDisk(data, ballast);
    const second = await rig.start();
    const startedFull = second.stderr.includes("given up its reserve") && !existsSync(reserve);
    const problems = await rig.check(second);
    await second.stop();
    await rm(ballast);
    const third = await rig.start();
    problems.push(...(await rig.check(third)));
    await third.stop();
    const reserveIsBack = (await stat(reserve).catch(() => undefined))?.size === RESERVE_BYTES;
    const report = rig.report("ENOSPC on a full tmpfs", end, rig.lastAcknowledgedNs, problems);
    return { ...report, startedFull, reserveIsBack };
  } finally {
    execFileSync("umount", ["--lazy", data]);
    await rig.remove();
  }
}

function mountTmpfs(at: string): boolean {
  mkdirSync(at);
  try {
    const options = ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", at];
    execFileSync("mount", options, { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Takes all the room that is left, down to the last few kilobytes. */
async function fillDisk(directory: string, ballast: string): Promise<void> {
  for (let chunkBytes = 4 * MIB; chunkBytes >= 4_096; ) {
    const { bavail, bsize } = statfsSync(directory);
    if (bavail * bsize < chunkBytes) {
      chunkBytes /= 4;
      continue;
    }
    await appendFile(ballast, new Uint8Array(chunkBytes)).catch(() => {
      chunkBytes /= 4;
    });
  }
}

/** What a fail-stop must not be: with losses, late, or by accident. */
export function diskProblems(report: DiskReport): string[] {
  const { fault, exit, stoppedWithinMs, problems } = report;
  const all = [...problems];
  if (exit !== 70) all.push(`${fault}: ended with ${exit}`);
  if (stoppedWithinMs > 1_000) all.push(`${fault}: stopped after ${stoppedWithinMs} ms`);
  if (report.startedFull === false) all.push(`${fault}: the start did not give up the reserve`);
  if (report.reserveIsBack === false) all.push(`${fault}: the reserve is not back`);
  return all;
}

/** A directory, its daemons, and what they acknowledged. */
class Rig {
  readonly directory: string;
  readonly #store: TorturedStore;
  readonly #reserveBytes: number;
  /** Runs by key. */
  readonly #acknowledged = new Map<string, string>();
  #onAcknowledged: () => void = () => {};
  #isLoadPaused = false;
  lastAcknowledgedNs = 0n;

  static async make(store: TorturedStore, reserveBytes = 0): Promise<Rig> {
    const directory = await mkdtemp(join(tmpdir(), "goclaw-disk-"));
    writeAgents(directory);
    return new Rig(directory, store, reserveBytes);
  }

  private constructor(directory: string, store: TorturedStore, reserveBytes: number) {
    this.directory = directory;
    this.#store = store;
    this.#reserveBytes = reserveBytes;
  }

  async start(env: Readonly<Record<string, string>> = {}): Promise<Victim> {
    const victim = new Victim({
      directory: this.directory,
      env: {
        LEDGER: join(this.directory, "ledger"),
        GOCLAW_STORE: this.#store,
        GOCLAW_RESERVE_BYTES: String(this.#reserveBytes),
        GOCLAW_SNAPSHOTS__EVERY_EVENTS: "10",
        GOCLAW_DRAIN_TIMEOUT: "5s",
        ...env,
      },
    });
    await victim.listening();
    return victim;
  }

  /** Submits runs with inputs of this size until the daemon is gone or the load is paused. */
  async load(victim: Victim, clients: number, inputBytes: number): Promise<void> {
    const address = await victim.listening();
    const runs = victim.client(RunService, address);
    if (this.#acknowledged.size === 0) {
      await victim.client(AdminService, address).registerDefinition({ spec: SPEC });
    }
    const text = "x".repeat(inputBytes);
    const submit = async (client: number): Promise<void> => {
      for (let n = 0; !this.#isLoadPaused; n++) {
        const key = `${client}-${n}`;
        const source = { case: "definition", value: SPEC.name } as const;
        const input = { kind: { case: "stringValue", value: text } } as const;
        const { runId } = await runs.startRun({ run: { source, idempotencyKey: key, input } });
        this.#acknowledged.set(key, runId);
        this.lastAcknowledgedNs = process.hrtime.bigint();
        this.#onAcknowledged();
      }
    };
    const all = Array.from({ length: clients }, (_, client) => submit(client));
    for (const ended of await Promise.allSettled(all)) {
      if (ended.status === "rejected") expectRefusal(ended.reason);
    }
  }

  pauseLoad(): void {
    this.#isLoadPaused = true;
  }

  acknowledgements(count: number): Promise<void> {
    const target = this.#acknowledged.size + count;
    return new Promise((resolve) => {
      this.#onAcknowledged = () => {
        if (this.#acknowledged.size >= target) resolve();
      };
    });
  }

  /** Follows everything that was acknowledged to its end; what is wrong with it, in words. */
  async check(victim: Victim): Promise<string[]> {
    const runs = victim.client(RunService, await victim.listening());
    const problems: string[] = [];
    for (const [key, runId] of this.#acknowledged) {
      try {
        const events: TaskEvent[] = [];
        for await (const { event } of runs.watchRun({ runId })) if (event) events.push(event);
        if (events.at(-1)?.runState !== RunState.COMPLETED)
          problems.push(`${key} did not complete`);
        problems.push(...problemsOf(events).map((problem) => `${key}: ${problem}`));
      } catch (error) {
        problems.push(`${key} (${runId}): ${ConnectError.from(error).message}`);
      }
    }
    return problems;
  }

  report(
    fault: string,
    end: VictimEnd,
    failedAtNs: bigint,
    problems: readonly string[],
  ): DiskReport {
    return {
      fault,
      store: this.#store,
      acknowledged: this.#acknowledged.size,
      lost: problems.length,
      exit: end.exit,
      stoppedWithinMs: Math.round(Number(end.atNs - failedAtNs) / 1e6),
      problems: problems.slice(0, 5),
    };
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A refusal that names the store, or the end of the connection; anything else is no fail-stop. */
function expectRefusal(error: unknown): void {
  const { code, message } = ConnectError.from(error);
  const isNamed = /STORE_FAILED|store|DATA_LOSS/i.test(message);
  if (isNamed || [Code.Unavailable, Code.Aborted, Code.Canceled, Code.Internal].includes(code))
    return;
  throw error;
}
