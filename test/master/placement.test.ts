import { describe, expect, test } from 'vitest';
import { Placement } from '../../src/master/placement.ts';
import { DEFAULT_RAFT_LIMITS } from '../../src/raft/options.ts';
import type { RaftStatus } from '../../src/raft/raft.ts';

const FIT = {
  match: 1000,
  next: 1001,
  state: 'replicate',
  silentTicks: 1,
  framesInFlight: 0,
  bytesInFlight: 0,
} as const;
type Peer = RaftStatus['peers'] extends ReadonlyMap<string, infer P> ? P : never;

/** m1 leads; `m2` is preferred unless said otherwise. */
function status(
  m2: Partial<Peer> = {},
  more: Partial<RaftStatus> & { readonly priorities?: number[] } = {},
): RaftStatus {
  const { priorities = [0, 1, 0], ...rest } = more;
  const voters = ['m1@1', 'm2@1', 'm3@1'];
  const members = voters.map((id, i) => ({ id, address: '', clientAddress: '', priority: priorities[i] ?? 0 }));
  return {
    id: 'm1@1',
    membership: { voters, outgoing: [], learners: [], members },
    membershipCommitted: true,
    transferringTo: undefined,
    last: { term: 1, index: 1000 },
    peers: new Map([
      ['m2@1', { ...FIT, ...m2 } as Peer],
      ['m3@1', FIT as unknown as Peer],
    ]),
    ...rest,
  } as RaftStatus;
}

/** When `placement` says who shall lead, asked each second; nothing is said in the first 10 s. */
function said(
  placement: Placement,
  at: (second: number) => RaftStatus,
  fromS: number,
  toS: number,
): [number, string][] {
  const found: [number, string][] = [];
  for (let second = fromS; second <= toS; second += 1) {
    const name = placement.next(at(second), second * 1000);
    if (name !== undefined) found.push([second, name]);
  }
  return found;
}

describe('leadership is placed', () => {
  const placement = () => new Placement(DEFAULT_RAFT_LIMITS);
  const joint = { ...status().membership, outgoing: ['m1@1', 'm3@1'] };
  test.each<[string, RaftStatus, string | undefined]>([
    ['at the preferred master', status(), 'm2'],
    ['at the highest priority', status({}, { priorities: [0, 1, 2] }), 'm3'],
    ['nowhere when all are equal', status({}, { priorities: [0, 0, 0] }), undefined],
    ['here when this one is preferred', status({}, { priorities: [1, 1, 0] }), undefined],
    ['not at a silent master', status({ silentTicks: 5 }), undefined],
    ['at the next one while the preferred is silent', status({ silentTicks: 5 }, { priorities: [0, 2, 1] }), 'm3'],
    ['not at one that looks for where it stands', status({ state: 'probe' }), undefined],
    ['not at one that needs a snapshot', status({ state: 'snapshot' }), undefined],
    ['not at one that is behind', status({ match: -1 }), undefined],
    ['not during a change of the members', status({}, { membershipCommitted: false }), undefined],
    ['not in a joint configuration', status({}, { membership: joint }), undefined],
    ['not while it is handed over', status({}, { transferringTo: 'm3@1' }), undefined],
  ])('%s', (_, at, expected) => {
    expect(said(placement(), () => at, 0, 20)).toEqual(expected === undefined ? [] : [[10, expected]]);
  });

  test('only after it was fit for ten seconds without a break', () => {
    const lost = (second: number) => status({ silentTicks: second === 7 ? 9 : 1 });
    expect(said(placement(), lost, 0, 20)).toEqual([[18, 'm2']]);
  });

  test('less and less often, and soon again after a calm time', () => {
    const one = placement();
    const times = said(one, () => status(), 0, 8000).map(([second]) => second);
    const gaps = times.map((second, i) => second - (times[i - 1] ?? 0));
    expect(gaps).toEqual([10, 60, 120, 240, 480, 960, 1920, 3600]);
    one.reset();
    expect(said(one, () => status(), 20_000, 20_100).map(([second]) => second)).toEqual([20_010, 20_070]);
  });
});
