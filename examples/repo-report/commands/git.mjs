/**
 * What the command agents of this example share: reading the assignment from standard input, running git without a
 * shell, and failing so that the engine knows whether to try again. They are plain programs; nothing of GoClaw is
 * imported. Standard output belongs to the answer, standard error to the log of the attempt.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { isAbsolute } from "node:path";

/** Exit code of a failure that another attempt cannot mend (EX_DATAERR). */
const EXIT_TERMINAL = 65;

/** A wrong input: trying again cannot help. */
class InputError extends Error {}

/** Reads the assignment, lets `work` compute the answer for the repository, prints it. */
export async function answer(work) {
  try {
    const { input } = JSON.parse(await text(process.stdin));
    process.stdout.write(JSON.stringify(await work(await repositoryOf(input), input)));
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = error instanceof InputError ? EXIT_TERMINAL : 1;
  }
}

async function text(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** The daemon may run anywhere, so only an absolute path means the same to everybody. */
async function repositoryOf(input) {
  const repository = input?.repository;
  if (typeof repository !== "string" || !isAbsolute(repository)) {
    throw new InputError('the input needs "repository": the absolute path of a git working tree');
  }
  const prefix = await git(repository, ["rev-parse", "--show-prefix"]).catch((error) => {
    throw new InputError(error.message);
  });
  if (prefix.trim() === "") return repository;
  const top = await git(repository, ["rev-parse", "--show-toplevel"]);
  throw new InputError(`${repository} is inside a working tree; give its top: ${top.trim()}`);
}

/** Output of a git command as text. Rejects with git's own words. */
export async function git(repository, args) {
  const parts = [];
  await gitFields(repository, args, (field) => parts.push(field), "");
  return parts.join("");
}

/**
 * Runs a git command and hands out its output field by field, so that a long history needs little memory. Fields end
 * with `separator`; an empty one hands out everything as it comes.
 */
export async function gitFields(repository, args, onField, separator = "\0") {
  const child = spawn("git", ["-C", repository, "--no-optional-locks", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  // It is awaited below; a git that cannot be started must not count as unhandled until then.
  ended.catch(() => {});
  const errors = text(child.stderr);
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of child.stdout) {
    const fields =
      separator === ""
        ? [decoder.decode(chunk, { stream: true }), ""]
        : (rest + decoder.decode(chunk, { stream: true })).split(separator);
    rest = fields.pop();
    for (const field of fields) onField(field);
  }
  if (rest !== "") onField(rest);
  const [code] = await ended;
  if (code === 0) return;
  const lines = (await errors).trim().split("\n");
  throw new Error(`git ${args[0]}: ${lines[0] || `exit code ${code}`}`);
}
