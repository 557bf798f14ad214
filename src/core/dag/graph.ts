/**
 * Directed graphs over the indexes 0…size-1 in compressed rows, and what is asked of them: an order, the cycles that
 * forbid one, and the repair of an order when edges are added. An edge leads from a dependency to the node that waits
 * for it. Everything is linear in nodes and edges and iterative, because the size and shape come from strangers.
 */

/** Compressed rows: the dependencies of `n` are `deps[depStart[n]] … deps[depStart[n + 1] - 1]`, dependents alike. */
export interface Graph {
  readonly size: number;
  readonly depStart: Uint32Array;
  readonly deps: Uint32Array;
  readonly dependentStart: Uint32Array;
  /** Ascending inside a row. */
  readonly dependents: Uint32Array;
}

/** Builds a graph from each node's dependencies, keeping their order. */
export function buildGraph(depsOf: readonly (readonly number[])[]): Graph {
  const size = depsOf.length;
  const depStart = new Uint32Array(size + 1);
  const dependentStart = new Uint32Array(size + 1);
  for (let node = 0; node < size; node++) {
    const row = depsOf[node] as readonly number[];
    depStart[node + 1] = at(depStart, node) + row.length;
    for (const dep of row) dependentStart[dep + 1] = at(dependentStart, dep + 1) + 1;
  }
  for (let node = 0; node < size; node++) {
    dependentStart[node + 1] = at(dependentStart, node + 1) + at(dependentStart, node);
  }
  const deps = new Uint32Array(at(depStart, size));
  const dependents = new Uint32Array(at(depStart, size));
  const fill = dependentStart.slice();
  let next = 0;
  for (let node = 0; node < size; node++) {
    for (const dep of depsOf[node] as readonly number[]) {
      deps[next++] = dep;
      const slot = at(fill, dep);
      dependents[slot] = node;
      fill[dep] = slot + 1;
    }
  }
  return { size, depStart, deps, dependentStart, dependents };
}

/** The dependencies of a node, a view into the graph. */
export function depsOf(graph: Graph, node: number): Uint32Array {
  return graph.deps.subarray(graph.depStart[node], graph.depStart[node + 1]);
}

/** The nodes that wait for a node, ascending, a view into the graph. */
export function dependentsOf(graph: Graph, node: number): Uint32Array {
  return graph.dependents.subarray(graph.dependentStart[node], graph.dependentStart[node + 1]);
}

/**
 * A topological order (Kahn 1962), breadth first, smaller indexes first inside a layer. Nodes on a cycle or behind one
 * are missing, so the graph is acyclic exactly when the order is as long as the graph.
 */
export function topologicalOrder(graph: Graph): Uint32Array {
  const waiting = new Uint32Array(graph.size);
  const order = new Uint32Array(graph.size);
  let end = 0;
  for (let node = 0; node < graph.size; node++) {
    waiting[node] = at(graph.depStart, node + 1) - at(graph.depStart, node);
    if (waiting[node] === 0) order[end++] = node;
  }
  for (let begin = 0; begin < end; begin++) {
    const node = at(order, begin);
    const rowEnd = at(graph.dependentStart, node + 1);
    for (let edge = at(graph.dependentStart, node); edge < rowEnd; edge++) {
      const dependent = at(graph.dependents, edge);
      const left = at(waiting, dependent) - 1;
      waiting[dependent] = left;
      if (left === 0) order[end++] = dependent;
    }
  }
  return order.subarray(0, end);
}

const WHITE = 0;
const GREY = 1;
const BLACK = 2;

/**
 * Independent cycles, each as the nodes along the edges, beginning with the smallest index: `[a, b, c]` stands for
 * a → b → c → a. Cycles sharing a node with an earlier one are left out; they show once that one is repaired. Empty
 * exactly when the graph is acyclic. Depth-first search with three colours and an explicit stack.
 */
export function findCycles(graph: Graph): number[][] {
  const colour = new Uint8Array(graph.size);
  const nextEdge = graph.dependentStart.slice(0, graph.size);
  const path: number[] = [];
  const reported = new Set<number>();
  const cycles: number[][] = [];
  for (let root = 0; root < graph.size; root++) {
    if (colour[root] !== WHITE) continue;
    path.push(root);
    colour[root] = GREY;
    while (path.length > 0) {
      const node = path.at(-1) as number;
      const edge = at(nextEdge, node);
      if (edge === graph.dependentStart[node + 1]) {
        colour[node] = BLACK;
        path.pop();
        continue;
      }
      nextEdge[node] = edge + 1;
      const dependent = at(graph.dependents, edge);
      if (colour[dependent] === WHITE) {
        colour[dependent] = GREY;
        path.push(dependent);
      } else if (colour[dependent] === GREY) {
        const cycle = path.slice(path.lastIndexOf(dependent));
        if (cycle.some((member) => reported.has(member))) continue;
        for (const member of cycle) reported.add(member);
        cycles.push(fromSmallest(cycle));
      }
    }
  }
  return cycles;
}

