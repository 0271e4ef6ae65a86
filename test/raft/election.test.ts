import { describe, expect, test } from 'vitest';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { ORIGIN } from '../../src/raft/position.ts';
import { append, at, Cluster, Node } from './cluster.ts';

const THREE = ['a', 'b', 'c'];
const { electionTicks, stalledWriteTicks } = DEFAULT_RAFT_LIMITS;

describe('pre-vote', () => {
  test('a node that lacks an entry is refused and raises no term; one that has it wins', () => {
    const cluster = new Cluster({ a: { log: [1, 1] }, b: { log: [1, 1] }, c: { log: [1] } });
    cluster.node('c').timeOut();
    cluster.settle();
    expect(cluster.node('c').status).toMatchObject({ role: 'follower', term: 1 });
    cluster.elect('b');
    expect(cluster.node('c').terms).toEqual([1, 1, 2]);
  });

  test('a node that was cut off comes back without disturbing the leader', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.isolate('c').tick(6 * electionTicks);
    cluster.heal().tick(electionTicks);
    expect(cluster.leaders).toEqual(['a']);
    expect(cluster.node('c').status).toMatchObject({ term: 1, leader: 'a' });
  });

  test('voters refuse while they hear a leader, and grant after an election timeout of silence', () => {
    const node = new Node('a', THREE).receive('b', append(1, ORIGIN));
    node.receive('c', { kind: 'preVote', term: 2, last: ORIGIN }).tick(electionTicks - 1);
    node.receive('c', { kind: 'preVote', term: 2, last: ORIGIN }).tick();
    node.receive('c', { kind: 'preVote', term: 2, last: ORIGIN });
    expect(node.sentOf('preVoteReply').map(({ granted }) => granted)).toEqual([false, false, true]);
    expect(node.status.term).toBe(1);
  });

  test('a real vote is ignored, term and all, while a leader is heard', () => {
    const node = new Node('a', THREE).receive('b', append(1, ORIGIN));
    node.take();
    node.receive('c', { kind: 'vote', term: 9, last: at(8, 8), transfer: false });
    expect(node.status).toMatchObject({ term: 1, leader: 'b' });
    expect(node.sent).toEqual([]);
  });

  test('a candidate from an earlier term catches up by the refusal', () => {
    const node = new Node('a', THREE, { term: 1 }).timeOut();
    node.receive('b', { kind: 'preVoteReply', term: 5, granted: false, commit: 0 });
    expect(node.status).toMatchObject({ role: 'follower', term: 5 });
  });

  test('of two that ask at the same time, the smaller name goes on', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} });
    cluster.isolate('c');
    cluster.node('a').timeOut();
    cluster.node('b').timeOut();
    cluster.settle();
    expect(cluster.leaders).toEqual(['a']);
  });

  test('answers to an earlier campaign do not count', () => {
    const node = new Node('a', THREE, { term: 3 }).timeOut();
    node.receive('b', { kind: 'preVoteReply', term: 3, granted: true, commit: 0 });
    expect(node.status.role).toBe('preCandidate');
    node.campaign('b').receive('b', { kind: 'voteReply', term: 3, granted: true, commit: 0 });
    expect(node.status.role).toBe('candidate');
  });

  test('a stuck candidate of a later term makes the leader step down once, and then all go on', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.isolate('c');
    cluster.node('c').campaign('a').timeOut().campaign('a');
    expect(cluster.node('c').status.term).toBe(3);
    cluster.heal().tick(4 * electionTicks);
    expect(cluster.leaders).toHaveLength(1);
    expect(new Set([...cluster.nodes.values()].map(({ status }) => status.term)).size).toBe(1);
  });
});

describe('votes', () => {
  test('requests leave only when the own vote is durable, and the own vote counts only then', () => {
    const node = new Node('a', THREE, { slowDisk: true }).timeOut();
    node.take();
    node.campaign('b', 'c');
    expect(node.take()).toEqual([]);
    node.receive('b', { kind: 'voteReply', term: 1, granted: true, commit: 0 });
    expect(node.status.role).toBe('candidate');
    node.persist();
    expect(node.take().map(({ message }) => message.kind)).toContain('vote');
    expect(node.status.role).toBe('leader');
  });

  test('a campaign lasts until its vote is durable and was asked for: on a slow disk some campaign must end', () => {
    const node = new Node('a', THREE, { slowDisk: true }).timeOut();
    node.receive('b', { kind: 'preVoteReply', term: 1, granted: true, commit: 0 });
    node.tick(10 * electionTicks);
    expect(node.status).toMatchObject({ role: 'candidate', term: 1 });
    node.persist();
    node.tick(Math.ceil(electionTicks / 2) - 1);
    expect(node.status).toMatchObject({ role: 'candidate', term: 1 });
    expect(node.sentOf('vote')).toHaveLength(2);
    node.tick(2 * electionTicks);
    expect(node.status.role).toBe('preCandidate');
  });

  test('who has given a vote that is not durable yet begins no campaign of its own', () => {
    const node = new Node('a', THREE, { slowDisk: true });
    node.receive('b', { kind: 'vote', term: 1, last: ORIGIN, transfer: false }).tick(10 * electionTicks);
    expect(node.status).toMatchObject({ role: 'follower', term: 1 });
    expect(node.sentOf('preVote')).toEqual([]);
  });

  test('a grant leaves only when it is durable', () => {
    const node = new Node('a', THREE, { slowDisk: true });
    node.receive('b', { kind: 'vote', term: 1, last: ORIGIN, transfer: false });
    expect(node.take()).toEqual([]);
    expect(node.writing?.ballot).toEqual({ term: 1, votedFor: 'b' });
    node.persist();
    expect(node.sentOf('voteReply')).toMatchObject([{ granted: true }]);
  });

  test('a grant that did not leave before a later term came never leaves', () => {
    const node = new Node('a', THREE, { slowDisk: true }).receive('b', append(1, ORIGIN, [1])).tick(electionTicks);
    node.receive('c', { kind: 'vote', term: 2, last: at(1, 1), transfer: false });
    node.receive('b', { kind: 'heartbeat', term: 3, commit: 0, readPosition: 0 });
    node.persist();
    node.persist();
    expect(node.sentOf('voteReply')).toEqual([]);
  });

  test('a learner is not a candidate, yet votes when asked', () => {
    const membership = { voters: ['b', 'c'], outgoing: [], learners: ['a'], members: [] };
    const node = new Node('a', [], { membership }).tick(10 * electionTicks);
    expect(node.status.role).toBe('follower');
    node.receive('b', { kind: 'vote', term: 1, last: ORIGIN, transfer: false });
    expect(node.sentOf('voteReply')).toMatchObject([{ granted: true }]);
  });

  test('in a joint membership both halves must agree', () => {
    const membership = { voters: ['a', 'b', 'c'], outgoing: ['a', 'd', 'e'], learners: [], members: [] };
    const node = new Node('a', [], { membership }).campaign('b', 'c');
    expect(node.status.role).toBe('preCandidate');
    node.campaign('d').receive('b', { kind: 'voteReply', term: 1, granted: true, commit: 0 });
    expect(node.status.role).toBe('candidate');
    node.receive('e', { kind: 'voteReply', term: 1, granted: true, commit: 0 });
    expect(node.status.role).toBe('leader');
    for (const peer of ['b', 'c']) node.receive(peer, { kind: 'appendReply', term: 1, match: 1, readPosition: 0 });
    expect(node.status.commit).toBe(0);
    node.receive('d', { kind: 'appendReply', term: 1, match: 1, readPosition: 0 });
    expect(node.status.commit).toBe(1);
  });
});

