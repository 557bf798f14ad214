/**
 * Where the process starts. Looks at the version of Node.js before anything else is loaded, because what follows does
 * not even parse on an old one, and hands over to the command line. It decides nothing but that and the exit code.
 */

/** The oldest releases of the supported lines, and that any later major line will do. */
const NODE_OLDEST = [22, 18] as const;
const NODE_NEXT_LINE = 24;

/** Whether this program runs on a Node.js version such as `v22.18.0`. */
function isFit(version: string): boolean {
  const [major = 0, minor = 0] = version.slice(1).split(".").map(Number);
  if (major >= NODE_NEXT_LINE) return true;
  return major === NODE_OLDEST[0] && minor >= NODE_OLDEST[1];
}

/**
 * Keeps what Node.js made of the sources, which halves the start from a checkout. The folder belongs to the checkout: a
 * shared one in the temporary directory would let another user put code there. Where it cannot be written, nothing is kept.
 */
async function keepStrippedSources(): Promise<void> {
  if (!import.meta.filename.endsWith(".ts")) return;
  const { enableCompileCache } = await import("node:module");
  enableCompileCache(`${import.meta.dirname}/../node_modules/.cache/goclaw`);
}

if (isFit(process.version)) {
  await keepStrippedSources();
  const { main } = await import("./main/system-cli.ts");
  await main(process.argv.slice(2));
} else {
  process.stderr.write(
    `goclaw: needs Node.js ${NODE_OLDEST.join(".")} or newer, or ${NODE_NEXT_LINE}; this is ${process.version}\n`,
  );
  process.exitCode = 1;
}
