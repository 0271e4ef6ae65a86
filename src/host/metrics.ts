import { performance } from 'node:perf_hooks';
import { collectDefaultMetrics, type Metric, type MetricObject, type MetricType, Registry } from 'prom-client';
import { assert } from '../base/assert.ts';

/** Label values of one series; the names must be the same for all series of a metric. */
export type MetricLabels = Readonly<Record<string, string>>;

/** Only grows. */
export interface Counter {
  add(amount: number): void;
}

export interface Gauge {
  set(value: number): void;
}

export interface Histogram {
  /** @param count how often `value` was seen; once unless given */
  observe(value: number, count?: number): void;
}

/** One series as it is when somebody asks for the metrics. */
export interface Reading {
  readonly labels?: MetricLabels;
  readonly value: number;
}

/** Bounds for durations in seconds, 50 µs to 10 s. */
export const SECONDS_BUCKETS: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

/** Bounds for counts of things in a batch. */
export const COUNT_BUCKETS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384];

const NAME = /^sluice_[a-z0-9]+(_[a-z0-9]+)+$/;

/** One line of Prometheus' text format. */
interface Sample {
  /** Follows the metric's name. */
  readonly suffix: string;
  readonly labels: MetricLabels;
  readonly value: number;
}

interface Series {
  samples(): readonly Sample[] | Promise<readonly Sample[]>;
}

class Tally implements Counter, Gauge, Series {
  readonly #labels: MetricLabels;
  #value = 0;

  constructor(labels: MetricLabels) {
    this.#labels = labels;
  }

  add(amount: number): void {
    this.#value += amount;
  }

  set(value: number): void {
    this.#value = value;
  }

  samples(): readonly Sample[] {
    return [{ suffix: '', labels: this.#labels, value: this.#value }];
  }
}

class BucketTally implements Histogram, Series {
  readonly #labels: MetricLabels;
  readonly #bounds: readonly number[];
  /** How many values fell into each bucket; the last one has no upper bound. */
  readonly #counts: Float64Array;
  #sum = 0;

  constructor(labels: MetricLabels, bounds: readonly number[]) {
    this.#labels = labels;
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number, count = 1): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && value > (this.#bounds[bucket] as number)) bucket += 1;
    this.#counts[bucket] = (this.#counts[bucket] as number) + count;
    this.#sum += count * value;
  }

  samples(): readonly Sample[] {
    let count = 0;
    const buckets = [...this.#bounds, '+Inf'].map((bound, i): Sample => {
      count += this.#counts[i] as number;
      return { suffix: '_bucket', labels: { le: String(bound), ...this.#labels }, value: count };
    });
    const labels = this.#labels;
    return [...buckets, { suffix: '_sum', labels, value: this.#sum }, { suffix: '_count', labels, value: count }];
  }
}

/** All series of a name, as prom-client's registry asks for them. */
class Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly #help: string;
  readonly #labelNames: string;
  readonly #series = new Map<string, Series>();

  constructor(name: string, type: Family['type'], help: string, labelNames: string) {
    assert(NAME.test(name), `Metric ${name} must be named sluice_<room>_<noun>_<unit>`);
    this.name = name;
    this.type = type;
    this.#help = help;
    this.#labelNames = labelNames;
  }

  once<S extends Series>(labels: MetricLabels, make: () => S): S {
    const values = Object.entries(labels).sort();
    assert(String(values.map(([name]) => name)) === this.#labelNames, `Metric ${this.name} has other labels elsewhere`);
    const key = JSON.stringify(values);
    const series = this.#series.get(key) ?? make();
    this.#series.set(key, series);
    return series as S;
  }

  /** Called by prom-client. */
  async get(): Promise<MetricObject & { values: unknown[] }> {
    const samples = (await Promise.all([...this.#series.values()].map((series) => series.samples()))).flat();
    const values = samples.map(({ suffix, labels, value }) => ({ metricName: this.name + suffix, labels, value }));
    return {
      name: this.name,
      help: this.#help,
      type: this.type as unknown as MetricType,
      aggregator: 'sum',
      collect: () => undefined,
      values,
    };
  }
}

/**
 * The metrics of one process, named `sluice_<room>_<noun>_<unit>[_total]`. A series is looked up once, when its service
 * starts, and then is one object whose counting costs next to nothing: prom-client only prints it. Asking again for the
 * same name and labels gives the same series.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #families = new Map<string, Family>();

  /** Adds what Node tells of the process: CPU, memory, event loop delay, garbage collection. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.#registry, prefix: 'sluice_host_' });
    const busy = () => [{ value: performance.eventLoopUtilization().active / 1000 }];
    const doc = 'Time that the event loop was busy; its rate is the saturation of the loop, 1 at most';
    this.readWhenAsked('sluice_host_loop_busy_seconds_total', 'counter', doc, busy);
  }

  counter(name: string, doc: string, labels: MetricLabels = {}): Counter {
    return this.#family(name, 'counter', doc, labels).once(labels, () => new Tally(labels));
  }

  gauge(name: string, doc: string, labels: MetricLabels = {}): Gauge {
    return this.#family(name, 'gauge', doc, labels).once(labels, () => new Tally(labels));
  }

  /** A gauge without labels that is read when somebody asks for the metrics. */
  gaugeOf(name: string, doc: string, read: () => number): void {
    this.readWhenAsked(name, 'gauge', doc, () => [{ value: read() }]);
  }

  /** All series of a name, read when somebody asks for the metrics; from one time to the next there may be others. */
  readWhenAsked(
    name: string,
    type: 'gauge' | 'counter',
    doc: string,
    read: () => Iterable<Reading> | Promise<Iterable<Reading>>,
  ): void {
    assert(!this.#families.has(name), `Metric ${name} is declared twice`);
    const samples = async () => [...(await read())].map(({ labels = {}, value }) => ({ suffix: '', labels, value }));
    this.#family(name, type, doc, {}).once({}, () => ({ samples }));
  }

  histogram(name: string, doc: string, buckets: readonly number[], labels: MetricLabels = {}): Histogram {
    return this.#family(name, 'histogram', doc, labels).once(labels, () => new BucketTally(labels, buckets));
  }

  /** All series in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #family(name: string, type: Family['type'], doc: string, labels: MetricLabels): Family {
    const known = this.#families.get(name);
    if (known !== undefined) {
      assert(known.type === type, `Metric ${name} is declared twice, with different types`);
      return known;
    }
    const family = new Family(name, type, doc, String(Object.keys(labels).sort()));
    // prom-client's type is wider than what its registry uses: a name, and `get`.
    this.#registry.registerMetric(family as unknown as Metric);
    this.#families.set(name, family);
    return family;
  }
}
