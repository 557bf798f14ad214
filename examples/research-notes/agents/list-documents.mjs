/** Finds the documents of a folder, in the order of their names. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

export const listDocuments = {
  name: "ListDocuments",
  version: "1",
  run({ folder }, ctx) {
    const documents = readdirSync(folder)
      .filter((name) => name.endsWith(".md"))
      .sort()
      .map((name) => ({ name, path: join(folder, name) }));
    ctx.log.info(`${documents.length} documents in ${folder}`);
    return { documents };
  },
};
