import { Metadata, type ServerReadableStream, type sendUnaryData } from '@grpc/grpc-js';
import type { CancelTimer, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import { SluiceError } from '../model/errors.ts';
import type { Message } from '../raft/message.ts';
import type { NodeId } from '../raft/position.ts';
import type { Transport, TransportListener } from '../raft/transport.ts';
import { decodeRaftFrames } from './codec/raft-frame.ts';
import { callMetadata } from './credentials.ts';
import { RaftServiceService } from './gen/sluice/v1/raft.ts';
import type { GrpcService } from './grpc-server.ts';
import { refusalOf, toGrpcStatus } from './grpc-status.ts';
import { RaftPeer } from './raft-peer.ts';

export interface RaftTransportOptions {
  readonly self: NodeId;
  /** Where other members reach this one; told to them, so that who does not know it can answer. */
  readonly address: string;
  /** Members of other clusters are refused. */
  readonly clusterId: string;
  /** Made anew at each start of this process: a stream from an older one is replaced. */
  readonly incarnation: string;
  readonly token?: string;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /**
   * A member accepted a stream at `address`.
   * @param name where it says itself that others reach it; empty when it does not
   */
  met?(id: NodeId, address: string, name: string): void;
}

const CLUSTER = 'sluice-cluster';
const SENDER = 'sluice-sender';
const RECEIVER = 'sluice-receiver';
const INCARNATION = 'sluice-incarnation';
const ADDRESS = 'sluice-address';

/** Members that are dialled only because they dialled us. */
const GUESTS_MAX = 16;
/** Refusals that are remembered as logged. */
const REFUSALS_MAX = 100;
/** A link to one of them that carries nothing for one to two of these is closed: two strangers hold on to nobody. */
const GUEST_IDLE_MS = 10_000;

type Call = ServerReadableStream<Buffer, Buffer>;

interface Incoming {
  readonly incarnation: string;
  /** Where the sender says that it is reached; empty when it does not. */
  readonly address: string;
  end(error: SluiceError | undefined): void;
}

/**
 * Carries Raft messages over gRPC, one stream for each direction between two members. What cannot be sent is dropped;
 * what arrives was sent by the member that it says, to this member, in this cluster. A member that is not known here,
 * because its joining or leaving is not, is answered for as long as it is connected.
 */
export class RaftTransport implements Transport {
  readonly #options: RaftTransportOptions;
  readonly #peers = new Map<NodeId, RaftPeer>();
  /** Links to members that are not known, but connected with us. */
  readonly #guests = new Map<NodeId, RaftPeer>();
  /** Guests that were sent something since the last look. */
  readonly #busy = new Set<NodeId>();
  #cancelLook: CancelTimer | undefined;
  readonly #incoming = new Map<NodeId, Incoming>();
  /** What was said last to those who were refused: they come again every second, the log needs it once. */
  readonly #refused = new Set<string>();
  /** How many messages to each were dropped. */
  readonly #dropped = new Map<NodeId, number>();
  #listener: TransportListener | undefined;
  #closed = false;

  constructor(options: RaftTransportOptions) {
    this.#options = options;
    this.#expose(options.metrics);
  }

  /** What the master's GrpcServer serves. */
  get service(): GrpcService {
    return { inputs: new Map([[RaftServiceService.exchange.path, (call, done) => this.#accept(call, done)]]) };
  }

  /** Begins to listen and to dial. Until then every stream is refused and every message dropped. */
  start(listener: TransportListener, addresses: ReadonlyMap<NodeId, string>): void {
    this.#listener = listener;
    this.setPeers(addresses);
  }

  /**
   * Says where the other members are, `host:port` each; this member itself is passed over. Links to all else are closed
   * once they close theirs to us.
   */
  setPeers(addresses: ReadonlyMap<NodeId, string>): void {
    if (this.#closed) return;
    for (const [id, peer] of this.#peers) {
      if (addresses.get(id) === peer.address) continue;
      this.#peers.delete(id);
      if (!addresses.has(id) && this.#incoming.has(id)) this.#host(id, peer);
      else peer.close();
    }
    for (const [id, address] of addresses) {
      if (id === this.#options.self || this.#peers.has(id)) continue;
      const guest = this.#guests.get(id);
      this.#guests.delete(id);
      if (guest !== undefined && guest.address !== address) guest.close();
      this.#peers.set(id, guest?.address === address ? guest : this.#connect(id, address));
    }
  }

  /** Where a member listens, as far as it is known. */
  addressOf(member: NodeId): string | undefined {
    return (this.#peers.get(member) ?? this.#guests.get(member))?.address;
  }

  /** Whether a member has accepted our stream where it is dialled. */
  connected(member: NodeId): boolean {
    return this.#peers.get(member)?.connected ?? false;
  }

  /** What members say that refuse our streams, by their ids. */
  get refusals(): ReadonlyMap<NodeId, string> {
    const all = [...this.#peers].map(([id, { refusal }]): [NodeId, string] => [id, refusal]);
    return new Map(all.filter(([, refusal]) => refusal !== ''));
  }

  send(to: NodeId, message: Message): boolean {
    const peer = this.#peers.get(to) ?? this.#guests.get(to);
    const sent = peer?.send(message) ?? false;
    if (sent) this.#busy.add(to);
    else this.#dropped.set(to, (this.#dropped.get(to) ?? 0) + 1);
    return sent;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#cancelLook?.();
    for (const peer of [...this.#peers.values(), ...this.#guests.values()]) peer.close();
    this.#peers.clear();
    this.#guests.clear();
    for (const incoming of [...this.#incoming.values()]) incoming.end(undefined);
    return Promise.resolve();
  }

  #expose(metrics: Metrics): void {
    const each = (noun: string, doc: string, read: (peer: RaftPeer) => number) =>
      metrics.readWhenAsked(`sluice_wire_raft_queue_${noun}`, 'gauge', doc, () =>
        [...this.#peers].map(([peer, to]) => ({ labels: { peer }, value: read(to) })),
      );
    each('messages', 'Raft messages to a master that gRPC has not taken', (peer) => peer.queued.messages);
    each('bytes', 'Bytes of them', (peer) => peer.queued.bytes);
    const dropped = () => [...this.#dropped].map(([peer, value]) => ({ labels: { peer }, value }));
    const doc = 'Raft messages to a master that were dropped: not connected, or too many wait';
    metrics.readWhenAsked('sluice_wire_raft_dropped_messages_total', 'counter', doc, dropped);
  }

  #connect(id: NodeId, address: string): RaftPeer {
    const { self, address: own, clusterId, incarnation, token, timers, random, logger } = this.#options;
    const metadata = callMetadata(token);
    metadata.set(CLUSTER, encodeURIComponent(clusterId));
    metadata.set(SENDER, encodeURIComponent(self));
    metadata.set(RECEIVER, encodeURIComponent(id));
    metadata.set(INCARNATION, encodeURIComponent(incarnation));
    metadata.set(ADDRESS, encodeURIComponent(own));
    return new RaftPeer({
      address,
      metadata,
      timers,
      random,
      logger: logger.child({ peer: id }),
      accepted: (said) => this.#options.met?.(id, address, nameIn(said, ADDRESS)),
      reachable: () => this.#listener?.peerReachable(id),
      unreachable: () => this.#listener?.peerUnreachable(id),
    });
  }

  #accept(call: Call, done: sendUnaryData<Buffer>): void {
    const listener = this.#listener;
    const refused = listener === undefined || this.#closed ? notReady(this.#options.self) : this.#check(call.metadata);
    if (refused !== undefined || listener === undefined) {
      const said = refused ?? notReady(this.#options.self);
      if (said.code !== 'UNAVAILABLE') this.#logRefusal(said);
      done(toGrpcStatus(said));
      return;
    }
    const from = nameIn(call.metadata, SENDER);
    this.#receive(from, call, done, listener);
    const answer = new Metadata();
    answer.set(ADDRESS, encodeURIComponent(this.#options.address));
    call.sendMetadata(answer);
    const peer = this.#peers.get(from);
    if (peer === undefined) this.#welcome(from);
    else peer.hurry();
  }

  /** Dials a member that is not known, so that it can be answered. */
  #welcome(from: NodeId): void {
    const address = this.#incoming.get(from)?.address ?? '';
    const guest = this.#guests.get(from);
    if (guest?.address === address) {
      guest.hurry();
      return;
    }
    guest?.close();
    this.#guests.delete(from);
    if (!/^.+:\d{1,5}$/.test(address)) return;
    if (this.#guests.size < GUESTS_MAX) this.#host(from, this.#connect(from, address));
    else this.#options.logger.warn({ peer: from, limit: GUESTS_MAX }, 'too many masters that are no members dial us');
  }

  #host(id: NodeId, peer: RaftPeer): void {
    this.#guests.set(id, peer);
    this.#busy.add(id);
    this.#cancelLook ??= this.#options.timers.every(GUEST_IDLE_MS, () => {
      for (const guest of this.#guests.keys()) if (!this.#busy.has(guest)) this.#dismiss(guest);
      this.#busy.clear();
    });
  }

  #dismiss(from: NodeId): void {
    this.#guests.get(from)?.close();
    this.#guests.delete(from);
  }

  #logRefusal(error: SluiceError): void {
    if (this.#refused.has(error.message)) return;
    if (this.#refused.size >= REFUSALS_MAX) this.#refused.clear();
    this.#refused.add(error.message);
    this.#options.logger.error({ err: error }, 'refused a stream from a master');
  }

  #receive(from: NodeId, call: Call, done: sendUnaryData<Buffer>, listener: TransportListener): void {
    const incarnation = nameIn(call.metadata, INCARNATION);
    let over = false;
    const incoming: Incoming = {
      incarnation,
      address: nameIn(call.metadata, ADDRESS),
      end: (error) => {
        if (over) return;
        over = true;
        if (this.#incoming.get(from) === incoming) {
          this.#incoming.delete(from);
          this.#dismiss(from);
        }
        if (error === undefined) done(null, Buffer.alloc(0));
        else done(toGrpcStatus(error));
      },
    };
    const former = this.#incoming.get(from);
    this.#incoming.set(from, incoming);
    const how = former?.incarnation === incarnation ? 'again' : 'as a new process';
    former?.end(new SluiceError('CANCELLED', `Master ${from} connected ${how}`));
    call.on('data', (bytes: Buffer) => {
      if (over) return;
      const stranger = !this.#peers.has(from) && !this.#guests.has(from);
      if (stranger && this.#guests.size < GUESTS_MAX) this.#welcome(from);
      const messages = this.#decode(from, bytes, incoming);
      for (const message of messages) listener.receive(from, message);
    });
    for (const event of ['end', 'cancelled', 'error', 'close']) call.on(event, () => incoming.end(undefined));
  }

  #decode(from: NodeId, bytes: Buffer, incoming: Incoming): readonly Message[] {
    try {
      return decodeRaftFrames(bytes);
    } catch (thrown) {
      const error = refusalOf(thrown);
      this.#options.logger.error({ peer: from, err: error }, 'malformed message from a master');
      incoming.end(error);
      return [];
    }
  }

  /** Why a stream is not for us. */
  #check(metadata: Metadata): SluiceError | undefined {
    const { self, clusterId } = this.#options;
    const cluster = nameIn(metadata, CLUSTER);
    const to = nameIn(metadata, RECEIVER);
    const from = nameIn(metadata, SENDER);
    const at = `master ${self} of cluster ${clusterId}`;
    if (cluster !== clusterId)
      return new SluiceError(
        'INVALID_ARGUMENT',
        `Master ${from} belongs to cluster ${cluster}, but reached ${at}: check the addresses of its masters`,
      );
    if (to !== self || from === '' || from === to)
      return new SluiceError(
        'INVALID_ARGUMENT',
        `Master ${from} looked for ${to}, but reached ${at}: check the addresses of its masters`,
      );
    return undefined;
  }
}

function notReady(self: NodeId): SluiceError {
  return new SluiceError('UNAVAILABLE', `Master ${self} is starting or stopping`);
}

/** A percent-encoded name in the metadata; empty when there is none. */
function nameIn(metadata: Metadata, key: string): string {
  const [value] = metadata.get(key);
  try {
    return typeof value === 'string' ? decodeURIComponent(value) : '';
  } catch {
    // Not percent-encoded: no name that we could know.
    return '';
  }
}
