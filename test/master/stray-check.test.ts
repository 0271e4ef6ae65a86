import { expect, test } from 'vitest';
import { isStray } from '../../src/master/stray-check.ts';
import { membershipOf, NO_MEMBERS } from '../../src/raft/membership.ts';
import type { CommittedMembership, Greeting } from '../../src/wire/greeting.ts';

const at = (applied: number, ...voters: string[]): CommittedMembership => ({
  membership: membershipOf(voters),
  applied,
});

function greeting(committed: CommittedMembership | undefined, clusterId = 'x'): Greeting {
  const nothing = { address: '', clientAddress: '', removed: false, heard: [], birth: [], timing: undefined };
  return { cluster: 'c', clusterId, id: 'b', ...nothing, committed };
}

test.each<[string, CommittedMembership, Greeting, boolean]>([
  ['a later membership is without it', at(5, 'a', 'b', 'c'), greeting(at(9, 'b', 'c')), true],
  ['a later membership has it', at(5, 'a', 'b', 'c'), greeting(at(9, 'a', 'b')), false],
  ['an earlier membership is without it', at(5, 'a', 'b', 'c'), greeting(at(4, 'b', 'c')), false],
  ['another cluster is without it', at(5, 'a', 'b', 'c'), greeting(at(9, 'b', 'c'), 'y'), false],
  ['who does not know a membership', at(5, 'a', 'b', 'c'), greeting(undefined), false],
  ['who waits to be added itself', at(5, 'a', 'b', 'c'), greeting({ membership: NO_MEMBERS, applied: 9 }), false],
  ['it was never a member', { membership: NO_MEMBERS, applied: 0 }, greeting(at(9, 'b', 'c')), false],
])('a master is stray when %s', (_, own, said, expected) => {
  expect(isStray('a', 'x', own, said)).toBe(expected);
});
