import { readFileSync } from 'node:fs';
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

  /** A value is reached when in each half more than half of the voters have it; a vote is won and lost likewise. */
  function countedByHand({ voters: incoming, outgoing }: Membership, fulfils: (id: string) => boolean): boolean {
    return [incoming, outgoing].every((half) => half.length === 0 || 2 * half.filter(fulfils).length > half.length);
  }

  test('ten thousand memberships and answers: the same as counting for each value', () => {
    const answer = fc.record({ held: fc.nat({ max: 9 }), vote: fc.constantFrom(true, false, undefined) });
    fc.assert(
      fc.property(memberships, fc.tuple(...ids.map(() => answer)), (membership, answers) => {
        const of = (id: string): { held: number; vote: boolean | undefined } => answers[ids.indexOf(id)]!;
        let reached = 9;
        while (!countedByHand(membership, (id) => of(id).held >= reached)) reached -= 1;
        expect(quorumValue(membership, (id) => of(id).held)).toBe(reached);
        const won = countedByHand(membership, (id) => of(id).vote === true);
        const open = countedByHand(membership, (id) => of(id).vote !== false);
        expect(voteOutcome(membership, (id) => of(id).vote)).toBe(won ? 'won' : open ? 'pending' : 'lost');
      }),
      { numRuns: 10_000 },
    );
  });

  test('two equal halves count as one', () => {
    const values = fc.tuple(...ids.map(() => fc.nat({ max: 12 })));
    fc.assert(
      fc.property(voters, values, (half, drawn) => {
        const held = (id: string): number => drawn[ids.indexOf(id)]!;
        const simple = { voters: half, outgoing: [] };
        expect(quorumValue({ voters: half, outgoing: half }, held)).toBe(quorumValue(simple, held));
      }),
    );
  });
});

/** Rows as `commit ab & bc | a9 b- c7 = 7` and `vote abc | a+ b! c- = pending`: who votes, what each has said, the result. */
describe('quorum, row by row', () => {
  const text = readFileSync(new URL('quorum-rows.txt', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

  test.each(rows)('%s', (row) => {
    const [, kind, members, answers, result] = /^(commit|vote) ([a-z& ]+) \| (.+) = (\w+)$/.exec(row)!;
    const [incoming, outgoing] = members!.split(' & ');
    const membership = { voters: [...incoming!], outgoing: [...(outgoing ?? '')] };
    const said = new Map(answers!.split(' ').map((answer) => [answer[0]!, answer.slice(1)]));
    if (kind === 'commit') {
      expect(quorumValue(membership, (id) => Number(said.get(id)?.replace('-', '0') ?? 0))).toBe(Number(result));
      return;
    }
    const votes: Record<string, boolean> = { '+': true, '!': false };
    expect(voteOutcome(membership, (id) => votes[said.get(id) ?? '-'])).toBe(result);
  });

  test('are as many as they should be', () => {
    const count = (kind: RegExp): number => rows.filter((row) => kind.test(row)).length;
    expect(count(/^commit [a-z]+ \|/)).toBeGreaterThanOrEqual(16);
    expect(count(/^vote [a-z]+ \|/)).toBeGreaterThanOrEqual(22);
    expect(count(/^commit .*&/)).toBeGreaterThanOrEqual(50);
    expect(count(/^vote .*&/)).toBeGreaterThanOrEqual(39);
  });
});
