import { type Flow, TcpProxy } from './tcp-proxy.ts';

/** How a pair of masters is separated: `cut` resets, the others are those of `Passage`. */
export type Separation = 'cut' | 'hold' | 'swallow';

/**
 * A network between masters, and between their clients and them: a proxy for each ordered pair of masters, which
 * carries the connections that the first dials to the second, and one in front of each master for all clients.
 */
export class MasterNetwork {
  readonly #masters = new Map<string, string>();
  readonly #links = new Map<string, TcpProxy>();
  readonly #doors = new Map<string, TcpProxy>();

  /** Makes the links of one more master. @param address `host:port` where it really is */
  async add(name: string, address: string): Promise<void> {
    for (const [other, otherAddress] of this.#masters) {
      this.#links.set(pair(name, other), await TcpProxy.start(otherAddress));
      this.#links.set(pair(other, name), await TcpProxy.start(address));
    }
    this.#doors.set(name, await TcpProxy.start(address));
    this.#masters.set(name, address);
  }

  /** Where `from` finds `to`; a master finds itself without a proxy. */
  addressFor(from: string, to: string): string {
    const address = from === to ? this.#masters.get(to) : this.#links.get(pair(from, to))?.address;
    return address ?? missing(from, to);
  }

  /** Where clients find a master. */
  door(name: string): TcpProxy {
    return this.#doors.get(name) ?? missing('clients', name);
  }

  /** What becomes of everything that `from` sends to `to`, whoever dialed. */
  setFlow(from: string, to: string, flow: Partial<Flow>): void {
    this.#link(from, to).setFlow('forward', flow);
    this.#link(to, from).setFlow('backward', flow);
  }

  /** Two masters no longer reach each other. */
  separate(a: string, b: string, how: Separation): void {
    if (how === 'cut') {
      this.#link(a, b).cut();
      this.#link(b, a).cut();
      return;
    }
    this.setFlow(a, b, { passage: how });
    this.setFlow(b, a, { passage: how });
  }

  /** Everything passes again. */
  heal(): void {
    for (const proxy of this.#all()) proxy.heal();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all()].map((proxy) => proxy.close()));
  }

  *#all(): Iterable<TcpProxy> {
    yield* this.#links.values();
    yield* this.#doors.values();
  }

  #link(from: string, to: string): TcpProxy {
    return this.#links.get(pair(from, to)) ?? missing(from, to);
  }
}

function pair(from: string, to: string): string {
  return `${from} ${to}`;
}

function missing(from: string, to: string): never {
  throw new Error(`The network has no link from ${from} to ${to}`);
}
