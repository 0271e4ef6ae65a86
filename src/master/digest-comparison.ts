import type { DigestVerdict } from '../model/command.ts';
import type { StateDigest } from '../model/report.ts';

/**
 * What digests of the same entry say.
 * @param voters how many masters vote; a majority of them must have a digest for others to be wrong
 * @returns undefined when they are all the same
 */
export function compareDigests(digests: readonly StateDigest[], voters: number): DigestVerdict | undefined {
  const [first] = digests;
  if (first === undefined || digests.every(({ digest }) => digest === first.digest)) return undefined;
  const counts = new Map<string, number>();
  for (const { digest } of digests) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  const [majority] = [...counts].find(([, count]) => 2 * count > voters) ?? [''];
  const differing = digests.filter(({ digest }) => digest !== majority).map(({ member }) => member);
  return { index: first.index, digest: majority, differing: majority === '' ? [] : differing };
}
