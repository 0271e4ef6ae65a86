import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  allMembers,
  enter,
  isJoint,
  leave,
  type Membership,
  memberName,
  membershipOf,
  NO_MEMBERS,
  unsound,
} from '../../src/raft/membership.ts';
import { decodeMembership, encodeMembership } from '../../src/raft/membership-codec.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { ORIGIN } from '../../src/raft/position.ts';
import { append, at, Cluster, Node } from './cluster.ts';

const { electionTicks, heartbeatTicks } = DEFAULT_RAFT_LIMITS;
const ids = ['a', 'b', 'c', 'd', 'e'];

const info = fc.record({
  id: fc.constantFrom(...ids),
  address: fc.string({ unit: 'grapheme' }),
  clientAddress: fc.string(),
  priority: fc.nat(),
});
const memberships: fc.Arbitrary<Membership> = fc.record({
  voters: fc.subarray(ids, { minLength: 1 }),
  outgoing: fc.subarray(ids),
  learners: fc.subarray(ids),
  members: fc.array(info),
});

describe('a membership', () => {
  test('survives its bytes, which are ASCII', () => {
    fc.assert(
      fc.property(memberships, (membership) => {
        const bytes = encodeMembership(membership);
        expect(bytes.every((byte) => byte < 128)).toBe(true);
        expect(decodeMembership(bytes)).toEqual(membership);
      }),
    );
  });

  test.each(['', '{', '[]', '{"voters":["a"]}', '{"voters":[1],"outgoing":[],"learners":[],"members":[]}'])(
    'is not read from %j',
    (text) => expect(decodeMembership(Uint8Array.from(text, (char) => char.charCodeAt(0)))).toBeUndefined(),
  );

  test.each([
    ['m1@0123456789ab', 'm1'],
    ['a@b@c', 'a@b'],
    ['plain', 'plain'],
  ])('%s is called %s', (id, name) => expect(memberName(id)).toBe(name));

  test('is changed directly when the voters stay, and jointly otherwise', () => {
    const learners = enter(membershipOf(['a', 'b']), { voters: ['b', 'a'], learners: ['c'], members: [] });
    expect(learners).toMatchObject({ voters: ['a', 'b'], outgoing: [], learners: ['c'] });
    const joint = enter(learners, { voters: ['a', 'c'], learners: ['b'], members: [] });
    expect(joint).toMatchObject({ voters: ['a', 'c'], outgoing: ['a', 'b'], learners: ['b'] });
    expect(isJoint(joint)).toBe(true);
    expect(leave(joint)).toMatchObject({ voters: ['a', 'c'], outgoing: [], learners: ['b'] });
    expect(allMembers(joint)).toEqual(['a', 'b', 'c']);
  });

  test('keeps the address of who leaves until that is over', () => {
    const of = (id: string) => ({ id, address: `${id}:1`, clientAddress: '', priority: 0 });
    const before = { ...membershipOf(['a', 'b', 'c']), members: ['a', 'b', 'c'].map(of) };
    const joint = enter(before, { voters: ['a', 'b'], learners: [], members: ['a', 'b'].map(of) });
    expect(joint.members.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(leave(joint).members.map(({ id }) => id)).toEqual(['a', 'b']);
  });

  test.each([
    [{ voters: [], learners: ['a'], members: [] }, /no voter/],
    [{ voters: ['a', 'a'], learners: [], members: [] }, /twice/],
    [{ voters: ['a'], learners: ['a'], members: [] }, /twice/],
    [{ voters: ['a'], learners: [], members: [{ id: 'b', address: '', clientAddress: '', priority: 0 }] }, /b has/],
  ])('%j is unsound', (target, why) => expect(unsound(target)).toMatch(why));
});

/** Nodes with these names, of which the first `voters` vote and the others know nobody. */
function cluster(voters: readonly string[], others: readonly string[] = []): Cluster {
  const membership = membershipOf(voters);
  return new Cluster({
    ...Object.fromEntries(voters.map((id) => [id, { membership }])),
    ...Object.fromEntries(others.map((id) => [id, { membership: NO_MEMBERS }])),
  });
}

let changes = 0;
function change(node: Node, voters: readonly string[], learners: readonly string[] = []): string {
  node.give({ kind: 'changeMembership', id: ++changes, target: { voters, learners, members: [] } });
  const settled = node.effectsOf('membershipSettled').at(-1);
  if (settled?.id !== changes) throw new Error('not settled');
  return settled.fate === 'dropped' ? settled.reason : settled.fate;
}

describe('a change', () => {
  test('takes a new member in: learner, then voter', () => {
    const four = cluster(['a', 'b', 'c'], ['d']).elect('a');
    const leader = four.node('a').propose(3);
    four.settle();
    expect(change(leader, ['a', 'b', 'c', 'd'])).toBe('notCaughtUp');
    expect(change(leader, ['a', 'b', 'c'], ['d'])).toBe('accepted');
    four.settle().tick(heartbeatTicks);
    expect(four.node('d').terms).toEqual(leader.terms);
    expect(four.node('d').status.membership).toEqual(leader.status.membership);
    expect(change(leader, ['a', 'b', 'c', 'd'])).toBe('accepted');
    four.settle().tick(heartbeatTicks);
    for (const { status } of four.nodes.values()) {
      expect(status.membership).toMatchObject({ voters: ['a', 'b', 'c', 'd'], outgoing: [], learners: [] });
      expect(status).toMatchObject({ membershipCommitted: true, commit: leader.status.last.index });
    }
  });

  test('of voters needs both majorities', () => {
    const five = cluster(['a', 'b', 'c'], ['d', 'e']).elect('a');
    const leader = five.node('a');
    change(leader, ['a', 'b', 'c'], ['d', 'e']);
    five.settle().tick(heartbeatTicks);
    five.isolate('b', 'c');
    expect(change(leader, ['a', 'd', 'e'])).toBe('accepted');
    five.settle().tick(heartbeatTicks);
    expect(leader.status.membership.outgoing).toEqual(['a', 'b', 'c']);
    expect(leader.status.membershipCommitted).toBe(false);
    five.heal().tick(heartbeatTicks).tick(heartbeatTicks);
    expect(leader.status).toMatchObject({ membershipCommitted: true, membership: { voters: ['a', 'd', 'e'] } });
    expect(leader.status.membership.outgoing).toEqual([]);
  });

  test('is refused while another is under way, by a follower, and before the own term is committed', () => {
    const three = cluster(['a', 'b', 'c']);
    const leader = three.node('a').lead('b');
    expect(change(leader, ['a', 'b'])).toBe('notReady');
    expect(change(three.node('b'), ['a', 'b'])).toBe('notLeader');
    three.settle();
    leader.take();
    expect(change(leader, ['a', 'b'])).toBe('accepted');
    expect(change(leader, ['a'])).toBe('changing');
    three.settle().tick(heartbeatTicks);
    expect(change(leader, [])).toBe('invalid');
    const { membershipAt } = leader.status;
    leader.give({
      kind: 'changeMembership',
      id: 99,
      target: { voters: ['a'], learners: [], members: [] },
      basedOn: membershipAt - 1,
    });
    expect(leader.effectsOf('membershipSettled').at(-1)).toMatchObject({ id: 99, reason: 'changing' });
  });

  test('to voters of whom too few are heard is refused', () => {
    const three = cluster(['a', 'b', 'c']).elect('a').isolate('c');
    three.tick(electionTicks + 1, ['a', 'b']);
    expect(change(three.node('a'), ['a', 'c'])).toBe('noQuorum');
    expect(change(three.node('a'), ['a', 'b'])).toBe('accepted');
  });

  test('that did not commit is taken back with its entry', () => {
    const three = cluster(['a', 'b', 'c']).elect('a');
    const old = three.node('a');
    three.isolate('a');
    change(old, ['a', 'b']);
    expect(old.status.membership.outgoing).toEqual(['a', 'b', 'c']);
    three.node('b').timeOut();
    three.settle().tick(3 * electionTicks, ['b', 'c']);
    three.heal().tick(3 * electionTicks);
    expect(old.status.membership).toMatchObject({ voters: ['a', 'b', 'c'], outgoing: [] });
    expect(old.effectsOf('membershipChanged').map(({ membership }) => membership.outgoing.length)).toEqual([3, 0]);
  });

  test('that removes the leader ends its leadership when it is committed', () => {
    const three = cluster(['a', 'b', 'c']).elect('a');
    const leader = three.node('a');
    expect(change(leader, ['b', 'c'])).toBe('accepted');
    three.settle();
    leader.give({ kind: 'applied', index: leader.status.commit });
    three.settle().tick(heartbeatTicks).tick(heartbeatTicks);
    leader.give({ kind: 'applied', index: leader.status.commit });
    three.settle().tick(heartbeatTicks, ['b', 'c']);
    expect(leader.status.role).toBe('follower');
    expect(three.leaders).toHaveLength(1);
    expect(leader.tick(5 * electionTicks).status.role).toBe('follower');
    expect(three.node(three.leaders[0]!).status.membership.voters).toEqual(['b', 'c']);
  });

  test('that removes somebody leaves him a candidate until it is committed: his log may be the longest', () => {
    const two = cluster(['a', 'b']).elect('a');
    const leader = two.node('a');
    // The joint configuration is committed, the final one reaches nobody.
    two.drop = ({ message }) => message.kind === 'append' && message.last > 2;
    expect(change(leader, ['b'])).toBe('accepted');
    two.settle();
    expect(leader.status.membership).toMatchObject({ voters: ['b'], outgoing: [] });
    two
      .isolate('a')
      .tick(2 * electionTicks)
      .heal();
    expect(two.leaders).toEqual([]);
    two.tick(4 * electionTicks);
    leader.give({ kind: 'applied', index: leader.status.commit });
    two.tick(4 * electionTicks);
    expect(two.leaders).toEqual(['b']);
    expect(two.node('b').status).toMatchObject({ membership: { voters: ['b'], outgoing: [] } });
  });

  test('tells who was removed, and forgets it', () => {
    const three = cluster(['a', 'b', 'c']).elect('a');
    const leader = three.node('a');
    change(leader, ['a', 'b']);
    three.settle();
    // The first message that says so is lost.
    three.isolate('c').tick(heartbeatTicks).heal().tick(heartbeatTicks);
    expect(three.node('c').status).toMatchObject({ membershipCommitted: true, membership: { voters: ['a', 'b'] } });
    three.tick(2 * electionTicks);
    expect([...leader.status.peers.keys()]).toEqual(['b']);
    expect(three.node('c').tick(5 * electionTicks).status.role).toBe('follower');
  });

  test('leaves nobody who may not campaign with a leader that is gone', () => {
    const learner = new Node('d', ['a', 'b', 'c'], { membership: membershipOf(['a', 'b', 'c'], ['d']) });
    learner.receive('a', append(1, ORIGIN, [1])).tick(electionTicks - 1);
    expect(learner.status.leader).toBe('a');
    learner.tick(electionTicks);
    expect(learner.status).toMatchObject({ role: 'follower', leader: undefined });
    learner.give({ kind: 'read', token: 1 });
    expect(learner.effectsOf('readFailed')).toMatchObject([{ token: 1, leader: undefined }]);
  });

  test('forgets who was removed and is dead', () => {
    const three = cluster(['a', 'b', 'c']).elect('a').isolate('c');
    change(three.node('a'), ['a', 'b']);
    three.settle().tick(2 * electionTicks + heartbeatTicks, ['a', 'b']);
    expect([...three.node('a').status.peers.keys()]).toEqual(['b']);
  });

  test('is finished by a new leader', () => {
    const five = cluster(['a', 'b', 'c'], ['d', 'e']).elect('a');
    change(five.node('a'), ['a', 'b', 'c'], ['d', 'e']);
    five.settle().tick(heartbeatTicks);
    const old = five.node('a');
    old.give({
      kind: 'changeMembership',
      id: 5,
      target: { voters: ['c', 'd', 'e'], learners: [], members: [] },
    });
    // The joint configuration arrives at all, its acknowledgements do not.
    five.drop = ({ from, to }) => from === 'a' && to === 'a';
    for (const envelope of old.take()) five.node(envelope.to).receive('a', envelope.message);
    five.isolate('a');
    five.node('c').timeOut();
    five.settle().tick(4 * electionTicks, ['b', 'c', 'd', 'e']);
    const [leader] = five.leaders.filter((id) => id !== 'a');
    expect(five.node(leader!).status.membership).toMatchObject({ voters: ['c', 'd', 'e'], outgoing: [] });
  });
});

describe('a snapshot', () => {
  const meta = { position: at(2, 50), term: 3, membership: membershipOf(['a', 'b', 'c']) };
  const follower = (setup = {}): Node => new Node('b', ['a', 'b', 'c'], { term: 3, log: [1, 1], ...setup });
  const offer = { kind: 'snapshotOffer', term: 3, base: at(2, 40), readPosition: 4 } as const;

  test('is fetched once when it is offered, and the offer is a sign of life', () => {
    const node = follower().receive('a', offer).receive('a', offer);
    expect(node.effectsOf('fetchSnapshot')).toMatchObject([{ from: 'a' }]);
    expect(node.sentOf('heartbeatReply')).toMatchObject([{ readPosition: 4 }, {}]);
    expect(node.status.leader).toBe('a');
    node.give({ kind: 'snapshotFailed' }).receive('a', offer);
    expect(node.effectsOf('fetchSnapshot')).toHaveLength(2);
  });

  test('is not needed by who has what the leader still keeps', () => {
    const node = follower({ log: [1, 1], commit: 0 }).receive('a', { ...offer, base: at(1, 2) });
    expect(node.effectsOf('fetchSnapshot')).toEqual([]);
    expect(node.sentOf('appendReply')).toMatchObject([{ match: 2 }]);
  });

  test('takes the place of the log, with its membership', () => {
    const node = follower().receive('a', offer);
    node.give({ kind: 'snapshotFetched', meta: { ...meta, membership: membershipOf(['a', 'b', 'c'], ['d']) } });
    expect(node.effectsOf('installSnapshot')).toMatchObject([{ keepLog: false }]);
    node.receive('a', append(3, at(1, 2), [1])).tick(5 * electionTicks);
    expect(node.status).toMatchObject({ last: at(1, 2), role: 'follower' });
    node.receive('a', offer).give({ kind: 'snapshotInstalled', meta });
    expect(node.status).toMatchObject({ last: at(2, 50), base: at(2, 50), commit: 50, applied: 50, durable: 50 });
    expect(node.status.membership.learners).toEqual(['d']);
    expect(node.sentOf('appendReply')).toMatchObject([{ match: 50 }]);
    node.receive('a', append(3, at(2, 50), [3], 51));
    expect(node.effectsOf('apply')).toMatchObject([{ from: 51, to: 51 }]);
  });

  test('leaves a log that goes on from it', () => {
    const log = Array.from({ length: 60 }, (_, i) => (i < 20 ? 1 : 2));
    const node = follower({ log, commit: 10 }).receive('a', { ...offer, base: at(3, 40) });
    node.give({ kind: 'snapshotFetched', meta });
    expect(node.effectsOf('installSnapshot')).toMatchObject([{ keepLog: true }]);
    node.give({ kind: 'snapshotInstalled', meta });
    expect(node.status).toMatchObject({ last: at(2, 60), base: ORIGIN, commit: 50, applied: 50 });
  });

  test('waits for the write of the old log, and keeps new writes waiting', () => {
    const node = follower({ slowDisk: true })
      .receive('a', offer)
      .receive('a', append(3, at(1, 2), [2]));
    node.give({ kind: 'snapshotFetched', meta });
    expect(node.effectsOf('installSnapshot')).toEqual([]);
    node.persist();
    expect(node.effectsOf('installSnapshot')).toHaveLength(1);
    node.receive('c', { kind: 'vote', term: 4, last: at(3, 60), transfer: true });
    expect(node.sentOf('voteReply')).toEqual([]);
    node.give({ kind: 'snapshotInstalled', meta });
    node.persist();
    expect(node.sentOf('voteReply')).toMatchObject([{ term: 4, granted: true }]);
  });

  test('from a later term lets nobody of an earlier one count on it', () => {
    const node = follower().receive('a', offer);
    node.give({ kind: 'snapshotFetched', meta: { ...meta, term: 5 } });
    node.give({ kind: 'snapshotInstalled', meta: { ...meta, term: 5 } });
    expect(node.status).toMatchObject({ term: 5, leader: undefined });
    expect(node.sentOf('appendReply')).toEqual([]);
  });

  test('that is older than what is committed meanwhile is thrown away', () => {
    const node = follower().receive('a', offer);
    const log = Array.from({ length: 58 }, () => 2);
    node.receive('a', append(3, at(1, 2), log, 60)).give({ kind: 'snapshotFetched', meta });
    expect(node.effectsOf('discardSnapshot')).toHaveLength(1);
    expect(node.effectsOf('installSnapshot')).toEqual([]);
  });

  test('that nobody asked for is thrown away, and its installation stops the node', () => {
    const node = follower().give({ kind: 'snapshotFetched', meta });
    expect(node.effectsOf('discardSnapshot')).toHaveLength(1);
    expect(node.give({ kind: 'snapshotInstalled', meta }).effectsOf('halt')).toHaveLength(1);
  });

  test('is offered to who lacks what was compacted, until it catches up', () => {
    const leader = new Node('a', ['a', 'b', 'c'], { log: [1, 1, 1, 1], commit: 4, term: 1 });
    leader.tick().give({ kind: 'applied', index: 4 });
    leader.lead('c').receive('c', { kind: 'appendReply', term: 2, match: 5, readPosition: 0 });
    leader.give({ kind: 'applied', index: 4 }, { kind: 'compacted', base: at(1, 4) }).take();
    leader.receive('b', { kind: 'appendReject', term: 2, rejected: 4, hint: ORIGIN, readPosition: 0 });
    leader.take();
    leader.tick(heartbeatTicks);
    const toB = leader.take().filter(({ to }) => to === 'b');
    expect(toB).toMatchObject([{ message: { kind: 'snapshotOffer', base: at(1, 4) } }]);
    leader.receive('b', { kind: 'appendReply', term: 2, match: 4, readPosition: 0 });
    expect(leader.take()).toMatchObject([{ to: 'b', message: { kind: 'append', previous: at(1, 4) } }]);
  });
});
