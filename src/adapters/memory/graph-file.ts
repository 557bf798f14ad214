/**
 * A graph on disk, under a header of ours: whose it is, its dimension, how far it covers the log, and the checksum of its
 * bytes. The library would load a flipped byte or another dimension without a word, so a file that is not exactly what its
 * header says does not exist, and the graph is built again. Both files are written beside and renamed, header last.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { crc32c } from "../../base/crc32c.ts";
import type { Graph, GraphLibrary } from "./hnsw-library.ts";
import { syncDirectory } from "./vector-log.ts";

const FORMAT = 1;

/** What a header says. */
interface Header {
  readonly format: number;
  readonly sessionId: string;
  readonly dimension: number;
  /** Puts with a number up to this are in the graph, unless removed since. */
  readonly watermark: number;
  readonly bytes: number;
  readonly crc: number;
}

/** A graph and how far it covers the log. */
export interface StoredGraph {
  readonly graph: Graph;
  readonly watermark: number;
}

/** Writes a graph to `path`, with its header beside it. */
export function writeGraph(
  path: string,
  of: { readonly sessionId: string; readonly dimension: number; readonly watermark: number },
  graph: Graph,
): void {
  mkdirSync(dirname(path), { recursive: true });
  graph.write(`${path}.next`);
  const bytes = readFileSync(`${path}.next`);
  const header: Header = { format: FORMAT, ...of, bytes: bytes.length, crc: crc32c(bytes) };
  writeFileSync(`${path}.header.next`, JSON.stringify(header), { mode: 0o600 });
  for (const written of [`${path}.next`, `${path}.header.next`]) syncFile(written);
  renameSync(`${path}.next`, path);
  renameSync(`${path}.header.next`, `${path}.header`);
  syncDirectory(dirname(path));
}

/** Reads what {@link writeGraph} wrote; undefined when there is nothing, or nothing that can be trusted. */
export function readGraph(
  library: GraphLibrary,
  path: string,
  of: { readonly sessionId: string; readonly dimension: number },
): StoredGraph | undefined {
  try {
    const header = JSON.parse(readFileSync(`${path}.header`, "utf8")) as Header;
    const bytes = readFileSync(path);
    const fits =
      header.format === FORMAT &&
      header.sessionId === of.sessionId &&
      header.dimension === of.dimension &&
      header.bytes === bytes.length &&
      header.crc === crc32c(bytes);
    if (!fits) return undefined;
    return { graph: library.read(of.dimension, path), watermark: header.watermark };
  } catch {
    return undefined;
  }
}

/** The paths of all graphs in a directory, whole or not. */
export function graphPaths(directory: string): readonly string[] {
  mkdirSync(directory, { recursive: true });
  const names = readdirSync(directory).map((name) => name.split(".")[0] ?? "");
  return [...new Set(names)].map((name) => join(directory, name));
}

export function deleteGraph(path: string): void {
  for (const suffix of [".header", "", ".header.next", ".next"])
    rmSync(`${path}${suffix}`, { force: true });
}

function syncFile(path: string): void {
  const file = openSync(path, "r+");
  fsyncSync(file);
  closeSync(file);
}
