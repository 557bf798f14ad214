/**
 * Completes package-lock.json after npm wrote it against a registry mirror that lacks some platform packages. npm then
 * leaves their entries out, and `npm ci` refuses such a lock everywhere, though nobody here needs them. Each missing
 * entry is written as its sibling on another platform has it, with os, cpu and libc read from the package's name. It has
 * no integrity hash, which only a registry that has the package can give; entries that npm wrote are never touched.
 */
import { readFileSync, writeFileSync } from "node:fs";

interface LockEntry {
  version?: string;
  integrity?: string;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

/** The root lock file, or the one named. */
const LOCK = process.argv[2] ?? new URL("../package-lock.json", import.meta.url);

/** The words of package names and npm's words for them, field by field. */
const PLATFORM_WORDS = {
  os: { android: "android", darwin: "darwin", linux: "linux", win32: "win32" },
  cpu: { aarch64: "arm64", arm64: "arm64", armv7: "arm", x64: "x64" },
  libc: { gnu: "glibc", musl: "musl" },
} as const;

type PlatformField = keyof typeof PLATFORM_WORDS;

/** `["arm64"]` for `("cpu", "@bufbuild/buf-linux-aarch64")`; nothing when no word of the name says it. */
function platformOf(field: PlatformField, name: string): string[] {
  const words: Record<string, string> = PLATFORM_WORDS[field];
  return name
    .split("-")
    .flatMap((word) => words[word] ?? [])
    .slice(0, 1);
}

function entryLike(sibling: LockEntry, name: string, version: string): LockEntry {
  const libc = platformOf("libc", name);
  const cpu = platformOf("cpu", name);
  const entry = { ...sibling, version, cpu, libc, os: platformOf("os", name) };
  return Object.fromEntries(
    Object.entries(entry).filter(([key]) => key !== "integrity" && (key !== "libc" || libc.length)),
  );
}

const lock = JSON.parse(readFileSync(LOCK, "utf8")) as { packages: Record<string, LockEntry> };
const pathOf = (name: string) => `node_modules/${name}`;

for (const { optionalDependencies = {} } of Object.values(lock.packages)) {
  const names = Object.keys(optionalDependencies);
  const sibling = names.map((name) => lock.packages[pathOf(name)]).find((entry) => entry?.os);
  if (sibling === undefined) continue;
  for (const name of names) {
    if (platformOf("os", name).length === 0) continue;
    const wanted = optionalDependencies[name] ?? "";
    // Under a range, the version that npm chose for the sibling.
    const version = /^\d/.test(wanted) ? wanted : (sibling.version ?? wanted);
    lock.packages[pathOf(name)] ??= entryLike(sibling, name, version);
  }
}

const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, "en"));
lock.packages = Object.fromEntries(sorted);
writeFileSync(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
