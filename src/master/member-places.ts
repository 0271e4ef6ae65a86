import type { Logger } from '../host/logger.ts';
import { memberName } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';
import type { Greeting } from '../wire/greeting.ts';

export interface MemberPlacesParts {
  readonly id: NodeId;
  readonly clusterId: string;
  /** Where this master is, as it is told itself. */
  readonly address: string;
  readonly log: Logger;
  /** Whether a member has accepted our stream where it is dialled. */
  connected(id: NodeId): boolean;
}

/** Where a member says that it is. */
export type FoundPlace = Pick<Greeting, 'address' | 'clientAddress'>;

/** Claims that wait to be looked into. */
const CLAIMS_MAX = 16;

/**
 * Where members are dialled: where the membership has them, but for those that came back elsewhere. Such a place counts
 * when the member itself answers there and names it as its own, while nobody of its id answers at the place that is
 * known; and until the membership says something new of it. What is configured, or claimed, only tells where to ask. A
 * member that was met where the membership has it has not moved when only its own name for that place can be reached:
 * then a link is broken.
 */
export class MemberPlaces {
  readonly #parts: MemberPlacesParts;
  readonly #found = new Map<NodeId, FoundPlace>();
  /** How members that were met where the membership has them call that place. */
  readonly #names = new Map<NodeId, string>();
  /** Members that were found by their own name only, and it was said. */
  readonly #astray = new Set<NodeId>();
  readonly #claims = new Set<string>();
  #membership: ReadonlyMap<NodeId, string> = new Map();
  #dial: (addresses: ReadonlyMap<NodeId, string>) => void = () => undefined;

  constructor(parts: MemberPlacesParts) {
    this.#parts = parts;
  }

  /** @param dial is told of all changes from now on. @returns what is dialled at first */
  follow(
    addresses: ReadonlyMap<NodeId, string>,
    dial: (addresses: ReadonlyMap<NodeId, string>) => void,
  ): ReadonlyMap<NodeId, string> {
    this.#membership = addresses;
    this.#dial = dial;
    const { id, address } = this.#parts;
    if (addresses.has(id) && addresses.get(id) !== address) this.#claims.add(address);
    return addresses;
  }

  /** The membership has its members there. */
  membership(addresses: ReadonlyMap<NodeId, string>): void {
    for (const [id, known] of this.#membership) {
      if (addresses.get(id) === known) continue;
      this.#found.delete(id);
      this.#names.delete(id);
      this.#astray.delete(id);
    }
    this.#membership = addresses;
    this.#dial(this.#dialled());
  }

  /** A master that said hello to this one. Where it says that it is will be asked who is there. */
  claim({ id, clusterId, address, removed }: Greeting): void {
    const known = this.#dialled().get(id);
    if (clusterId !== this.#parts.clusterId || removed || known === undefined) return;
    if (known === address || this.#names.get(id) === address) return;
    if (this.#claims.size < CLAIMS_MAX) this.#claims.add(address);
  }

  /** A member answered that was dialled at `address`, and calls that place `name`; the own one among them. */
  met(id: NodeId, address: string, name: string): void {
    if (this.#membership.get(id) === address && name !== '') this.#names.set(id, name);
  }

  /** Claims that came since this was called last. */
  takeClaims(): readonly string[] {
    const claims = [...this.#claims];
    this.#claims.clear();
    return claims;
  }

  /** What was heard in one round, by the addresses that were asked, those of the membership among them. */
  heard(answers: ReadonlyMap<string, Greeting>): void {
    for (const [id, known] of this.#membership) {
      const said = [...answers].filter(([, each]) => this.#isSaidBy(id, each));
      if (said.some(([address]) => address === known)) {
        this.#found.delete(id);
        this.#astray.delete(id);
      } else if (!this.#parts.connected(id)) {
        const own = said.filter(([address, each]) => each.address === address).map(([, each]) => each);
        const elsewhere = own.filter(({ address }) => address !== this.#names.get(id));
        this.#take(id, elsewhere);
        if (own.length > elsewhere.length) this.#saysAstray(id, known);
      }
    }
    this.#dial(this.#dialled());
  }

  /** Members that are not where the membership has them. */
  get moved(): ReadonlyMap<NodeId, FoundPlace> {
    return this.#found;
  }

  #take(id: NodeId, [place, other]: readonly FoundPlace[]): void {
    const { log } = this.#parts;
    if (place === undefined) return;
    const { address, clientAddress } = place;
    if (other !== undefined) {
      const at = [address, other.address];
      log.error({ member: id, at }, 'two masters claim to be the same member: stop the one whose folder is a copy');
      return;
    }
    if (this.#found.get(id)?.address !== address)
      log.warn({ member: id, address, before: this.#membership.get(id) }, 'a member came back at another address');
    this.#found.set(id, { address, clientAddress });
  }

  #saysAstray(id: NodeId, known: string): void {
    if (this.#astray.has(id)) return;
    this.#astray.add(id);
    const address = this.#names.get(id);
    const way = `if that place is gone for good, run: sluice admin quorum add ${memberName(id)}=${address}`;
    const fields = { member: id, address, known, way };
    this.#parts.log.warn(fields, 'a member answers by its own name, and not where the membership has it');
  }

  #isSaidBy(id: NodeId, said: Greeting): boolean {
    return said.id === id && said.clusterId === this.#parts.clusterId && !said.removed;
  }

  #dialled(): ReadonlyMap<NodeId, string> {
    const found = [...this.#found].map(([id, { address }]) => [id, address] as const);
    return new Map([...this.#membership, ...found]);
  }
}
