import { describe, expect, test } from 'vitest';
import type { Message } from '../../src/raft/message.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { ORIGIN } from '../../src/raft/position.ts';
import { append, at, Cluster, Node } from './cluster.ts';

const THREE = ['a', 'b', 'c'];
const { electionTicks, heartbeatTicks } = DEFAULT_RAFT_LIMITS;

/*
 * The sentences of §5 (Figure 2 and the text), and the tests below that hold them.
 *
 * | § | sentence, in short | test |
 * |---|---|---|
 * | 5.1 | a later term in any message is taken over, by followers, candidates and leaders | takes a later term from a message |
 * | 5.1 | a message of an earlier term is rejected | a message of an earlier term is rejected |
 * | 5.2 | servers start as followers | starts as a follower |
 * | 5.2 | leaders send heartbeats to all | a leader sends heartbeats |
 * | 5.2 | who hears nobody campaigns: follower, candidate | starts an election; starts another election |
 * | 5.2 | a majority wins, in one round | of $size voters |
 * | 5.2 | one vote in a term, first come, first served | one vote in a term |
 * | 5.2 | a candidate yields to a leader of its term or a later one | yields to the leader |
 * | 5.2 | timeouts are random: follower, candidate | the timeout of a %s is random |
 * | 5.2 | so split votes are rare: followers, candidates | split votes are rare |
 * | 5.3 | the leader appends a command and sends it to all | appends a proposal |
 * | 5.3 | it is committed, and applied, once a majority holds it, and the others are told | applies and tells |
 * | 5.3 | what majorities are: nine shapes | of $size, $acknowledge acknowledge |
 * | 5.3 | that commits all before it | an own entry commits what precedes it |
 * | 5.3 | followers apply what they learn to be committed, in order | a follower applies |
 * | 5.3 | followers refuse what does not follow on their log | checks the previous entry |
 * | 5.3 | they remove what conflicts, and nothing else | takes $entries behind $previous |
 * | 5.3 | the leader makes all logs equal to its own (Figure 7) | of Figure 7 |
 * | 5.4.1 | a request for votes says where the log ends | a vote request tells |
 * | 5.4.1 | voters refuse older logs | a voter with terms $log |
 * | 5.4.2 | only entries of the own term are committed by counting | only entries of the own term |
 */

function five(): string[] {
  return ['a', 'b', 'c', 'd', 'e'];
}

describe('§5.1 terms', () => {
  const roles: Record<string, (node: Node) => Node> = {
    follower: (node) => node,
    candidate: (node) => node.campaign('b'),
    leader: (node) => node.lead('b'),
  };

  test.each(Object.keys(roles))('a %s takes a later term from a message and follows', (role) => {
    const node = roles[role]!(new Node('a', THREE, { term: 1 }));
    node.receive('b', append(7, ORIGIN));
    expect(node.status).toMatchObject({ term: 7, role: 'follower', leader: 'b' });
  });

  test('a message of an earlier term is rejected and its sender told', () => {
    const node = new Node('a', THREE, { term: 5 });
    node.receive('b', append(3, ORIGIN, [3]));
    expect(node.status).toMatchObject({ term: 5, leader: undefined, last: ORIGIN });
    expect(node.sentOf('heartbeatReply')).toEqual([{ kind: 'heartbeatReply', term: 5, readPosition: 0 }]);
  });
});

