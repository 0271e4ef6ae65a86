import { expect, test } from 'vitest';
import { createLogger, type Logger } from '../../src/host/logger.ts';
import { MemberPlaces } from '../../src/master/member-places.ts';
import type { Greeting } from '../../src/wire/greeting.ts';
import { MemoryLogger } from '../wire/cluster.ts';

const KNOWN = new Map([
  ['a@1', 'a:1'],
  ['b@1', 'b:1'],
  ['c@1', 'c:1'],
]);

/** Of the master a, where nobody is connected unless it is said. */
function places(connected: readonly string[] = [], log: Logger = createLogger('silent', {})) {
  const dialled: ReadonlyMap<string, string>[] = [];
  const made = new MemberPlaces({
    id: 'a@1',
    clusterId: 'x',
    address: 'a:1',
    log,
    connected: (id) => connected.includes(id),
  });
  made.follow(KNOWN, (addresses) => void dialled.push(addresses));
  return { made, dialledNow: (id: string) => (dialled.at(-1) ?? KNOWN).get(id) };
}

function said(id: string, address: string, more: Partial<Greeting> = {}): Greeting {
  const nothing = { heard: [], birth: [], committed: undefined, timing: undefined };
  return { cluster: 'c', clusterId: 'x', id, address, clientAddress: '', removed: false, ...nothing, ...more };
}

const answers = (...all: readonly [string, Greeting][]) => new Map(all);

test('a member that answers elsewhere is dialled there, until the membership says something new of it', () => {
  const { made, dialledNow } = places();
  made.heard(answers(['b:2', said('b@1', 'b:2', { clientAddress: 'b:3' })]));
  expect(dialledNow('b@1')).toBe('b:2');
  expect([...made.moved]).toEqual([['b@1', { address: 'b:2', clientAddress: 'b:3' }]]);
  made.membership(new Map([...KNOWN, ['c@1', 'c:2']]));
  expect(dialledNow('b@1')).toBe('b:2');
  made.membership(new Map([...KNOWN, ['b@1', 'b:4']]));
  expect([dialledNow('b@1'), made.moved.size]).toEqual(['b:4', 0]);
});

test.each<[string, Map<string, Greeting>]>([
  ['a later disk of its name', answers(['b:2', said('b@2', 'b:2')])],
  ['one of another cluster', answers(['b:2', said('b@1', 'b:2', { clusterId: 'y' })])],
  ['one that was removed', answers(['b:2', said('b@1', 'b:2', { removed: true })])],
  ['one that says that it is elsewhere', answers(['b:2', said('b@1', 'b:3')])],
  ['another one beside the one that is known', answers(['b:2', said('b@1', 'b:2')], ['b:1', said('b@1', 'b:1')])],
  ['one of two that claim to be it', answers(['b:2', said('b@1', 'b:2')], ['b:3', said('b@1', 'b:3')])],
])('a member stays where the membership has it when there is %s', (_, heard) => {
  const { made, dialledNow } = places();
  made.heard(heard);
  expect([dialledNow('b@1'), made.moved.size]).toEqual(['b:1', 0]);
});

test('a member that is connected stays, whoever claims to be it', () => {
  const { made, dialledNow } = places(['b@1']);
  made.heard(answers(['b:2', said('b@1', 'b:2')]));
  expect([dialledNow('b@1'), made.moved.size]).toEqual(['b:1', 0]);
});

test('a member that is back where the membership has it is dialled there', () => {
  const { made, dialledNow } = places();
  made.heard(answers(['b:2', said('b@1', 'b:2')]));
  made.heard(answers(['b:1', said('b@1', 'b:1')]));
  expect([dialledNow('b@1'), made.moved.size]).toEqual(['b:1', 0]);
});

test('only places of members that are not known yet are asked, a claim alone changes nothing', () => {
  const { made, dialledNow } = places();
  const foreign = said('b@1', 'b:5', { clusterId: 'y' });
  for (const claim of [said('b@1', 'b:2'), said('c@1', 'c:1'), said('d@1', 'd:1'), foreign]) made.claim(claim);
  expect(made.takeClaims()).toEqual(['b:2']);
  expect(made.takeClaims()).toEqual([]);
  expect(dialledNow('b@1')).toBe('b:1');
});

test('a member that calls the place where it is known otherwise has not moved when only that name is reached', () => {
  const { made, dialledNow } = places();
  made.met('b@1', 'b:1', 'name:1');
  made.claim(said('b@1', 'name:1'));
  expect(made.takeClaims()).toEqual([]);
  made.heard(answers(['name:1', said('b@1', 'name:1')]));
  expect([dialledNow('b@1'), made.moved.size]).toEqual(['b:1', 0]);
  made.heard(answers(['b:2', said('b@1', 'b:2')]));
  expect(dialledNow('b@1')).toBe('b:2');
});

test('what a member calls a place counts for that place only, until it says another name or the place is another', () => {
  const byName = answers(['name:1', said('b@1', 'name:1')]);
  const elsewhere = places();
  elsewhere.made.met('b@1', 'b:9', 'name:1');
  elsewhere.made.heard(byName);
  expect(elsewhere.dialledNow('b@1')).toBe('name:1');
  const { made, dialledNow } = places();
  made.met('b@1', 'b:1', 'name:1');
  made.met('b@1', 'b:1', '');
  made.heard(byName);
  expect(dialledNow('b@1')).toBe('b:1');
  made.membership(new Map([...KNOWN, ['b@1', 'b:4']]));
  made.heard(byName);
  expect(dialledNow('b@1')).toBe('name:1');
});

test('that only its own name is answered is said once, with the way out, and again after it was back', () => {
  const log = new MemoryLogger();
  const { made } = places([], log);
  made.met('b@1', 'b:1', 'name:1');
  for (const address of ['name:1', 'name:1', 'b:1', 'name:1']) made.heard(answers([address, said('b@1', 'name:1')]));
  expect(log.lines).toHaveLength(2);
  expect(log.lines[0]?.fields).toMatchObject({ member: 'b@1', address: 'name:1', known: 'b:1' });
  expect(log.lines[0]?.fields['way']).toContain('sluice admin quorum add b=name:1');
});
