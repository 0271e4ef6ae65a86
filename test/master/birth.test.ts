import { describe, expect, test } from 'vitest';
import { randomInt, seededRandom } from '../../src/base/random.ts';
import { type BirthDecision, decideBirth } from '../../src/master/birth.ts';
import type { Greeting } from '../../src/wire/greeting.ts';

const NAMES = ['m1', 'm2', 'm3'] as const;

function greeting(id: string, more: Partial<Greeting> = {}): Greeting {
  const unborn = { clusterId: '', removed: false, heard: [id], birth: [], committed: undefined, timing: undefined };
  return { cluster: 'c', id, address: `${id}:1`, clientAddress: '', ...unborn, ...more };
}

function info(id: string) {
  return { id, address: `${id}:1`, clientAddress: '', priority: 0 };
}

function member(id: string, roster: readonly string[], more: Partial<Greeting> = {}): Greeting {
  return greeting(id, { clusterId: 'x', heard: [], birth: roster.map(info), ...more });
}

function decide(heard: Record<string, Greeting>, more: { readonly listed?: boolean; readonly others?: string[] } = {}) {
  const { listed = true, others = ['m2', 'm3'] } = more;
  return decideBirth({ cluster: 'c', self: 'm1@1', listed, others, heard: new Map(Object.entries(heard)) });
}

describe('a master with an empty folder', () => {
  const all = ['m1@1', 'm2@1', 'm3@1'];
  const found = { kind: 'found', roster: all } as const;
  const rows: [string, Record<string, Greeting>, Partial<BirthDecision> | RegExp][] = [
    ['nobody answers', {}, /m2 has not answered; m3 has not answered/],
    ['one is late', { m2: greeting('m2@1', { heard: all }) }, /^m3 has not answered$/],
    [
      'all are new and know each other',
      { m2: greeting('m2@1', { heard: all }), m3: greeting('m3@1', { heard: all }) },
      found,
    ],
    ['one has not heard all', { m2: greeting('m2@1', { heard: all }), m3: greeting('m3@1') }, /^m3 has not heard all/],
    [
      'one knows the disk that another has lost',
      { m2: greeting('m2@2', { heard: ['m1@1', 'm2@2', 'm3@1'] }), m3: greeting('m3@1', { heard: all }) },
      /^m3 has not heard all/,
    ],
    [
      'one was told of a fourth',
      { m2: greeting('m2@1', { heard: [...all, 'm4@1'] }), m3: greeting('m3@1', { heard: all }) },
      /^m2 knows a master m4 too/,
    ],
    ['one was founded with it', { m2: member('m2@1', all) }, { kind: 'born', clusterId: 'x', roster: all.map(info) }],
    [
      'one was founded with a disk that this master has lost',
      { m2: member('m2@1', ['m1@0', 'm2@1', 'm3@1']), m3: greeting('m3@1') },
      { kind: 'join', clusterId: 'x', replaces: 'm1@0' },
    ],
    ['one came later itself', { m2: member('m2@1', []) }, { kind: 'join', clusterId: 'x', replaces: undefined }],
    [
      'one is of the first versions',
      { m2: member('m2', ['m1', 'm2', 'm3']) },
      { kind: 'join', clusterId: 'x', replaces: 'm1' },
    ],
    [
      'its name left the cluster meanwhile',
      {
        m2: member('m2@1', ['m1@0', 'm2@1', 'm3@1'], {
          committed: {
            applied: 9,
            membership: { voters: ['m2@1', 'm3@1'], outgoing: [], learners: [], members: [] },
          },
        }),
      },
      { kind: 'join', clusterId: 'x', replaces: undefined },
    ],
    [
      'two clusters answer',
      { m2: member('m2@1', []), m3: member('m3@1', [], { clusterId: 'y' }) },
      /different clusters/,
    ],
    [
      'one has another cluster’s name',
      { m2: member('m2@1', all, { cluster: 'd' }) },
      /m2 belongs to a cluster named d/,
    ],
    ['an address is its own', { m2: greeting('m1@1') }, /m2 has the address of this master/],
    ['an address is another’s', { m2: greeting('m3@1') }, /m2 is m3 at that address/],
  ];
  test.each(rows)('%s', (_, heard, expected) => {
    const decision = decide(heard);
    if (!(expected instanceof RegExp)) expect(decision).toEqual(expected);
    else expect(decision.kind === 'wait' && decision.missing.join('; ')).toMatch(expected);
  });

  test('alone founds its cluster at once', () => {
    expect(decide({}, { others: [] })).toEqual({ kind: 'found', roster: ['m1@1'] });
  });

  test('that is not listed waits for a cluster', () => {
    const heard = { m2: greeting('m2@1', { heard: ['m1@1', 'm2@1'] }) };
    expect(decide(heard, { others: ['m2'], listed: false })).toMatchObject({ kind: 'wait' });
    expect(decide({ m2: member('m2@1', ['m2@1']) }, { others: ['m2'], listed: false }).kind).toBe('join');
  });
});

