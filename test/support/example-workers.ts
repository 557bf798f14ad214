/**
 * The workers of examples/workers as programs that tests start: command and environment of each language. Stubs are made
 * once per test file, in a directory that is gone after it; scripts/test-prerequisites.sh installs what they need.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const EXAMPLES = join(import.meta.dirname, "../../examples/workers");

export const LANGUAGES = ["typescript", "python", "ruby", "shell"] as const;
export type Language = (typeof LANGUAGES)[number];

export interface ExampleWorker {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Stubs for the languages that need some; `remove` deletes them. */
export function makeStubs(): {
  readonly worker: (language: Language) => ExampleWorker;
  readonly remove: () => void;
} {
  const stubs = mkdtempSync(join(tmpdir(), "goclaw-stubs-"));
  for (const language of ["python", "ruby"]) {
    execFileSync(join(EXAMPLES, "stubs.sh"), [language, join(stubs, language)]);
  }
  return {
    worker: (language) => exampleWorker(language, stubs),
    remove: () => rmSync(stubs, { recursive: true, force: true }),
  };
}

function exampleWorker(language: Language, stubs: string): ExampleWorker {
  const file = (name: string): string => join(EXAMPLES, language, name);
  switch (language) {
    case "typescript": {
      const command = [process.execPath, "--conditions=goclaw-source", file("worker.ts")];
      return { command, environment: {} };
    }
    case "python": {
      const environment = { PYTHONPATH: join(stubs, language), PYTHONDONTWRITEBYTECODE: "1" };
      // The system's: a Python of its own first on PATH may lack grpc.
      return { command: ["/usr/bin/python3", file("worker.py")], environment };
    }
    case "ruby": {
      const environment = { RUBYLIB: join(stubs, language) };
      return { command: ["/usr/bin/ruby", file("worker.rb")], environment };
    }
    case "shell":
      return { command: [file("poll.sh")], environment: {} };
  }
}
