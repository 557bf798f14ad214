/**
 * Disks that fail: the daemon stops within a second of the first error, acknowledges nothing after it, and started again
 * it has everything it acknowledged. `make torture` adds the other combinations of store and call.
 */
import { expect, test } from "vitest";
import {
  type DiskFault,
  diskProblems,
  type TorturedStore,
  tortureByDiskErrors,
  tortureByFullDisk,
} from "../torture/disk.ts";

const EIO = { error: "EIO", only: "" } as const;
const FAULTS: readonly (readonly [string, TorturedStore, DiskFault, boolean])[] = [
  ["a write fails", "rocksdb", { ...EIO, calls: "write" }, false],
  ["a sync fails", "rocksdb", { ...EIO, calls: "sync" }, false],
  ["a sync fails", "leveldb", { ...EIO, calls: "sync" }, false],
  [
    "the mark cannot be saved while nobody asks",
    "rocksdb",
    { ...EIO, calls: "both", only: "/MARK" },
    true,
  ],
];

test.each(FAULTS)("%s (%s): fail-stop, and nothing acknowledged is lost", async (_, ...fault) => {
  const report = await tortureByDiskErrors(...fault);
  expect(report.acknowledged).toBeGreaterThan(0);
  expect(diskProblems(report)).toEqual([]);
});

test("a full disk: fail-stop, a start that gives up the reserve, and everything is there", async () => {
  let report = await tortureByFullDisk("rocksdb");
  if (report === undefined) {
    process.stderr.write("no file system may be mounted here: a full disk is only simulated\n");
    report = await tortureByDiskErrors("rocksdb", { error: "ENOSPC", calls: "write", only: "" });
  }
  expect(report.acknowledged).toBeGreaterThan(0);
  expect(diskProblems(report)).toEqual([]);
});
