import {
  collectDefaultMetrics,
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client';
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
  observe(value: number): void;
}

/** Bounds for durations in seconds, 50 µs to 10 s. */
export const SECONDS_BUCKETS: readonly number[] = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

/** Bounds for counts of things in a batch. */
export const COUNT_BUCKETS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384];

const NAME = /^sluice_[a-z0-9]+(_[a-z0-9]+)+$/;

/**
 * The metrics of one process, named `sluice_<room>_<noun>_<unit>[_total]`. A series is looked up once, when its service
 * starts, and then is one object: asking again for the same name and labels gives the same series.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #metrics = new Map<string, PromCounter | PromGauge | PromHistogram>();
  readonly #series = new Map<string, Counter | Gauge | Histogram>();

  /** Adds what Node tells of the process: CPU, memory, event loop delay, garbage collection. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.#registry, prefix: 'sluice_host_' });
  }

  counter(name: string, doc: string, labels: MetricLabels = {}): Counter {
    return this.#once(name, labels, () => {
      const metric = this.#metric(name, PromCounter, (spec) => new PromCounter({ ...spec, help: doc }), labels);
      const child = metric.labels(labels);
      return { add: (amount: number) => child.inc(amount) };
    });
  }

  gauge(name: string, doc: string, labels: MetricLabels = {}): Gauge {
    return this.#once(name, labels, () => {
      const metric = this.#metric(name, PromGauge, (spec) => new PromGauge({ ...spec, help: doc }), labels);
      const child = metric.labels(labels);
      return { set: (value: number) => child.set(value) };
    });
  }

  /** A gauge without labels that is read when somebody asks for the metrics. */
  gaugeOf(name: string, doc: string, read: () => number): void {
    assert(!this.#metrics.has(name), `Metric ${name} is declared twice`);
    this.#metric(name, PromGauge, (spec) => new PromGauge({ ...spec, help: doc, collect: sampled(read) }), {});
  }

  histogram(name: string, doc: string, buckets: readonly number[], labels: MetricLabels = {}): Histogram {
    return this.#once(name, labels, () => {
      const build = (spec: Spec) => new PromHistogram({ ...spec, help: doc, buckets: [...buckets] });
      const child = this.#metric(name, PromHistogram, build, labels).labels(labels);
      return { observe: (value: number) => child.observe(value) };
    });
  }

  /** All series in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #once<S extends Counter | Gauge | Histogram>(name: string, labels: MetricLabels, make: () => S): S {
    const key = `${name}${JSON.stringify(Object.entries(labels).sort())}`;
    const known = this.#series.get(key);
    if (known !== undefined) return known as S;
    const series = make();
    this.#series.set(key, series);
    return series;
  }

  #metric<M extends PromCounter | PromGauge | PromHistogram>(
    name: string,
    kind: abstract new (...args: never[]) => M,
    build: (spec: Spec) => M,
    labels: MetricLabels,
  ): M {
    const known = this.#metrics.get(name);
    if (known !== undefined) {
      assert(known instanceof kind, `Metric ${name} is declared twice, with different types`);
      return known;
    }
    assert(NAME.test(name), `Metric ${name} must be named sluice_<room>_<noun>_<unit>`);
    const metric = build({ name, labelNames: Object.keys(labels), registers: [this.#registry] });
    this.#metrics.set(name, metric);
    return metric;
  }
}

interface Spec {
  readonly name: string;
  readonly labelNames: string[];
  readonly registers: Registry[];
}

function sampled(read: () => number): (this: PromGauge) => void {
  return function collect() {
    this.set(read());
  };
}
