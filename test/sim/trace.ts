/** What happened: a hash of all of it, and the end of it in words. */
export class Trace {
  readonly #lines: string[] = [];
  #hash = 0x811c9dc5;
  #count = 0;

  get hash(): number {
    return this.#hash >>> 0;
  }

  get count(): number {
    return this.#count;
  }

  add(line: string): void {
    let hash = this.#hash;
    for (let i = 0; i < line.length; i += 1) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193);
    this.#hash = hash;
    this.#lines[this.#count % 200] = line;
    this.#count += 1;
  }

  /** The last lines, oldest first. */
  tail(): string[] {
    const from = this.#count % 200;
    return this.#count < 200 ? [...this.#lines] : [...this.#lines.slice(from), ...this.#lines.slice(0, from)];
  }
}