describe('§5.2 leader election', () => {
  test('starts as a follower without a leader', () => {
    expect(new Node('a', THREE).status).toMatchObject({ role: 'follower', leader: undefined, term: 0 });
  });

  test('a leader sends heartbeats to all', () => {
    const node = new Node('a', THREE).lead('b');
    node.take();
    node.tick(heartbeatTicks);
    const receivers = node.sent.filter(({ message }) => message.kind === 'heartbeat').map(({ to }) => to);
    expect(receivers.sort()).toEqual(['b', 'c']);
  });

  test('a follower that hears nobody starts an election: pre-votes, then a vote for itself in the next term', () => {
    const node = new Node('a', THREE, { term: 2 }).timeOut();
    expect(node.status).toMatchObject({ role: 'preCandidate', term: 2 });
    expect(node.take().map(({ to }) => to)).toEqual(['b', 'c']);
    node.campaign('b');
    expect(node.status).toMatchObject({ role: 'candidate', term: 3 });
    expect(node.effectsOf('write').at(-1)?.ballot).toEqual({ term: 3, votedFor: 'a' });
    expect(node.take().map(({ to, message }) => [to, message.kind])).toEqual([
      ['b', 'vote'],
      ['c', 'vote'],
    ]);
  });

  test('a candidate that neither wins nor loses starts another election', () => {
    const node = new Node('a', THREE).campaign('b');
    node.timeOut().campaign('b');
    expect(node.status).toMatchObject({ role: 'candidate', term: 2 });
  });

  test.each([
    { size: 1, granted: [], refused: [], role: 'leader' },
    { size: 3, granted: ['b', 'c'], refused: [], role: 'leader' },
    { size: 3, granted: ['b'], refused: [], role: 'leader' },
    { size: 5, granted: ['b', 'c', 'd', 'e'], refused: [], role: 'leader' },
    { size: 5, granted: ['b', 'c'], refused: ['d', 'e'], role: 'leader' },
    { size: 3, granted: [], refused: ['b', 'c'], role: 'follower' },
    { size: 5, granted: ['b'], refused: ['c', 'd', 'e'], role: 'follower' },
    { size: 3, granted: [], refused: ['b'], role: 'candidate' },
    { size: 5, granted: ['b'], refused: ['c', 'd'], role: 'candidate' },
    { size: 5, granted: [], refused: [], role: 'candidate' },
  ])('of $size voters $granted grant and $refused refuse: $role', ({ size, granted, refused, role }) => {
    const node = new Node('a', five().slice(0, size)).campaign(...(size === 1 ? [] : ['b', 'c'].slice(0, size - 1)));
    const { term } = node.status;
    for (const from of granted) node.receive(from, { kind: 'voteReply', term, granted: true, commit: 0 });
    for (const from of refused) node.receive(from, { kind: 'voteReply', term, granted: false, commit: 0 });
    expect(node.status.role).toBe(role);
  });

  test.each([
    { votedFor: undefined, candidate: 'b', granted: true },
    { votedFor: 'b', candidate: 'b', granted: true },
    { votedFor: 'c', candidate: 'b', granted: false },
    { votedFor: 'a', candidate: 'b', granted: false },
  ])('one vote in a term: voted for $votedFor, $candidate asks', ({ votedFor, candidate, granted }) => {
    const node = new Node('a', THREE, { term: 1, ...(votedFor === undefined ? {} : { votedFor }) });
    node.receive(candidate, { kind: 'vote', term: 1, last: ORIGIN, transfer: false });
    expect(node.sentOf('voteReply')).toMatchObject([{ granted }]);
  });

  test.each([1, 2])('a candidate of term 1 yields to the leader of term %i', (term) => {
    const node = new Node('a', THREE).campaign('b');
    node.receive('c', append(term, ORIGIN));
    expect(node.status).toMatchObject({ role: 'follower', leader: 'c', term });
  });

  test.each(['follower', 'candidate'])('the timeout of a %s is random', (role) => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 200; seed += 1) {
      const node = new Node('a', THREE, { seed });
      if (role === 'candidate') node.campaign('b');
      let ticks = 1;
      while (node.tick().status.role === role) ticks += 1;
      seen.add(ticks);
    }
    const longest = 2 * electionTicks - 1;
    const shortest = role === 'candidate' ? electionTicks / 2 : electionTicks;
    expect([...seen].sort((x, y) => x - y)).toEqual(
      Array.from({ length: longest - shortest + 1 }, (_, i) => shortest + i),
    );
  });

  test.each(['followers', 'candidates'])('split votes are rare among %s', (role) => {
    let collisions = 0;
    for (let round = 0; round < 300; round += 1) {
      const nodes = five().map((id, i) => new Node(id, five(), { seed: 1000 * round + i }));
      if (role === 'candidates') for (const node of nodes) node.campaign(...five().filter((id) => id !== node.id));
      const idle = (node: Node): boolean => node.status.role !== 'preCandidate';
      while (nodes.every(idle)) for (const node of nodes) node.tick();
      if (nodes.filter((node) => !idle(node)).length > 1) collisions += 1;
    }
    expect(collisions / 300).toBeLessThan(0.5);
  });
});

