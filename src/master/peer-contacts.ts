import type { Clock } from '../base/clock.ts';
import { type Histogram, type Metrics, SECONDS_BUCKETS } from '../host/metrics.ts';
import type { Message } from '../raft/message.ts';
import type { NodeId } from '../raft/position.ts';

interface Contact {
  readonly rtt: Histogram;
  heardMs: number | undefined;
  /** When the heartbeat left whose answer is awaited. */
  askedMs: number | undefined;
  connections: number;
}

/** When each other master was heard, how long its answers take, and how often the connection to it was made. */
export class PeerContacts {
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #contacts = new Map<NodeId, Contact>();

  constructor(metrics: Metrics, clock: Clock) {
    this.#metrics = metrics;
    this.#clock = clock;
    const each = (read: (contact: Contact) => number | undefined) => () =>
      [...this.#contacts].flatMap(([peer, contact]) => {
        const value = read(contact);
        return value === undefined ? [] : [{ labels: { peer }, value }];
      });
    metrics.readWhenAsked(
      'sluice_master_peer_silence_seconds',
      'gauge',
      'Since something came from another master; absent when nothing ever did',
      each(({ heardMs }) => (heardMs === undefined ? undefined : (clock.monotonicMs() - heardMs) / 1000)),
    );
    metrics.readWhenAsked(
      'sluice_master_peer_connections_total',
      'counter',
      'Connections made to another master; all but the first are reconnections',
      each(({ connections }) => connections),
    );
  }

  heard(from: NodeId, { kind }: Message): void {
    const contact = this.#contact(from);
    contact.heardMs = this.#clock.monotonicMs();
    if (kind !== 'heartbeatReply' || contact.askedMs === undefined) return;
    contact.rtt.observe((contact.heardMs - contact.askedMs) / 1000);
    contact.askedMs = undefined;
  }

  sent(to: NodeId, { kind }: Message): void {
    if (kind === 'heartbeat') this.#contact(to).askedMs ??= this.#clock.monotonicMs();
  }

  connected(peer: NodeId): void {
    const contact = this.#contact(peer);
    contact.connections += 1;
    contact.askedMs = undefined;
  }

  /** -1 when nothing ever came. */
  silenceMs(peer: NodeId): number {
    const heardMs = this.#contacts.get(peer)?.heardMs;
    return heardMs === undefined ? -1 : Math.round(this.#clock.monotonicMs() - heardMs);
  }

  #contact(peer: NodeId): Contact {
    const known = this.#contacts.get(peer);
    if (known !== undefined) return known;
    const doc = 'From a heartbeat to its answer: the network, and the event loops at both ends';
    const rtt = this.#metrics.histogram('sluice_master_peer_rtt_seconds', doc, SECONDS_BUCKETS, { peer });
    const contact = { rtt, heardMs: undefined, askedMs: undefined, connections: 0 };
    this.#contacts.set(peer, contact);
    return contact;
  }
}