describe('check-quorum', () => {
  test('a leader that hears no quorum steps down after an election timeout', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.isolate('a').tick(electionTicks, ['a']);
    expect(cluster.leaders).toEqual(['a']);
    cluster.tick(1, ['a']);
    expect(cluster.node('a').status).toMatchObject({ role: 'follower', leader: undefined });
  });

  test('a leader that hears one of two others leads on', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.isolate('c').tick(5 * electionTicks);
    expect(cluster.leaders).toEqual(['a']);
  });

  test('a leader whose disk hangs lets another one lead', () => {
    const node = new Node('a', THREE, { slowDisk: true }).campaign('b');
    node.persist();
    node.receive('b', { kind: 'voteReply', term: 1, granted: true, commit: 0 }).take();
    for (let tick = 0; tick <= stalledWriteTicks + 1; tick += 1) {
      node.tick().receive('b', { kind: 'appendReply', term: 1, match: 1, readPosition: 0 });
    }
    expect(node.status.role).toBe('follower');
    expect(node.sent.at(-1)).toEqual({ from: 'a', to: 'b', message: { kind: 'timeoutNow', term: 1 } });
  });

  test('a leader whose disk is as slow as those of the others leads on, but not without end', () => {
    const node = new Node('a', THREE, { slowDisk: true }).campaign('b');
    node.persist();
    node.receive('b', { kind: 'voteReply', term: 1, granted: true, commit: 0 }).take();
    const pass = (ticks: number): void => {
      for (let tick = 0; tick < ticks; tick += 1) {
        node.tick().receive('b', { kind: 'heartbeatReply', term: 1, readPosition: 0 });
      }
    };
    pass(7 * stalledWriteTicks);
    expect(node.status.role).toBe('leader');
    pass(stalledWriteTicks + 1);
    expect(node.status.role).toBe('follower');
  });
});

describe('a lost leader', () => {
  test('is replaced within a few ticks when its connections break', () => {
    for (let seed = 0; seed < 50; seed += 1) {
      const cluster = new Cluster({ a: { seed }, b: { seed: seed + 100 }, c: { seed: seed + 200 } }).elect('a');
      cluster.isolate('a');
      for (const id of ['b', 'c']) cluster.node(id).give({ kind: 'peerUnreachable', peer: 'a' });
      cluster.tick(3, ['b', 'c']);
      expect(cluster.leaders.filter((id) => id !== 'a')).toHaveLength(1);
    }
  });

  test('is not replaced when only one follower lost it', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.drop = ({ from, to }) => [from, to].sort().join() === 'a,b';
    cluster.node('b').give({ kind: 'peerUnreachable', peer: 'a' });
    cluster.tick(5 * electionTicks);
    expect(cluster.leaders).toEqual(['a']);
    expect(cluster.node('a').status.term).toBe(1);
    cluster.heal().tick(electionTicks);
    expect(cluster.node('b').status.leader).toBe('a');
  });

  test('that is heard again is kept', () => {
    const node = new Node('b', THREE).receive('a', append(1, ORIGIN));
    node
      .give({ kind: 'peerUnreachable', peer: 'a' })
      .receive('a', append(1, ORIGIN))
      .tick(electionTicks - 1);
    expect(node.status).toMatchObject({ role: 'follower', leader: 'a' });
  });
});

test('two leaders in a term stop the node', () => {
  const node = new Node('a', THREE).receive('b', append(1, ORIGIN)).receive('c', append(1, ORIGIN));
  expect(node.effects.at(-1)).toMatchObject({ kind: 'halt', reason: expect.stringContaining('Two leaders in term 1') });
  expect(node.raft.step({ kind: 'tick' })).toEqual([]);
});
