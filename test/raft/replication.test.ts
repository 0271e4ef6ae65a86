import { describe, expect, test } from 'vitest';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { ORIGIN } from '../../src/raft/position.ts';
import { append, at, Cluster, Node } from './cluster.ts';

const THREE = ['a', 'b', 'c'];
const { electionTicks, heartbeatTicks } = DEFAULT_RAFT_LIMITS;

/** The same, but each entry is to change the membership. */
function unreadable(message: ReturnType<typeof append>): ReturnType<typeof append> {
  return { ...message, entries: message.entries.map((entry) => ({ ...entry, kind: 'config' as const })) };
}

/** A leader whose followers hold everything. */
function settledLeader(limits = {}): Node {
  const node = new Node('a', THREE, { limits }).lead('b');
  for (const peer of ['b', 'c']) node.receive(peer, { kind: 'appendReply', term: 1, match: 1, readPosition: 0 });
  node.take();
  return node;
}

describe('pipeline', () => {
  test('one step makes one message to each peer, however many proposals', () => {
    const node = settledLeader().propose(500);
    expect(node.sent.map(({ to, message }) => [to, message.kind])).toEqual([
      ['b', 'append'],
      ['c', 'append'],
    ]);
  });

  test('events that are given together make one message and one write', () => {
    const node = settledLeader();
    const writes = node.effectsOf('write').length;
    const proposal = (id: number) => ({ kind: 'propose' as const, proposals: [{ id, bytes: new Uint8Array(1) }] });
    node.give(proposal(1), proposal(2), proposal(3));
    expect(node.sentOf('append').map(({ last }) => last)).toEqual([4, 4]);
    expect(node.effectsOf('write').length).toBe(writes + 1);
  });

  test('appends follow each other without waiting, until the window is full; an acknowledgement opens it', () => {
    const node = settledLeader({ maxInFlightFrames: 2 });
    for (let i = 0; i < 5; i += 1) node.propose();
    const toB = (): number[] =>
      node.take().flatMap(({ to, message }) => (to === 'b' && message.kind === 'append' ? [message.last] : []));
    expect(toB()).toEqual([2, 3]);
    node.receive('b', { kind: 'appendReply', term: 1, match: 2, readPosition: 0 });
    expect(toB()).toEqual([6]);
  });

  test('frames are cut by bytes', () => {
    const node = settledLeader({ maxFrameBytes: 100, maxInFlightBytes: 1000 }).propose(5);
    expect(
      node
        .sentOf('append')
        .filter((_, i) => i < 3)
        .map(({ last }) => last),
    ).toEqual([3, 5, 6]);
  });

  test('a full window with all its answers lost is asked about, not stuck', () => {
    const cluster = new Cluster({ a: { limits: { maxInFlightFrames: 2 } }, b: {}, c: {} }).elect('a');
    cluster.drop = ({ from, message }) => from === 'b' && message.kind === 'appendReply';
    for (let i = 0; i < 4; i += 1) cluster.node('a').propose();
    cluster
      .settle()
      .heal()
      .tick(2 * heartbeatTicks);
    expect(cluster.node('b').status.commit).toBe(5);
  });

  test('lost appends are sent again', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.drop = ({ to, message }) => to === 'b' && message.kind === 'append';
    cluster.node('a').propose(3);
    cluster
      .settle()
      .heal()
      .tick(3 * heartbeatTicks);
    expect(cluster.node('b').terms).toEqual([1, 1, 1, 1]);
  });

  test('an unreachable follower is probed again once it answers', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.node('a').give({ kind: 'peerUnreachable', peer: 'b' });
    expect(cluster.node('a').status.peers.get('b')?.state).toBe('probe');
    cluster.isolate('b');
    cluster.node('a').propose(2);
    cluster
      .tick(3)
      .heal()
      .tick(2 * heartbeatTicks);
    expect(cluster.node('a').status.peers.get('b')).toMatchObject({ state: 'replicate', match: 3 });
  });

  test('entries of unknown size travel one append at a time, however short the driver cuts them', () => {
    const log = Array.from({ length: 40 }, () => 1);
    const cluster = new Cluster({ a: { log }, b: { term: 1 }, c: { log } });
    const short = 7;
    cluster.drop = (envelope) => {
      const { from, to, message } = envelope;
      if (message.kind !== 'append' || to !== 'b' || message.entries.length <= short) return false;
      const entries = message.entries.slice(0, short);
      cluster.node('b').receive(from, { ...message, entries, last: message.previous.index + short });
      return true;
    };
    cluster.elect('a');
    expect(cluster.node('b').terms).toEqual([...log, 2]);
    expect(cluster.node('a').status.peers.get('b')?.match).toBe(41);
  });

  test('a follower behind the beginning of the log is offered a snapshot', () => {
    const node = new Node('a', THREE, { base: at(1, 5), log: [1, 1] }).lead('c');
    node.receive('b', { kind: 'appendReject', term: 2, rejected: 7, hint: ORIGIN, readPosition: 0 });
    expect(node.status.peers.get('b')?.state).toBe('snapshot');
    node.take();
    node.tick(heartbeatTicks);
    expect(node.take().filter(({ to }) => to === 'b')).toMatchObject([
      { message: { kind: 'snapshotOffer', base: at(1, 5) } },
    ]);
  });
});

