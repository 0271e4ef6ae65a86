import { createHash, randomBytes } from 'node:crypto';
import type { NodeId } from '../raft/position.ts';

/**
 * The id of a cluster: the same on each of its first masters, without a word between them, and another one when a
 * cluster of the same name is made anew. Shaped as a UUID.
 */
export function clusterIdOf(name: string, members: readonly NodeId[]): string {
  const text = JSON.stringify([name, [...members].sort()]);
  const hex = createHash('sha256').update(`sluice-cluster:${text}`).digest('hex');
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return parts.join('-');
}

/** An id for a member on an empty disk, never to be used again once that disk is gone. */
export function newMemberId(name: string): NodeId {
  return `${name}@${randomBytes(6).toString('hex')}`;
}
