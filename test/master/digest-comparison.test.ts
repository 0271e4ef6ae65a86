import { expect, test } from 'vitest';
import { compareDigests } from '../../src/master/digest-comparison.ts';
import type { DigestVerdict } from '../../src/model/command.ts';

const digests = (said: string) =>
  [...said].map((digest, i) => ({ member: `m${i + 1}`, index: 7, digest, rows: 1, tables: [], version: '1' }));

test.each<[string, number, DigestVerdict | undefined]>([
  ['', 3, undefined],
  ['a', 3, undefined],
  ['aaa', 3, undefined],
  ['aab', 3, { index: 7, digest: 'a', differing: ['m3'] }],
  ['baa', 3, { index: 7, digest: 'a', differing: ['m1'] }],
  // One of three did not answer: nobody knows who is right.
  ['ab', 3, { index: 7, digest: '', differing: [] }],
  ['abc', 3, { index: 7, digest: '', differing: [] }],
  ['ab', 2, { index: 7, digest: '', differing: [] }],
  ['aabb', 4, { index: 7, digest: '', differing: [] }],
  ['aaab', 5, { index: 7, digest: 'a', differing: ['m4'] }],
  ['aab', 5, { index: 7, digest: '', differing: [] }],
  ['aaabc', 5, { index: 7, digest: 'a', differing: ['m4', 'm5'] }],
  // A learner may differ too.
  ['aaab', 3, { index: 7, digest: 'a', differing: ['m4'] }],
])('digests %j of %i voters', (said, voters, expected) => {
  expect(compareDigests(digests(said), voters)).toEqual(expected);
});
