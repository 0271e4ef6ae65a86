import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isLinearizable } from './linearizable.ts';
import {
  NAMESPACE,
  type NamespaceCall,
  type NamespaceOperation,
  type NamespaceOutcome,
  wrongFolders,
} from './namespace-model.ts';

type Row = readonly [calledAt: number, returnedAt: number, call: string, outcome: NamespaceOutcome | 'unknown'];

/** `create a`, `rename a b`, …, in folder `/p` unless the name is a path. */
function operation([calledAt, returnedAt, call, outcome]: Row): NamespaceOperation {
  const [kind, first, second] = call.split(' ') as [NamespaceCall['kind'], string, string | undefined];
  const path = pathOf(first);
  const input: NamespaceCall = kind === 'rename' ? { kind, path, target: pathOf(second ?? '') } : { kind, path };
  return { input, outcome: outcome === 'unknown' ? undefined : outcome, calledAt, returnedAt };
}

function pathOf(name: string): string {
  return name.startsWith('/') ? name : `/p/${name}`;
}

const RIGHT: Readonly<Record<string, readonly Row[]>> = {
  'nothing happened': [],
  'one after the other': [
    [1, 2, 'create a', 'OK'],
    [3, 4, 'exists a', 'OK'],
    [5, 6, 'rename a b', 'OK'],
    [7, 8, 'exists a', 'NOT_FOUND'],
    [9, 10, 'delete b', 'OK'],
    [11, 12, 'delete b', 'NOT_FOUND'],
  ],
  'a read beside a create sees it or not': [
    [1, 9, 'create a', 'OK'],
    [2, 3, 'exists a', 'NOT_FOUND'],
    [4, 5, 'exists a', 'OK'],
  ],
  'one of two creates wins': [
    [1, 5, 'create a', 'ALREADY_EXISTS'],
    [2, 6, 'create a', 'OK'],
  ],
  'an unanswered create took effect late': [
    [1, 2, 'create a', 'unknown'],
    [3, 4, 'exists a', 'NOT_FOUND'],
    [5, 6, 'exists a', 'OK'],
  ],
  'an unanswered create never took effect': [
    [1, 2, 'create a', 'unknown'],
    [3, 4, 'exists a', 'NOT_FOUND'],
    [5, 6, 'create a', 'OK'],
  ],
  'an unanswered rename explains both names': [
    [1, 2, 'create a', 'OK'],
    [3, 4, 'rename a b', 'unknown'],
    [5, 6, 'exists a', 'OK'],
    [7, 8, 'exists b', 'OK'],
    [9, 10, 'exists a', 'NOT_FOUND'],
  ],
  'a return at the time of a call overlaps it': [
    [1, 2, 'create a', 'OK'],
    [2, 3, 'exists a', 'NOT_FOUND'],
  ],
  'folders do not know of each other': [
    [1, 2, 'create /p/a', 'OK'],
    [3, 4, 'exists /q/a', 'NOT_FOUND'],
  ],
};

const WRONG: Readonly<Record<string, readonly Row[]>> = {
  'an acknowledged create is lost': [
    [1, 2, 'create a', 'OK'],
    [3, 4, 'exists a', 'NOT_FOUND'],
  ],
  'a file nobody created': [[1, 2, 'exists a', 'OK']],
  'two creates win': [
    [1, 5, 'create a', 'OK'],
    [2, 6, 'create a', 'OK'],
  ],
  'a read goes back behind another': [
    [1, 9, 'create a', 'OK'],
    [2, 3, 'exists a', 'OK'],
    [4, 5, 'exists a', 'NOT_FOUND'],
  ],
  'an unanswered create took effect before its call': [
    [1, 2, 'exists a', 'OK'],
    [3, 4, 'create a', 'unknown'],
  ],
  'an unanswered create took effect twice': [
    [1, 2, 'create a', 'unknown'],
    [3, 4, 'delete a', 'OK'],
    [5, 6, 'delete a', 'OK'],
  ],
  'a renamed file is under both names': [
    [1, 2, 'create a', 'OK'],
    [3, 9, 'rename a b', 'OK'],
    [4, 5, 'exists b', 'OK'],
    [6, 7, 'exists a', 'OK'],
  ],
  'a rename onto a file': [
    [1, 2, 'create a', 'OK'],
    [1, 2, 'create b', 'OK'],
    [3, 4, 'rename a b', 'OK'],
  ],
};