describe('commit index', () => {
  test('reaches followers at once when nothing else is to send', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.node('a').propose();
    cluster.settle();
    expect(cluster.node('c').effectsOf('apply').at(-1)).toMatchObject({ to: 2 });
  });

  test('is not taken beyond what the message verifies', () => {
    const node = new Node('b', THREE, { log: [1, 1, 1, 1] }).receive('a', append(2, at(1, 1), [], 4));
    expect(node.status.commit).toBe(1);
  });

  test('a leader alone with its disk commits when the followers are durable; it applies when it is, too', () => {
    const node = new Node('a', THREE, { slowDisk: true }).campaign('b');
    node.persist();
    node.receive('b', { kind: 'voteReply', term: 1, granted: true, commit: 0 });
    for (const peer of ['b', 'c']) node.receive(peer, { kind: 'appendReply', term: 1, match: 1, readPosition: 0 });
    expect(node.status.commit).toBe(1);
    expect(node.effectsOf('apply')).toEqual([]);
    node.persist();
    expect(node.effectsOf('apply')).toEqual([{ kind: 'apply', from: 1, to: 1 }]);
  });
});

describe('a follower and its disk', () => {
  test('acknowledges what is durable; what comes while it writes becomes one write and one acknowledgement', () => {
    const node = new Node('b', THREE, { slowDisk: true });
    node.receive('a', append(1, ORIGIN, [1]));
    node.receive('a', append(1, at(1, 1), [1]));
    node.receive('a', append(1, at(1, 2), [1, 1]));
    expect(node.sentOf('appendReply')).toEqual([]);
    expect(node.writing?.entries.map(({ index }) => index)).toEqual([1]);
    node.persist();
    expect(node.sentOf('appendReply').map(({ match }) => match)).toEqual([1]);
    expect(node.writing?.entries.map(({ index }) => index)).toEqual([2, 3, 4]);
    node.persist();
    expect(node.sentOf('appendReply').map(({ match }) => match)).toEqual([1, 4]);
  });

  test('the end of a write proves nothing about entries that replaced the written ones', () => {
    const node = new Node('b', THREE, { slowDisk: true });
    node.receive('a', append(1, ORIGIN, [1, 1, 1]));
    node.receive('c', append(2, at(1, 1), [2, 2]));
    node.receive('a', append(3, at(1, 1), [3, 3]));
    node.persist();
    expect(node.status.durable).toBe(1);
    expect(node.writing).toMatchObject({ ballot: { term: 3 }, truncateFrom: 2 });
    expect(node.writing?.entries.map(({ term }) => term)).toEqual([3, 3]);
    node.persist();
    expect(node.status.durable).toBe(3);
    expect(node.sentOf('appendReply')).toMatchObject([
      { term: 1, match: 3 },
      { term: 3, match: 3 },
    ]);
  });

  test('shows that it lives while its disk is slow', () => {
    const node = new Node('b', THREE, { slowDisk: true }).receive('a', append(1, ORIGIN, [1]));
    node.receive('a', append(1, at(1, 1), []));
    expect(node.sentOf('heartbeatReply')).toHaveLength(1);
  });

  test('a late append removes nothing', () => {
    const node = new Node('b', THREE).receive('a', append(1, ORIGIN, [1, 1, 1]));
    node.receive('a', append(1, ORIGIN, [1]));
    expect(node.terms).toEqual([1, 1, 1]);
    expect(node.sentOf('appendReply').map(({ match }) => match)).toEqual([3, 1]);
  });

  test('stops rather than replace a committed entry', () => {
    const node = new Node('b', THREE, { log: [1, 1], commit: 2 }).receive('a', append(3, at(1, 1), [3]));
    expect(node.effects.at(-1)).toMatchObject({ kind: 'halt', reason: expect.stringContaining('committed') });
  });

  test('applies nothing that a term taught it which is not on its disk: after a crash it may obey an older one', () => {
    const node = new Node('d', ['a', 'b', 'c', 'd', 'e'], { term: 3, log: [2], slowDisk: true });
    node.receive('a', append(5, at(2, 1), [], 1));
    expect(node.status.commit).toBe(1);
    expect(node.effectsOf('apply')).toEqual([]);
    node.persist();
    expect(node.effectsOf('apply')).toMatchObject([{ from: 1, to: 1 }]);
  });

  test.each([
    ['holds another entry where one is committed', [2, 3], append(3, at(3, 2), [3]), /another entry at 2/],
    ['lets terms fall behind what was forgotten', [], append(3, ORIGIN, [1, 1]), /behind one of term 2/],
    ['changes the membership to what cannot be read', [2, 3], unreadable(append(3, at(3, 3), [3])), /cannot be read/],
  ])('stops when its leader %s', (_, log, message, reason) => {
    const node = new Node('b', THREE, { term: 3, base: at(2, 1), log, commit: 1 + log.length });
    node.receive('a', message);
    expect(node.effects.at(-1)).toMatchObject({ kind: 'halt', reason: expect.stringMatching(reason) });
  });

  test('stops when its disk lost what it acknowledged', () => {
    const node = new Node('b', THREE, { log: [1] });
    node.receive('a', { kind: 'heartbeat', term: 1, commit: 2, readPosition: 0 });
    expect(node.effects.at(-1)).toMatchObject({
      kind: 'halt',
      reason: expect.stringContaining('the disk lost entries'),
    });
  });
});

