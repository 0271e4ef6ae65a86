import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Membership } from '../../src/raft/membership.ts';
import { majorityOf, quorumValue, voteOutcome } from '../../src/raft/quorum.ts';

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const voters = fc.subarray(ids, { minLength: 1 });
const memberships: fc.Arbitrary<Membership> = fc.record({
  voters,
  outgoing: fc.subarray(ids),
  learners: fc.constant([]),
  members: fc.constant([]),
});

/** All sets of members that contain a majority of each half. */
function quorums({ voters: incoming, outgoing }: Membership): string[][] {
  const enough = (half: readonly string[], set: string[]): boolean =>
    half.length === 0 || half.filter((id) => set.includes(id)).length * 2 > half.length;
  const sets = ids.reduce<string[][]>((all, id) => all.flatMap((set) => [set, [...set, id]]), [[]]);
  return sets.filter((set) => enough(incoming, set) && enough(outgoing, set));
}

describe('quorum', () => {
  test.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
    [5, 3],
    [6, 4],
    [7, 4],
  ])('a majority of %i is %i', (size, majority) => expect(majorityOf(size)).toBe(majority));

  test('the value that a quorum reached is the best of the least values of all quorums', () => {
    const values = fc.tuple(...ids.map(() => fc.nat({ max: 12 })));
    fc.assert(
      fc.property(memberships, values, (membership, drawn) => {
        const reached = (id: string): number => drawn[ids.indexOf(id)]!;
        const naive = Math.max(...quorums(membership).map((set) => Math.min(...set.map(reached))));
        expect(quorumValue(membership, reached)).toBe(naive);
      }),
      { numRuns: 500 },
    );
  });

  test('a vote is won when a quorum granted it, and lost when no quorum can any more', () => {
    const votes = fc.tuple(...ids.map(() => fc.constantFrom(true, false, undefined)));
    fc.assert(
      fc.property(memberships, votes, (membership, drawn) => {
        const voteOf = (id: string): boolean | undefined => drawn[ids.indexOf(id)];
        const all = quorums(membership);
        const won = all.some((set) => set.every((id) => voteOf(id) === true));
        const open = all.some((set) => set.every((id) => voteOf(id) !== false));
        expect(voteOutcome(membership, voteOf)).toBe(won ? 'won' : open ? 'pending' : 'lost');
      }),
      { numRuns: 500 },
    );
  });
});