describe('§5.3 log replication', () => {
  test('a leader appends a proposal to its log and sends it to all at once, before its own disk has it', () => {
    const node = new Node('a', THREE, { slowDisk: true });
    node.timeOut().campaign('b');
    node.persist();
    node.receive('b', { kind: 'voteReply', term: 1, granted: true, commit: 0 });
    for (const peer of ['b', 'c']) node.receive(peer, { kind: 'appendReply', term: 1, match: 1, readPosition: 0 });
    node.take();
    node.propose();
    expect(node.sent).toMatchObject(
      ['b', 'c'].map((to) => ({ to, message: { kind: 'append', previous: at(1, 1), last: 2 } })),
    );
    expect(node.status.durable).toBe(0);
  });

  test.each([
    { size: 1, acknowledge: [], committed: true },
    { size: 3, acknowledge: [], committed: false },
    { size: 3, acknowledge: ['b'], committed: true },
    { size: 3, acknowledge: ['b', 'c'], committed: true },
    { size: 5, acknowledge: [], committed: false },
    { size: 5, acknowledge: ['b'], committed: false },
    { size: 5, acknowledge: ['b', 'c'], committed: true },
    { size: 5, acknowledge: ['b', 'c', 'd'], committed: true },
    { size: 5, acknowledge: ['b', 'c', 'd', 'e'], committed: true },
  ])('of $size, $acknowledge acknowledge: committed $committed', ({ size, acknowledge, committed }) => {
    const ids = five().slice(0, size);
    const node = new Node('a', ids).lead(...ids.slice(1));
    for (const peer of acknowledge) node.receive(peer, { kind: 'appendReply', term: 1, match: 1, readPosition: 0 });
    expect(node.status.commit).toBe(committed ? 1 : 0);
    expect(node.effectsOf('apply')).toEqual(committed ? [{ kind: 'apply', from: 1, to: 1 }] : []);
  });

  test.each([[[]], [[2]], [[1, 2]], [[1]]])('an own entry commits what precedes it: %j', (log) => {
    const node = new Node('a', THREE, { term: 2, log }).lead('b', 'c');
    const match = log.length + 1;
    node.receive('b', { kind: 'appendReply', term: 3, match, readPosition: 0 });
    expect(node.status.commit).toBe(match);
    expect(node.effectsOf('apply')).toEqual([{ kind: 'apply', from: 1, to: match }]);
  });

  test('the leader applies and tells the others what a majority holds', () => {
    const node = new Node('a', THREE).lead('b');
    for (const peer of ['b', 'c']) node.receive(peer, { kind: 'appendReply', term: 1, match: 1, readPosition: 0 });
    node.propose();
    node.take();
    node.receive('b', { kind: 'appendReply', term: 1, match: 2, readPosition: 0 });
    expect(node.effectsOf('apply').at(-1)).toEqual({ kind: 'apply', from: 2, to: 2 });
    expect(node.take()).toMatchObject([{ to: 'b', message: { kind: 'heartbeat', commit: 2 } }]);
    node.propose();
    expect(node.sentOf('append').map(({ commit }) => commit)).toEqual([2, 2]);
  });

  test.each([
    { commit: 0, applied: [] },
    { commit: 1, applied: [{ from: 1, to: 1 }] },
    { commit: 3, applied: [{ from: 1, to: 3 }] },
    { commit: 9, applied: [{ from: 1, to: 3 }] },
  ])('a follower applies what it learns to be committed: up to $commit', ({ commit, applied }) => {
    const node = new Node('b', THREE).receive('a', append(1, ORIGIN, [1, 1, 1], commit));
    expect(node.effectsOf('apply').map(({ from, to }) => ({ from, to }))).toEqual(applied);
    expect(node.status.commit).toBe(Math.min(commit, 3));
  });

  test('followers learn the commit index', () => {
    const cluster = new Cluster({ a: {}, b: {}, c: {} }).elect('a');
    cluster.node('a').propose(3);
    cluster.settle();
    for (const { status } of cluster.nodes.values()) expect(status.commit).toBe(4);
  });

  test.each([
    { previous: at(0, 0), ok: true },
    { previous: at(1, 1), ok: true },
    { previous: at(2, 2), ok: true },
    { previous: at(4, 2), ok: false, hint: at(2, 2) },
    { previous: at(1, 2), ok: false, hint: at(1, 1) },
    { previous: at(3, 3), ok: false, hint: at(2, 2) },
  ])('a follower with terms 1 2 checks the previous entry $previous', ({ previous, ok, hint }) => {
    const node = new Node('a', THREE, { log: [1, 2], commit: 1 });
    node.receive('b', append(4, previous));
    if (ok) expect(node.sentOf('appendReply')).toMatchObject([{ term: 4, match: previous.index }]);
    else expect(node.sentOf('appendReject')).toMatchObject([{ term: 4, rejected: previous.index, hint }]);
  });

  test('a follower takes a committed position that it has forgotten for equal, and stops where one it holds differs', () => {
    const node = new Node('a', THREE, { base: at(1, 2), log: [2], commit: 3 }).receive('b', append(4, at(1, 1), [1]));
    expect(node.sentOf('appendReply')).toMatchObject([{ term: 4, match: 2 }]);
    node.receive('b', append(4, at(3, 3)));
    expect(node.effects.at(-1)).toMatchObject({ kind: 'halt', reason: expect.stringContaining('committed') });
  });

  test.each([
    { previous: at(2, 2), entries: [3], log: [1, 2, 3] },
    { previous: at(1, 1), entries: [3, 4], log: [1, 3, 4] },
    { previous: at(0, 0), entries: [1], log: [1, 2] },
    { previous: at(0, 0), entries: [3], log: [3] },
    { previous: at(0, 0), entries: [1, 2], log: [1, 2] },
    { previous: at(1, 1), entries: [2, 3], log: [1, 2, 3] },
  ])('a follower with terms 1 2 takes $entries behind $previous', ({ previous, entries, log }) => {
    const node = new Node('a', THREE, { log: [1, 2] });
    node.receive('b', append(5, previous, entries));
    expect(node.terms).toEqual(log);
    expect(node.sentOf('appendReply')).toMatchObject([{ match: previous.index + entries.length }]);
  });

  // Figure 7 of the paper: what followers may hold when a leader comes to power.
  const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  test.each([
    { name: 'a', log: [1, 1, 1, 4, 4, 5, 5, 6, 6] },
    { name: 'b', log: [1, 1, 1, 4] },
    { name: 'c', log: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6] },
    { name: 'd', log: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7] },
    { name: 'e', log: [1, 1, 1, 4, 4, 4, 4] },
    { name: 'f', log: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3] },
  ])('the leader makes the log of follower ($name) of Figure 7 equal to its own', ({ log }) => {
    const cluster = new Cluster({ a: { term: 8, log: leader }, b: { term: 8, log }, c: {} });
    const node = cluster.node('a').lead('c');
    let probes = 0;
    cluster.drop = ({ to, message }) => {
      if (to === 'b' && message.kind === 'append') probes += 1;
      return to === 'c';
    };
    cluster.settle().tick(2 * heartbeatTicks);
    expect(cluster.node('b').terms).toEqual([...leader, 9]);
    expect(node.status.commit).toBe(leader.length + 1);
    // At most one probe for each term in which they differ, and one that fits.
    expect(probes).toBeLessThanOrEqual(new Set(log).size + 2);
  });
});

