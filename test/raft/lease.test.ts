import { describe, expect, test } from 'vitest';
import { Lease } from '../../src/raft/lease.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { ORIGIN } from '../../src/raft/position.ts';
import { at, Cluster, Node, type NodeSetup } from './cluster.ts';

const THREE = ['a', 'b', 'c'];
const LEASE_MS = 70;
const { electionTicks, heartbeatTicks } = DEFAULT_RAFT_LIMITS;
const LEASES: NodeSetup = { limits: { leaseMs: LEASE_MS } };

/** `a` leads, and has sent heartbeats at 100 ms. */
function cluster(others: NodeSetup = LEASES): Cluster {
  // The others are slower to campaign, and by then nobody is bound any more by what it may have promised in another life.
  const three = new Cluster({ a: { ...LEASES, seed: 1 }, b: { ...others, seed: 9 }, c: { ...others, seed: 10 } });
  three.tick(electionTicks, ['b', 'c']).elect('a');
  for (const node of three.nodes.values()) node.timeMs = 100;
  return three.tick(heartbeatTicks);
}

function read(node: Node, timeMs: number): 'at once' | 'by a round' {
  node.timeMs = timeMs;
  const before = node.effectsOf('readReady').length;
  node.give({ kind: 'read', token: timeMs });
  return node.effectsOf('readReady').length > before ? 'at once' : 'by a round';
}

describe('a leader', () => {
  test('reads without a round until the promises of a majority end', () => {
    const leader = cluster().node('a');
    expect(leader.status.leaseUntilMs).toBe(100 + LEASE_MS);
    expect(read(leader, 169)).toBe('at once');
    expect(leader.take()).toEqual([]);
    expect(read(leader, 170)).toBe('by a round');
    expect(leader.status.leaseReads).toBe(1);
  });

  test('counts from when it sent what is answered, not from when the answer came', () => {
    const leader = cluster().isolate('b', 'c').node('a');
    leader.timeMs = 200;
    leader.take();
    leader.tick(heartbeatTicks);
    const [beat] = leader.sentOf('heartbeat');
    leader.timeMs = 260;
    const { term } = leader.status;
    leader.receive('b', { kind: 'heartbeatReply', term, readPosition: beat?.readPosition ?? 0, promiseMs: LEASE_MS });
    expect(leader.status.leaseUntilMs).toBe(200 + LEASE_MS);
  });

  test('has no lease from those who promise nothing, and a shorter one from those who promise less', () => {
    expect(read(cluster({}).node('a'), 101)).toBe('by a round');
    expect(cluster({ limits: { leaseMs: 20 } }).node('a').status.leaseUntilMs).toBe(120);
  });

  test('has none before an entry of its term is committed', () => {
    const node = new Node('a', THREE, { ...LEASES, log: [1] }).lead('b').tick(heartbeatTicks);
    const { term } = node.status;
    for (const peer of ['b', 'c'])
      node.receive(peer, { kind: 'heartbeatReply', term, readPosition: 9, promiseMs: LEASE_MS });
    expect(read(node, 1)).toBe('by a round');
  });

  test('has none any more once it has asked somebody to take over, also when nobody does', () => {
    const three = cluster().isolate('b', 'c');
    const leader = three.node('a').give({ kind: 'transferLeadership', to: 'b' });
    expect(leader.sentOf('timeoutNow')).toHaveLength(1);
    expect(read(leader, 101)).toBe('by a round');
    three.tick(electionTicks - 2, ['a']);
    expect(leader.status.role).toBe('leader');
    three.heal().isolate('b');
    leader.timeMs = 300;
    three.tick(2 * heartbeatTicks);
    expect(leader.status).toMatchObject({ role: 'leader', transferringTo: undefined });
    expect(read(leader, 301)).toBe('by a round');
  });

  test('answers followers by its lease too', () => {
    const three = cluster();
    three.node('a').timeMs = 150;
    const follower = three.node('b').give({ kind: 'read', token: 1 });
    const [question] = follower.take();
    three.node('a').receive('b', question!.message);
    expect(three.node('a').take()).toMatchObject([{ to: 'b', message: { kind: 'readIndexReply', ok: true } }]);
  });

  test('alone it needs nobody', () => {
    const node = new Node('a', ['a'], LEASES).timeOut();
    expect(read(node, 1_000_000)).toBe('at once');
  });
});

describe('who has promised', () => {
  const vote = (term: number, transfer = false) =>
    ({ kind: 'vote', term, last: at(9, 9), transfer }) as const satisfies Parameters<Node['receive']>[1];

  test('helps nobody for an election timeout, whatever becomes of the leader and the term', () => {
    const follower = cluster().node('b').give({ kind: 'peerUnreachable', peer: 'a' });
    follower.take();
    follower.receive('c', { kind: 'preVote', term: 2, last: at(9, 9) });
    expect(follower.sentOf('preVoteReply')).toMatchObject([{ granted: false }]);
    // Another node is in a later term, for whatever reason.
    follower.receive('c', { kind: 'readIndex', term: 5, token: 1 });
    expect(follower.status).toMatchObject({ term: 5, leader: undefined });
    follower.receive('c', vote(5)).receive('c', vote(6));
    expect(follower.sentOf('voteReply')).toMatchObject([{ term: 5, granted: false }]);
    follower.tick(electionTicks);
    follower.receive('c', vote(7));
    expect(follower.sentOf('voteReply').at(-1)).toMatchObject({ term: 7, granted: true });
  });

  test('does not campaign itself before that, though it knows the leader to be gone', () => {
    const follower = cluster().node('b').give({ kind: 'peerUnreachable', peer: 'a' });
    expect(follower.tick(electionTicks - 1).status.role).toBe('follower');
    follower.timeOut();
  });

  test('is free for whom the leader has asked to take over', () => {
    const follower = cluster().node('b');
    follower.receive('c', vote(2, true));
    expect(follower.sentOf('voteReply')).toMatchObject([{ term: 2, granted: true }]);
    const successor = cluster().node('c').receive('a', { kind: 'timeoutNow', term: 1 });
    expect(successor.status.role).toBe('candidate');
  });

  test('keeps what it may have promised in an earlier life', () => {
    const node = new Node('b', THREE, { ...LEASES, term: 3 });
    node.receive('c', { kind: 'preVote', term: 4, last: ORIGIN }).receive('c', vote(3)).receive('c', vote(4));
    expect(node.sentOf('preVoteReply')).toMatchObject([{ granted: false }]);
    expect(node.sentOf('voteReply')).toMatchObject([{ term: 3, granted: false }]);
    expect(node.tick(electionTicks - 1).status.role).toBe('follower');
    node.tick(1).receive('c', vote(4));
    expect(node.sentOf('voteReply').at(-1)).toMatchObject({ term: 4, granted: true });
  });
});

test('the times of many positions are remembered, and of old ones forgotten', () => {
  const lease = new Lease();
  lease.begin();
  for (let position = 1; position <= 5000; position += 1) lease.sent(position, position * 10);
  expect(lease.sentMs(5000)).toBe(50_000);
  expect(lease.sentMs(4000)).toBe(40_000);
  expect(lease.sentMs(1)).toBeUndefined();
  expect(lease.sentMs(5001)).toBeUndefined();
  lease.begin();
  expect(lease.sentMs(4000)).toBeUndefined();
});
