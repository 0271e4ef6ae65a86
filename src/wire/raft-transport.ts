import { Metadata, type ServerReadableStream, type sendUnaryData } from '@grpc/grpc-js';
import type { Timers } from '../base/clock.ts';
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
  /** Members of other clusters are refused. */
  readonly clusterId: string;
  /** Made anew at each start of this process: a stream from an older one is replaced. */
  readonly incarnation: string;
  readonly token?: string;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

const CLUSTER = 'sluice-cluster';
const SENDER = 'sluice-sender';
const RECEIVER = 'sluice-receiver';
const INCARNATION = 'sluice-incarnation';

type Call = ServerReadableStream<Buffer, Buffer>;

interface Incoming {
  readonly incarnation: string;
  end(error: SluiceError | undefined): void;
}

/**
 * Carries Raft messages over gRPC, one stream for each direction between two members. What cannot be sent is dropped;
 * what arrives was sent by the member that it says, to this member, in this cluster.
 */
export class RaftTransport implements Transport {
  readonly #options: RaftTransportOptions;
  readonly #peers = new Map<NodeId, RaftPeer>();
  readonly #incoming = new Map<NodeId, Incoming>();
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
   * Says where the other members are, `host:port` each; this member itself is passed over. Closes streams to all
   * else.
   */
  setPeers(addresses: ReadonlyMap<NodeId, string>): void {
    for (const [id, peer] of this.#peers) {
      if (addresses.get(id) === peer.address) continue;
      peer.close();
      this.#peers.delete(id);
    }
    for (const [id, address] of addresses) {
      if (id === this.#options.self || this.#peers.has(id) || this.#closed) continue;
      this.#peers.set(id, this.#connect(id, address));
    }
  }

  send(to: NodeId, message: Message): boolean {
    const sent = this.#peers.get(to)?.send(message) ?? false;
    if (!sent) this.#dropped.set(to, (this.#dropped.get(to) ?? 0) + 1);
    return sent;
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
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
    const { self, clusterId, incarnation, token, timers, random, logger } = this.#options;
    const metadata = callMetadata(token);
    metadata.set(CLUSTER, encodeURIComponent(clusterId));
    metadata.set(SENDER, encodeURIComponent(self));
    metadata.set(RECEIVER, encodeURIComponent(id));
    metadata.set(INCARNATION, encodeURIComponent(incarnation));
    return new RaftPeer({
      address,
      metadata,
      timers,
      random,
      logger: logger.child({ peer: id }),
      reachable: () => this.#listener?.peerReachable(id),
      unreachable: () => this.#listener?.peerUnreachable(id),
    });
  }

  #accept(call: Call, done: sendUnaryData<Buffer>): void {
    const listener = this.#listener;
    const refused = listener === undefined || this.#closed ? notReady(this.#options.self) : this.#check(call.metadata);
    if (refused !== undefined || listener === undefined) {
      const said = refused ?? notReady(this.#options.self);
      if (said.code !== 'UNAVAILABLE') this.#options.logger.error({ err: said }, 'refused a stream from a master');
      done(toGrpcStatus(said));
      return;
    }
    const from = nameIn(call.metadata, SENDER);
    this.#receive(from, call, done, listener);
    call.sendMetadata(new Metadata());
    this.#peers.get(from)?.hurry();
  }

  #receive(from: NodeId, call: Call, done: sendUnaryData<Buffer>, listener: TransportListener): void {
    const incarnation = nameIn(call.metadata, INCARNATION);
    let over = false;
    const incoming: Incoming = {
      incarnation,
      end: (error) => {
        if (over) return;
        over = true;
        if (this.#incoming.get(from) === incoming) this.#incoming.delete(from);
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
