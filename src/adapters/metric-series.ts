/**
 * Counts and distributions as plain numbers, which prom-client reads when somebody scrapes. Its own counters hash their
 * labels at every call, and a task makes six of them: that was 4 % of the engine thread under load. A series takes at
 * most two labels, which is all the table has, and finds their cell without making a key.
 */
import type { MetricDeclaration } from "./metric-table.ts";

type Labels = { readonly [name: string]: string };

interface Sample {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** What a registry gets of a metric. */
interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "histogram";
  readonly aggregator: "sum";
  readonly values: readonly Sample[];
}

/** One cell per combination of label values. */
class Cells<C> {
  readonly #names: readonly string[];
  readonly #make: () => C;
  readonly #cells = new Map<string, Map<string, C>>();

  constructor(names: readonly string[], make: () => C) {
    this.#names = names;
    this.#make = make;
    if (names.length === 0) this.at("", "");
  }

  at(first: string, second: string): C {
    let row = this.#cells.get(first);
    if (row === undefined) {
      row = new Map();
      this.#cells.set(first, row);
    }
    let cell = row.get(second);
    if (cell === undefined) {
      cell = this.#make();
      row.set(second, cell);
    }
    return cell;
  }

  *[Symbol.iterator](): Generator<readonly [labels: Labels, cell: C]> {
    for (const [first, row] of this.#cells) {
      for (const [second, cell] of row) {
        const values = [first, second];
        yield [Object.fromEntries(this.#names.map((name, at) => [name, values[at] ?? ""])), cell];
      }
    }
  }
}

/** A counter with up to two labels, in the order of its declaration. */
export class CounterSeries {
  readonly name: string;
  readonly #of: MetricDeclaration;
  readonly #cells: Cells<{ value: number }>;

  constructor(name: string, of: MetricDeclaration) {
    this.name = name;
    this.#of = of;
    this.#cells = new Cells(of.labels, () => ({ value: 0 }));
  }

  add(value: number, first = "", second = ""): void {
    this.#cells.at(first, second).value += value;
  }

  async get(): Promise<Family> {
    const values = Array.from(this.#cells, ([labels, { value }]) => ({ labels, value }));
    return { name: this.name, help: this.#of.help, type: "counter", aggregator: "sum", values };
  }
}

interface Distribution {
  /** How many values each bound is the first to hold; the last place is for those beyond all bounds. */
  readonly counts: Float64Array;
  sum: number;
}

/** A histogram with up to one label. */
export class HistogramSeries {
  readonly name: string;
  readonly #of: MetricDeclaration;
  readonly #bounds: readonly number[];
  readonly #cells: Cells<Distribution>;

  constructor(name: string, of: MetricDeclaration) {
    this.name = name;
    this.#of = of;
    this.#bounds = of.buckets ?? [];
    const size = this.#bounds.length + 1;
    this.#cells = new Cells(of.labels, () => ({ counts: new Float64Array(size), sum: 0 }));
  }

  /** A value that is no finite number is dropped. */
  observe(value: number, label = ""): void {
    if (!Number.isFinite(value)) return;
    const cell = this.#cells.at(label, "");
    let at = 0;
    while (at < this.#bounds.length && value > (this.#bounds[at] as number)) at++;
    cell.counts[at] = (cell.counts[at] as number) + 1;
    cell.sum += value;
  }

  async get(): Promise<Family> {
    const values = [...this.#cells].flatMap(([labels, cell]) => this.#samples(labels, cell));
    return { name: this.name, help: this.#of.help, type: "histogram", aggregator: "sum", values };
  }

  #samples(labels: Labels, { counts, sum }: Distribution): Sample[] {
    let total = 0;
    const buckets = Array.from(counts, (count, at): Sample => {
      total += count;
      const le = String(this.#bounds[at] ?? "+Inf");
      return { metricName: `${this.name}_bucket`, labels: { le, ...labels }, value: total };
    });
    return [
      ...buckets,
      { metricName: `${this.name}_sum`, labels, value: sum },
      { metricName: `${this.name}_count`, labels, value: total },
    ];
  }
}
