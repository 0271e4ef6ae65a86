/** What happens when, in order of time and, at the same time, of arrival. */
export class Agenda {
  readonly #heap: { at: number; order: number; run: () => void }[] = [];
  #order = 0;
  #now = 0;

  get now(): number {
    return this.#now;
  }

  after(delay: number, run: () => void): void {
    this.#heap.push({ at: this.#now + delay, order: this.#order++, run });
    let child = this.#heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (this.#before(parent, child)) break;
      this.#swap(parent, child);
      child = parent;
    }
  }

  /** Runs the next thing; false when there is none before `end`. */
  next(end: number): boolean {
    const top = this.#heap[0];
    if (top === undefined || top.at > end) return false;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink();
    }
    this.#now = top.at;
    top.run();
    return true;
  }

  #sink(): void {
    let parent = 0;
    for (;;) {
      const left = 2 * parent + 1;
      let least = parent;
      if (left < this.#heap.length && this.#before(left, least)) least = left;
      if (left + 1 < this.#heap.length && this.#before(left + 1, least)) least = left + 1;
      if (least === parent) return;
      this.#swap(parent, least);
      parent = least;
    }
  }

  #before(a: number, b: number): boolean {
    const x = this.#heap[a]!;
    const y = this.#heap[b]!;
    return x.at !== y.at ? x.at < y.at : x.order < y.order;
  }

  #swap(a: number, b: number): void {
    const x = this.#heap[a]!;
    this.#heap[a] = this.#heap[b]!;
    this.#heap[b] = x;
  }
}