describe('hand-made histories', () => {
  test.each(Object.entries(RIGHT))('linearizable: %s', (_, rows) => {
    expect(wrongFolders(rows.map(operation))).toEqual([]);
  });

  test.each(Object.entries(WRONG))('not linearizable: %s', (_, rows) => {
    expect(wrongFolders(rows.map(operation))).toEqual(['/p']);
  });

  test('a rename between folders is refused, not judged', () => {
    expect(() => wrongFolders([operation([1, 2, 'rename /p/a /q/a', 'OK'])])).toThrow(RangeError);
  });

  test('a return before its call is refused, not judged', () => {
    expect(() => wrongFolders([operation([2, 1, 'create a', 'OK'])])).toThrow(RangeError);
  });
});

/** Tries each operation that no unplaced one precedes, without memo. */
function naive(files: ReadonlySet<string>, rest: readonly NamespaceOperation[]): boolean {
  if (rest.every(({ outcome }) => outcome === undefined)) return true;
  return rest.some((first) => {
    const late = rest.some((other) => other.outcome !== undefined && other.returnedAt < first.calledAt);
    if (late) return false;
    const after = NAMESPACE.apply(files, first.input);
    if (first.outcome !== undefined && first.outcome !== after.outcome) return false;
    return naive(
      after.state,
      rest.filter((other) => other !== first),
    );
  });
}

const name = fc.constantFrom('/p/a', '/p/b');
const calls: fc.Arbitrary<NamespaceCall> = fc.oneof(
  fc.record({ kind: fc.constantFrom('create' as const, 'delete' as const, 'exists' as const), path: name }),
  fc.constantFrom(
    { kind: 'rename' as const, path: '/p/a', target: '/p/b' },
    { kind: 'rename' as const, path: '/p/b', target: '/p/a' },
  ),
);

/** Each takes effect at its point of time, and is seen to last from before it until after it. */
const plans = fc.array(fc.record({ call: calls, before: fc.nat(4), after: fc.nat(4), answered: fc.nat(5) }), {
  maxLength: 40,
});

/** What clients of a right namespace see. */
function rightHistory(plan: typeof plans extends fc.Arbitrary<infer Plan> ? Plan : never): NamespaceOperation[] {
  let files = NAMESPACE.initial;
  return plan.map(({ call, before, after, answered }, index) => {
    const { state, outcome } = NAMESPACE.apply(files, call);
    files = state;
    const at = index * 2;
    return {
      input: call,
      outcome: answered === 0 ? undefined : outcome,
      calledAt: at - before,
      returnedAt: at + after,
    };
  });
}

test('clever agrees with naive on tiny histories, right and wrong ones', () => {
  const outcome = fc.constantFrom<NamespaceOutcome | undefined>('OK', 'OK', 'NOT_FOUND', 'ALREADY_EXISTS', undefined);
  const operations = fc
    .record({ input: calls, outcome, calledAt: fc.nat(10), lasts: fc.nat(5) })
    .map(({ lasts, ...rest }) => ({ ...rest, returnedAt: rest.calledAt + lasts }));
  const verdicts = { right: 0, wrong: 0 };
  fc.assert(
    fc.property(fc.array(operations, { minLength: 1, maxLength: 6 }), (history) => {
      const expected = naive(NAMESPACE.initial, history);
      verdicts[expected ? 'right' : 'wrong'] += 1;
      expect(isLinearizable(NAMESPACE, history)).toBe(expected);
    }),
    { numRuns: 2000 },
  );
  expect(Math.min(verdicts.right, verdicts.wrong)).toBeGreaterThan(100);
});

test('every history of a right namespace is linearizable', () => {
  fc.assert(
    fc.property(plans, (plan) => {
      expect(wrongFolders(rightHistory(plan))).toEqual([]);
    }),
  );
});

test('a planted stale read is found in any right history', () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const end = plan.length * 2 + 10;
      const stale: NamespaceOperation[] = [
        operation([end, end + 1, 'create new', 'OK']),
        operation([end + 2, end + 3, 'exists new', 'NOT_FOUND']),
      ];
      expect(wrongFolders([...rightHistory(plan), ...stale])).toEqual(['/p']);
    }),
  );
});
