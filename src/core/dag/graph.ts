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

/** The row of a typed array at an index that is known to exist. */
function at(array: Uint32Array, index: number): number {
  return array[index] as number;
}
