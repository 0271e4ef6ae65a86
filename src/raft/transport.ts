import type { Message } from './message.ts';
import type { NodeId } from './position.ts';

/** What the driver hears from the network. */
export interface TransportListener {
  receive(from: NodeId, message: Message): void;
  peerReachable(peer: NodeId): void;
  peerUnreachable(peer: NodeId): void;
}

/**
 * Carries messages between members, each at most once, in order per pair while a connection lasts. Never blocks and
 * never throws: what cannot be sent is dropped.
 */
export interface Transport {
  /** @returns false when the message was dropped, because there is no connection or its queue is full. */
  send(to: NodeId, message: Message): boolean;
}