function fromSmallest(cycle: readonly number[]): number[] {
  const first = cycle.indexOf(cycle.reduce((least, node) => Math.min(least, node)));
  return [...cycle.slice(first), ...cycle.slice(0, first)];
}

/** Neighbours of a node. */
export type Neighbours = (node: number) => Iterable<number>;

/**
 * A topological order that survives added edges (Pearce and Kelly 2006): an edge against the order costs a search of the
 * nodes between its ends, every other edge costs nothing.
 */
export class IncrementalOrder {
  readonly #order: Uint32Array;
  readonly #placeOf: Uint32Array;
  readonly #next: Neighbours;
  readonly #previous: Neighbours;
  readonly #addedNext = new Map<number, number[]>();
  readonly #addedPrevious = new Map<number, number[]>();

  /** Begins with `order`, followed by nodes without edges up to `size`; the neighbours are those of the old edges. */
  constructor(order: Uint32Array, size: number, next: Neighbours, previous: Neighbours) {
    this.#order = Uint32Array.from({ length: size }, (_, place) => order[place] ?? place);
    this.#placeOf = new Uint32Array(size);
    for (let place = 0; place < size; place++) this.#placeOf[at(this.#order, place)] = place;
    this.#next = next;
    this.#previous = previous;
  }

  /** Nodes by place. */
  get order(): Uint32Array {
    return this.#order;
  }

  /** Adds an edge; or leaves it out and returns the cycle it would close, beginning with the smallest index. */
  add(from: number, to: number): readonly number[] | undefined {
    const first = at(this.#placeOf, to);
    const last = at(this.#placeOf, from);
    if (first <= last) {
      const after = this.#reach(to, this.#next, this.#addedNext, first, last);
      if (after.has(from)) return fromSmallest(pathTo(from, after));
      const before = this.#reach(from, this.#previous, this.#addedPrevious, first, last);
      this.#reorder([...before.keys()], [...after.keys()]);
    }
    rowOf(this.#addedNext, from).push(to);
    rowOf(this.#addedPrevious, to).push(from);
    return undefined;
  }

  /** Nodes reached from `start` between two places, each with the node it was reached from. */
  #reach(
    start: number,
    neighbours: Neighbours,
    added: ReadonlyMap<number, readonly number[]>,
    first: number,
    last: number,
  ): Map<number, number | undefined> {
    const reached = new Map<number, number | undefined>([[start, undefined]]);
    for (const node of reached.keys()) {
      for (const row of [neighbours(node), added.get(node) ?? []]) {
        for (const neighbour of row) {
          const place = at(this.#placeOf, neighbour);
          if (place >= first && place <= last && !reached.has(neighbour))
            reached.set(neighbour, node);
        }
      }
    }
    return reached;
  }

  /** Puts everything before the new edge in front of everything after it, using the places they have now. */
  #reorder(before: number[], after: number[]): void {
    const byPlace = (a: number, b: number) => at(this.#placeOf, a) - at(this.#placeOf, b);
    const nodes = [...before.sort(byPlace), ...after.sort(byPlace)];
    const places = nodes.map((node) => at(this.#placeOf, node)).sort((a, b) => a - b);
    for (const [position, node] of nodes.entries()) {
      const place = places[position] as number;
      this.#order[place] = node;
      this.#placeOf[node] = place;
    }
  }
}

function pathTo(end: number, reachedFrom: ReadonlyMap<number, number | undefined>): number[] {
  const path: number[] = [];
  for (let node: number | undefined = end; node !== undefined; node = reachedFrom.get(node)) {
    path.push(node);
  }
  return path.reverse();
}

function rowOf(rows: Map<number, number[]>, node: number): number[] {
  const row = rows.get(node) ?? [];
  rows.set(node, row);
  return row;
}

/** The row of a typed array at an index that is known to exist. */
function at(array: Uint32Array, index: number): number {
  return array[index] as number;
}
