/** Where clients reach the masters, by the membership. Clients and workers are told, so that they know new ones. */
export class MasterDirectory {
  readonly #listeners = new Set<() => void>();
  #addresses: readonly string[] = [];

  /** `host:port` of all whose address is known. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  change(addresses: readonly string[]): void {
    if (addresses.join() === this.#addresses.join()) return;
    this.#addresses = addresses;
    for (const listener of [...this.#listeners]) listener();
  }

  /** @returns a function that ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
