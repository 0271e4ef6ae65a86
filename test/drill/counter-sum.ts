import type { Node } from '../support/process-cluster.ts';

/** What a counter of all masters has counted, across restarts; without what a master counted between a look and its end. */
export class CounterSum {
  readonly #name: string;
  readonly #labels: string;
  readonly #last = new Map<Node, number>();
  #total = 0;

  constructor(name: string, labels: string) {
    this.#name = name;
    this.#labels = labels;
  }

  /** As of the last look. */
  get total(): number {
    return this.#total;
  }

  /** Reads the counters of masters that run and answer. */
  async look(masters: readonly Node[]): Promise<void> {
    for (const master of masters) {
      const now = await master.metric(this.#name, this.#labels);
      const last = this.#last.get(master) ?? 0;
      this.#total += now < last ? now : now - last;
      this.#last.set(master, now);
    }
  }
}