interface Node {
  readonly life: number;
  readonly roster: readonly string[] | 'joined' | undefined;
  /** What others said last, by their number. */
  readonly heard: Readonly<Record<number, Greeting>>;
}

type State = readonly Node[];

const NEW: State = NAMES.map(() => ({ life: 1, roster: undefined, heard: {} }));

function idOf({ life }: Node, i: number): string {
  return `${NAMES[i]}@${life}`;
}

/** What a master answers in this state. */
function said(state: State, i: number): Greeting {
  const node = state[i] as Node;
  const id = idOf(node, i);
  if (node.roster === 'joined') return member(id, []);
  if (node.roster !== undefined) return member(id, node.roster);
  return greeting(id, { heard: [id, ...Object.values(node.heard).map((each) => each.id)].sort() });
}

/** Master `i` hears `answer` of master `j`, or that it does not answer. */
function hear(state: State, i: number, j: number, answer: Greeting | undefined): State {
  const node = state[i] as Node;
  const { [j]: _, ...others } = node.heard;
  const heard = answer === undefined ? others : { ...others, [j]: answer };
  const decision = decideBirth({
    cluster: 'c',
    self: idOf(node, i),
    listed: true,
    others: NAMES.filter((_, k) => k !== i),
    heard: new Map(Object.entries(heard).map(([k, each]) => [NAMES[Number(k)] as string, each])),
  });
  const next = { ...node, heard };
  if (decision.kind === 'wait') return replaced(state, i, next);
  const born = { life: node.life, heard: {} };
  if (decision.kind === 'join') return replaced(state, i, { ...born, roster: 'joined' });
  const roster = decision.kind === 'found' ? decision.roster : decision.roster.map(({ id }) => id);
  return replaced(state, i, { ...born, roster });
}

function wipe(state: State, i: number): State {
  return replaced(state, i, { life: (state[i] as Node).life + 1, roster: undefined, heard: {} });
}

function replaced(state: State, i: number, node: Node): State {
  return state.map((each, j) => (j === i ? node : each));
}

function rostersOf(state: State): string[] {
  return state.flatMap(({ roster }) => (Array.isArray(roster) ? [roster.join()] : []));
}

const PAIRS = NAMES.flatMap((_, i) => NAMES.flatMap((_, j) => (i === j ? [] : [[i, j] as const])));

// A founder that is emptied before anybody else was born leaves no cluster behind, so another one may be founded then.
describe('three masters that are born', () => {
  test.each([0, 1])('found one cluster in every order of their questions, with %i disks emptied', (wipes) => {
    const seen = new Set<string>();
    const rosters = new Set<string>();
    const todo: { state: State; left: number }[] = [{ state: NEW, left: wipes }];
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      const { state, left } = at;
      const key = JSON.stringify(at);
      if (seen.has(key)) continue;
      seen.add(key);
      const founded = new Set(rostersOf(state));
      if (founded.size > 1) expect.fail(`two clusters: ${key}`);
      for (const each of founded) rosters.add(each);
      const next = PAIRS.flatMap(([i, j]) =>
        state[i]?.roster === undefined ? [hear(state, i, j, said(state, j))] : [],
      );
      const waits = state.some(({ roster }) => roster === undefined);
      const moves = next.some((each) => JSON.stringify(each) !== JSON.stringify(state));
      if (moves !== waits) expect.fail(`stuck: ${key}`);
      todo.push(...next.map((each) => ({ state: each, left })));
      if (left > 0) todo.push(...NAMES.map((_, i) => ({ state: wipe(state, i), left: left - 1 })));
    }
    expect(rosters.size).toBe(wipes === 0 ? 1 : 4);
  });

  test('found one cluster while answers are late or lost, and disks are emptied', () => {
    for (let seed = 1; seed <= 1000; seed += 1) {
      const random = seededRandom(seed);
      let state = NEW;
      /** Answers on their way, by question. */
      let flying = new Map<string, Greeting | undefined>();
      for (let step = 0; step < 200; step += 1) {
        const [i, j] = PAIRS[randomInt(random, 0, PAIRS.length - 1)] as (typeof PAIRS)[number];
        const pair = `${i}${j}`;
        if (random.next() < 0.01) {
          state = wipe(state, i);
          flying = new Map([...flying].filter(([each]) => !each.startsWith(`${i}`)));
        } else if (state[i]?.roster === undefined && flying.has(pair)) {
          state = hear(state, i, j, flying.get(pair));
          flying.delete(pair);
        } else flying.set(pair, random.next() < 0.1 ? undefined : said(state, j));
        if (new Set(rostersOf(state)).size > 1) expect.fail(`two clusters: seed ${seed}, step ${step}`);
      }
    }
  });
});
