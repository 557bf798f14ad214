/**
 * What package.json and package-lock.json promise: the lock installs on every platform and from any registry, no
 * dependency runs a script on a user's machine, and native code that exists for few platforms is optional.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly hasInstallScript?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(read("package.json")) as {
  readonly version: string;
  readonly allowScripts: Readonly<Record<string, boolean>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: { readonly ".": Readonly<Record<string, string>> };
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly overrides: Readonly<Record<string, Readonly<Record<string, string>>>>;
};
const lock = JSON.parse(read("package-lock.json")) as {
  readonly packages: Readonly<Record<string, LockEntry>>;
};
const locked = Object.entries(lock.packages);
/** Whether package.json puts another package in the place of this one. */
const isReplaced = (name: string) =>
  Object.values(manifest.overrides).some((of) => Object.hasOwn(of, name));
const nameOf = (path: string) =>
  path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

describe("the lock file", () => {
  test("has an entry for every platform of every package with platform packages", () => {
    const wanted = locked.flatMap(([, { optionalDependencies = {} }]) =>
      Object.entries(optionalDependencies),
    );
    expect(wanted.length).toBeGreaterThan(20);
    const isExact = (version: string) => /^\d/.test(version);
    const missing = wanted.filter(([name, version]) => {
      const found = lock.packages[`node_modules/${name}`];
      return isExact(version) && !isReplaced(name) ? found?.version !== version : !found;
    });
    expect(missing.filter(([name]) => name !== "fsevents")).toEqual([]);
  });

  test("names no registry", () => {
    expect(locked.filter(([, entry]) => entry.resolved !== undefined)).toEqual([]);
  });
});

describe("package.json", () => {
  test("decides about every install script, and needs none", () => {
    const withScripts = locked
      .filter(([, entry]) => entry.hasInstallScript)
      .map(([path]) => nameOf(path));
    expect(Object.keys(manifest.allowScripts).sort()).toEqual([...new Set(withScripts)].sort());
    expect(Object.values(manifest.allowScripts)).not.toContain(true);
  });

  test("makes RocksDB optional, because it has binaries for two platforms only", () => {
    expect(Object.keys(manifest.optionalDependencies)).toContain("@nxtedition/rocksdb");
    expect(lock.packages["node_modules/@nxtedition/rocksdb"]?.optional).toBe(true);
  });

  test("points at files that exist", () => {
    const { "goclaw-source": source, default: built } = manifest.exports["."];
    for (const path of [...Object.values(manifest.bin), source ?? ""]) {
      expect(existsSync(join(ROOT, path)), path).toBe(true);
    }
    expect(built).toBe(source?.replace("./src/", "./dist/src/").replace(/\.ts$/, ".js"));
  });
});
