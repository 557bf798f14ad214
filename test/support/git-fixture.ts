/**
 * Git repositories for tests, made in a temporary directory that goes with the test. Nothing of the user's own git
 * configuration is read.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";

/** A new directory that is removed after the test. */
export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "goclaw-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export class GitFixture {
  readonly root: string;

  constructor(root = scratchDirectory()) {
    this.root = root;
    this.git("init", "--quiet", "--initial-branch=main");
  }

  /** Output of a git command without the last line feed. */
  git(...args: readonly string[]): string {
    const identity = ["-c", "user.name=A. Uthor", "-c", "user.email=a@example.org"];
    return execFileSync("git", ["-C", this.root, ...identity, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env.PATH, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
    }).replace(/\n$/, "");
  }

  write(path: string, content: string | Uint8Array): void {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }

  /** Commits everything there is. */
  commit(subject: string): void {
    this.git("add", "--all");
    this.git("commit", "--quiet", "--message", subject);
  }
}
