import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { UfsFact } from '../../src/model/command.ts';
import { compareKeys } from '../../src/model/path.ts';
import { NameOrder } from '../../src/ufs/name-order.ts';

type Kind = UfsFact['kind'];

const factOf = (name: string, kind: Kind): UfsFact => ({ name, kind, lengthBytes: 0, version: '', modifiedMs: 0 });
const keyOf = ({ name, kind }: UfsFact): string => (kind === 'directory' ? `${name}/` : name);

async function reorder(facts: readonly UfsFact[], limit: number) {
  const directories = new Set(facts.filter(({ kind }) => kind === 'directory').map(({ name }) => name));
  const displaced: string[] = [];
  let probes = 0;
  let most = 0;
  const probe = async (name: string): Promise<UfsFact | undefined> => {
    probes += 1;
    return directories.has(name) ? factOf(name, 'directory') : undefined;
  };
  const order = new NameOrder(limit, probe, (name) => displaced.push(name));
  const out: UfsFact[] = [];
  let taken = 0;
  for (const fact of [...facts].sort((a, b) => compareKeys(keyOf(a), keyOf(b)))) {
    out.push(...(await order.push(fact)));
    taken += 1;
    most = Math.max(most, taken - out.length - displaced.length);
  }
  out.push(...order.end());
  return { out, displaced, probes, most };
}

const letter = fc.constantFrom('a', 'b', '-', '.', '!', '0', '\uffee', '😀');
const name = fc.string({ unit: letter, minLength: 1, maxLength: 5 });
const facts = fc.uniqueArray(
  fc.tuple(name, fc.constantFrom<Kind>('file', 'directory')).map(([text, kind]) => factOf(text, kind)),
  { selector: keyOf, maxLength: 60 },
);

test('any entries come out sorted by name, each once, directories over files, in bounded memory', async () => {
  await fc.assert(
    fc.asyncProperty(facts, fc.integer({ min: 0, max: 5 }), async (given, limit) => {
      const kinds = new Map<string, Kind>();
      for (const fact of given) if (kinds.get(fact.name) !== 'directory') kinds.set(fact.name, fact.kind);
      const wanted = [...kinds].sort(([a], [b]) => compareKeys(a, b));
      const { out, displaced, most } = await reorder(given, limit);
      expect(out.map((fact) => [fact.name, fact.kind])).toEqual(wanted);
      expect(displaced).toHaveLength(given.length - wanted.length);
      expect(most).toBeLessThanOrEqual(limit);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['names with extensions', Array.from({ length: 500 }, (_, i) => `file${String(i).padStart(3, '0')}.txt`), 0],
  ['names with one stem', Array.from({ length: 500 }, (_, i) => `part-${String(i).padStart(3, '0')}`), 1],
])('%s cost %#: few questions', async (_title, names, questions) => {
  const { out, probes } = await reorder(
    names.map((text) => factOf(text, 'file')),
    10,
  );
  expect(out.map((fact) => fact.name)).toEqual(names);
  expect(probes).toBe(questions);
});
