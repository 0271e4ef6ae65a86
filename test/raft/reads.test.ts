import { describe, expect, test } from 'vitest';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { ORIGIN } from '../../src/raft/position.ts';
import { append, Cluster, Node } from './cluster.ts';

const THREE = ['a', 'b', 'c'];
const { electionTicks, heartbeatTicks } = DEFAULT_RAFT_LIMITS;

function cluster(): Cluster {
  return new Cluster({ a: {}, b: {}, c: {} }).elect('a');
}

describe('in the leader', () => {
  test('a read is ready when a quorum has confirmed the leader after it began', () => {
    const three = cluster();
    const leader = three.node('a').give({ kind: 'read', token: 7 });
    expect(leader.effectsOf('readReady')).toEqual([]);
    three.settle();
    expect(leader.effectsOf('readReady')).toEqual([{ kind: 'readReady', token: 7, index: 1 }]);
  });

  test('no read is served before an entry of the own term is committed', () => {
    const node = new Node('a', THREE, { log: [1] }).lead('b').give({ kind: 'read', token: 1 });
    for (const peer of ['b', 'c']) node.receive(peer, { kind: 'heartbeatReply', term: 2, readPosition: 5 });
    expect(node.effectsOf('readReady')).toEqual([]);
    node.receive('b', { kind: 'appendReply', term: 2, match: 2, readPosition: 0 });
    node.receive('b', { kind: 'heartbeatReply', term: 2, readPosition: 1 });
    expect(node.effectsOf('readReady')).toEqual([{ kind: 'readReady', token: 1, index: 2 }]);
  });

  test('an answer to an earlier position confirms nothing; reads that came later wait for the next round', () => {
    const three = cluster();
    const leader = three.node('a').give({ kind: 'read', token: 1 }, { kind: 'read', token: 2 });
    leader.take();
    leader.give({ kind: 'read', token: 3 });
    expect(leader.take()).toEqual([]);
    leader.receive('b', { kind: 'heartbeatReply', term: 1, readPosition: 0 });
    expect(leader.effectsOf('readReady')).toEqual([]);
    leader.receive('b', { kind: 'heartbeatReply', term: 1, readPosition: 1 });
    expect(leader.effectsOf('readReady').map(({ token }) => token)).toEqual([1, 2]);
    expect(leader.sentOf('heartbeat').map(({ readPosition }) => readPosition)).toEqual([2, 2]);
  });

  test('a read position rides on an append, and is confirmed before the disk of the follower is done', () => {
    const leader = cluster().node('a');
    leader.give({ kind: 'read', token: 1 }, { kind: 'propose', proposals: [{ id: 1, bytes: new Uint8Array(1) }] });
    const messages = leader.take();
    expect(messages.map(({ message }) => message.kind)).toEqual(['append', 'append']);
    const follower = new Node('b', THREE, { term: 1, log: [1], slowDisk: true });
    follower.receive('a', messages[0]!.message);
    expect(follower.sentOf('heartbeatReply')).toMatchObject([{ readPosition: 1 }]);
    expect(follower.sentOf('appendReply')).toEqual([]);
  });

  test('a lost round is repeated by the heartbeats', () => {
    const three = cluster().isolate('b', 'c');
    three.node('a').give({ kind: 'read', token: 1 });
    three.settle().heal().tick(heartbeatTicks);
    expect(three.node('a').effectsOf('readReady')).toHaveLength(1);
  });

  test('a leader alone needs nobody', () => {
    const node = new Node('a', ['a']).lead().give({ kind: 'read', token: 1 });
    expect(node.effectsOf('readReady')).toEqual([{ kind: 'readReady', token: 1, index: 1 }]);
  });

  test('a leader that was replaced unknowingly serves no read', () => {
    const three = cluster();
    three.isolate('a').tick(3 * electionTicks, ['b', 'c']);
    const old = three.node('a').give({ kind: 'read', token: 1 });
    three.settle();
    expect(old.status.role).toBe('leader');
    expect(old.effectsOf('readReady')).toEqual([]);
    three.heal().tick(2 * electionTicks);
    expect(old.effectsOf('readFailed')).toMatchObject([{ token: 1 }]);
  });

  test('reads beyond the limit fail at once', () => {
    const node = new Node('a', THREE, { limits: { maxPendingReads: 2 } }).lead('b');
    for (let token = 1; token <= 3; token += 1) node.give({ kind: 'read', token });
    expect(node.effectsOf('readFailed').map(({ token }) => token)).toEqual([3]);
  });
});

describe('in a follower', () => {
  test('the leader is asked, once for all reads that wait', () => {
    const three = cluster();
    const follower = three.node('b').give({ kind: 'read', token: 1 }, { kind: 'read', token: 2 });
    follower.give({ kind: 'read', token: 3 });
    expect(follower.sentOf('readIndex')).toHaveLength(1);
    three.settle();
    const asked = follower.effects.filter((effect) => effect.kind === 'send' && effect.message.kind === 'readIndex');
    expect(asked).toHaveLength(2);
    expect(follower.effectsOf('readReady').map(({ token }) => token)).toEqual([1, 2, 3]);
  });

  test('without a leader a read fails', () => {
    const node = new Node('b', THREE).give({ kind: 'read', token: 1 });
    expect(node.effectsOf('readFailed')).toEqual([{ kind: 'readFailed', token: 1, leader: undefined }]);
  });

  test('a read fails when its leader is replaced, lost, or silent', () => {
    const asking = (): Node => new Node('b', THREE).receive('a', append(1, ORIGIN)).give({ kind: 'read', token: 1 });
    const failed = (node: Node): number => node.effectsOf('readFailed').length;
    expect(failed(asking().receive('c', append(2, ORIGIN)))).toBe(1);
    expect(failed(asking().give({ kind: 'peerUnreachable', peer: 'a' }))).toBe(1);
    const silent = asking();
    for (let tick = 0; tick <= electionTicks + 1; tick += 1) silent.tick().receive('a', append(1, ORIGIN));
    expect(failed(silent)).toBe(1);
  });

  test('an answer to an earlier life answers nothing', () => {
    const before = new Node('b', THREE, { seed: 1 }).receive('a', append(1, ORIGIN)).give({ kind: 'read', token: 1 });
    const { token } = before.sentOf('readIndex')[0]!;
    const after = new Node('b', THREE, { seed: 2 }).receive('a', append(1, ORIGIN)).give({ kind: 'read', token: 1 });
    after.receive('a', { kind: 'readIndexReply', term: 1, token, index: 1, ok: true });
    expect(after.effectsOf('readReady')).toEqual([]);
  });

  test('who does not lead says so', () => {
    const node = new Node('b', THREE, { term: 1 }).receive('c', { kind: 'readIndex', term: 1, token: 9 });
    expect(node.sentOf('readIndexReply')).toMatchObject([{ token: 9, ok: false }]);
  });
});
