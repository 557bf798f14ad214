/**
 * The one importer of hnswlib-node, which is optional because it compiles when it is installed. Two habits of it are kept
 * in here: it takes plain arrays only, and it loads a damaged or foreign file without a word, so whoever reads a graph
 * has verified the file first. Its filter callback is not offered at all: an exception in one aborts the process.
 */
import { createRequire } from "node:module";

/** A hierarchical navigable small world graph (Malkov and Yashunin, 2016) by inner product. Labels are whole numbers. */
export interface Graph {
  readonly capacity: number;
  /** Points, those marked deleted included. */
  readonly size: number;
  labels(): readonly number[];
  grow(capacity: number): void;
  add(label: number, vector: Float32Array): void;
  markDeleted(label: number): void;
  /** The nearest labels, best first, deleted ones left out; `limit` at most the number of others. */
  nearest(vector: Float32Array, limit: number): readonly number[];
  write(path: string): void;
}

/** Makes and reads graphs of one dimension. */
export interface GraphLibrary {
  create(dimension: number, capacity: number): Graph;
  read(dimension: number, path: string): Graph;
}

/** Links per point, and how many candidates are looked at while adding and while searching. */
const LINKS = 16;
const EF_CONSTRUCTION = 200;
const EF_SEARCH = 200;
const SEED = 100;

/** What is used of the package's class. */
interface Native {
  initIndex(capacity: number, links: number, efConstruction: number, seed: number): void;
  readIndexSync(path: string): void;
  writeIndexSync(path: string): void;
  resizeIndex(capacity: number): void;
  addPoint(point: number[], label: number): void;
  markDelete(label: number): void;
  searchKnn(point: number[], limit: number): { readonly neighbors: number[] };
  getIdsList(): number[];
  getMaxElements(): number;
  getCurrentCount(): number;
  setEf(ef: number): void;
}

interface Package {
  readonly HierarchicalNSW: new (space: "ip", dimension: number) => Native;
}

/** Loads the package; undefined where it is not installed or was not compiled. */
export function loadGraphLibrary(): GraphLibrary | undefined {
  let loaded: Package;
  try {
    loaded = createRequire(import.meta.url)("hnswlib-node") as Package;
  } catch {
    return undefined;
  }
  const { HierarchicalNSW } = loaded;
  return {
    create(dimension, capacity) {
      const native = new HierarchicalNSW("ip", dimension);
      native.initIndex(capacity, LINKS, EF_CONSTRUCTION, SEED);
      return graphOf(native);
    },
    read(dimension, path) {
      const native = new HierarchicalNSW("ip", dimension);
      native.readIndexSync(path);
      return graphOf(native);
    },
  };
}

function graphOf(native: Native): Graph {
  native.setEf(EF_SEARCH);
  return {
    get capacity() {
      return native.getMaxElements();
    },
    get size() {
      return native.getCurrentCount();
    },
    labels: () => native.getIdsList(),
    grow: (capacity) => native.resizeIndex(capacity),
    add: (label, vector) => native.addPoint([...vector], label),
    markDeleted: (label) => native.markDelete(label),
    nearest: (vector, limit) => native.searchKnn([...vector], limit).neighbors,
    write: (path) => native.writeIndexSync(path),
  };
}
