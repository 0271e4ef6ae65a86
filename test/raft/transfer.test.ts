import { describe, expect, test } from 'vitest';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import { Cluster, Node } from './cluster.ts';

const { electionTicks } = DEFAULT_RAFT_LIMITS;

function cluster(): Cluster {
  return new Cluster({ a: {}, b: {}, c: {} }).elect('a');
}

function transfer(three: Cluster, to: string): Cluster {
  three.node('a').give({ kind: 'transferLeadership', to });
  return three;
}

describe('leadership transfer', () => {
  test('to a follower that holds everything is done at once, though the others hear the leader', () => {
    expect(transfer(cluster(), 'b').settle().leaders).toEqual(['b']);
  });

  test('to a slow follower waits until it has caught up', () => {
    const three = cluster().isolate('c');
    three.node('a').propose(10);
    three.settle().tick(1);
    transfer(three, 'c').settle();
    expect(three.leaders).toEqual(['a']);
    three.heal().tick(4);
    expect(three.leaders).toEqual(['c']);
    expect(three.node('c').terms).toHaveLength(12);
  });

  test.each(['a', 'x'])('to %s is ignored', (to) => {
    expect(transfer(cluster(), to).node('a').status).toMatchObject({ role: 'leader', transferringTo: undefined });
  });

  test('to a learner is ignored', () => {
    const membership = { voters: ['a', 'b'], outgoing: [], learners: ['l'], members: [] };
    const node = new Node('a', [], { membership }).lead('b').give({ kind: 'transferLeadership', to: 'l' });
    expect(node.status.transferringTo).toBeUndefined();
  });

  test('refuses proposals meanwhile, and ends after an election timeout when the successor is dead', () => {
    const three = cluster().isolate('c');
    const leader = transfer(three, 'c').node('a').propose();
    expect(leader.effectsOf('settle')).toMatchObject([{ fate: 'dropped', reason: 'transferring' }]);
    three.tick(electionTicks);
    expect(three.leaders).toEqual(['a']);
    expect(leader.propose().effectsOf('settle').at(-1)).toMatchObject({ fate: 'accepted' });
  });

  test('asks again each tick, so that one lost message does not leave everybody without a leader', () => {
    const three = cluster();
    transfer(three, 'c').isolate('c').settle().heal();
    expect(three.leaders).toEqual(['a']);
    three.tick(1);
    expect(three.leaders).toEqual(['c']);
  });

  test('tells whom it has asked, and that it leads on when nobody took over', () => {
    const three = cluster();
    const leader = transfer(three, 'c').isolate('c').settle().node('a');
    expect(leader.effectsOf('handingOver')).toEqual([{ kind: 'handingOver', to: 'c' }]);
    three.tick(electionTicks);
    expect(leader.effectsOf('handingOver').at(-1)).toEqual({ kind: 'handingOver', to: undefined });
    expect(leader.status.role).toBe('leader');
  });

  test('a second wish replaces the first', () => {
    const three = cluster().isolate('c');
    three.node('a').propose();
    three.settle();
    transfer(three, 'c').settle();
    transfer(three, 'b').settle();
    expect(three.leaders).toEqual(['b']);
  });

  test('a late request to campaign is ignored in another term, and from who does not lead', () => {
    const three = cluster();
    const node = three.node('c');
    node.receive('b', { kind: 'timeoutNow', term: 1 });
    node.receive('a', { kind: 'timeoutNow', term: 0 });
    expect(node.status).toMatchObject({ role: 'follower', term: 1 });
  });
});