describe('proposals', () => {
  test('each is told its place', () => {
    const node = settledLeader().propose(2);
    expect(node.effectsOf('settle')).toEqual([
      { kind: 'settle', proposal: 1, fate: 'accepted', at: at(1, 2) },
      { kind: 'settle', proposal: 2, fate: 'accepted', at: at(1, 3) },
    ]);
  });

  test('a follower drops them and names the leader', () => {
    const node = new Node('b', THREE).receive('a', append(1, ORIGIN)).propose();
    expect(node.effectsOf('settle')).toMatchObject([{ fate: 'dropped', reason: 'notLeader', leader: 'a' }]);
  });

  test('a leader of another term than expected drops them', () => {
    const node = settledLeader();
    node.give({ kind: 'propose', proposals: [{ id: 1, bytes: new Uint8Array(0) }], expectedTerm: 2 });
    expect(node.effectsOf('settle')).toMatchObject([{ fate: 'dropped', reason: 'notLeader' }]);
  });

  test.each([
    { name: 'count', limits: { maxPendingProposals: 3 } },
    { name: 'bytes', limits: { maxPendingBytes: 120 } },
  ])('more than fit by $name are dropped until some are committed', ({ limits }) => {
    const node = settledLeader(limits).propose(5);
    const fates = (): string[] => node.effectsOf('settle').map(({ fate }) => fate);
    expect(fates()).toEqual(['accepted', 'accepted', 'accepted', 'dropped', 'dropped']);
    node.receive('b', { kind: 'appendReply', term: 1, match: 4, readPosition: 0 }).propose();
    expect(fates().at(-1)).toBe('accepted');
  });
});

test('a restarted node keeps its term, vote, log and commit index, and applies what the state machine lacks', () => {
  const node = new Node('a', THREE, { term: 4, votedFor: 'c', log: [1, 2, 4], commit: 2 }).tick();
  expect(node.status).toMatchObject({ term: 4, commit: 2, durable: 3, last: at(4, 3), role: 'follower' });
  expect(node.effectsOf('apply')).toEqual([{ kind: 'apply', from: 1, to: 2 }]);
  node.tick(electionTicks).receive('b', { kind: 'vote', term: 4, last: at(9, 9), transfer: false });
  expect(node.sentOf('voteReply')).toMatchObject([{ granted: false }]);
});