describe('§5.4 safety', () => {
  test('a vote request tells where the log ends', () => {
    const node = new Node('a', THREE, { log: [1, 2, 2] }).campaign('b');
    expect(node.sentOf('vote')).toMatchObject([1, 2].map(() => ({ term: 3, last: at(2, 3), transfer: false })));
  });

  test.each([
    { log: [1], last: at(1, 1), granted: true },
    { log: [1], last: at(1, 2), granted: true },
    { log: [1, 1], last: at(1, 1), granted: false },
    { log: [1], last: at(2, 1), granted: true },
    { log: [1, 1], last: at(2, 1), granted: true },
    { log: [2], last: at(1, 1), granted: false },
    { log: [2], last: at(1, 2), granted: false },
    { log: [1, 2], last: at(1, 1), granted: false },
  ])('a voter with terms $log is asked by one that ends at $last: granted $granted', ({ log, last, granted }) => {
    const asks: Message[] = [
      { kind: 'preVote', term: 4, last },
      { kind: 'vote', term: 4, last, transfer: false },
    ];
    const replies = asks.map(
      (message) => new Node('a', THREE, { term: 3, log }).receive('b', message).sent[0]?.message,
    );
    expect(replies).toMatchObject([
      { kind: 'preVoteReply', granted },
      { kind: 'voteReply', granted },
    ]);
  });

  test.each([
    { match: 1, commit: 0 },
    { match: 2, commit: 0 },
    { match: 3, commit: 3 },
  ])(
    'only entries of the own term are committed by counting: a match of $match commits $commit',
    ({ match, commit }) => {
      const node = new Node('a', THREE, { term: 2, log: [1, 2] }).lead('b');
      node.receive('b', { kind: 'appendReply', term: 3, match, readPosition: 0 });
      expect(node.status.commit).toBe(commit);
    },
  );
});
